// @ts-check
// The completions of a run as a list with filters, search and order, and the group of the one that is chosen.

import { element, choice, shown } from "./dom.js";
import { GroupPanel } from "./group.js";

/** @typedef {import("./source.js").Overview} Overview */
/** @typedef {import("./source.js").Query} Query */
/** @typedef {import("./source.js").Row} Row */

const PAGE = 50;
const WAITS_FOR_TYPING_MS = 120;
/** @type {[string, string, boolean][]} words, what is sorted by, whether the largest come first */
const ORDERS = [
  ["latest step first", "step", true], ["by step", "step", false], ["longest first", "tokens", true], ["highest reward", "reward", true],
  ["lowest reward", "reward", false], ["highest advantage", "advantage", true], ["lowest advantage", "advantage", false], ["least expected text", "logprob", false],
  ["highest sampler gap", "gap", true],
];
/** @type {Record<string, string>} */
const WORDS = { timeout: "timed out", error: "unscorable" };

export class Rollouts {
  /** @param {HTMLElement} place @param {import("./source.js").ServerSource | import("./source.js").HeldSource} source */
  constructor(place, source) {
    this.place = place;
    this.source = source;
    /** @type {Query} */
    this.query = { run: 0, mark: "", search: "", step: "", problem: "", sort: "step", descending: true, start: 0, count: PAGE };
    this.list = element("div", { class: "list" });
    this.told = element("p", { class: "note", "aria-live": "polite" });
    this.panelPlace = element("section");
    this.panel = new GroupPanel(this.panelPlace, (run, step, row) => this.open(run, step, row));
    this.asked = 0;
    this.answeredMs = 0;
  }

  /** @param {Overview} overview */
  show(overview) {
    const isFirst = !this.overview;
    this.overview = overview;
    if (isFirst) {
      const first = overview.runs.findIndex((run) => run.kind === "practice");
      this.query.run = first >= 0 ? first : Math.max(0, overview.runs.findIndex((run) => run.kind === "evaluation"));
      this.build();
    }
    this.#limits();
    this.ask();
  }

