"""Verifiers of one's own: `reward: {python: my_verifier.py:verify}`, or `reward: {entry_point: name}` of an installed package.

Two kinds of functions are taken, told apart by the names of their parameters:

- a verifier, (Problem, completion, Reading) -> Verdict, called with three values in this order;
- a reward function of TRL's, f(prompts, completions, **columns) -> [number or None]. TRL hands everything over by name, so such
  a function has a parameter called `completions`, `prompts` or `completion_ids`, or takes anything (`**kwargs`) and nothing
  else; a verifier has none of these.

It judges every problem of the run, whatever its domain, and may call `rewards.verifiers.verify` for those that it leaves to
the lab. It runs in the pool's worker processes.

Whatever goes wrong with it (an exception, a hang, a value that is no verdict) is the
verdict `error` and says what; nothing of it is the answer's fault. A score of 1 is `correct`, all others are `wrong` and are
paid as they are, so that accuracy counts whole points only.

An installed package offers one by `[project.entry-points."reasonlab.verifiers"]`, `name = "module:function"`.
"""

import inspect
import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict

from problems.ownfile import blamed, hash_of, in_words, load
from problems.types import Problem, ProblemError
from rewards.abstaining import abstained
from rewards.types import NOT_FINITE, STATUSES, Reading, Verdict, Verifier

GROUP = "reasonlab.verifiers"
CompletionForm = Literal["messages", "text"]
FORMS: tuple[str, ...] = get_args(CompletionForm)
_BY_NAME = {"prompts", "completions", "completion_ids"}  # what TRL calls what it hands over
_NOT_HERE = {"completion_ids", "trainer_state", "environments"}  # of it, what no verifier process has
_COUNTED_AS_REFERENCE = ("answer", "ground_truth", "solution")  # what TRL's data sets call it
_MOST_CHARACTERS = 300  # of a verdict's detail
Function = Callable[..., Any]


class _Unusable(ValueError):
    """What a function returned cannot be paid; the message says why."""


class _NotFinite(_Unusable):
    """What a function returned is NaN or infinite."""


class OwnVerifier(BaseModel):
    """Which function judges, as a verifier process is told: exactly one of `python` and `entry_point`."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    python: str | None = None  # FILE.py:NAME
    entry_point: str | None = None
    file_hash: str | None = None  # of the file that defines it; another file is not what the run began with
    completions: CompletionForm = "messages"  # how a TRL function gets them

    @property
    def label(self) -> str:
        """What messages call it."""
        return Path(self.python).name if self.python else str(self.entry_point)

    def checked(self) -> "OwnVerifier":
        """Return it with an absolute path and its hash; raises ProblemError where it cannot be used."""
        function, file_hash = _found(self)
        is_trl(function, self.label)
        if self.file_hash not in (None, file_hash):
            raise ProblemError(f"{self.label} has changed: its hash was {self.file_hash}, now it is {file_hash}")
        file, _, name = (self.python or "").rpartition(":")
        path = f"{Path(file).expanduser().resolve()}:{name}" if self.python else None
        return self.model_copy(update={"python": path, "file_hash": file_hash})


def named(text: str) -> OwnVerifier:
    """Return what a command line names: FILE.py:NAME, or else an entry point."""
    return OwnVerifier(python=text) if ".py" in text else OwnVerifier(entry_point=text)


def _found(own: OwnVerifier) -> tuple[Function, str | None]:
    """Return the function and the hash of the file that defines it."""
    if (own.python is None) == (own.entry_point is None):
        raise ProblemError("give exactly one of reward.python (FILE.py:NAME) and reward.entry_point")
    if own.python is None:
        return _of_package(str(own.entry_point))
    path, colon, name = own.python.rpartition(":")
    if not colon or not path.endswith(".py"):
        raise ProblemError(f"reward.python must be FILE.py:NAME, as in my_verifier.py:verify; found {own.python!r}")
    file = load(path)
    function = getattr(file.module, name, None)
    if not callable(function):
        mine = [key for key, value in vars(file.module).items() if getattr(value, "__module__", "") == file.module.__name__]
        raise ProblemError(f"{path} defines no function {name!r}; it defines: {', '.join(mine) or 'nothing'}")
    return function, file.hash


def _of_package(name: str) -> tuple[Function, str | None]:
    from importlib.metadata import entry_points  # takes its time as well

    offered = entry_points(group=GROUP)
    matching = [entry for entry in offered if entry.name == name]
    if len(matching) != 1:
        known = ", ".join(sorted(entry.name for entry in offered)) or "none"
        several = "several packages offer" if matching else "no installed package offers"
        raise ProblemError(f"{several} an entry point {name!r} of the group {GROUP}; there are: {known}")
    with blamed(f"loading the entry point {name!r} ({matching[0].value})"):
        function = matching[0].load()
    if not callable(function):
        raise ProblemError(f"the entry point {name!r} ({matching[0].value}) is no function, it is {function!r:.60}")
    file = getattr(sys.modules.get(matching[0].module), "__file__", None)
    return function, hash_of(Path(file).read_bytes()) if file else None


def is_trl(function: Function, label: str) -> bool:
    """Tell a reward function of TRL's from a verifier; raises ProblemError for what is neither."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        raise ProblemError(f"{label}: Python cannot say what parameters it has: wrap it in a function of your own") from None
    kinds = {name: parameter.kind for name, parameter in signature.parameters.items()}
    takes_anything = set(kinds.values()) == {inspect.Parameter.VAR_KEYWORD}
    if takes_anything or _BY_NAME & set(kinds):
        missing = [name for name in signature.parameters if name in _NOT_HERE and _is_required(signature.parameters[name])]
        if missing:
            raise ProblemError(f"{label} needs {', '.join(missing)}, which a process that only judges texts does not have")
        return True
    try:
        signature.bind(None, None, None)
    except TypeError:
        fits = False
    else:
        fits = inspect.Parameter.VAR_POSITIONAL not in kinds.values()
    if not fits:
        raise ProblemError(
            f"{label}{signature} is neither a verifier (problem, completion, reading) nor a reward function of TRL's "
            f"(prompts, completions, **columns)"
        )
    return False


