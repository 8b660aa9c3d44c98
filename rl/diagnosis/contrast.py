"""Rules about what there is to compare in a group: completions that are all alike, all unpaid or all paid.

There is a gradient where the rewards of a group differ. How many groups of the run could have such contrast is bounded by how
many completions were seen, since fewer may be drawn than the run draws.
"""

from rl.diagnosis.chances import at_most, with_contrast
from rl.diagnosis.figures import FEW_GROUPS, NOTHING, Figures, Finding, Severity, found
from rl.diagnosis.usual import percent

_LITTLE_CONTRAST = 0.1  # of the groups
_FAIR_SHARE = 1 / 3  # of groups that may have contrast after all: too many to say that the run will not learn


def always_the_same(f: Figures) -> Finding | None:
    """The completions of a group are nearly all the same text, so there is nothing to compare."""
    if f.distinct is None or f.contrast is None or f.groups < FEW_GROUPS:
        return None
    size = f.group_drawn
    if f.contrast > 0.1 or f.distinct > max(1.5 / size, 0.2):
        return None
    heat = f.config.sampling.temperature
    words = f"The {size:.0f} completions of a group are nearly all the same text ({f.distinct * size:.1f} different ones)."
    if heat < 0.8:
        return found("always_the_same", "stops", words, "sampling.temperature", f"{heat:g}", "1.0")
    words += " The policy is certain of what it writes."
    present = f"{f.config.algorithm.entropy_coef:g}"
    return found("always_the_same", "stops", words, "algorithm.entropy_coef", present, "0.001, or harder problems")


def group_too_small(f: Figures) -> Finding | None:
    """Groups so small that most show no contrast where larger ones would."""
    size = f.config.algorithm.group_size
    if size >= 4 or f.contrast is None or f.paid is None or f.groups < FEW_GROUPS or f.contrast >= 0.5:
        return None
    if not NOTHING < f.paid < 0.98:
        return None
    words = (
        f"With {size} completions a group only {percent(f.contrast)} of the groups have contrast; {percent(f.paid)} are paid."
    )
    return found("group_too_small", "slows", words, "algorithm.group_size", str(size), "8")


def nothing_marked(f: Figures) -> Finding | None:
    """No completion marks an answer, right or wrong."""
    if f.unparsed is None or f.unparsed < 0.8 or not f.is_unpaid or f.groups < FEW_GROUPS:
        return None
    words = f"In {percent(f.unparsed)} of the completions no answer can be read: the model does not mark one."
    if "boxed" in f"{f.config.prompt.template}{f.config.prompt.system}":
        present = f.config.model.path
        return found(
            "nothing_marked", "stops", words, "model.path", present, "a cold start (reasonlab sft) that teaches the form"
        )
    proposed = '"{prompt}\\nPut your final answer within \\\\boxed{}."; or a cold start (reasonlab sft)'
    return found("nothing_marked", "stops", words, "prompt.template", repr(f.config.prompt.template), proposed)


def too_hard(f: Figures) -> Finding | None:
    """In nearly no group is anything paid."""
    if f.all_unpaid is None or f.paid is None or not _is_told(f) or f.all_unpaid < 0.9:
        return None
    proposed = "easier ones to begin with, or a cold start (reasonlab sft)"
    words = f"In {percent(f.all_unpaid)} of the groups no completion is paid: "
    if (f.contrast or 0) - (1 - f.all_unpaid) >= _LITTLE_CONTRAST:  # of penalties, or of abstentions that pay
        words += "what differs in a group is what it costs to be wrong, long or silent, and that is what will be learnt."
        return found("too_hard", "slows", words, "problems", f.sources, proposed)
    could = _could_contrast(f, f.paid)
    words += "the problems are too hard for this model, and without contrast there is no gradient."
    return found("too_hard", _severity(could), words + _bound(f, could, f.paid, "paid"), "problems", f.sources, proposed)


def too_easy(f: Figures) -> Finding | None:
    """In nearly every group everything is paid."""
    if f.all_paid is None or f.paid is None or not _is_told(f) or f.all_paid < 0.9 or f.has_no_baseline:
        return None
    words = f"In {percent(f.all_paid)} of the groups every completion is paid alike: there is nothing left to learn here."
    could = _could_contrast(f, 1 - f.paid)
    return found(
        "too_easy", _severity(could), words + _bound(f, could, 1 - f.paid, "unpaid"), "problems", f.sources, "harder ones"
    )


def no_contrast(f: Figures) -> Finding | None:
    """Groups are all unpaid or all paid, a part of them each: no problem is one that the model sometimes solves."""
    if f.contrast is None or not _is_told(f) or f.contrast >= _LITTLE_CONTRAST or group_too_small(f):
        return None
    if f.has_no_baseline or any(rule(f) for rule in (nothing_marked, too_hard, too_easy)):
        return None
    words = (
        f"Only {percent(f.contrast)} of the groups have contrast: in {percent(f.all_unpaid or 0)} no completion is paid, in "
        f"{percent(f.all_paid or 0)} every one is. Without contrast there is no gradient."
    )
    is_like_the_run = f.group_drawn >= f.config.algorithm.group_size
    could = at_most(round(f.contrast * f.groups), f.groups) if is_like_the_run else 1.0
    severity: Severity = _severity(could) if f.contrast <= NOTHING else "slows"
    return found("no_contrast", severity, words, "problems", f.sources, "problems that it solves sometimes, not always")


def _is_told(f: Figures) -> bool:
    """Whether groups tell of the run's: where they were drawn shorter (no `cut`), the long completions may differ."""
    return f.groups >= FEW_GROUPS and f.cut is not None


def _could_contrast(f: Figures, share: float) -> float:
    """Return the largest share of the run's groups that can have contrast, where `share` of the completions differ."""
    seen = round(share * f.scored)
    return with_contrast(min(0.5, at_most(seen, f.scored)), f.config.algorithm.group_size)


def _severity(could_contrast: float) -> Severity:
    return "slows" if could_contrast > _FAIR_SHARE else "stops"


def _bound(f: Figures, could_contrast: float, share: float, what: str) -> str:
    """Return in words that too little was seen to be sure, nothing where enough was."""
    if could_contrast <= _FAIR_SHARE:
        return ""
    size, count = f.config.algorithm.group_size, round(share * f.scored)
    return (
        f" But only {f.scored} completions were seen, {count or 'none'} of them {what}: of groups of {size}, as the run draws "
        f"them, at most {percent(could_contrast)} have contrast. With more completions this is known better."
    )
