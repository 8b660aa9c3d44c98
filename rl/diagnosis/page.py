"""A diagnosis as a page for people and as plain data for programs."""

import textwrap
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rl.diagnosis.figures import Figures, Finding
from rl.diagnosis.verdict import can_learn, verdict
from rl.types import Rollout

WIDTH = 100
_MOST_CHARACTERS = 700  # of a completion
_MOST_LINES = 14

Group = Sequence[Rollout]


def page(figures: Figures, findings: Sequence[Finding], groups: Sequence[Group], seconds: float) -> str:
    """Return the page: the verdict, the figures, what to change, and two completions as text."""
    parts = [
        *_wrapped(verdict(figures, findings)),
        "",
        *_table(figures),
    ]
    for note in figures.notes:
        parts += _wrapped(note, "  ")
    if findings:
        parts += ["", "What to change" if len(findings) == 1 else "What to change, the worst first"]
        for number, finding in enumerate(findings, start=1):
            parts += ["", *described(finding, f"{number}. ")]
    parts += ["", *_examples(groups, figures)]
    parts += ["", f"Measured in {seconds:.0f} s. Nothing was trained."]
    return "\n".join(parts)


def described(finding: Finding, head: str = "") -> list[str]:
    """Return the lines of one finding: words, and the setting with its present and its proposed value."""
    indent = " " * len(head)
    lines = _wrapped(finding.words, indent)
    lines[0] = head + lines[0].removeprefix(indent)
    change = f"{finding.setting} = {finding.present}  ->  {finding.proposed}"
    if len(change) + len(indent) + 3 <= WIDTH:
        return [*lines, f"{indent}   {change}"]
    return [
        *lines,
        *_wrapped(f"{finding.setting} = {finding.present}", indent + "   "),
        *_wrapped(f"->  {finding.proposed}", indent + "   "),
    ]


def _table(figures: Figures) -> list[str]:
    """Return the figures, two columns side by side."""
    f = figures
    drawn = f"{f.groups} problems, {f.completions} completions"
    left = [
        ("mean reward", _number(f.reward, 3)),
        ("paid", _percent(f.paid)),
        ("groups with contrast", _percent(f.contrast)),
        ("nothing paid / all paid", f"{_percent(f.all_unpaid)} / {_percent(f.all_paid)}"),
        ("cut by the limit", _percent(f.cut)),
        ("no answer read", _percent(f.unparsed)),
    ]
    right = [
        ("tokens, mean", _number(f.tokens_mean, 1)),
        ("tokens, 90 % within", _number(f.tokens_p90, 0)),
        ("limit", str(f.config.sampling.max_completion_tokens)),
        ("entropy", _with_unit(f.entropy, 2, "nats a token")),
        ("sampler and trainer apart", _with_unit(f.gap, None, "nats a token")),
        ("learning rate", f"{f.config.optimizer.learning_rate:g}"),
    ]
    lines = [f"  {f.config.model.path}: {drawn}"]
    for (name, value), (other, its) in zip(left, right, strict=True):
        lines.append(f"  {name:<26}{value:>13}      {other:<28}{its}".rstrip())
    return lines


def _examples(groups: Sequence[Group], figures: Figures) -> list[str]:
    """Return one completion that was paid and one that was not, from as early a problem as there is."""
    rollouts = [rollout for group in groups for rollout in group]
    lines: list[str] = []
    for name, is_wanted in (("A completion that is paid", True), ("A completion that is not paid", False)):
        found = [rollout for rollout in rollouts if ((rollout.reward.total or 0) > 0) == is_wanted]
        if not found:
            lines += [f"{name}: there is none."]
            continue
        lines += _example(name, found[0])
    return lines if rollouts else ["Nothing could be drawn."]


def _example(name: str, rollout: Rollout) -> list[str]:
    verdict_ = rollout.reward.verdict
    ended = "ended by itself" if rollout.completion.finish_reason == "stop" else "cut off"
    expected = rollout.problem.reference
    about = f"{verdict_.status}, {rollout.completion.num_tokens} tokens, {ended}"
    wanted = "" if expected is None else f", expected {_short(expected)}"
    head = f"{name} ({about}{wanted})"
    question = _short(rollout.problem.prompt.replace("\n", " "))
    return [*_wrapped(head), f"  asked: {question}", *_quoted(rollout.completion.text)]


def _quoted(text: str) -> list[str]:
    shown = text if len(text) <= _MOST_CHARACTERS else f"{text[: _MOST_CHARACTERS // 2]} [...] {text[-_MOST_CHARACTERS // 2 :]}"
    lines: list[str] = []
    for line in shown.split("\n"):
        # tabs and control characters of a model would break the page
        printable = "".join(one if one.isprintable() else "\ufffd" for one in line.replace("\t", "    "))
        lines += textwrap.wrap(printable, WIDTH - 4, drop_whitespace=False) or [""]
    if len(lines) > _MOST_LINES:
        lines = [*lines[: _MOST_LINES // 2], "[...]", *lines[-_MOST_LINES // 2 :]]
    return [f"  | {line}".rstrip() for line in lines]


def _short(text: str) -> str:
    return text if len(text) <= WIDTH - 12 else f"{text[: WIDTH - 16]} ..."


def _wrapped(text: str, indent: str = "") -> list[str]:
    return textwrap.wrap(
        text, WIDTH, initial_indent=indent, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.0f} %"


def _with_unit(value: float | None, digits: int | None, unit: str) -> str:
    if value is None:
        return "-"
    return f"{value:.1g} {unit}" if digits is None else f"{value:.{digits}f} {unit}"


def as_data(figures: Figures, findings: Sequence[Finding], groups: Sequence[Group], seconds: float) -> dict[str, Any]:
    """Return the same as plain data, for `--json`."""
    plain = {name: value for name, value in asdict(figures).items() if name != "config"}
    rollouts = [rollout for group in groups for rollout in group]
    paid = next((one for one in rollouts if (one.reward.total or 0) > 0), None)
    unpaid = next((one for one in rollouts if not (one.reward.total or 0) > 0), None)
    return {
        "verdict": verdict(figures, findings),
        "can_learn": can_learn(figures, findings),  # None: not known
        "findings": [asdict(finding) for finding in findings],
        "figures": plain,
        "examples": {"paid": _record(paid), "unpaid": _record(unpaid)},
        "seconds": round(seconds, 1),
    }


def _record(rollout: Rollout | None) -> dict[str, Any] | None:
    if rollout is None:
        return None
    return {
        "prompt": rollout.problem.prompt,
        "reference": rollout.problem.reference,
        "completion": rollout.completion.text,
        "status": rollout.reward.verdict.status,
        "reward": rollout.reward.total,
        "num_tokens": rollout.completion.num_tokens,
    }
