// @ts-check
// Where answers come from: the server of `reasonlab view`, or what the one file holds. Both answer alike (rl/viewing/answers.py).

/**
 * @typedef {{title: string, series: [string, string][], unit: string, band: [string, string, string] | null, stacked: boolean}} Chart
 * @typedef {[number[], number[]]} Curve steps and values
 * @typedef {{name: string, step: number, words: string}} Alert
 * @typedef {{name: string, family: string, kind: string, status: string, curves: Record<string, Curve>,
 *   checkpoints: number[], alerts: Alert[], settings: string, damaged: number,
 *   results: {value: number, low: number, high: number} | null, completions: number, files_read: number, files: number,
 *   is_whole: boolean, steps: number[], damaged_rollouts: number}} Run
 * @typedef {{charts: Chart[], marks: string[], sorts: string[], runs: Run[], follow: boolean, sample: string | null}} Overview
 * @typedef {{step: number, row: number, reward: number | null, advantage: number | null, tokens: number | null,
 *   logprob: number | null, problem: string, prompt: string, text: string, extracted: string, status: string, marks: string[]}} Row
 * @typedef {{total: number, rows: Row[], files_read: number, files: number, is_whole: boolean}} Rows
 * @typedef {{tokens: string[], logprobs?: number[], entropies?: number[]}} Tokens
 * @typedef {{row: number, text: string, status: string, extracted: unknown, detail: string | null, reward: number | null,
 *   rewards: Record<string, number> | null, advantage: number | null, num_tokens: number | null, reasoning_tokens: number | null,
 *   mean_logprob: number | null, truncated: boolean, was_written_before: boolean, tokens: Tokens | null}} Completion
 * @typedef {{step: number, row: number, pass_rate: number, run?: number}} Place
 * @typedef {{step: number, problem: string, prompt: unknown, reference: unknown, difficulty: Record<string, unknown> | null,
 *   rendered: string | null, completions: Completion[], places: Place[], here: number,
 *   changes: {new: string[], gone: string[]} | null, elsewhere: Place[]}} Group
 * @typedef {{correct: number, status: string, extracted: string | null, completion: string}} Side
 * @typedef {{refused?: string, difference: number, low: number, high: number, p_value: number, problems: number,
 *   accuracies: number[], hidden: number, notes: string[],
 *   flips: {step: number, prompt: string, reference: unknown, sides: Side[]}[]}} Comparison
 * @typedef {{name: string, lines: {value: string, cells: [number, number, number][]}[]}} HeatMap cells: step, scored, correct
 * @typedef {{run: number, mark: string, search: string, step: string, problem: string, sort: string, descending: boolean,
 *   start: number, count: number}} Query
 * @typedef {{overview: Overview, groups: Group[][], difficulty: HeatMap[][], comparisons: Record<string, Comparison>}} Held
 */

/** Asks the server that the page came from. */
export class ServerSource {
  /** @param {string} what @param {Record<string, unknown>} [parameters] */
  async #ask(what, parameters = {}) {
    const asked = Object.entries(parameters).map(([name, value]) => [name, value === true ? "1" : value === false ? "" : String(value)]);
    const response = await fetch(`${what}?${new URLSearchParams(asked)}`);
    if (!response.ok) throw new Error(await response.text());
    return response.json();
  }
  /** @returns {Promise<Overview>} */
  overview() { return this.#ask("overview"); }
  /** @param {Query} query @returns {Promise<Rows>} */
  rows(query) { return this.#ask("rows", query); }
  /** @param {number} run @param {number} step @param {number} row @returns {Promise<Group>} */
  group(run, step, row) { return this.#ask("group", { run, step, row }); }
  /** @param {number} run @returns {Promise<HeatMap[]>} */
  difficulty(run) { return this.#ask("difficulty", { run }); }
  /** @param {number} first @param {number} second @returns {Promise<Comparison>} */
  compare(first, second) { return this.#ask("compare", { first, second }); }
}

/** Answers from what a file holds: a sample of the completions, and everything else. */
export class HeldSource {
  /** @param {Held} held */
  constructor(held) {
    this.held = held;
    this.rowsOf = held.groups.map((groups) => groups.flatMap((group) => group.completions.map((completion) => rowOf(group, completion))));
  }
  async overview() { return this.held.overview; }
  /** @param {Query} query @returns {Promise<Rows>} */
  async rows(query) {
    const needle = query.search.toLowerCase();
    const found = this.rowsOf[query.run].filter(
      ({ row, whole }) =>
        (!query.mark || row.marks.includes(query.mark)) &&
        (!query.step || row.step === Number(query.step)) &&
        (!query.problem || row.problem === query.problem) &&
        (!needle || whole.includes(needle)),
    );
    const rows = inOrder(found.map(({ row }) => row), query.sort, query.descending);
    const { files_read, files, is_whole } = this.held.overview.runs[query.run];
    return { total: rows.length, rows: rows.slice(query.start, query.start + query.count), files_read, files, is_whole };
  }
  /** @param {number} run @param {number} step @param {number} row @returns {Promise<Group>} */
  async group(run, step, row) {
    const found = this.held.groups[run].find((group) => group.step === step && group.completions.some((one) => one.row === row));
    if (!found) throw new Error("this file holds a sample of the completions; that one is not in it");
    return found;
  }
  /** @param {number} run */
  async difficulty(run) { return this.held.difficulty[run]; }
  /** @param {number} first @param {number} second */
  async compare(first, second) {
    return this.held.comparisons[`${first},${second}`] ?? /** @type {Comparison} */ ({ refused: "this file does not hold this comparison" });
  }
}

/** @param {string} text */
function opening(text) {
  return text.length > 160 ? `${text.slice(0, 160)} ...` : text;
}

/**
 * Return a line of the list for a completion, and the text that a search looks at.
 * @param {Group} group @param {Completion} one @returns {{row: Row, whole: string}}
 */
function rowOf(group, one) {
  const text = opening(one.text);
  const prompt = String(group.prompt ?? "");
  const row = {
    step: group.step, row: one.row, reward: one.reward, advantage: one.advantage, tokens: one.num_tokens, logprob: one.mean_logprob,
    problem: group.problem, prompt: opening(prompt), text, extracted: one.extracted === null ? "-" : opening(String(one.extracted)), status: one.status,
    marks: one.truncated ? [one.status, "truncated"] : [one.status],
  };
  return { row, whole: `${one.text}\n${prompt}\n${group.problem}`.toLowerCase() };
}

/**
 * Return rows by a value, those without one last; "step": as they are.
 * @param {Row[]} rows @param {string} sort @param {boolean} descending
 */
export function inOrder(rows, sort, descending) {
  if (sort === "step") return descending ? rows.reverse() : rows;
  const key = /** @type {"reward" | "advantage" | "tokens" | "logprob"} */ (sort);
  const value = (/** @type {Row} */ row) => {
    const found = row[key];
    return found === null ? Infinity : descending ? -found : found;
  };
  return rows.sort((a, b) => (value(a) === value(b) ? 0 : value(a) - value(b)));
}
