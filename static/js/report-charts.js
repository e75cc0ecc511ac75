// Reports: each <div data-report-chart> draws the block of the JSON script that follows it. A null is a gap.
const ECHARTS = new URL("../vendor/echarts/echarts.esm.min.js", import.meta.url);
const PALETTE = { light: ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#5b5b5b", "#a3acb6"],
                  dark: ["#56b4e9", "#ff8a3d", "#2fc79a", "#e59bc4", "#8fd0ff", "#f5b93c", "#b8b8b8", "#5f6b77"] };
// What a print in black and white, or an eye that sees no colours, tells curves and bars apart by.
const DASHES = ["solid", "dashed", [8, 3, 2, 3], "dotted", [12, 3], [6, 2, 2, 2, 2, 2], [2, 4], [14, 4]];
const SYMBOLS = ["circle", "rect", "triangle", "diamond", "pin", "arrow", "roundRect", "emptyCircle"];
const HATCHES = [
  undefined,
  { symbol: "rect", dashArrayX: [1, 0], dashArrayY: [2, 4], rotation: -Math.PI / 4 },
  { symbol: "circle", symbolSize: 0.7, dashArrayX: [[7, 7], [0, 7, 7, 0]], dashArrayY: [5, 0] },
  { symbol: "rect", dashArrayX: [1, 0], dashArrayY: [2, 4], rotation: Math.PI / 4 },
  { symbol: "rect", dashArrayX: [1, 0], dashArrayY: [3, 5] },
  { symbol: "rect", dashArrayX: [1, 0], dashArrayY: [3, 5], rotation: Math.PI / 2 },
  { symbol: "triangle", symbolSize: 0.8, dashArrayX: [[8, 8], [0, 8, 8, 0]], dashArrayY: [7, 2] },
  { symbol: "diamond", dashArrayX: [[6, 6], [0, 6, 6, 0]], dashArrayY: [6, 2] },
];
const hatch = (place) => HATCHES[place % HATCHES.length] && { color: "rgba(255, 255, 255, .7)", ...HATCHES[place % HATCHES.length] };

// A bar that nobody knows is a question mark where it would stand, as on paper: no bar would be a zero.
function unknown(chart, place, ink) {
  const isStack = chart.shape === "stack";
  if (chart.shape === "line" || (isStack && place)) return undefined;
  const gone = (at) => (isStack ? chart.curves.every((curve) => curve.values[at] === null) : chart.curves[place].values[at] === null);
  const data = chart.labels.map((_label, at) => at).filter(gone).map((at) => ({ coord: [at, chart.lowest ?? 0] }));
  return data.length ? { silent: true, animation: false, symbol: "rect", symbolSize: 1, itemStyle: { color: "transparent" }, label: { show: true, formatter: "?", position: "top", distance: 2, color: ink, fontSize: 13 }, data } : undefined;
}

function option(chart) {
  const dark = document.documentElement.getAttribute("data-bs-theme") === "dark";
  const ink = dark ? "#9aa5b1" : "#5f6b7a";
  const line = dark ? "#33404d" : "#e3e7eb";
  const isLine = chart.shape === "line";
  const named = chart.curves.length > 1;
  const counts = chart.curves.every((curve) => curve.values.every((value) => value === null || Number.isInteger(value)));
  const said = (value) => (value === null || value === undefined ? "—" : `${Number(value).toLocaleString("en", { maximumFractionDigits: 2 })} ${chart.unit}`.trim());
  return {
    animation: false, color: PALETTE[dark ? "dark" : "light"],
    grid: { left: 4, right: 8, top: (named ? 28 : 8) + (chart.unit ? 24 : 8), bottom: 4, containLabel: true },
    legend: named ? { top: 0, type: "scroll", textStyle: { color: ink }, pageIconColor: ink, pageTextStyle: { color: ink } } : undefined,
    tooltip: { trigger: "axis", confine: true, renderMode: "richText", valueFormatter: said },
    xAxis: { type: "category", data: chart.labels, axisLine: { lineStyle: { color: line } }, axisTick: { show: false }, axisLabel: { color: ink, fontSize: 11, hideOverlap: true, width: chart.shape === "line" ? undefined : 96, overflow: "truncate" } },
    yAxis: { type: "value", min: chart.lowest ?? undefined, max: chart.highest ?? undefined, scale: isLine, minInterval: counts ? 1 : undefined, name: chart.unit, nameGap: 12, nameTextStyle: { color: ink, align: "left" }, axisLabel: { color: ink, fontSize: 11 }, splitLine: { lineStyle: { color: line } } },
    series: chart.curves.map((curve, place) => ({
      name: curve.name, type: isLine ? "line" : "bar", stack: chart.shape === "stack" ? "all" : undefined, barMaxWidth: 28,
      connectNulls: false, symbol: SYMBOLS[place % SYMBOLS.length], symbolSize: 5, showSymbol: curve.values.length < 40, data: curve.values,
      lineStyle: isLine ? { type: DASHES[place % DASHES.length] } : undefined,
      itemStyle: isLine ? undefined : { decal: hatch(place) },
      markPoint: unknown(chart, place, ink),
    })),
  };
}

const places = [...document.querySelectorAll("[data-report-chart]")];
if (places.length) {
  const echarts = await import(ECHARTS);
  const draw = (place) => {
    const chart = JSON.parse(place.nextElementSibling.textContent);
    const view = echarts.init(place);
    view.setOption(option(chart));
    new ResizeObserver(() => view.resize()).observe(place);
    document.addEventListener("rdmp:theme", () => view.setOption(option(chart), true));
  };
  // A year of reports has dozens of charts: each is drawn when somebody comes near it.
  const near = new IntersectionObserver((seen) => {
    for (const one of seen) {
      if (!one.isIntersecting) continue;
      near.unobserve(one.target);
      draw(one.target);
    }
  }, { rootMargin: "400px" });
  for (const place of places) near.observe(place);
}
