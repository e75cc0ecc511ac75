// Graphs: every <div data-chart data-src="….json"> becomes an ECharts line graph that follows the range picker of its
// section ([data-graphs]), the theme, the width of its card, and time.
const ECHARTS = new URL("../vendor/echarts/echarts.esm.min.js", import.meta.url);
// Okabe-Ito: eight hues that people with any colour blindness tell apart; the light yellow is left out.
const PALETTE = { light: ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#5b5b5b"],
                  dark: ["#56b4e9", "#ff8a3d", "#2fc79a", "#e59bc4", "#8fd0ff", "#f5b93c", "#b8b8b8"] };
const ALARM = { 1: "#8b0a1a", 2: "#d94f00", 3: "#c99400", 4: "#3f7cb8" };
// Beside alarms: what happened, what was planned, when it was quiet. Each kind has its own place and hatching.
const MARK = { maintenance: "#6f42c1", cloud: "#0b7285", host: "#5b5b5b", change: "#2b6a4b", silence: "#7a7a7a", expiry: "#b3122b", platform: "#7a7a7a" };
const WEEK = 7 * 24 * 3600e3;
const COMPARED_AT_ONCE = 4;
const HOUR = 3600e3;
// A trend is drawn to its end when that is no further away than so many times the range shown (services/graphs.py).
const AHEAD = 2;
const REFRESH = { "1h": 5e3, "6h": 15e3, "24h": 60e3, "7d": 300e3, "30d": 900e3 };
const BINARY = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
const DECIMAL = ["", "k", "M", "G", "T"];

let library = null;
const charts = new Map();

function theme() {
  return document.documentElement.getAttribute("data-bs-theme") === "dark" ? "dark" : "light";
}

// A colour of the theme as the canvas understands it: stylesheets may say color-mix(…), ECharts cannot read that.
const paint = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
function css(name, otherwise) {
  paint.clearRect(0, 0, 1, 1);
  paint.fillStyle = otherwise;
  paint.fillStyle = getComputedStyle(document.body).getPropertyValue(name).trim() || otherwise;
  paint.fillRect(0, 0, 1, 1);
  const [red, green, blue, alpha] = paint.getImageData(0, 0, 1, 1).data;
  return `rgba(${red}, ${green}, ${blue}, ${alpha / 255})`;
}

// --- figures ---------------------------------------------------------------------------------------------------------

function plain(value) {
  const size = Math.abs(value);
  if (size !== 0 && size < 0.01) return value.toPrecision(2);
  return String(Math.round(value * (size >= 100 ? 10 : size >= 10 ? 100 : 1000)) / (size >= 100 ? 10 : size >= 10 ? 100 : 1000));
}

function scaled(value, base, names, rest) {
  let step = 0;
  let figure = value;
  while (Math.abs(figure) >= base && step < names.length - 1) {
    figure /= base;
    step += 1;
  }
  return `${plain(figure)} ${names[step]}${rest}`.trim();
}

export function shown(value, unit, codes) {
  if (value === null || value === undefined) return "—";
  if (codes && codes[value] !== undefined) return codes[value];
  if (unit === "B" || unit === "B/s") return scaled(value, 1024, BINARY, unit.slice(1));
  if (unit === "bit/s") return scaled(value, 1000, DECIMAL, "bit/s");
  if (unit === "count" || unit === "" || unit === "count/s" || unit === "load/core") return scaled(value, 1000, DECIMAL, unit === "count/s" ? "/s" : "");
  if (unit === "s" && Math.abs(value) >= 7200) return value >= 172800 ? `${plain(value / 86400)} d` : `${plain(value / 3600)} h`;
  return `${plain(value)} ${unit}`;
}

const pad = (number) => String(number).padStart(2, "0");