  build() {
    const overview = /** @type {Overview} */ (this.overview);
    this.marks = element("div", { class: "bar" }, ...["", ...overview.marks].map((mark) => {
      const words = mark === "" ? "all" : WORDS[mark] ?? mark;
      return element("button", { "data-mark": mark, "aria-pressed": String(mark === this.query.mark), onclick: () => this.change({ mark }) }, words);
    }));
    const search = element("input", { type: "search", placeholder: "search completions and prompts", "aria-label": "search", value: this.query.search });
    search.addEventListener("input", () => {
      clearTimeout(this.typing);
      this.typing = setTimeout(() => this.change({ search: search.value }), WAITS_FOR_TYPING_MS);
    });
    this.slider = element("input", { type: "range", min: 0, max: 0, value: 0, "aria-label": "step" });
    this.slider.addEventListener("input", () => this.change({ step: this.#step() }));
    const run = overview.runs.length > 1
      ? choice("run", overview.runs.map((one, i) => [String(i), `${one.name} (${one.kind})`]), String(this.query.run), (value) => { this.change({ run: Number(value), step: "", problem: "" }); this.#limits(); })
      : null;
    const orders = choice("order", ORDERS.map(([words], i) => [String(i), words]), "0", (i) => { const [, sort, descending] = ORDERS[Number(i)]; this.change({ sort, descending }); });
    this.stepWords = element("span", { class: "note" }, "all steps");
    this.before = element("button", { onclick: () => this.change({}, this.query.start - PAGE) }, "page before");
    this.next = element("button", { onclick: () => this.change({}, this.query.start + PAGE) }, "next page");
    this.place.replaceChildren(
      element("div", { class: "bar" }, run, search, orders), this.marks,
      element("div", { class: "bar" }, this.slider, this.stepWords), this.told, this.list,
      element("div", { class: "bar" }, this.before, this.next), this.panelPlace,
    );
  }

  /** The step that the slider stands at; "" at its left end: all. */
  #step() {
    const steps = this.overview?.runs[this.query.run].steps ?? [];
    const place = Number(this.slider?.value ?? 0);
    return place === 0 ? "" : String(steps[place - 1]);
  }

  #limits() {
    const steps = this.overview?.runs[this.query.run].steps ?? [];
    if (!this.slider) return;
    this.slider.max = String(steps.length);
    this.slider.value = String(this.query.step === "" ? 0 : steps.indexOf(Number(this.query.step)) + 1);
    this.slider.hidden = steps.length < 2;
    if (this.stepWords) this.stepWords.hidden = steps.length < 2;
  }

  /** @param {Partial<Query>} changes @param {number} [start] */
  change(changes, start = 0) {
    this.query = { ...this.query, ...changes, start: Math.max(0, start) };
    for (const button of this.marks?.children ?? []) button.setAttribute("aria-pressed", String(button.getAttribute("data-mark") === this.query.mark));
    if (this.stepWords) this.stepWords.textContent = this.query.step === "" ? "all steps" : `step ${this.query.step}`;
    return this.ask();
  }

  /** Ask for the page of the list; an answer that has been overtaken by another question is left. */
  async ask() {
    const number = ++this.asked;
    const began = performance.now();
    try {
      const { total, rows, files_read, files, is_whole } = await this.source.rows(this.query);
      if (number !== this.asked) return;
      this.answeredMs = performance.now() - began;
      const last = Math.min(total, this.query.start + PAGE);
      const range = total ? `${this.query.start + 1} to ${last} of ${total.toLocaleString("en")} completions` : "no completion answers this";
      this.told.textContent = is_whole ? range : `${range}; read so far: ${files_read} of ${files} files`;
      if (this.before && this.next) [this.before.disabled, this.next.disabled] = [this.query.start === 0, last >= total];
      this.#fill(rows);
    } catch (error) {
      if (number === this.asked) this.told.textContent = String(error instanceof Error ? error.message : error);
    }
  }

  /** @param {Row[]} rows */
  #fill(rows) {
    const head = ["step", "problem", "verdict", "reward", "advantage", "tokens", "read", "completion"];
    const isText = [false, true, true, false, false, false, true, true];
    const cells = (/** @type {Row} */ row) => [shown(row.step), row.prompt, "", shown(row.reward, 3), shown(row.advantage, 3), shown(row.tokens), row.extracted, row.text];
    const body = rows.map((row) => {
      const words = [row.status, ...(row.marks.includes("truncated") ? ["truncated"] : [])];
      const open = () => this.open(this.query.run, row.step, row.row);
      const line = element("tr", { tabindex: 0, onclick: open, onkeydown: (/** @type {KeyboardEvent} */ key) => { if (key.key === "Enter") open(); } },
        ...cells(row).map((text, i) => element("td", { class: isText[i] ? "text" : "" }, ...(i === 2 ? words.map((word) => element("span", { class: word }, `${word} `)) : [text]))));
      line.setAttribute("aria-selected", String(this.opened === `${this.query.run} ${row.step} ${row.row}`));
      line.dataset.key = `${this.query.run} ${row.step} ${row.row}`;
      return line;
    });
    this.list.replaceChildren(element("table", {}, element("thead", {}, element("tr", {}, ...head.map((words, i) => element("th", { class: isText[i] ? "text" : "" }, words)))), element("tbody", {}, ...body)));
  }

  /** @param {number} run @param {number} step @param {number} row */
  async open(run, step, row) {
    try {
      const group = await this.source.group(run, step, row);
      this.opened = `${run} ${step} ${row}`;
      this.panel.show(run, group, row, (this.overview?.runs ?? []).map((one) => one.name));
    } catch (error) {
      this.panelPlace.replaceChildren(element("p", { class: "note" }, String(error instanceof Error ? error.message : error)));
    }
    for (const line of this.list.querySelectorAll("tr")) if (line.dataset.key) line.setAttribute("aria-selected", String(line.dataset.key === this.opened));
  }
}
