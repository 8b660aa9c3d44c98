// @ts-check
// One problem at one step: all its completions side by side, the prompt as the model read it, tokens coloured by their values.

import { brief, choice, element, passage, shown } from "./dom.js";

const MOST_TOKENS = 4000; // an element each

/** @typedef {import("./source.js").Group} Group */
/** @typedef {import("./source.js").Completion} Completion */
/** @typedef {import("./source.js").Tokens} Tokens */
/** @typedef {{words: string, legend: string, most: number, of: (one: Completion, tokens: Tokens, i: number) => number | undefined}} Colouring */

const AWAY = "226, 74, 51"; // red
const TOWARDS = "46, 160, 67"; // green

/** @type {Record<string, Colouring>} what tokens are coloured by; `most` is as dark as it gets, what is above 0 is green */
const COLOURINGS = {
  logprobs: {
    words: "by log-probability", most: 2, legend: "The redder the less expected; full red from -2 nats on, a probability of 0.14.",
    of: (_, tokens, i) => tokens.logprobs?.[i],
  },
  entropies: {
    words: "by entropy", most: 2, legend: "The redder the less certain what comes here; full red from 2 nats on.",
    of: (_, tokens, i) => (tokens.entropies ? -tokens.entropies[i] : undefined),
  },
  gaps: {
    words: "by sampler gap", most: 0.1, legend: "Red: the trainer finds it less probable than the sampler did, green: more; full colour from 0.1 nats on.",
    of: (_, tokens, i) => tokens.gaps?.[i],
  },
  advantage: {
    words: "by advantage", most: 1, legend: "Green: made more probable by the update, red: less; full colour from an advantage of 1 on. Without colour: not trained.",
    of: (one, tokens, i) => (one.advantage === null ? undefined : one.advantage * (tokens.trained?.[i] ?? 1)),
  },
  trained: {
    words: "by mask", most: 2, legend: "Green: counts in the loss.",
    of: (_, tokens, i) => tokens.trained?.[i],
  },
};