// The platform speaks China Standard Time wherever the reader is, like its lists do: the graph runs on UTC, shifted.
const CHINA = 8 * HOUR;
function moment(shifted) {
  const at = new Date(shifted);
  return { y: at.getUTCFullYear(), mo: pad(at.getUTCMonth() + 1), d: pad(at.getUTCDate()),
           h: pad(at.getUTCHours()), mi: pad(at.getUTCMinutes()), s: pad(at.getUTCSeconds()) };
}

function axisTime(ms, span) {
  const at = moment(ms);
  if (span > 20 * HOUR) return at.h === "00" && at.mi === "00" ? `${at.mo}-${at.d}` : span > 60 * HOUR ? `${at.mo}-${at.d}\n${at.h}:${at.mi}` : `${at.h}:${at.mi}`;
  return span <= 0.2 * HOUR ? `${at.h}:${at.mi}:${at.s}` : `${at.h}:${at.mi}`;
}

function fullTime(ms, step) {
  const at = moment(ms);
  return `${at.y}-${at.mo}-${at.d} ${at.h}:${at.mi}${step < 60e3 ? `:${at.s}` : ""}`;
}

// What the section's range picker says: a named range up to now, or two moments.
function chosen(section) {
  return section?.dataset.shown ? JSON.parse(section.dataset.shown) : { range: "6h" };
}

// --- one graph -------------------------------------------------------------------------------------------------------

class Chart {
  constructor(element) {
    this.element = element;
    this.section = element.closest("[data-graphs]");
    this.view = null;
    this.data = null;
    this.asked = 0;
    this.visible = false;
    this.observer = new IntersectionObserver((entries) => this.seen(entries[entries.length - 1].isIntersecting), { rootMargin: "200px" });
    this.observer.observe(element);
    this.resizer = new ResizeObserver(() => this.view?.resize());
    this.resizer.observe(element);
    element.addEventListener("dblclick", () => this.unzoom());
  }

  seen(visible) {
    this.visible = visible;
    if (visible && this.stale()) this.load();
  }

  range() {
    return chosen(this.section);
  }

  stale() {
    const now = Date.now();
    const wanted = this.range();
    if (!this.data || this.wanted !== JSON.stringify(wanted)) return true;
    return wanted.range !== undefined && now - this.asked >= (REFRESH[wanted.range] ?? 60e3);
  }

  async load() {
    const range = this.range();
    const wanted = JSON.stringify(range);
    const goesOn = this.data && this.wanted === wanted && range.range && this.data.step * 3 < this.data.to - this.data.from;
    const query = new URLSearchParams(range);
    if (goesOn) query.set("since", String(this.since()));
    this.asked = Date.now();
    const turn = (this.turn = (this.turn ?? 0) + 1);
    let data;
    let marks;
    try {
      library ??= import(ECHARTS);
      [data, marks] = await Promise.all([json(`${this.element.dataset.src}?${query}`), marksOf(this.section, range), library]);
    } catch {
      if (turn === this.turn && !this.data) this.say(this.element.dataset.wordError);
      return;
    }
    if (turn !== this.turn || !this.element.isConnected) return;
    this.data = goesOn && data.step === this.data.step ? joined(this.data, data) : data;
    this.data.marks = marks;
    this.wanted = wanted;
    await Promise.all([this.compare(turn), this.usually(turn)]);
    await this.draw();
  }

  // The same stretch of time a week before, moved onto this one.
  async compare(turn) {
    const { data } = this;
    if (!this.section?.dataset.compare || data.series.length > COMPARED_AT_ONCE) {
      this.before = null;
      return;
    }
    const query = new URLSearchParams({ start: String(data.from - WEEK), end: String(data.to - WEEK) });
    const before = await json(`${this.element.dataset.src}?${query}`).catch(() => null);
    if (turn === this.turn) this.before = before;
  }

  // The last bucket may still have been filling: ask for it again.
  since() {
    const ends = this.data.series.filter((one) => one.t.length).map((one) => one.t[one.t.length - 1]);
    return ends.length ? Math.min(...ends) : this.data.from;
  }