def _is_required(parameter: inspect.Parameter) -> bool:
    return parameter.default is inspect.Parameter.empty


def open_verifier(own: OwnVerifier) -> Verifier:
    """Return what judges with it and never raises: a function that cannot be opened any more judges `error`."""
    try:
        checked = own.checked()  # the file may have been edited since the run began
        function, _ = _found(checked)
        by_name = is_trl(function, own.label)
    except ProblemError as error:
        verdict = _error(str(error))
        return lambda problem, completion, reading: verdict
    judge = _trl_judge(function, own.completions) if by_name else function
    other = FORMS[1 - FORMS.index(own.completions)]

    def verify(problem: Problem, completion: str, reading: Reading) -> Verdict:
        hint = ""
        try:
            verdict = _checked(abstained(problem, completion, reading) or judge(problem, completion, reading))
            if verdict.status == "abstained" and reading.abstention is None:
                raise _Unusable("returned the status 'abstained', which prompt.abstention has to allow")
            return verdict
        except _NotFinite as error:
            return _error(f"{own.label} {error}", NOT_FINITE)
        except _Unusable as error:
            return _error(f"{own.label} {error}")
        except (Exception, SystemExit) as error:  # memory and recursion too: nothing says that the answer caused it
            if by_name and isinstance(error, TypeError | AttributeError | KeyError):
                hint = f"; it was handed {own.completions}, reward.completions={other} is the other form"
            return _error(f"{own.label}: {in_words(error)[: _MOST_CHARACTERS - 150]}{hint}")

    return verify


def _error(words: str, kind: str | None = None) -> Verdict:
    return Verdict(status="error", detail=words[:_MOST_CHARACTERS], kind=kind)


