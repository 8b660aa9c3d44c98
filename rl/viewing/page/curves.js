// @ts-check
// Curves of the runs on shared axes: hover tells values, dragging zooms all charts alike, a double click zooms out.

import { element, check, shown } from "./dom.js";
import { binned, joined, range, smooth, stacked } from "./series.js";

/** @typedef {import("./source.js").Overview} Overview */
/** @typedef {import("./source.js").Run} Run */
/** @typedef {import("./source.js").Chart} Chart */
/** @typedef {import("./series.js").Values} Values */
/** @typedef {{label: string, values: Values, colour: string, dash?: number[], faint?: boolean, points?: boolean, filled?: boolean}} Line */
/** @typedef {{low: number, high: number, colour: string}} Band numbers of the lines between which it lies */

const COLOURS = ["#1f6feb", "#d4602a", "#2da44e", "#a45dd9", "#bf8700", "#d1457e", "#1b9aaa", "#7a7f87"];
const DASHES = [[], [6, 3], [2, 2], [8, 3, 2, 3]];
const HEIGHT = 190;
const MOST_COLUMNS = 60;

export class Curves {
  /** @param {HTMLElement} place @param {import("./source.js").ServerSource | import("./source.js").HeldSource} source */
  constructor(place, source) {
    this.place = place;
    this.source = source;
    /** @type {Set<number>} */
    this.hidden = new Set();
    this.isSmooth = true;
    this.overSeeds = false;
    /** @type {[number, number] | null} */
    this.zoomed = null;
    /** @type {{chart: uPlot, card: HTMLElement}[]} */
    this.drawn = [];
    this.isZooming = false;
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
    new ResizeObserver(() => this.#fit()).observe(place);
  }

  /** @param {Overview} overview */
  show(overview) {
    // a cold start has other steps and another scale: beside practice it is for those who ask; an evaluation has no steps at all
    const practised = overview.runs.some((run) => run.kind === "practice");
    overview.runs.forEach((run, number) => {
      if (run.kind === "evaluation" || (!this.overview && practised && run.kind === "imitation")) this.hidden.add(number);
    });
    this.overview = overview;
    this.draw();
  }

  draw() {
    const overview = this.overview;
    if (!overview) return;
    this.drawn.forEach(({ chart }) => chart.destroy());
    this.drawn = [];
    const runs = overview.runs.map((run, number) => ({ run, number })).filter(({ number }) => !this.hidden.has(number));
    const charts = element("div", { class: "charts" });
    this.place.replaceChildren(this.#bar(overview), charts, this.heat ?? (this.heat = element("div")));
    for (const chart of overview.charts) {
      const made = this.#lines(chart, runs);
      if (made) this.#chart(chart, made, runs.map(({ run }) => run), charts);
    }
    if (!this.drawn.length) charts.append(element("p", { class: "note" }, "No curves: none of these runs has steps."));
  }

  /** @param {Overview} overview */
  #bar(overview) {
    const trained = overview.runs.filter((run) => run.kind !== "evaluation");
    const families = new Set(trained.map((run) => run.family));
    return element(
      "div",
      { class: "bar" },
      ...overview.runs.map((run, number) =>
        trained.length < 2 || run.kind === "evaluation" ? null : check(run.name, !this.hidden.has(number), (on) => {
          if (on) this.hidden.delete(number);
          else this.hidden.add(number);
          this.draw();
        }, swatch(COLOURS[number % COLOURS.length])),
      ),
      check("moving mean of 9 steps", this.isSmooth, (on) => { this.isSmooth = on; this.draw(); }),
      families.size < trained.length ? check("mean and range over seeds", this.overSeeds, (on) => { this.overSeeds = on; this.draw(); }) : null,
      element("button", { onclick: () => this.#zoom(null, null) }, "whole run"),
      element("span", { class: "note" }, "drag to zoom, double click to zoom out; at the foot: ticks are checkpoints, dots evaluations; lines across: dashed alerts, dotted resumes"),
    );
  }

  /**
   * Return the lines of a chart over its steps; null where no run has a value.
   * @param {Chart} chart @param {{run: Run, number: number}[]} runs
   * @returns {{steps: number[], lines: Line[], bands: Band[]} | null}
   */
  #lines(chart, runs) {
    const shownRuns = chart.stacked ? runs.filter(({ run }) => chart.series.some(([key]) => run.curves[key])).slice(0, 1) : runs;
    const found = shownRuns.flatMap(({ run, number }) =>
      chart.series.map(([key, words], series) => ({ run, number, key, words, series, curve: run.curves[key] })).filter(({ curve }) => curve),
    );
    if (!found.length) return null;
    const ends = chart.band ? found.filter(({ key }) => key === chart.band?.[0]) : [];
    const interval = ends.flatMap(({ run }) => (chart.band ?? []).slice(1).map((key) => run.curves[key] ?? [[], []]));
    const { steps, values } = joined([...found.map(({ curve }) => curve), ...interval]);
    const many = new Set(found.map(({ number }) => number)).size > 1;
    if (this.overSeeds && !chart.stacked) return { steps, ...overSeeds(found, values, this.isSmooth) };
    /** @type {Line[]} */
    const lines = [];
    /** @type {Band[]} */
    const bands = [];
    const whole = chart.stacked ? stacked(values.slice(0, found.length)) : values;
    found.forEach((one, i) => {
      const colour = COLOURS[(many ? one.number : one.series) % COLOURS.length];
      const label = many ? `${one.run.name}: ${one.words}` : one.words;
      const isNoisy = this.isSmooth && !chart.stacked && one.curve[0].length > 20;
      if (isNoisy) lines.push({ label: "", values: whole[i], colour, faint: true });
      const drawn = isNoisy ? smooth(whole[i], 9) : whole[i];
      lines.push({ label, values: drawn, colour, filled: chart.stacked && i === 0, dash: many ? DASHES[one.series % DASHES.length] : [], points: one.curve[0].length <= 40 });
      if (chart.stacked && i > 0) bands.push({ low: lines.length - 2, high: lines.length - 1, colour });
      const at = ends.indexOf(one);
      if (at < 0) return;
      for (const end of [0, 1]) lines.push({ label: "", values: values[found.length + 2 * at + end], colour, faint: true });
      bands.push({ low: lines.length - 2, high: lines.length - 1, colour });
    });
    return { steps, lines, bands };
  }

  /**
   * @param {Chart} chart @param {{steps: number[], lines: Line[], bands: Band[]}} made
   * @param {Run[]} runs @param {HTMLElement} charts
   */
  #chart(chart, made, runs, charts) {
    const style = getComputedStyle(document.documentElement);
    const [text, line] = ["--note", "--line"].map((name) => style.getPropertyValue(name).trim());
    const axis = { stroke: text, grid: { stroke: line, width: 1 }, ticks: { stroke: line, width: 1 }, font: "11px system-ui" };
    const card = element("div", { class: "card" }, element("h3", {}, chart.title, chart.unit ? element("span", { class: "note" }, ` ${chart.unit}`) : null));
    charts.append(card);
    /** @type {uPlot.Options} */
    const options = {
      width: Math.max(200, card.clientWidth - 24),
      height: HEIGHT,
      // a curve that is flat has room above it
      scales: { x: { time: false }, y: { range: (_, min, max) => (min === max ? [Math.min(min, 0), max + 1] : uPlot.rangeNum(chart.stacked ? 0 : min, max, 0.1, true)) } },
      cursor: { sync: { key: "steps", setSeries: false }, drag: { x: true, y: false } },
      axes: [{ ...axis, size: 30 }, { ...axis, size: 52, values: (_, splits) => splits.map((value) => shown(value)) }],
      legend: { markers: { width: 2 } },
      series: [
        { label: "step", value: (_, value) => (value === null || value === undefined ? "-" : [value, ...marksAt(runs, value)].join(", ")) },
        ...made.lines.map((one) => ({
          label: one.label, stroke: one.faint ? `${one.colour}55` : one.colour, width: one.faint ? 1 : 2, dash: one.dash ?? [], spanGaps: true, fill: one.filled ? `${one.colour}22` : undefined,
          points: { show: one.points ?? false, size: 5 },
          value: (/** @type {uPlot} */ _, /** @type {number | null} */ value) => shown(value),
        })),
      ],
      bands: made.bands.map(({ low, high, colour }) => ({ series: [high + 1, low + 1], fill: `${colour}22` })),
      hooks: {
        setScale: [(plot, key) => { if (key === "x" && !this.isZooming) this.#zoom(plot.scales.x.min ?? null, plot.scales.x.max ?? null); }],
        draw: [(plot) => signpost(plot, runs, style.getPropertyValue("--warn").trim(), text)],
      },
    };
    this.isZooming = true;
    const plot = new uPlot(options, /** @type {uPlot.AlignedData} */ ([made.steps, ...made.lines.map(({ values }) => values)]), card);
    // what has no name is an end of an interval or the unsmoothed line: not in the legend
    const rows = plot.root.querySelectorAll(".u-legend .u-series");
    made.lines.forEach((one, i) => { if (!one.label) /** @type {HTMLElement} */ (rows[i + 1]).hidden = true; });
    this.drawn.push({ chart: plot, card });
    if (this.zoomed) plot.setScale("x", { min: this.zoomed[0], max: this.zoomed[1] });
    // uPlot sets scales in a microtask
    queueMicrotask(() => queueMicrotask(() => (this.isZooming = false)));
  }

  /** @param {number | null} min @param {number | null} max */
  #zoom(min, max) {
    if (this.isZooming) return;
    this.isZooming = true;
    this.zoomed = min === null || max === null ? null : [min, max];
    for (const { chart } of this.drawn) {
      const steps = chart.data[0];
      chart.setScale("x", { min: this.zoomed?.[0] ?? steps[0], max: this.zoomed?.[1] ?? steps[steps.length - 1] });
    }
    queueMicrotask(() => queueMicrotask(() => (this.isZooming = false)));
  }

  #fit() {
    for (const { chart, card } of this.drawn) {
      const width = Math.max(200, card.clientWidth - 24);
      if (Math.abs(width - chart.width) > 1) chart.setSize({ width, height: HEIGHT });
    }
  }

  /** Show accuracy by difficulty over the steps, of every run that has it. */
  async showDifficulty() {
    const overview = this.overview;
    if (!overview || !this.heat) return;
    const parts = await Promise.all(overview.runs.map(async (run, number) => {
      if (run.kind === "imitation" || !run.steps.length) return [];
      const maps = await this.source.difficulty(number);
      return maps.map((map) => heatMap(run, map, overview.runs.length > 1));
    }));
    this.heat.replaceChildren(...parts.flat());
  }
}

/**
 * Return a line of the mean over the runs of each family, and the range between its lowest and highest.
 * @param {{run: Run, key: string, words: string, series: number}[]} found @param {Values[]} values @param {boolean} isSmooth
 * @returns {{lines: Line[], bands: Band[]}}
 */
function overSeeds(found, values, isSmooth) {
  /** @type {Line[]} */
  const lines = [];
  /** @type {Band[]} */
  const bands = [];
  const families = [...new Set(found.map(({ run }) => run.family))];
  const names = [...new Set(found.map(({ run, key }) => `${run.family}\n${key}`))];
  for (const name of names) {
    const members = found.map((one, i) => ({ ...one, i })).filter(({ run, key }) => `${run.family}\n${key}` === name);
    const { run, words, series } = members[0];
    const of = range(members.map(({ i }) => values[i]));
    const colour = COLOURS[(families.length > 1 ? families.indexOf(run.family) : series) % COLOURS.length];
    const soft = (/** @type {Values} */ line) => (isSmooth && line.length > 20 ? smooth(line, 9) : line);
    const dash = families.length > 1 ? DASHES[series % DASHES.length] : [];
    lines.push({ label: `${run.family}: ${words}, mean of ${members.length}`, values: soft(of.mean), colour, dash });
    lines.push({ label: "", values: soft(of.low), colour, faint: true }, { label: "", values: soft(of.high), colour, faint: true });
    bands.push({ low: lines.length - 2, high: lines.length - 1, colour });
  }
  return { lines, bands };
}

/** @param {string} colour */
function swatch(colour) {
  const made = element("span", { class: "swatch" });
  made.style.background = colour;
  return made;
}

/**
 * Say what happened at a step.
 * @param {Run[]} runs @param {number} step
 */
function marksAt(runs, step) {
  return runs.flatMap((run) => [
    ...(run.checkpoints.includes(step) ? ["checkpoint"] : []), ...(run.evaluations.includes(step) ? ["evaluated"] : []),
    ...(run.resumes.includes(step) ? ["resumed"] : []), ...run.alerts.filter((alert) => alert.step === step).map(({ name }) => name),
  ].map((words) => (runs.length > 1 ? `${run.name}: ${words}` : words)));
}

/**
 * Show alerts and resumes by lines across the chart, checkpoints by ticks and evaluations by dots at its foot.
 * @param {uPlot} plot @param {Run[]} runs @param {string} warning @param {string} plain
 */
function signpost(plot, runs, warning, plain) {
  const { ctx, bbox } = plot;
  const foot = bbox.top + bbox.height;
  /** @param {number[]} steps @param {(x: number) => void} draw */
  const at = (steps, draw) => steps.forEach((step) => {
    const x = plot.valToPos(step, "x", true);
    if (x < bbox.left || x > bbox.left + bbox.width) return;
    ctx.beginPath();
    draw(x);
  });
  /** @param {number} height @param {number[]} dash */
  const line = (height, dash) => (/** @type {number} */ x) => {
    ctx.setLineDash(dash);
    ctx.moveTo(x, foot);
    ctx.lineTo(x, foot - height);
    ctx.stroke();
  };
  ctx.save();
  ctx.lineWidth = 1.5 * devicePixelRatio;
  for (const run of runs) {
    [ctx.strokeStyle, ctx.fillStyle] = [plain, plain];
    at(run.checkpoints, line(8 * devicePixelRatio, []));
    at(run.resumes, line(bbox.height, [1, 4]));
    at(run.evaluations, (x) => { ctx.arc(x, foot - 4 * devicePixelRatio, 2 * devicePixelRatio, 0, 2 * Math.PI); ctx.fill(); });
    ctx.strokeStyle = warning;
    at(run.alerts.map(({ step }) => step), line(bbox.height, [4, 4]));
  }
  ctx.restore();
}

/**
 * Return a table of colours: the accuracy of each difficulty over the steps.
 * @param {Run} run @param {import("./source.js").HeatMap} map @param {boolean} named
 */
function heatMap(run, map, named) {
  const steps = [...new Set(map.lines.flatMap(({ cells }) => cells.map(([step]) => step)))].sort((a, b) => a - b);
  const lines = map.lines.map(({ value, cells }) => {
    const inside = binned(steps, cells, MOST_COLUMNS).map(([first, last, scored, correct]) => {
      const when = run.kind === "evaluation" ? "" : first === last ? `step ${first}: ` : `steps ${first} to ${last}: `;
      const words = scored ? `${map.name} ${value}, ${when}${shown(correct / scored, 3)} (${correct} of ${scored})` : "not asked";
      const cell = element("td", { class: "cell", title: words }, element("span", { class: "note" }, steps.length === 1 && scored ? shown(correct / scored, 3) : ""));
      if (scored) cell.style.background = `rgba(31, 111, 235, ${0.06 + (0.9 * correct) / scored})`;
      return cell;
    });
    return element("tr", {}, element("th", { class: "text" }, value), ...inside);
  });
  const title = `Accuracy by ${map.name}${named ? `, ${run.name}` : ""}`;
  const note = run.kind === "evaluation" ? "of an evaluation" : `steps ${steps[0]} to ${steps[steps.length - 1]}, dark: solved; hover tells the counts`;
  return element("section", {}, element("h2", {}, title), element("p", { class: "note" }, note), element("div", { class: "wide" }, element("table", { class: "heat" }, element("tbody", {}, ...lines))));
}