  // What is usual at these hours of the week, of the first curve: advice, behind everything.
  async usually(turn) {
    const { data, section } = this;
    const first = data.series[0];
    if (!section?.dataset.usually || !first || data.state) {
      this.usual = null;
      return;
    }
    const query = new URLSearchParams({ start: String(data.from), end: String(data.to) });
    const found = await json(`${section.dataset.usual.replace("/0.json", `/${first.id}.json`)}?${query}`).catch(() => null);
    if (turn === this.turn) this.usual = found?.ts.length > 1 ? { id: "usual", name: "", t: found.ts, lo: found.low, hi: found.high } : null;
  }

  say(text) {
    this.view?.dispose();
    this.view = null;
    this.element.classList.add("chart-quiet");
    this.element.textContent = text ?? "";
  }

  async draw() {
    const data = this.data;
    if (!data.series.some((one) => one.t.length)) {
      this.say(this.element.dataset.wordEmpty);
      return;
    }
    const echarts = await library;
    if (!this.view) {
      this.element.classList.remove("chart-quiet");
      this.element.textContent = "";
      this.view = echarts.init(this.element, null, { renderer: "canvas" });
      this.view.on("datazoom", (event) => this.zoomed(event.batch?.[0] ?? event));
      this.view.getZr().on("click", ({ offsetX, offsetY }) => this.offerWhy(offsetX, offsetY));
    }
    this.foretell(data.ahead ?? []);
    this.view.setOption(option(this, data), { notMerge: true });
    if (this.section) this.view.dispatchAction({ type: "takeGlobalCursor", key: "dataZoomSelect", dataZoomSelectActive: true });
  }

  // Dragging over a stretch of the graph shows that stretch on all graphs of the section.
  zoomed({ startValue, endValue }) {
    if (startValue === undefined || endValue - startValue < this.data.step) return;
    const section = this.section;
    section.dataset.unzoomed ??= section.dataset.shown ?? JSON.stringify(chosen(section));
    show(section, { start: String(Math.round(startValue - CHINA)), end: String(Math.round(endValue - CHINA)) });
  }

  // A click near a curve offers the page that says of each point around that moment what became of it.
  offerWhy(x, y) {
    const base = this.section?.dataset.why;
    const header = this.element.closest(".card")?.querySelector(".card-header");
    if (!base || !header || !this.view.containPixel({ gridIndex: 0 }, [x, y])) return;
    const at = this.view.convertFromPixel({ gridIndex: 0 }, [x, y])[0] - CHINA;
    let nearest = null;
    for (const one of this.data.series) {
      const place = one.t.reduce((best, moment, index) => (one.v[index] !== null && (best < 0 || Math.abs(moment - at) < Math.abs(one.t[best] - at)) ? index : best), -1);
      if (place < 0) continue;
      const [px, py] = this.view.convertToPixel({ gridIndex: 0 }, [one.t[place] + CHINA, one.v[place]]);
      const far = Math.abs(px - x) + Math.abs(py - y);
      if (!nearest || far < nearest.far) nearest = { far, id: one.id, at: one.t[place] };
    }
    if (!nearest) return;
    let link = header.querySelector("[data-chart-why]");
    if (!link) {
      link = document.createElement("a");
      link.className = "btn btn-sm ms-2 order-first text-nowrap";
      link.dataset.chartWhy = "";
      header.append(link);
    }
    link.href = `${base.replace("/0/", `/${nearest.id}/`)}?at=${Math.round(nearest.at)}`;
    link.textContent = `${this.section.dataset.wordWhy} ${fullTime(nearest.at + CHINA, 0).slice(11)}`;
  }