def _checked(verdict: Any) -> Verdict:
    """Return a verdict that can be paid and handed over; raises _Unusable that says what is wrong with it."""
    if not isinstance(verdict, Verdict):
        raise _Unusable(f"returned {verdict!r:.60}, expected a Verdict")
    texts = (verdict.extracted if verdict.extracted is not None else "", verdict.detail)
    if verdict.status not in STATUSES or not all(isinstance(text, str) for text in texts):
        raise _Unusable(f"returned {verdict!r:.120}: status is one of {', '.join(STATUSES)}, extracted and detail are texts")
    if verdict.kind is not None and (verdict.status, verdict.kind) != ("error", NOT_FINITE):
        raise _Unusable(f"returned the kind {verdict.kind!r:.40}; only verifiers of the lab have kinds")
    if verdict.score is None:
        return verdict
    score = _in_range(verdict.score)
    if (score == 1.0) != (verdict.status == "correct") or verdict.status not in ("correct", "wrong"):
        raise _Unusable(f"returned status {verdict.status} with score {score:g}: correct is 1, what is below is wrong")
    return replace(verdict, score=score)


def _in_range(value: Any) -> float:
    """Return a score; raises _Unusable for what is none."""
    try:
        score = None if isinstance(value, str) or not hasattr(value, "__float__") else float(value)
    except (
        TypeError,
        ValueError,
        RuntimeError,
        OverflowError,
    ):  # arrays and tensors have __float__, but not for several values
        score = None
    if score is None:
        raise _Unusable(f"returned {value!r:.60} as a score, expected a number between 0 and 1, or None")
    if not math.isfinite(score):
        raise _NotFinite(f"returned the score {score:g}, expected a number between 0 and 1, or None where it cannot score")
    if not 0.0 <= score <= 1.0:
        raise _Unusable(f"returned the score {score:g}, expected a number between 0 and 1: scale it")
    return score


def _trl_judge(function: Function, form: CompletionForm) -> Verifier:
    """Return the verifier that a reward function of TRL's makes, called for one completion at a time."""
    parameters = inspect.signature(function).parameters
    takes_all = any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters.values())

    def verify(problem: Problem, completion: str, reading: Reading) -> Verdict:
        handed = _arguments(problem, completion, form)
        missing = [name for name, one in parameters.items() if _lacks(one) and name not in handed]
        if missing:
            raise _Unusable(f"needs the column {missing[0]!r}; there are: {', '.join(sorted(handed))}")
        returned = function(**{name: value for name, value in handed.items() if takes_all or name in parameters})
        if inspect.isawaitable(returned):
            import asyncio  # takes its time, and few functions want it

            returned = asyncio.run(_awaited(returned))
        return _paid(returned)

    return verify


def _lacks(parameter: inspect.Parameter) -> bool:
    """Whether a parameter must be handed over."""
    gathers = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    return parameter.kind not in gathers and _is_required(parameter)


def _arguments(problem: Problem, completion: str, form: CompletionForm) -> Mapping[str, Any]:
    """Return what TRL would hand over for one row whose columns are the problem's checks and fields.

    The reference is also under the names that TRL's data sets use for it, unless the checks have a column of that name.
    """
    fields = ("id", "domain", "split", "reference", "difficulty", "source")
    columns = dict.fromkeys(_COUNTED_AS_REFERENCE, problem.reference)
    columns |= {name: getattr(problem, name) for name in fields} | dict(problem.checks)
    rows: dict[str, Any] = {name: [value] for name, value in columns.items()}
    if form == "messages":
        rows["prompts"] = [[{"role": "user", "content": problem.prompt}]]
        rows["completions"] = [[{"role": "assistant", "content": completion}]]
    else:
        rows["prompts"], rows["completions"] = [problem.prompt], [completion]
    # what TRL 1.x offers for logging goes nowhere: a verifier process has no table of completions
    return rows | {"log_extra": lambda column, values: None, "log_metric": lambda name, value: None}


async def _awaited(returned: Any) -> Any:
    return await returned


def _paid(returned: Any) -> Verdict:
    """Return the verdict of what a reward function said of one completion."""
    try:
        (value,) = returned
    except (TypeError, ValueError):
        raise _Unusable(f"returned {returned!r:.60}, expected a list of one number or None, for one completion") from None
    if value is None or (isinstance(value, float) and math.isnan(value)):  # TRL takes both for "cannot score this"
        kind = None if value is None else NOT_FINITE
        return _error(f"the reward function returned {value}: it cannot score this completion", kind)
    score = _in_range(value)
    if score in (0.0, 1.0):
        return Verdict(status="correct" if score else "wrong")
    return Verdict(status="wrong", score=score, detail=f"score {score:g}")
