// @ts-check
// Two runs on what both were asked: the paired difference, and the problems on which they part.

import { brief, choice, element, passage, shown } from "./dom.js";

/** @typedef {import("./source.js").Comparison} Comparison */
/** @typedef {import("./source.js").Run} Run */

export class Compare {
  /** @param {HTMLElement} place @param {import("./source.js").ServerSource | import("./source.js").HeldSource} source */
  constructor(place, source) {
    this.place = place;
    this.source = source;
    this.found = element("div");
  }

  /** @param {Run[]} runs */
  show(runs) {
    if (this.sides) return;
    const pairs = pairsOf(runs);
    this.sides = pairs[0] ?? [0, 1];
    const choices = runs.map((run, i) => /** @type {[string, string]} */ ([String(i), `${run.name} (${run.kind})`]));
    const selects = [0, 1].map((side) => choice(["first", "second"][side], choices, String(this.sides?.[side]), (value) => {
      if (this.sides) this.sides[side] = Number(value);
      this.ask(runs);
    }));
    this.place.replaceChildren(element("div", { class: "bar" }, selects[0], " against ", selects[1]), this.found);
  }

  /** @param {Run[]} runs */
  async ask(runs) {
    const [first, second] = this.sides ?? [0, 1];
    this.found.replaceChildren(element("p", { class: "note" }, "comparing ..."));
    try {
      const comparison = await this.source.compare(first, second);
      this.found.replaceChildren(...shownComparison(comparison, [runs[first].name, runs[second].name]));
    } catch (error) {
      this.found.replaceChildren(element("p", { class: "note" }, String(error instanceof Error ? error.message : error)));
    }
  }
}

/**
 * Return the pairs of runs of one kind that can be compared, evaluations first.
 * @param {Run[]} runs
 * @returns {[number, number][]}
 */
export function pairsOf(runs) {
  return ["evaluation", "practice"].flatMap((kind) => {
    const of = runs.map((run, i) => ({ run, i })).filter(({ run }) => run.kind === kind);
    return of.slice(1).map(({ i }) => /** @type {[number, number]} */ ([of[0].i, i]));
  });
}

/** @param {Comparison} comparison @param {string[]} names @returns {Node[]} */
function shownComparison(comparison, names) {
  if (comparison.refused) return [element("p", {}, `No comparison: ${comparison.refused}`)];
  const { difference, low, high, p_value, problems, accuracies, flips, hidden, notes } = comparison;
  const sign = difference > 0 ? "+" : "";
  return [
    element("p", {}, `${names[1]} minus ${names[0]}: ${sign}${shown(difference, 3)} (95 % ${shown(low, 3)} to ${shown(high, 3)}; p ${shown(p_value, 2)}) on ${problems} problems: ${shown(accuracies[0], 3)} and ${shown(accuracies[1], 3)} correct.`),
    ...notes.map((words) => element("p", { class: "note" }, words)),
    element("h2", {}, `Where they part: ${flips.length + hidden} problems`),
    hidden ? element("p", { class: "note" }, `The first ${flips.length} are shown.`) : element("span"),
    ...flips.map((flip) => element("section", {},
      passage(flip.prompt, "prompt"), element("p", { class: "note" }, `${flip.step ? `step ${flip.step}, ` : ""}reference ${brief(flip.reference)}`),
      element("div", { class: "pair" }, ...flip.sides.map((side, i) => element("div", { class: "card" },
        element("div", { class: "note" }, `${names[i]}: ${shown(side.correct, 2)} correct; this one `, element("span", { class: side.status }, side.status), `, read: ${brief(side.extracted)}`),
        passage(side.completion, "completion")))))),
  ];
}
