// @ts-check
// Numbers of curves: several runs on one axis, moving means, ranges over seeds. No element of the page is touched here.

/** @typedef {import("./source.js").Curve} Curve */
/** @typedef {(number | null)[]} Values */

/**
 * Return the steps that any of the curves has, in order, and each curve's values at them; null where it has none.
 * @param {Curve[]} curves
 * @returns {{steps: number[], values: Values[]}}
 */
export function joined(curves) {
  const steps = [...new Set(curves.flatMap(([of]) => of))].sort((a, b) => a - b);
  const place = new Map(steps.map((step, i) => [step, i]));
  const values = curves.map(([of, numbers]) => {
    /** @type {Values} */
    const placed = new Array(steps.length).fill(null);
    of.forEach((step, i) => (placed[/** @type {number} */ (place.get(step))] = numbers[i]));
    return placed;
  });
  return { steps, values };
}

/**
 * Return the mean over `width` values around each, of those that there are; null where there is none.
 * @param {Values} values
 * @param {number} width odd
 */
export function smooth(values, width) {
  const half = (width - 1) / 2;
  return values.map((value, i) => {
    if (value === null) return null;
    const near = values.slice(Math.max(0, i - half), i + half + 1).filter((one) => one !== null);
    return near.reduce((sum, one) => sum + one, 0) / near.length;
  });
}

/**
 * Return the mean, the lowest and the highest of several values at each step; null where none has one.
 * @param {Values[]} several
 * @returns {{mean: Values, low: Values, high: Values}}
 */
export function range(several) {
  const columns = several[0].map((_, i) => several.map((values) => values[i]).filter((value) => value !== null));
  return {
    mean: columns.map((of) => (of.length ? of.reduce((sum, one) => sum + one, 0) / of.length : null)),
    low: columns.map((of) => (of.length ? Math.min(...of) : null)),
    high: columns.map((of) => (of.length ? Math.max(...of) : null)),
  };
}

/**
 * Return each series on top of those before it.
 * @param {Values[]} several
 */
export function stacked(several) {
  const sums = several[0].map(() => 0);
  return several.map((values) => values.map((value, i) => (value === null ? null : (sums[i] += value))));
}

/**
 * Return counts of neighbouring steps together, at most `most` columns: first step, last step, scored, correct.
 * @param {number[]} steps
 * @param {[number, number, number][]} cells step, scored, correct
 * @param {number} most
 * @returns {[number, number, number, number][]}
 */
export function binned(steps, cells, most) {
  const width = Math.max(1, Math.ceil(steps.length / most));
  const counts = new Map(cells.map(([step, scored, correct]) => [step, [scored, correct]]));
  /** @type {[number, number, number, number][]} */
  const bins = [];
  for (let i = 0; i < steps.length; i += width) {
    const inside = steps.slice(i, i + width);
    const [scored, correct] = inside.reduce(
      ([s, c], step) => [s + (counts.get(step)?.[0] ?? 0), c + (counts.get(step)?.[1] ?? 0)],
      [0, 0],
    );
    bins.push([inside[0], inside[inside.length - 1], scored, correct]);
  }
  return bins;
}
