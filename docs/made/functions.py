"""The page of Python functions: signature and docstring of the few that others call from programs of their own."""

import inspect
from collections.abc import Callable
from typing import Any

import rewards.inspect
import rewards.math
import rewards.trl
import rewards.types
import rewards.verifiers
import rewards.verl

_SECTIONS: dict[str, tuple[str, dict[str, Callable[..., Any]]]] = {
    "Grading": (
        "No torch and no GPU. Text is never evaluated.",
        {
            "rewards.math.grade": rewards.math.grade,
            "rewards.math.compare_texts": rewards.math.compare_texts,
            "rewards.math.parse": rewards.math.parse,
            "rewards.verifiers.verify": rewards.verifiers.verify,
        },
    ),
    "For TRL": (
        "Reward functions of `GRPOTrainer`; more in [formats](../formats.md#trl).",
        {
            "rewards.trl.math_reward": rewards.trl.math_reward,
            "rewards.trl.code_reward": rewards.trl.code_reward,
            "rewards.trl.problem_reward": rewards.trl.problem_reward,
        },
    ),
    "For verl": (
        "Named by its file in verl's settings; more in [formats](../formats.md#verl).",
        {"rewards.verl.compute_score": rewards.verl.compute_score},
    ),
    "For inspect_ai": (
        "A scorer: `Task(dataset=..., scorer=rewards.inspect.verdict())`; more in [formats](../formats.md#inspect_ai).",
        {
            "rewards.inspect.verdict": rewards.inspect._verdict
        },  # what is public is wrapped by inspect_ai, where that is installed
    ),
    "Records": (
        "What a verifier of your own is handed and returns ([problems and verifiers of your own](../own-problems.md)).",
        {"rewards.types.Verdict": rewards.types.Verdict, "rewards.types.Reading": rewards.types.Reading},
    ),
}


def functions_page() -> str:
    """Return the page."""
    parts = ["# Python functions", "Everything else is reached by commands; these are called from programs of your own."]
    for title, (about, functions) in _SECTIONS.items():
        parts += [f"## {title}", about, *(_entry(name, function) for name, function in functions.items())]
    return "\n\n".join(parts) + "\n"


def _entry(name: str, function: Callable[..., Any]) -> str:
    """Return heading, signature and docstring of one function."""
    documented = inspect.getdoc(function) or ""
    return f"### `{name}`\n\n```python\n{_signature(name.rsplit('.', 1)[-1], function)}\n```\n\n{documented}"


def _signature(name: str, function: Callable[..., Any]) -> str:
    """Return the signature, an argument a line where it is long."""
    signature = inspect.signature(function)
    plain = signature.replace(
        parameters=[one.replace(annotation=_annotation(one.annotation)) for one in signature.parameters.values()],
        return_annotation=_annotation(signature.return_annotation),
    )
    line = f"{name}{plain}"
    if len(line) <= 100:
        return line
    arguments = [str(one) for one in plain.parameters.values()]
    kinds = [one.kind for one in plain.parameters.values()]
    if inspect.Parameter.KEYWORD_ONLY in kinds and inspect.Parameter.VAR_POSITIONAL not in kinds:
        arguments.insert(kinds.index(inspect.Parameter.KEYWORD_ONLY), "*")
    result = "" if plain.return_annotation is inspect.Signature.empty else f" -> {plain.return_annotation}"
    return f"{name}(\n" + "".join(f"    {argument},\n" for argument in arguments) + f"){result}"


class _AsWritten:
    """An annotation that prints as one would write it, without the modules of its names."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text


def _annotation(annotation: Any) -> Any:
    if annotation is inspect.Signature.empty:
        return annotation
    text = inspect.formatannotation(annotation)
    for module in ("collections.abc.", "typing.", "problems.types.", "rewards.types.", "rewards.math.tree."):
        text = text.replace(module, "")
    return _AsWritten(text)