  // Below the graph in words, with a button where the graph is too short to show the trend to its end.
  foretell(ahead) {
    const card = this.element.closest(".graph-card");
    if (!card || !this.section) return;
    card.querySelector("[data-chart-ahead]")?.remove();
    if (!ahead.length) return;
    const note = document.createElement("div");
    note.className = "graph-note";
    note.dataset.chartAhead = "";
    for (const one of ahead.slice(0, 3)) {
      const row = note.appendChild(document.createElement("div"));
      row.append(one.text);
      if (one.to <= reach(this.data)) continue;
      const button = row.appendChild(document.createElement("button"));
      button.type = "button";
      button.className = "btn btn-link btn-sm p-0 ms-2 align-baseline";
      button.textContent = this.section.dataset.wordAhead ?? "";
      button.addEventListener("click", () => show(this.section, { range: one.range }));
    }
    this.element.after(note);
  }

  unzoom() {
    const before = this.section?.dataset.unzoomed;
    if (!before) return;
    delete this.section.dataset.unzoomed;
    show(this.section, JSON.parse(before));
  }

  picture() {
    if (!this.view) return;
    const link = document.createElement("a");
    link.href = this.view.getDataURL({ type: "png", pixelRatio: 2, backgroundColor: css("--tblr-bg-surface", "#fff") });
    link.download = `${this.data.id}-${fullTime(this.data.to + CHINA, HOUR).replaceAll(/[: ]/g, "-")}.png`;
    link.click();
  }

  restyle() {
    if (this.view) this.draw();
  }

  drop() {
    this.observer.disconnect();
    this.resizer.disconnect();
    this.view?.dispose();
  }
}

async function json(url) {
  const answer = await fetch(url, { headers: { Accept: "application/json" } });
  if (!answer.ok) throw new Error(String(answer.status));
  return answer.json();
}

// The marks of a section are the same for all its graphs: asked for once for a stretch of time, and again with it.
function marksOf(section, range) {
  if (!section?.dataset.marks) return [];
  const key = `${JSON.stringify(range)} ${Math.floor(Date.now() / 30e3)}`;
  if (section.rdmpMarks?.key !== key) {
    const asked = json(`${section.dataset.marks}?${new URLSearchParams(range)}`).then((found) => found.marks).catch(() => []);
    section.rdmpMarks = { key, asked };
  }
  return section.rdmpMarks.asked;
}

function show(section, range) {
  section.dataset.shown = JSON.stringify(range);
  press(section, section.querySelector(range.range ? `[data-graph-range="${range.range}"]` : "[data-graph-custom]"));
  again(section);
}

// Put what came after what was there; what has slid out of the window goes.
function joined(before, after) {
  const old = new Map(before.series.map((one) => [one.id, one]));
  const series = after.series.map((one) => {
    const then = old.get(one.id);
    if (!then) return one;
    const from = one.t.length ? one.t[0] : Infinity;
    const keep = then.t.map((at, place) => [at, place]).filter(([at]) => at < from && at >= after.from).map(([, place]) => place);
    const merge = (name) => {
      if (!then[name].length && !one[name].length) return [];
      const left = then[name].length ? keep.map((place) => then[name][place]) : keep.map((place) => then.v[place]);
      return [...left, ...(one[name].length ? one[name] : one.v)];
    };
    return { ...one, t: [...keep.map((place) => then.t[place]), ...one.t], v: merge("v"), lo: merge("lo"), hi: merge("hi") };
  });
  return { ...after, series };
}

