// @ts-check
// Where answers come from: the server of `reasonlab view`, or what the one file holds. Both answer alike (rl/viewing/answers.py).

/**
 * @typedef {{title: string, series: [string, string][], unit: string, band: [string, string, string] | null, stacked: boolean}} Chart
 * @typedef {[number[], number[]]} Curve steps and values
 * @typedef {{name: string, step: number, words: string}} Alert
 * @typedef {{name: string, family: string, kind: string, status: string, curves: Record<string, Curve>,
 *   generation: number, settled: number, after?: number, checkpoints: number[], evaluations: number[], resumes: number[],
 *   alerts: Alert[], settings: string, damaged: number,
 *   results: {value: number, low: number, high: number} | null, completions: number, files_read: number, files: number,
 *   is_whole: boolean, steps: number[], damaged_rollouts: number}} Run
 * @typedef {{charts: Chart[], marks: string[], sorts: string[], runs: Run[], follow: boolean, sample: string | null}} Overview
 * @typedef {{step: number, row: number, reward: number | null, advantage: number | null, tokens: number | null,
 *   logprob: number | null, gap: number | null, problem: string, prompt: string, text: string, extracted: string, status: string, marks: string[]}} Row
 * @typedef {{total: number, rows: Row[], files_read: number, files: number, is_whole: boolean}} Rows
 * @typedef {{tokens: string[], logprobs?: number[], entropies?: number[], gaps?: number[], trained?: number[]}} Tokens gaps: trainer less sampler
 * @typedef {{row: number, text: string, status: string, extracted: unknown, detail: string | null, reward: number | null,
 *   rewards: Record<string, number> | null, advantage: number | null, num_tokens: number | null, reasoning_tokens: number | null,
 *   mean_logprob: number | null, sampler_gap: number | null, truncated: boolean, was_written_before: boolean, tokens: Tokens | null}} Completion
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
  constructor() {
    /** @type {Overview | null} */
    this.known = null;
  }
  /** @param {string} what @param {Record<string, unknown>} [parameters] */
  async #ask(what, parameters = {}) {
    const asked = Object.entries(parameters).map(([name, value]) => [name, value === true ? "1" : value === false ? "" : String(value)]);
    const response = await fetch(`${what}?${new URLSearchParams(asked)}`);
    if (!response.ok) throw new Error(await response.text());
    return response.json();
  }
  /** Ask for the overview, for what is new in it where something is known. @returns {Promise<Overview>} */
  async overview() {
    const before = this.known?.runs ?? [];
    const known = before.map((run) => `${run.generation}.${run.settled}`).join(",");
    /** @type {Overview} */
    const news = await this.#ask("overview", known ? { known } : {});
    this.known = { ...news, runs: news.runs.map((run, i) => grown(before[i], run)) };
    return this.known;
  }
  /** @param {Query} query @returns {Promise<Rows>} */
  rows(query) { return this.#ask("rows", query); }
  /** @param {number} run @param {number} step @param {number} row @returns {Promise<Group>} */
  group(run, step, row) { return this.#ask("group", { run, step, row }); }
  /** @param {number} run @returns {Promise<HeatMap[]>} */
  difficulty(run) { return this.#ask("difficulty", { run }); }
  /** @param {number} first @param {number} second @returns {Promise<Comparison>} */
  compare(first, second) { return this.#ask("compare", { first, second }); }
}

/**
 * Return a run as it is now, from what was known and an answer that leaves out points up to step `after`, and the settings.
 * @param {Run | undefined} before @param {Run} run @returns {Run}
 */
export function grown(before, run) {
  const after = run.after;
  if (!before || after === undefined) return run;
  const names = new Set([...Object.keys(before.curves), ...Object.keys(run.curves)]);
  const curves = [...names].map((name) => {
    const [steps, values] = before.curves[name] ?? [[], []];
    const [more, moreValues] = run.curves[name] ?? [[], []];
    const kept = steps.findLastIndex((step) => step <= after) + 1;
    return /** @type {[string, Curve]} */ ([name, [[...steps.slice(0, kept), ...more], [...values.slice(0, kept), ...moreValues]]]);
  });
  return { ...before, ...run, curves: Object.fromEntries(curves) };
}

/**
 * Return a text that tells whether one overview differs from another; of curves only their points count.
 * @param {Overview} overview
 */
export function digest(overview) {
  return JSON.stringify(overview.runs.map(({ curves, after, ...rest }) => [rest, Object.values(curves).reduce((sum, [steps]) => sum + steps.length, 0)]));
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
    step: group.step, row: one.row, reward: one.reward, advantage: one.advantage, tokens: one.num_tokens, logprob: one.mean_logprob, gap: one.sampler_gap,
    problem: group.problem, prompt: opening(prompt), text, extracted: one.extracted === null ? "-" : opening(String(one.extracted)), status: one.status,
    marks: one.truncated ? [one.status, "truncated"] : [one.status],
  };
  return { row, whole: `${one.text}\n${prompt}\n${group.problem}`.toLowerCase() };
}

/**
 * Return rows by a value, those without one last, those of one value as they are.
 * @param {Row[]} rows @param {string} sort @param {boolean} descending
 */
export function inOrder(rows, sort, descending) {
  const key = /** @type {"step" | "reward" | "advantage" | "tokens" | "logprob" | "gap"} */ (sort);
  const value = (/** @type {Row} */ row) => {
    const found = row[key];
    return found === null ? Infinity : descending ? -found : found;
  };
  return rows.sort((a, b) => (value(a) === value(b) ? 0 : value(a) - value(b)));
}
