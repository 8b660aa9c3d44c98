// @ts-check
// Elements with text in them. Nothing here or elsewhere in the page reads markup: what models wrote is set as text.

/**
 * @typedef {Node | string | number | null | undefined} Child
 * @typedef {Record<string, unknown>} Attributes
 */

/**
 * Return an element. Attributes that begin with "on" are listeners; false, null and undefined are left out.
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {Attributes} [attributes]
 * @param {...Child} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") made.addEventListener(name.slice(2), /** @type {EventListener} */ (value));
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(name, value === true ? "" : String(value));
  }
  made.append(...children.filter((child) => child !== null && child !== undefined).map((child) => (child instanceof Node ? child : String(child))));
  return made;
}

/**
 * Return a <select> that calls `chosen` with the value of the choice.
 * @param {string} label
 * @param {[string, string][]} choices value and words
 * @param {string} value
 * @param {(value: string) => void} chosen
 */
export function choice(label, choices, value, chosen) {
  const options = choices.map(([key, words]) => element("option", { value: key, selected: key === value }, words));
  const made = element("select", { "aria-label": label }, ...options);
  made.addEventListener("change", () => chosen(made.value));
  return made;
}

/**
 * Return a checkbox with its words.
 * @param {string} words
 * @param {boolean} checked
 * @param {(checked: boolean) => void} changed
 * @param {Child} [before]
 */
export function check(words, checked, changed, before = null) {
  const box = element("input", { type: "checkbox", checked });
  box.addEventListener("change", () => changed(box.checked));
  return element("label", {}, box, " ", before, words);
}

/**
 * Write a number for people.
 * @param {number | null | undefined} value
 * @param {number} [digits] significant ones
 */
export function shown(value, digits = 4) {
  if (value === null || value === undefined || Number.isNaN(value)) return "-";
  if (Number.isInteger(value) && Math.abs(value) < 1e7) return String(value);
  const rounded = Number(value.toPrecision(digits));
  return Math.abs(rounded) < 1e-3 ? rounded.toExponential() : String(rounded);
}

const MOST_CHARACTERS = 20000;
const BLOCK = 10000;

/**
 * Return a text as it stands. Of a long one the beginning is shown and the rest on demand, in blocks of its own: a browser takes
 * minutes to break a single word of a megabyte into lines.
 * @param {string} text
 * @param {string} name class of the element
 */
export function passage(text, name) {
  const made = element("pre", { class: name }, text.slice(0, MOST_CHARACTERS));
  if (text.length <= MOST_CHARACTERS) return made;
  const more = element("button", { onclick: () => {
    const blocks = [];
    for (let i = MOST_CHARACTERS; i < text.length; i += BLOCK) blocks.push(element("div", {}, text.slice(i, i + BLOCK)));
    made.append(...blocks);
    more.remove();
  } }, `show all ${text.length.toLocaleString("en")} characters`);
  return element("div", {}, made, more);
}

/**
 * Return a value as a text of a line or two.
 * @param {unknown} value
 */
export function brief(value) {
  if (value === null || value === undefined) return "-";
  const text = String(value);
  return text.length > 200 ? `${text.slice(0, 200)} ... (${text.length} characters)` : text;
}