function option(chart, data) {
  const dark = theme() === "dark";
  const colors = PALETTE[dark ? "dark" : "light"];
  const text = css("--tblr-secondary", dark ? "#9aa5b1" : "#5f6b7a");
  const line = css("--tblr-border-color", dark ? "#33404d" : "#e3e7eb");
  const narrow = chart.element.clientWidth < 460;
  const span = until(data) - data.from;
  const many = data.series.length > 1;
  const words = chart.element.dataset;
  const left = many || data.hidden;
  return {
    animation: false,
    useUTC: true,
    color: colors,
    textStyle: { fontFamily: getComputedStyle(document.body).fontFamily },
    grid: { left: 8, right: 16, top: until(data) > data.to ? 26 : 14, bottom: left ? 28 : 4, containLabel: true },
    legend: many
      ? { type: "scroll", data: [...data.series, ...earlier(chart, data, colors)].map((one) => one.name), bottom: 0, left: 8, right: 8, itemWidth: 14, itemHeight: 3, icon: "roundRect", itemGap: 12,
          textStyle: { color: text, fontSize: 11, overflow: "truncate", width: narrow ? 110 : 180 },
          pageTextStyle: { color: text }, pageIconColor: text, pageIconInactiveColor: line, pageIconSize: 11, tooltip: { show: true } }
      : undefined,
    tooltip: {
      trigger: "axis", confine: true, renderMode: "richText",
      backgroundColor: css("--tblr-bg-surface", dark ? "#182433" : "#fff"), borderColor: line,
      textStyle: { color: css("--tblr-body-color", dark ? "#dce1e7" : "#1a2433"), fontSize: 12 },
      axisPointer: { type: "line", lineStyle: { color: text, type: "dashed", width: 1 } },
      formatter: (items) => tooltip(items, data, words),
    },
    xAxis: {
      type: "time", min: data.from + CHINA, max: until(data) + CHINA, splitNumber: narrow ? 3 : 6,
      axisLine: { lineStyle: { color: line } }, axisTick: { lineStyle: { color: line } }, splitLine: { show: false },
      axisLabel: { color: text, fontSize: 11, hideOverlap: true, formatter: (at) => axisTime(at, span), showMinLabel: false, showMaxLabel: false },
    },
    yAxis: {
      type: "value", ...ends(data), minInterval: data.state || data.unit === "count" ? 1 : 0,
      axisLine: { show: false }, axisTick: { show: false }, splitLine: { showMaxLine: !data.state, lineStyle: { color: line, opacity: 0.6 } },
      axisLabel: { color: text, fontSize: 11, width: narrow ? 64 : 96, overflow: "truncate",
                   formatter: (value) => (data.state && !Number.isInteger(value) ? "" : shown(value, data.unit, commonCodes(data))) },
    },
    toolbox: chart.section ? { show: true, itemSize: 0, top: -50, feature: { dataZoom: { yAxisIndex: "none", filterMode: "none", brushStyle: { color: line, opacity: 0.35 } } } } : undefined,
    series: [...(chart.usual ? [band(chart.usual, text, dark)] : []), ...lines(data, colors, dark), ...earlier(chart, data, colors), ...ahead(data, colors, text), ...(data.marks?.length ? [marks(data, dark)] : [])],
  };
}

function earlier(chart, data, colors) {
  if (!chart.before) return [];
  const places = new Map(data.series.map((one, place) => [one.id, place]));
  const word = chart.section.dataset.wordBefore ?? "";
  return chart.before.series.filter((one) => places.has(one.id) && one.t.length).map((one) => ({
    name: `${one.name} (${word})`, id: `before-${one.id}`, type: "line", step: data.state || data.unit === "count" ? "end" : false,
    showSymbol: false, silent: true, z: 1, lineStyle: { width: 1.2, type: [4, 4], opacity: 0.75 }, itemStyle: { color: colors[places.get(one.id) % colors.length] },
    data: one.t.map((at, index) => [at + WEEK + CHINA, one.v[index], null, null]),
  }));
}

// How far to the right the graph goes at most, and how far it does go: to the end of the latest trend that it can show
// whole, else to now.
function reach(data) {
  return data.to + AHEAD * (data.to - data.from);
}

function until(data) {
  const ends = (data.ahead ?? []).map((one) => one.to).filter((to) => to <= reach(data));
  return ends.length ? Math.max(...ends) + (Math.max(...ends) - data.from) * 0.04 : data.to;
}

