// @ts-check
// One problem at one step: all its completions side by side, the prompt as the model read it, tokens coloured by their values.

import { brief, choice, element, passage, shown } from "./dom.js";

const MOST_TOKENS = 4000; // an element each

/** @typedef {import("./source.js").Group} Group */
/** @typedef {import("./source.js").Completion} Completion */
/** @typedef {"none" | "logprobs" | "entropies"} Colouring */

/** @type {Record<string, (one: Completion) => number>} what completions are sorted by, smallest first */
const ORDERS = {
  "as drawn": (one) => one.row,
  "highest reward": (one) => -(one.reward ?? -Infinity),
  "lowest reward": (one) => one.reward ?? Infinity,
  "highest advantage": (one) => -(one.advantage ?? -Infinity),
  longest: (one) => -(one.num_tokens ?? 0),
};

export class GroupPanel {
  /**
   * @param {HTMLElement} place
   * @param {(run: number, step: number, row: number) => void} go opens another group
   */
  constructor(place, go) {
    this.place = place;
    this.go = go;
    this.order = "highest reward";
    /** @type {Colouring} */
    this.colouring = "none";
  }

  /**
   * @param {number} run @param {Group} group @param {number} row the completion that was asked for
   * @param {string[]} names of the runs
   */
  show(run, group, row, names) {
    this.shownNow = { run, group, row, names };
    const cards = element("div", { class: "completions" });
    const inOrder = [...group.completions].sort((a, b) => ORDERS[this.order](a) - ORDERS[this.order](b) || a.row - b.row);
    inOrder.forEach((one) => cards.append(this.#card(one, one.row === row)));
    const again = () => this.show(run, group, row, names);
    const orders = choice("order", Object.keys(ORDERS).map((name) => [name, name]), this.order, (name) => { this.order = name; again(); });
    const hasTokens = group.completions.some((one) => one.tokens);
    const colours = choice("colour of tokens", [["none", "tokens not coloured"], ["logprobs", "by log-probability"], ["entropies", "by entropy"]], this.colouring, (name) => {
      this.colouring = /** @type {Colouring} */ (name);
      again();
    });
    this.place.replaceChildren(
      element("h2", {}, `Step ${group.step}, problem `, element("code", {}, group.problem)),
      passage(String(group.prompt ?? ""), "card prompt"),
      element("p", { class: "note" }, `reference ${brief(group.reference)}${difficulty(group)}`),
      rendered(group),
      this.#follow(run, group, names),
      element("div", { class: "bar" }, orders, hasTokens ? colours : element("span", { class: "note" }, "tokens of this group were not kept (train.save_token_groups)")),
      cards,
    );
  }

  /** @param {number} run @param {Group} group @param {string[]} names */
  #follow(run, group, names) {
    const rows = group.completions.map((one) => one.row);
    const part = element("div", {});
    const bar = element("div", { class: "bar" },
      element("button", { onclick: () => this.go(run, group.step, Math.min(...rows) - 1), disabled: Math.min(...rows) === 0 }, "problem before"),
      element("button", { onclick: () => this.go(run, group.step, Math.max(...rows) + 1) }, "next problem"));
    part.append(bar);
    if (group.places.length > 1) {
      const slider = element("input", { type: "range", min: 0, max: group.places.length - 1, value: group.here, "aria-label": "the same problem at other steps" });
      slider.addEventListener("change", () => { const to = group.places[Number(slider.value)]; this.go(run, to.step, to.row); });
      bar.append(slider, element("span", { class: "note" }, `drawn at ${group.places.length} steps`));
      part.append(element("div", { class: "places" }, ...group.places.map((to, i) =>
        element("button", { "aria-pressed": String(i === group.here), onclick: () => this.go(run, to.step, to.row) }, `step ${to.step}: ${shown(to.pass_rate, 2)}`))));
    } else bar.append(element("span", { class: "note" }, "drawn once in this run"));
    if (group.changes) {
      const { new: came, gone } = group.changes;
      const words = [came.length ? `answers that are new: ${brief(came.join(", "))}` : "", gone.length ? `gone: ${brief(gone.join(", "))}` : ""].filter(Boolean).join("; ");
      part.append(element("p", { class: "note" }, `Since it was drawn before: ${words || "the same answers"}.`));
    }
    for (const to of group.elsewhere) {
      part.append(element("button", { onclick: () => this.go(to.run ?? run, to.step, to.row) }, `the same problem in ${names[to.run ?? run]}, step ${to.step}: ${shown(to.pass_rate, 2)} correct`));
    }
    return part;
  }

  /** @param {Completion} one @param {boolean} isHit */
  #card(one, isHit) {
    const numbers = [
      `reward ${shown(one.reward)}`,
      one.advantage === null ? "" : `advantage ${shown(one.advantage, 3)}`,
      one.num_tokens === null ? "" : `${one.num_tokens} tokens`,
      one.reasoning_tokens === null ? "" : `${one.reasoning_tokens} of them reasoning`,
      one.mean_logprob === null ? "" : `${shown(one.mean_logprob, 3)} nats a token`,
    ].filter(Boolean);
    const parts = Object.entries(one.rewards ?? {});
    return element("div", { class: isHit ? "card hit" : "card" },
      element("div", {}, element("span", { class: one.status }, one.status), one.truncated ? element("span", { class: "truncated" }, " truncated") : null,
        one.was_written_before ? element("span", { class: "note" }, " same text as before") : null),
      element("div", { class: "note" }, numbers.join(", ")),
      parts.length > 1 ? element("div", { class: "note" }, parts.map(([name, value]) => `${name} ${shown(value, 3)}`).join(", ")) : null,
      element("div", { class: "note" }, `read: ${brief(one.extracted)}${one.detail ? `; ${brief(one.detail)}` : ""}`),
      this.colouring !== "none" && one.tokens ? coloured(one, this.colouring) : passage(one.text, "completion"));
  }
}

