"""The README.md of a published model: what it was trained on, how good it is and how sure that is, licences, limits.

Every number comes from a file of the run or of an evaluation. What no file tells is said to be unknown, never filled in.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass

import yaml

from rl.ancestry import Ancestry, Training, Used, used_source
from rl.settings.schema import PromptSettings
from rl.stats import estimate_in_words
from rl.tracking.run_directory import JsonDict

CURVES, TRAINING = "curves.png", "training"
_WORTH_SAYING = 0.05  # of completions that end badly
_LIBRARIES = ("torch", "transformers", "trl", "peft", "deepspeed")


@dataclass(frozen=True, kw_only=True)
class Measured:
    """The results of one evaluation, and whether its weights are those that are published (None: nobody knows)."""

    name: str
    results: JsonDict
    same_weights: bool | None


@dataclass(frozen=True, kw_only=True)
class Card:
    """What a card tells."""

    repository: str
    ancestry: Ancestry
    evaluations: Sequence[Measured]
    licence: str | None  # of the model, as its publisher says
    has_template: bool = True  # whether the tokenizer has a chat template

    @property
    def last(self) -> Training:
        """The training that made the model."""
        return self.ancestry.trainings[-1]

    @property
    def sources(self) -> list[Used]:
        """What was trained on, each once."""
        used = (used_source(source) for training in self.ancestry.trainings for source in training.settings["problems"])
        return list(dict.fromkeys(used))


def text_of(card: Card) -> str:
    """Return the Markdown of a card, with the head that the hub reads."""
    head = yaml.safe_dump(_head(card), sort_keys=False, allow_unicode=True)
    parts = [_begin(card), _how(card), _measured(card), _use(card), _licences(card), _limits(card), _again(card)]
    return f"---\n{head}---\n\n" + "\n\n".join(parts) + "\n"


def _head(card: Card) -> JsonDict:
    hub_sets = [used.hub for used in card.sources if used.hub is not None]
    head: JsonDict = {
        "license": (card.licence or "other").lower(),
        "license_name": None if card.licence else "unknown",
        "base_model": card.ancestry.start.hub,
        "datasets": hub_sets or None,
        "library_name": "transformers",
        "pipeline_tag": "text-generation",
        "tags": ["reasonlab", "sft" if card.last.is_imitation else "grpo", "reasoning"],
        "model-index": [{"name": card.repository.split("/")[-1], "results": _index(card)}] if card.evaluations else None,
    }
    return {key: value for key, value in head.items() if value is not None}


def _index(card: Card) -> list[JsonDict]:
    return [
        {
            "task": {"type": "text-generation"},
            "dataset": {"name": one.name, "type": one.name},
            "metrics": [{"type": "accuracy", "name": f"avg@{one.results['n']}", "value": one.results["accuracy"]["value"]}],
        }
        for one in card.evaluations
        if one.same_weights is not False and one.results["accuracy"]["value"] is not None
    ]


def _begin(card: Card) -> str:
    start, last = card.ancestry.start, card.last
    link = f"[{start.hub}](https://huggingface.co/{start.hub})" if start.hub else _plain(start.name)
    done = "imitation of worked solutions" if last.is_imitation else "practice: reinforcement learning from checked answers"
    return (
        f"# {card.repository.split('/')[-1]}\n\nTrained from {link} by reasonlab; its last training was {done} "
        f"({last.steps} steps).\n\n![Curves of the last training]({CURVES})"
    )


def _how(card: Card) -> str:
    lines = ["## Training", "", "| | what | on | steps |", "|---|---|---|---|"]
    for number, training in enumerate(card.ancestry.trainings, 1):
        used = ", ".join(dict.fromkeys(used_source(source).name for source in training.settings["problems"]))
        lines.append(f"| {number} | {_in_words(training)} | {_cell(used)} | {training.steps} |")
    return "\n".join(lines)


def _in_words(training: Training) -> str:
    settings = training.settings
    adapters = f", LoRA of rank {settings['model']['lora']['r']}" if settings["model"].get("lora") else ""
    if training.is_imitation:
        return f"imitation of worked solutions, learning rate {settings['sft']['learning_rate']:g}{adapters}"
    algorithm, rate = settings["algorithm"], settings["optimizer"]["learning_rate"]
    return (
        f"practice: {algorithm['num_problems']} problems x {algorithm['group_size']} completions a step, loss "
        f"`{algorithm['loss']}`, advantage `{algorithm['advantage']}`, KL coefficient {algorithm['kl_coef']:g}, learning rate "
        f"{rate:g}, completions up to {settings['sampling']['max_completion_tokens']} tokens{adapters}"
    )


def _measured(card: Card) -> str:
    lines = ["## Evaluation", ""]
    held_out = _held_out(card.last.metrics)
    if card.evaluations:
        lines += ["95 % intervals in parentheses; problems are the unit.", ""]
    for one in card.evaluations:
        lines += [*_table(one), ""]
    if held_out:
        lines += ["While it was trained, on held-out problems of the kind it practised on:", "", *held_out, ""]
    if len(lines) == 2:
        lines.append("None was given: how good this model is has not been measured.")
    return "\n".join(lines).rstrip()


def _table(one: Measured) -> list[str]:
    results = one.results
    asked = f"{results['problems']} problems x {results['n']} samples, {results['split']} split, {results['reading']} reading"
    notes = {
        True: "",
        False: " **These weights are not those of this repository**: the evaluation was of another checkpoint.",
        None: " That these were the weights of this repository was not checked.",
    }
    sampling = results.get("sampling") or {}
    drawn = f", temperature {sampling['temperature']:g}" if "temperature" in sampling else ""
    lines = [f"### {_plain(one.name)}", "", f"{asked}{drawn}.{notes[one.same_weights]}", "", "| | |", "|---|---|"]
    lines.append(f"| avg@{results['n']} | {estimate_in_words(results['accuracy'])} |")
    for kind, label in (("pass_at_k", "pass"), ("majority_at_k", "maj")):
        lines += [f"| {label}@{k} | {estimate_in_words(found)} |" for k, found in results[kind].items() if k != "1"]
    lines += [f"| {_cell(name)} | {estimate_in_words(found)} |" for name, found in results["by_difficulty"].items()]
    lines.append(f"| reasoning tokens, mean | {_number(results['reasoning_tokens']['mean'], 1)} |")
    for name in ("truncated", "unparsed", "timeout", "error"):
        lines.append(f"| {name} rate | {_number(results.get(f'{name}_rate'))} |")
    return lines


def _held_out(metrics: Sequence[JsonDict]) -> list[str]:
    """Return a table of the first and the last evaluation inside of a training, empty where there was none."""
    evaluated = [record for record in metrics if record.get("eval/accuracy") is not None]
    lines = ["| step | accuracy |", "|---|---|"]
    for record in dict.fromkeys(json.dumps(record) for record in (*evaluated[:1], *evaluated[-1:])):
        found = json.loads(record)
        estimate = {"value": found["eval/accuracy"], **{end: found.get(f"eval/accuracy_{end}") for end in ("low", "high")}}
        lines.append(f"| {found['step']} | {estimate_in_words(estimate)} |")
    return lines if evaluated else []


def _use(card: Card) -> str:
    prompt = PromptSettings.model_validate(card.last.settings.get("prompt") or {})
    abstention = f"\n{prompt.abstention.line}" if prompt.abstention is not None and prompt.abstention.line else ""
    system = [f'    {{"role": "system", "content": {prompt.system!r}}},'] if prompt.system else []
    code = [
        "from transformers import AutoModelForCausalLM, AutoTokenizer",
        "",
        f"tokenizer = AutoTokenizer.from_pretrained({card.repository!r})",
        f"model = AutoModelForCausalLM.from_pretrained({card.repository!r}, dtype='auto')",
        f"question = {prompt.template + abstention!r}.replace('{{prompt}}', 'YOUR PROBLEM')",
        "messages = [",
        *system,
        '    {"role": "user", "content": question},',
        "]",
        "ids = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_tensors='pt', return_dict=True)",
        f"out = model.generate(**ids, do_sample=True, max_new_tokens={_longest(card)})",
        "print(tokenizer.decode(out[0, ids['input_ids'].shape[1]:], skip_special_tokens=True))",
    ]
    if card.has_template:
        return "## Use\n\nPrompts have the form that it was trained with:\n\n```python\n" + "\n".join(code) + "\n```"
    return f"## Use\n\nThe tokenizer has no chat template: a prompt is `{prompt.template!r}`, the problem for `{{prompt}}`."


def _longest(card: Card) -> int:
    """Return the longest completion, in tokens, that the last training allowed; of imitation alone, a usual length."""
    return int((card.last.settings.get("sampling") or {}).get("max_completion_tokens", 256))


def _licences(card: Card) -> str:
    start = card.ancestry.start
    lines = ["## Licences", "", "| what | licence |", "|---|---|"]
    lines.append(f"| this model | {_cell(card.licence or 'not stated by who published it')} |")
    lines.append(f"| {_cell(start.name)}, which it began with | {_known(start.licence)} |")
    lines += [f"| {_cell(used.name)}, trained on | {_known(used.licence)} |" for used in card.sources]
    return "\n".join(lines)


def _known(licence: str | None) -> str:
    return "unknown: no file states it, look it up before you use the model" if licence is None else _cell(licence)


def _limits(card: Card) -> str:
    """Say what the numbers above do not show, and what in them is a weakness."""
    names = ", ".join(_plain(used.name) for used in card.sources)
    lines = [
        f"It was trained on {names}. What it does elsewhere, in other languages or in conversation, was not measured here.",
        "Its reasoning is what was paid for, by its final answer alone: steps may be wrong where the answer is right.",
        "It was not trained to refuse or to be harmless beyond what its first model was.",
    ]
    for one in card.evaluations:
        lines += _weaknesses(one)
    return "## Limits\n\n" + "\n".join(f"- {line}" for line in lines)


def _weaknesses(one: Measured) -> list[str]:
    results, name = one.results, _plain(one.name)
    found = []
    for rate, words in (
        ("truncated_rate", "completions were cut off at the limit"),
        ("unparsed_rate", "completions held no answer that could be read"),
    ):
        share = results.get(rate)
        if share is not None and share >= _WORTH_SAYING:
            found.append(f"On {name}, {share:.0%} of the {words}.")
    measured = {key: estimate for key, estimate in results["by_difficulty"].items() if estimate["high"] is not None}
    hardest = min(measured, key=lambda key: measured[key]["high"], default=None)
    if hardest is not None and measured[hardest]["high"] < results["accuracy"]["low"]:
        found.append(f"On {name}, {_plain(hardest)} is the hardest: {estimate_in_words(measured[hardest])}.")
    return found


def _again(card: Card) -> str:
    told = card.last.provenance
    packages = {"python": told.get("python"), **(told.get("packages") or {})}
    versions = ", ".join(f"{name} {packages[name]}" for name in ("python", *_LIBRARIES) if packages.get(name))
    git = told.get("git") or {}
    commit = f"`{git['commit']}`" + (", with changes that were not committed" if git.get("dirty") else "") if git else "unknown"
    return (
        "## To make it again\n\n"
        f"The settings of each training, all of them, are in `{TRAINING}/`. Commit of reasonlab: {commit}. "
        f"Versions: {versions or 'unknown'}. Processes: {told.get('world_size', 'unknown')}."
    )


def _number(value: float | None, digits: int = 3) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _plain(text: str) -> str:
    """Return a name on one line, without what Markdown would read."""
    return "".join(f"\\{letter}" if letter in "\\`*_[]<>#" else letter for letter in " ".join(text.split()))


def _cell(text: str) -> str:
    """Return a name for a cell of a table."""
    return _plain(text).replace("|", "\\|")