// The trend of a curve: dashes in its colour up to where it is full, and a dot there.
function ahead(data, colors, text) {
  const places = new Map(data.series.map((one, place) => [one.id, place]));
  return (data.ahead ?? []).filter((one) => places.has(one.id) && one.to <= reach(data)).map((one) => ({
    name: one.text, id: `ahead-${one.id}`, type: "line", silent: true, z: 3, emphasis: { disabled: true },
    symbol: "circle", symbolSize: 7, showSymbol: true, itemStyle: { color: colors[places.get(one.id) % colors.length] },
    lineStyle: { width: 1.8, type: [7, 5] }, labelLayout: { hideOverlap: true },
    data: [
      { value: [one.from + CHINA, one.level, null, null], symbol: "none" },
      { value: [one.to + CHINA, one.limit, null, null], label: { show: one.limit > one.level, position: "top", align: "right", offset: [6, 0], formatter: one.label, color: text, fontSize: 11 } },
    ],
  }));
}

// A moment is a dashed line with a flag below; a stretch is hatched between two such lines.
function marks(data, dark) {
  return {
    type: "custom", id: "marks", silent: true, tooltip: { show: false }, z: 0, clip: false, encode: { x: [0, 1], y: [] }, animation: false,
    data: data.marks.map((mark, place) => [Math.max(mark.from, data.from) + CHINA, Math.min(mark.to ?? mark.from, data.to) + CHINA, place]),
    renderItem: (params, api) => {
      const { x, y, width, height } = params.coordSys;
      const mark = data.marks[api.value(2)];
      const left = Math.max(api.coord([api.value(0), 0])[0], x);
      const right = Math.min(Math.max(api.coord([api.value(1), 0])[0], left), x + width);
      const stroke = MARK[mark.kind] ?? MARK.platform;
      const upright = (at) => ({ type: "line", shape: { x1: at, y1: y, x2: at, y2: y + height }, style: { stroke, lineWidth: 1, lineDash: [3, 3], opacity: dark ? 0.9 : 0.7 } });
      const flag = { type: "polygon", shape: { points: [[left - 4, y + height + 5], [left + 4, y + height + 5], [left, y + height - 2]] }, style: { fill: stroke } };
      if (right - left < 3) return { type: "group", children: [upright(left), flag] };
      const stripes = [];
      for (let at = left - height; at < right; at += 7) {
        stripes.push({ type: "line", shape: { x1: at, y1: y + height, x2: at + height, y2: y }, style: { stroke, lineWidth: 1, opacity: dark ? 0.4 : 0.22 } });
      }
      const hatch = { type: "group", clipPath: { type: "rect", shape: { x: left, y, width: right - left, height } }, children: stripes };
      return { type: "group", children: [hatch, upright(left), upright(right), flag] };
    },
  };
}

// The ends of the axis and the step between its lines: round in the unit that is shown (binary for bytes).
function ends(data) {
  let [least, greatest] = [Infinity, -Infinity];
  for (const one of data.series) {
    for (const value of [...one.v, ...one.lo, ...one.hi]) {
      if (value === null) continue;
      least = Math.min(least, value);
      greatest = Math.max(greatest, value);
    }
  }
  if (data.state && data.series.some((one) => Object.keys(one.codes).length)) return { min: Math.min(0, least), max: Math.max(greatest, 1) + 0.2, interval: 1 };
  if (data.max === 100 && data.min === 0 && greatest <= 100) return { min: 0, max: 100, interval: 25 };
  if (data.min === null || data.state) return { scale: true, splitNumber: 4 };
  const step = round(Math.max(greatest, 1e-9) / 4, data.unit.startsWith("B") ? 1024 : 1000);
  if (greatest === 0) return { min: 0, max: 1, interval: 1 };
  return { min: least < 0 ? undefined : 0, max: Math.ceil((greatest * 1.001) / step) * step, interval: least < 0 ? undefined : step };
}

function round(rough, base) {
  const unit = base ** Math.floor(Math.log(rough) / Math.log(base));
  const steps = [1, 2, 2.5, 5, 10, 20, 25, 50, 100, 200, 250, 500, base];
  return unit * (steps.find((step) => step * unit >= rough) ?? base);
}

function commonCodes(data) {
  return data.state && data.series.length ? data.series[0].codes : null;
}

