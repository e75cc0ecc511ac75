// Cost: <div data-costs="ID" data-costs-kind="days|months"> draws the figures of the JSON script with that id.
// Days stack by product, with what is usual as a line and marked days in another colour; months stack by product what was
// spent and what is foretold. A day that is not known has no bar.
const ECHARTS = new URL("../vendor/echarts/echarts.esm.min.js", import.meta.url);
const PALETTE = { light: ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#5b5b5b", "#a3acb6"],
                  dark: ["#56b4e9", "#ff8a3d", "#2fc79a", "#e59bc4", "#8fd0ff", "#f5b93c", "#b8b8b8", "#5f6b77"] };
const MARKED = { light: "#d55e00", dark: "#ff8a3d" };

const isDark = () => document.documentElement.getAttribute("data-bs-theme") === "dark";
const money = (value) => (value === null || value === undefined ? "—" : `¥${Number(value).toLocaleString("en", { minimumFractionDigits: 2, maximumFractionDigits: 2 })}`);
const short = (value) => (Math.abs(value) >= 1e6 ? `${value / 1e6} M` : Math.abs(value) >= 1e3 ? `${value / 1e3} k` : String(value));

function frame(categories, series, { legend }) {
  const dark = isDark();
  const ink = dark ? "#9aa5b1" : "#5f6b7a";
  const line = dark ? "#33404d" : "#e3e7eb";
  return {
    animation: false, color: PALETTE[dark ? "dark" : "light"],
    grid: { left: 4, right: 8, top: legend ? 60 : 12, bottom: 4, containLabel: true },
    legend: legend ? { top: 0, textStyle: { color: ink }, type: "scroll", itemGap: 12, pageIconColor: ink, pageTextStyle: { color: ink } } : undefined,
    tooltip: { trigger: "axis", confine: true, renderMode: "richText", order: "valueDesc", axisPointer: { type: "shadow" }, valueFormatter: money },
    xAxis: { type: "category", data: categories, axisLine: { lineStyle: { color: line } }, axisTick: { show: false }, axisLabel: { color: ink, fontSize: 11, hideOverlap: true } },
    yAxis: { type: "value", axisLabel: { color: ink, fontSize: 11, formatter: short }, splitLine: { lineStyle: { color: line } } },
    series,
  };
}

function days(data) {
  const marked = new Set(data.marked ?? []);
  const colour = MARKED[isDark() ? "dark" : "light"];
  const bar = (values) => values.map((value, at) => (marked.has(at) ? { value, itemStyle: { color: colour } } : value));
  const stacks = data.stacks.map((one) => ({ name: one.name, type: "bar", stack: "day", barMaxWidth: 26, data: bar(one.values) }));
  const usual = data.line ? [{ name: data.line.name, type: "line", step: "middle", symbol: "none", itemStyle: { color: isDark() ? "#b8b8b8" : "#5b5b5b" }, lineStyle: { type: "dashed", width: 2 }, data: data.line.values }] : [];
  return frame(data.days, [...stacks, ...usual], { legend: stacks.length + usual.length > 1 });
}

function months(data) {
  const colours = PALETTE[isDark() ? "dark" : "light"];
  const last = (value) => data.months.map((_month, at) => (at === data.months.length - 1 ? value : null));
  const solid = data.products.map((one) => ({ name: one.name, type: "bar", stack: "month", barMaxWidth: 40, data: one.values }));
  const ahead = data.products.map((one, at) => ({
    name: `${one.name} · ${data.words.ahead}`, type: "bar", stack: "month", data: last(one.ahead || null),
    itemStyle: { color: colours[at % colours.length], opacity: 0.4, decal: { symbol: "rect", dashArrayX: [1, 0], dashArrayY: [3, 4], rotation: 0.8 } },
  }));
  const option = frame(data.months, [...solid, ...ahead], { legend: solid.length > 1 });
  if (option.legend) option.legend.data = data.products.map((one) => one.name);
  return option;
}

const DRAW = { days, months };

const drawn = new Set(); // {place, view, redraw, sizes}: a live swap takes a place away without a word

function forgetGone() {
  for (const one of drawn) {
    if (one.place.isConnected) continue;
    one.sizes.disconnect();
    one.view.dispose();
    drawn.delete(one);
  }
}

async function draw(place) {
  const source = document.getElementById(place.dataset.costs);
  if (!source || place.dataset.drawn) return;
  place.dataset.drawn = "yes";
  const data = JSON.parse(source.textContent);
  if (!data) return;
  const option = DRAW[place.dataset.costsKind];
  const echarts = await import(ECHARTS);
  if (!place.isConnected) return;
  const view = echarts.init(place);
  const redraw = () => view.setOption(option(data), true);
  const sizes = new ResizeObserver(() => view.resize());
  redraw();
  sizes.observe(place);
  drawn.add({ place, view, redraw, sizes });
}

function drawAll() {
  forgetGone();
  document.querySelectorAll("[data-costs]").forEach(draw);
}

drawAll();
document.addEventListener("htmx:afterSettle", drawAll);
document.addEventListener("rdmp:theme", () => drawn.forEach((one) => one.redraw()));