/** @type {Record<string, (one: Completion) => number>} what completions are sorted by, smallest first */
const ORDERS = {
  "as drawn": (one) => one.row,
  "highest reward": (one) => -(one.reward ?? -Infinity),
  "lowest reward": (one) => one.reward ?? Infinity,
  "highest advantage": (one) => -(one.advantage ?? -Infinity),
  longest: (one) => -(one.num_tokens ?? 0),
  "highest sampler gap": (one) => -(one.sampler_gap ?? -Infinity),
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
    inOrder.forEach((one) => cards.append(this.#card(one, one.row === row, group.changes?.new ?? [])));
    const again = () => this.show(run, group, row, names);
    const orders = choice("order", Object.keys(ORDERS).map((name) => [name, name]), this.order, (name) => { this.order = name; again(); });
    const coloured = Object.keys(COLOURINGS).filter((name) => group.completions.some((one) => one.tokens?.tokens.length && COLOURINGS[name].of(one, one.tokens, 0) !== undefined));
    const colours = choice("colour of tokens", [["none", "tokens not coloured"], ...coloured.map((name) => /** @type {[string, string]} */ ([name, COLOURINGS[name].words]))], this.colouring, (name) => {
      this.colouring = name;
      again();
    });
    this.place.replaceChildren(
      element("h2", {}, `Step ${group.step}, problem `, element("code", {}, group.problem)),
      passage(String(group.prompt ?? ""), "card prompt"),
      element("p", { class: "note" }, `reference ${brief(group.reference)}${difficulty(group)}`),
      rendered(group),
      this.#follow(run, group, names),
      element("div", { class: "bar" }, orders, coloured.length ? colours : element("span", { class: "note" }, "tokens of this group were not kept (train.save_token_groups)"),
        coloured.includes(this.colouring) ? element("span", { class: "note" }, COLOURINGS[this.colouring].legend) : null),
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
    if (group.changes) part.append(element("p", { class: "note changes" }, changed(group, group.changes)));
    for (const to of group.elsewhere) {
      part.append(element("button", { onclick: () => this.go(to.run ?? run, to.step, to.row) }, `the same problem in ${names[to.run ?? run]}, step ${to.step}: ${shown(to.pass_rate, 2)} correct`));
    }
    return part;
  }

  /** @param {Completion} one @param {boolean} isHit @param {string[]} fresh answers that are new at this step */
  #card(one, isHit, fresh) {
    const numbers = [
      `reward ${shown(one.reward)}`,
      one.advantage === null ? "" : `advantage ${shown(one.advantage, 3)}`,
      one.num_tokens === null ? "" : `${one.num_tokens} tokens`,
      one.reasoning_tokens === null ? "" : `${one.reasoning_tokens} of them reasoning`,
      one.mean_logprob === null ? "" : `${shown(one.mean_logprob, 3)} nats a token`,
      one.sampler_gap === null ? "" : `sampler gap ${shown(one.sampler_gap, 2)}`,
    ].filter(Boolean);
    const parts = Object.entries(one.rewards ?? {});
    return element("div", { class: isHit ? "card hit" : "card" },
      element("div", {}, element("span", { class: one.status }, one.status), one.truncated ? element("span", { class: "truncated" }, " truncated") : null,
        one.was_written_before ? element("span", { class: "note" }, " same text as before") : null,
        fresh.includes(String(one.extracted)) ? element("span", { class: "fresh" }, " new answer") : null),
      element("div", { class: "note" }, numbers.join(", ")),
      parts.length > 1 ? element("div", { class: "note" }, parts.map(([name, value]) => `${name} ${shown(value, 3)}`).join(", ")) : null,
      element("div", { class: "note" }, `read: ${brief(one.extracted)}${one.detail ? `; ${brief(one.detail)}` : ""}`),
      COLOURINGS[this.colouring] && one.tokens ? coloured(one, one.tokens, COLOURINGS[this.colouring]) : passage(one.text, "completion"));
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
 * Say what is different since the problem was drawn before.
 * @param {Group} group @param {{new: string[], gone: string[]}} changes
 */
function changed(group, changes) {
  const before = group.places[group.here - 1];
  const now = group.places[group.here];
  const answers = [changes.new.length ? `new answers: ${brief(changes.new.join(", "))}` : "", changes.gone.length ? `gone: ${brief(changes.gone.join(", "))}` : ""].filter(Boolean);
  return `Since step ${before.step}: ${shown(before.pass_rate, 2)} correct became ${shown(now.pass_rate, 2)}; ${answers.join("; ") || "the same answers"}.`;
}

/**
 * Return the tokens of a completion with their colours; hovering tells the numbers.
 * @param {Completion} one @param {Tokens} tokens @param {Colouring} colouring
 */
function coloured(one, tokens, colouring) {
  const hidden = Math.max(0, tokens.tokens.length - MOST_TOKENS);
  const spans = tokens.tokens.slice(0, MOST_TOKENS).map((text, i) => {
    const span = element("span", { title: told(one, tokens, i) }, text);
    const value = colouring.of(one, tokens, i) ?? 0;
    span.style.background = `rgba(${value < 0 ? AWAY : TOWARDS}, ${Math.min(1, Math.abs(value) / colouring.most) * 0.75})`;
    return span;
  });
  return element("pre", { class: "completion" }, ...spans, hidden ? ` ... (${hidden} more tokens)` : null);
}

/** @param {Completion} one @param {Tokens} tokens @param {number} i */
function told(one, { logprobs, entropies, gaps, trained }, i) {
  const words = [`token ${i + 1}`];
  if (logprobs) words.push(`log-probability ${logprobs[i]} nats (probability ${shown(Math.exp(logprobs[i]), 3)})`);
  if (logprobs && gaps) words.push(`the trainer's ${shown(logprobs[i] + gaps[i], 4)} (gap ${gaps[i]})`);
  if (entropies) words.push(`entropy ${entropies[i]} nats`);
  if (one.advantage !== null) words.push(`advantage ${shown(one.advantage, 3)}`);
  if (trained) words.push(trained[i] ? "counts in the loss" : "does not count in the loss");
  return words.join(", ");
}