function lines(data, colors, dark) {
  const alone = data.series.length === 1;
  const drawn = data.series.map((one, place) => ({
    name: one.name, id: `line-${one.id}`, type: "line", step: data.state || data.unit === "count" ? "end" : false,
    showSymbol: one.t.length < 3, symbol: "circle", symbolSize: 4, sampling: undefined, connectNulls: false,
    lineStyle: { width: 1.5 }, itemStyle: { color: colors[place % colors.length] },
    areaStyle: alone && !data.state && !one.lo.length ? { opacity: 0.08 } : undefined,
    emphasis: { disabled: true },
    data: one.t.map((at, index) => [at + CHINA, one.v[index], one.lo[index] ?? null, one.hi[index] ?? null]),
  }));
  // Between the least and the greatest value of each bucket: a mean hides the peak that raised the alarm.
  const bands = data.series.length > 3 ? [] : data.series.filter((one) => one.lo.length && !data.state).map((one) => band(one, colors[data.series.indexOf(one) % colors.length], dark));
  return [...drawn, ...bands, ...(data.alarms.length ? [alarms(data, dark)] : [])];
}

function band(one, color, dark) {
  return {
    type: "custom", id: `band-${one.id}`, name: one.name, silent: true, tooltip: { show: false }, z: 1, legendHoverLink: false,
    itemStyle: { color }, clip: true, encode: { x: 0, y: [1, 2] }, data: [[one.t[0] + CHINA, one.lo[0], one.hi[0]]],
    renderItem: (params, api) => {
      const pieces = [];
      let piece = [];
      for (let at = 0; at <= one.t.length; at += 1) {
        if (at < one.t.length && one.lo[at] !== null && one.hi[at] !== null) piece.push(at);
        else if (piece.length) {
          pieces.push(piece);
          piece = [];
        }
      }
      const polygons = pieces.map((places) => ({
        type: "polygon",
        shape: { points: [...places.map((at) => api.coord([one.t[at] + CHINA, one.hi[at]])), ...places.toReversed().map((at) => api.coord([one.t[at] + CHINA, one.lo[at]]))] },
        style: { fill: color, opacity: dark ? 0.22 : 0.16 },
      }));
      return { type: "group", children: polygons };
    },
  };
}

// Each alarm: a tinted stretch of the graph with a solid bar on top, never too narrow to be seen.
function alarms(data, dark) {
  return {
    type: "custom", id: "alarms", silent: true, tooltip: { show: false }, z: 0, clip: false, encode: { x: [0, 1], y: [] }, animation: false,
    data: data.alarms.map((alarm) => [Math.max(alarm.from, data.from) + CHINA, Math.min(alarm.to ?? data.to, data.to) + CHINA, alarm.severity]),
    renderItem: (params, api) => {
      const { x, y, width, height } = params.coordSys;
      const left = Math.max(api.coord([api.value(0), 0])[0], x);
      const right = Math.min(Math.max(api.coord([api.value(1), 0])[0], left + 3), x + width);
      const fill = ALARM[api.value(2)];
      const box = (top, tall, opacity) => ({ type: "rect", shape: { x: left, y: top, width: right - left, height: tall }, style: { fill, opacity } });
      return { type: "group", children: [box(y, height, dark ? 0.3 : 0.16), box(y - 4, 4, 1)] };
    },
  };
}

