// The graph of a dry run: least and greatest value over time, the threshold, and bands where the rule would have fired.
import { shown } from "./chart.js";

const ECHARTS = new URL("../vendor/echarts/echarts.esm.min.js", import.meta.url);
const CHINA = 8 * 3600e3; // the platform's clock, like all its lists and graphs
const drawn = new Set();
let library = null;

function dark() {
  return document.documentElement.getAttribute("data-bs-theme") === "dark";
}

function option(one) {
  const ink = dark() ? "#9aa5b1" : "#5f6b7a";
  const line = dark() ? "#33404d" : "#e3e7eb";
  const blue = dark() ? "#56b4e9" : "#0072b2";
  const red = dark() ? "#ff8a3d" : "#d55e00";
  const days = (at) => new Date(at).toISOString().slice(5, 16).replace("T", " ");
  const curve = (values, name, more) => ({
    name, type: "line", showSymbol: values.length < 3, lineStyle: { width: 1.2, color: blue }, itemStyle: { color: blue },
    data: one.t.map((at, place) => [at + CHINA, values[place]]), ...more,
  });
  const marks = {
    markArea: { silent: true, itemStyle: { color: red, opacity: dark() ? 0.35 : 0.22 },
                data: one.bands.map(([from, to]) => [{ xAxis: from + CHINA }, { xAxis: Math.max(to, from + (one.to - one.from) / 400) + CHINA }]) },
    markLine: one.limit === null ? undefined
      : { silent: true, symbol: "none", label: { formatter: shown(one.limit, one.unit), position: "insideStartTop", color: ink }, lineStyle: { color: red, type: "dashed" }, data: [{ yAxis: one.limit }] },
  };
  const top = Math.max(...one.hi, one.limit ?? -Infinity);
  return {
    animation: false, useUTC: true, grid: { left: 8, right: 16, top: 14, bottom: 4, containLabel: true },
    tooltip: { trigger: "axis", confine: true, renderMode: "richText",
               formatter: (items) => [days(items[0].value[0]), `${shown(one.lo[items[0].dataIndex], one.unit)} – ${shown(one.hi[items[0].dataIndex], one.unit)}`].join("\n") },
    xAxis: { type: "time", min: one.from + CHINA, max: one.to + CHINA, axisLine: { lineStyle: { color: line } },
             axisLabel: { color: ink, fontSize: 11, hideOverlap: true, formatter: (at) => days(at).slice(0, 5) } },
    yAxis: { type: "value", max: Number.isFinite(top) && one.unit !== "%" ? undefined : one.unit === "%" ? 100 : undefined, axisLabel: { color: ink, fontSize: 11, formatter: (value) => shown(value, one.unit) }, splitLine: { lineStyle: { color: line } } },
    series: [curve(one.hi, "max", { ...marks, areaStyle: { color: blue, opacity: 0.08 } }), curve(one.lo, "min", { lineStyle: { width: 0.8, color: blue, opacity: 0.6 } })],
  };
}

async function draw(root) {
  const data = document.getElementById("dry-run-data");
  const places = [...(root.querySelectorAll?.("[data-dry-run]") ?? [])];
  if (!data || !places.length) return;
  library ??= import(ECHARTS);
  const echarts = await library;
  const drawings = JSON.parse(data.textContent);
  for (const view of drawn) view.dispose();
  drawn.clear();
  for (const element of places) {
    const view = echarts.init(element);
    const one = drawings[Number(element.dataset.dryRun)];
    view.setOption(option(one));
    view.one = one;
    drawn.add(view);
    new ResizeObserver(() => !view.isDisposed() && view.resize()).observe(element);
  }
}

document.addEventListener("htmx:load", (event) => draw(event.detail.elt.parentElement ?? event.detail.elt));
document.addEventListener("rdmp:theme", () => {
  for (const view of drawn) view.setOption(option(view.one), true);
});
draw(document.body);