/** @param {Group} group */
function difficulty(group) {
  const parts = Object.entries(group.difficulty ?? {}).map(([name, value]) => `${name} ${brief(value)}`);
  return parts.length ? `, ${parts.join(", ")}` : "";
}

/** @param {Group} group */
function rendered(group) {
  if (group.rendered === null) return element("p", { class: "note" }, "The prompt with its template was not written down for this run.");
  return element("details", {}, element("summary", {}, "the prompt as the model read it, template included"), passage(group.rendered, "rendered"));
}

/**
 * Return the tokens of a completion, the more surprising or uncertain the redder; hovering tells the numbers.
 * @param {Completion} one @param {"logprobs" | "entropies"} colouring
 */
function coloured(one, colouring) {
  const tokens = one.tokens;
  const values = tokens?.[colouring];
  if (!tokens || !values) return passage(one.text, "completion");
  const hidden = Math.max(0, values.length - MOST_TOKENS);
  const spans = tokens.tokens.slice(0, MOST_TOKENS).map((text, i) => {
    const words = [`token ${i + 1}`];
    if (tokens.logprobs) words.push(`log-probability ${tokens.logprobs[i]} nats (probability ${shown(Math.exp(tokens.logprobs[i]), 3)})`);
    if (tokens.entropies) words.push(`entropy ${tokens.entropies[i]} nats`);
    if (one.advantage !== null) words.push(`advantage ${shown(one.advantage, 3)}`);
    const span = element("span", { title: words.join(", ") }, text);
    // 2 nats, a probability of 0.14, is as red as it gets
    span.style.background = `rgba(226, 74, 51, ${Math.min(1, Math.abs(values[i]) / 2) * 0.75})`;
    return span;
  });
  return element("pre", { class: "completion" }, ...spans, hidden ? ` ... (${hidden} more tokens)` : null);
}