function tooltip(items, data, words) {
  const points = items.filter((item) => item.seriesType === "line" && !item.seriesId.startsWith("ahead-") && item.value[1] !== null && item.value[1] !== undefined);
  if (!points.length) return "";
  const at = points[0].value[0] - CHINA;
  const rows = points.slice(0, 14).map((item) => {
    const [, value, least, greatest] = item.value;
    const one = data.series.find((each) => item.seriesId.endsWith(`-${each.id}`));
    const span = least !== null && greatest !== null && least !== greatest && !data.state ? `  (${shown(least, data.unit)} – ${shown(greatest, data.unit)})` : "";
    return `${item.marker}${data.series.length > 1 ? `${item.seriesName}  ` : ""}${shown(value, data.unit, one?.codes)}${span}`;
  });
  if (points.length > 14) rows.push(`+${points.length - 14}`);
  const open = data.alarms.filter((alarm) => alarm.from <= at + data.step && (alarm.to === null || alarm.to >= at));
  const told = open.slice(0, 3).map((alarm) => `⚠ ${alarm.level}: ${alarm.name}`);
  const near = (data.marks ?? []).filter((mark) => mark.from - data.step * 2 <= at && (mark.to ?? mark.from) + data.step * 2 >= at);
  return [fullTime(at + CHINA, data.step), ...rows, ...told, ...near.slice(0, 3).map((mark) => `▲ ${mark.name}`)].join("\n");
}

// --- the page --------------------------------------------------------------------------------------------------------

function find(root) {
  const found = root.matches?.("[data-chart]") ? [root] : [...(root.querySelectorAll?.("[data-chart]") ?? [])];
  for (const element of found) if (!charts.has(element)) charts.set(element, new Chart(element));
  for (const [element, chart] of charts) {
    if (!element.isConnected) {
      chart.drop();
      charts.delete(element);
    }
  }
}

function again(section) {
  for (const [element, chart] of charts) if (section.contains(element) && chart.visible) chart.load();
  for (const link of section.querySelectorAll("[data-chart-export]")) {
    link.href = `${link.href.split("?")[0]}?${new URLSearchParams(chosen(section))}`;
  }
}

function press(section, pressed) {
  for (const button of section.querySelectorAll("[data-graph-range], [data-graph-custom]")) {
    button.classList.toggle("active", button === pressed);
    button.setAttribute("aria-pressed", String(button === pressed));
  }
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-graph-range]");
  const toggle = event.target.closest("[data-graph-compare], [data-graph-usual]");
  const picture = event.target.closest("[data-chart-picture]");
  if (toggle) {
    const section = toggle.closest("[data-graphs]");
    const what = toggle.hasAttribute("data-graph-usual") ? "usually" : "compare";
    if (section.dataset[what]) delete section.dataset[what];
    else section.dataset[what] = "1";
    toggle.classList.toggle("active", what in section.dataset);
    toggle.setAttribute("aria-pressed", String(what in section.dataset));
    again(section);
  } else if (picture) charts.get(picture.closest(".graph-card").querySelector("[data-chart]"))?.picture();
  const custom = event.target.closest("[data-graph-custom]");
  if (button) {
    const section = button.closest("[data-graphs]");
    delete section.dataset.unzoomed;
    show(section, { range: button.dataset.graphRange });
  } else if (custom) {
    const form = document.getElementById(custom.getAttribute("aria-controls"));
    const hidden = form.classList.toggle("d-none");
    custom.setAttribute("aria-expanded", String(!hidden));
    if (!hidden && !form.elements.end.value) {
      const local = (ms) => new Date(ms + CHINA).toISOString().slice(0, 16);
      form.elements.start.value = local(Date.now() - 24 * HOUR);
      form.elements.end.value = local(Date.now());
    }
  }
});

document.addEventListener("submit", (event) => {
  const form = event.target.closest("[data-graph-custom-form]");
  if (!form) return;
  event.preventDefault();
  const moments = ["start", "end"].map((name) => Date.parse(`${form.elements[name].value}:00+08:00`));
  if (moments.some(Number.isNaN) || moments[0] >= moments[1]) {
    form.elements.end.focus();
    return;
  }
  const section = form.closest("[data-graphs]");
  show(section, { start: String(moments[0]), end: String(moments[1]) });
});

document.addEventListener("rdmp:theme", () => {
  for (const chart of charts.values()) chart.restyle();
});
document.addEventListener("htmx:load", (event) => find(event.detail.elt));
setInterval(() => {
  if (document.hidden) return;
  find(document.body);
  for (const chart of charts.values()) if (chart.visible && chart.stale()) chart.load();
}, 2000);
find(document.body);
