// The trend of the SLA page: incidents as bars, promises kept and satisfaction as lines, twelve months.
const ECHARTS = new URL("../vendor/echarts/echarts.esm.min.js", import.meta.url);
const COLOURS = { light: ["#c3cad3", "#0072b2", "#009e73", "#d55e00", "#b8860b"], dark: ["#46535f", "#56b4e9", "#2fc79a", "#ff8a3d", "#f5b93c"] };

function option(data) {
  const dark = document.documentElement.getAttribute("data-bs-theme") === "dark";
  const ink = dark ? "#9aa5b1" : "#5f6b7a";
  const line = dark ? "#33404d" : "#e3e7eb";
  const axis = (more) => ({ type: "value", axisLabel: { color: ink, fontSize: 11, ...more?.label }, splitLine: { lineStyle: { color: line } }, ...more });
  const curve = (one, yAxisIndex, more) => ({ name: one.name, type: "line", yAxisIndex, data: one.values, connectNulls: true, symbolSize: 6, ...more });
  const lowest = Math.min(...data.shares.flatMap((one) => one.values).filter((value) => value !== null), 100);
  return {
    animation: false, color: COLOURS[dark ? "dark" : "light"],
    grid: { left: 8, right: 8, top: 56, bottom: 4, containLabel: true },
    legend: { top: 0, textStyle: { color: ink }, type: "plain", itemGap: 14 },
    tooltip: { trigger: "axis", confine: true, renderMode: "richText" },
    xAxis: { type: "category", data: data.months, axisLine: { lineStyle: { color: line } }, axisLabel: { color: ink, fontSize: 11, hideOverlap: true } },
    yAxis: [
      axis({ minInterval: 1, position: "left", splitLine: { show: false } }),
      axis({ position: "right", min: Math.min(90, Math.floor(lowest / 10) * 10), max: 100, label: { formatter: "{value} %" } }),
      axis({ show: false, min: 0, max: 5 }),
    ],
    series: [
      { name: data.incidents.name, type: "bar", yAxisIndex: 0, barMaxWidth: 36, data: data.incidents.values },
      ...data.shares.map((one) => curve(one, 1)),
      curve(data.content, 2, { lineStyle: { type: "dashed" } }),
    ],
  };
}

const place = document.querySelector("[data-sla-trend]");
const source = document.getElementById("sla-trend-data");
if (place && source) {
  const data = JSON.parse(source.textContent);
  const echarts = await import(ECHARTS);
  const view = echarts.init(place);
  view.setOption(option(data));
  new ResizeObserver(() => view.resize()).observe(place);
  document.addEventListener("rdmp:theme", () => view.setOption(option(data), true));
}
