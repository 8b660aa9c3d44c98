// @ts-check
// The page: asks for the overview, lays out its parts, and asks again while a run goes on or is still being read.

import { element, passage, shown } from "./dom.js";
import { Curves } from "./curves.js";
import { Rollouts } from "./rollouts.js";
import { Compare } from "./compare.js";
import { digest, HeldSource, ServerSource } from "./source.js";

/** @typedef {import("./source.js").Overview} Overview */

const READING_MS = 500;
const FOLLOWING_MS = 2000;

/** @param {Overview} overview */
function head(overview) {
  const lines = overview.runs.map((run) => {
    const result = run.results ? `, accuracy ${shown(run.results.value, 3)} (${shown(run.results.low, 3)} to ${shown(run.results.high, 3)})` : "";
    const damaged = run.damaged + run.damaged_rollouts;
    const words = `${run.kind}, ${run.status}${result}${run.completions ? `, ${run.completions.toLocaleString("en")} completions` : ""}${damaged ? `, ${damaged} lines could not be read` : ""}`;
    return element("div", {}, element("strong", {}, run.name), element("span", { class: "note" }, ` ${words}`), ...run.alerts.map((alert) => element("div", { class: "alert" }, alert.words)));
  });
  return [...lines, ...(overview.sample ? [element("p", { class: "note", id: "sample" }, overview.sample)] : [])];
}

/** @param {Overview} overview */
function settings(overview) {
  return overview.runs.filter((run) => run.settings).map((run) =>
    element("details", {}, element("summary", { class: "note" }, `settings of ${run.name}`), passage(run.settings, "settings-text")));
}

async function main() {
  const page = /** @type {HTMLElement} */ (document.getElementById("page"));
  const held = document.getElementById("held");
  const source = held ? new HeldSource(JSON.parse(held.textContent ?? "")) : new ServerSource();
  let overview = await source.overview();
  if (!held) document.title = overview.runs.map((run) => run.name).join(", ");

  const summary = document.getElementById("summary");
  const top = element("header");
  const names = [...(summary ? ["summary"] : []), "rollouts", "curves", ...(overview.runs.length > 1 ? ["compare"] : [])];
  /** @type {Record<string, HTMLElement>} */
  const places = Object.fromEntries(names.map((name) => [name, name === "summary" && summary ? summary : element("section", { id: name })]));
  const curves = new Curves(places.curves, source);
  const rollouts = new Rollouts(places.rollouts, source);
  const compare = places.compare ? new Compare(places.compare, source) : null;
  const buttons = names.map((name) => element("button", { "data-part": name, onclick: () => (location.hash = name) }, name[0].toUpperCase() + name.slice(1)));
  const opening = summary ? "summary" : overview.runs.some((run) => run.kind !== "imitation") ? "rollouts" : "curves";
  let shownNow = "";

  const open = () => {
    const wanted = location.hash.slice(1);
    const name = names.includes(wanted) ? wanted : opening;
    for (const other of names) places[other].hidden = other !== name;
    buttons.forEach((button) => button.setAttribute("aria-pressed", String(button.getAttribute("data-part") === name)));
    if (name === shownNow) return;
    shownNow = name;
    // a chart needs the width of its place, which a hidden one has not
    if (name === "curves") { curves.show(overview); curves.showDifficulty(); }
    if (name === "compare") { compare?.show(overview.runs); compare?.ask(overview.runs); }
  };

  const update = () => {
    top.replaceChildren(...head(overview));
    rollouts.show(overview);
    if (shownNow === "curves") { curves.show(overview); curves.showDifficulty(); }
  };

  page.replaceChildren(element("h1", {}, document.title), top, element("div", { class: "settings" }, ...settings(overview)), element("nav", { class: "bar" }, ...buttons), ...names.map((name) => places[name]));
  update();
  addEventListener("hashchange", open);
  open();

  const again = async () => {
    const isReading = overview.runs.some((run) => !run.is_whole);
    if (!isReading && !overview.follow) return;
    await new Promise((done) => setTimeout(done, isReading ? READING_MS : FOLLOWING_MS));
    try {
      const before = digest(overview);
      overview = await source.overview();
      if (!document.hidden && digest(overview) !== before) update();
    } catch {
      top.append(element("p", { class: "alert" }, "The server is gone; what is shown is the last it said."));
      return;
    }
    await again();
  };
  if (!held) await again();
}

main().catch((error) => {
  document.getElementById("page")?.replaceChildren(element("p", { class: "alert" }, `This page cannot be shown: ${error instanceof Error ? error.message : error}`));
});
