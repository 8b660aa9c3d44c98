"""Whether a run can learn, in one word and in one line."""

from collections.abc import Sequence

from rl.diagnosis.figures import FEW_GROUPS, Figures, Finding
from rl.diagnosis.usual import percent


def can_learn(figures: Figures, findings: Sequence[Finding]) -> bool | None:
    """Return whether a run can learn: not where something stops it, and None where what was drawn does not say."""
    if any(finding.severity == "stops" for finding in findings):
        return False
    what_teaches = figures.paid if figures.has_no_baseline else figures.contrast
    return None if figures.paid is None or not what_teaches else True


def verdict(figures: Figures, findings: Sequence[Finding]) -> str:
    """Return the first line of the page: whether the run can learn, and why."""
    known = can_learn(figures, findings)
    if known is False:
        stopping = next(finding for finding in findings if finding.severity == "stops")
        return f"This run will not learn as it stands: {_inner(stopping.words)}"
    if known is None:
        return f"Whether this run can learn is not known: {_unknown(figures)}"
    line = f"This run can learn: {percent(figures.contrast or 0)} of the groups have contrast, and "
    line += f"{percent(figures.paid or 0)} of the completions are paid."
    if findings:
        line += f" It would learn better: {_inner(findings[0].words)}"
    return line


def _unknown(f: Figures) -> str:
    """Return in words why nothing is known, and what would tell."""
    if f.paid is None:
        return "too few completions ended, or got a verdict, in the time there was (--seconds)."
    drawn = f"none of the {f.groups} groups of {f.group_drawn:.0f} that were drawn has contrast, {percent(f.paid)} are paid"
    more = (
        " Draw more of them (--problems)." if f.groups < FEW_GROUPS else " More completions would tell (--problems, --seconds)."
    )
    return f"{drawn}.{more}"


def _inner(words: str) -> str:
    """Return the first sentence of `words` as the second half of another."""
    first = words.split(". ", maxsplit=1)[0].split(": ", maxsplit=1)[0].rstrip(".") + "."
    return first[0].lower() + first[1:] if first[:2].isalpha() or first.startswith("A ") else first
