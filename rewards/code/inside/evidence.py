"""What data an object that the tests did not construct shows, before it sees what it is compared with.

One that iterates over 1, 2, 3 may equal `[1, 2, 3]`; one that `float()` makes 5 of, or whose only attribute is 5, may equal 5,
and be less than 6. It has to say one value, of the kind that the tests compare with, and can guess no better than by that value
itself. What operators make of such objects has to be what they make of the values that are shown: else it is a guess of another
value, and what one object shows as a number, a truth and a text has to be one value too. Standard library only.
"""

import contextlib
import itertools
import math
import operator
import re
from collections.abc import Callable
from typing import Any

from rewards.code.inside.standins import Standin, reference

_MAX_ITEMS = 1000
_COLLECTIONS = (list, tuple, set, frozenset)
_NOTHING = object()
_CONVERSIONS = ("__int__", "__float__", "__index__")
_TEXTS = ("__str__", "__repr__", "__format__")
_UNARY = ("__neg__", "__pos__", "__abs__", "__invert__")
_WHOLE: dict[str, Callable[[Any], Any]] = {"__trunc__": math.trunc, "__floor__": math.floor, "__ceil__": math.ceil}
_NUMBER = re.compile(r"[-+]?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?")


def expects(name: str, instance: Any, value: Any, ask_number: Callable[[str, int], Any]) -> Any:
    """Return what a comparison with `value` should give, by what an object shows; None where it shows nothing."""
    try:
        shown = _view(instance, value, ask_number)
        known = _known(instance)
        if shown is _NOTHING or "doubtful" in known or known.setdefault(type(shown), shown) != shown:
            return None  # it shows now this, now that
        return bool(getattr(operator, name)(shown, value))
    except Exception:
        return None


def _view(instance: Any, value: Any, ask_number: Callable[[str, int], Any]) -> Any:
    """Return the one value of the type of `value` that an object shows."""
    kind = type(instance)
    if type(value) is dict and hasattr(kind, "keys"):
        return {key: instance[key] for key in _items(instance)}
    if type(value) in _COLLECTIONS and (hasattr(kind, "__iter__") or hasattr(kind, "__getitem__")):
        return type(value)(_items(instance))
    own = _own_names(kind)
    if type(value) is str and "__str__" in own:
        return str(instance)
    if type(value) in (int, float) and not own.isdisjoint(("__int__", "__float__", "__index__")):
        return (float if "__float__" in own else int)(instance)
    held = _content(instance, ask_number)
    return held if type(held) is type(value) else _NOTHING


def _own_names(kind: type) -> set[str]:
    return {name for base in kind.__mro__ if "_described" in base.__dict__ for name in base.__dict__}


def _items(instance: Any) -> list[Any]:
    items = []
    for item in instance:
        items.append(item)
        if len(items) > _MAX_ITEMS:
            raise ValueError
    return items


# -- operators, and several values of one object ---------------------------------------------------------------------------


def doubt(instance: Any) -> None:
    """Note that an operator made an object of what does not show it: what it shows is no evidence."""
    _known(instance)["doubtful"] = True


def agrees(name: str, args: Any, value: Any) -> bool:
    """Return whether what an object gave as a number, a truth or a text is one value, and no doubtful one."""
    instance = args[0]
    known = _known(instance)
    if "doubtful" in known and (
        name in (*_CONVERSIONS, "__bool__") or (name == "__str__" and hasattr(type(instance), "__len__"))
    ):
        return False
    if name in _TEXTS:
        known.setdefault("texts", {}).setdefault(args[1] if name == "__format__" else "", value)
    elif name in (*_CONVERSIONS, "__bool__") and known.setdefault(name, value) != value:
        return False  # another number than before
    numbers = [known[name] for name in _CONVERSIONS if name in known]
    if not numbers:
        return True
    if max(numbers) - min(numbers) >= 1 or known.get("__bool__", bool(numbers[0])) is not bool(numbers[0]):
        return False
    return all(_speaks_of(spec, text, numbers) for spec, text in known.get("texts", {}).items())


def _speaks_of(spec: Any, text: Any, numbers: list[Any]) -> bool:
    """Return whether a text writes a number: as a number, a ratio, in another base, or in Roman letters."""
    if type(text) is not str or type(spec) is not str:
        return False
    for number in numbers:
        with contextlib.suppress(ValueError, OverflowError):
            if spec and format(number, spec) == text:
                return True
    written = [abs(float(found)) for found in _NUMBER.findall(text.replace(",", "")[:1000])]
    if not written:
        return bool(text) and set(text) <= set("IVXLCDM") and text != text[::-1]
    ratios = [one / other for one, other in itertools.pairwise(written) if other]
    return any(math.isclose(one, abs(n), rel_tol=1e-2) for n in numbers for one in [*written, *ratios])


def orders(name: str, instance: Any, other: Any, answer: Any, ask_number: Callable[[str, int], Any]) -> bool:
    """Return whether a comparison of two objects is that of their numbers, if they show some."""
    with contextlib.suppress(Exception):
        shown = [_shown(one, ask_number) for one in (instance, other)]
        if _NOTHING in shown:
            shown = [float(_text(one)) for one in (instance, other)]
        if all(type(one) in (int, float) for one in shown):
            return answer is getattr(operator, name)(*shown)
    return True


def _text(instance: Any) -> Any:
    texts = _known(instance).setdefault("texts", {})
    if "" not in texts and "__str__" in _own_names(type(instance)):
        texts[""] = str(instance)
    return texts[""]


def is_in_place(name: str) -> bool:
    """Return whether an operator may change its operand."""
    return name.startswith("__i") and name != "__invert__"


def before(args: Any, ask_number: Callable[[str, int], Any]) -> list[Any]:
    """Return what the operands show before an operator changes one; what they say from then on is compared anew."""
    shown: list[Any] = [_NOTHING]
    with contextlib.suppress(Exception):
        shown = [_shown(arg, ask_number) for arg in args]
        shown = [list(one) if type(one) is list else one for one in shown]
    known = _known(args[0])
    is_guess = "doubtful" in known
    known.clear()
    if is_guess:
        doubt(args[0])
    return shown


def changed(name: str, instance: Any, shown: list[Any], ask_number: Callable[[str, int], Any]) -> None:
    """Doubt an object that was changed in place into another value than the operator makes of what was shown."""
    reference(instance).face = None
    with contextlib.suppress(Exception):
        made = _shown(instance, ask_number)
        if _NOTHING not in shown and made is not _NOTHING and any(_same(r, made) for r in _results(name, shown)):
            return
    doubt(instance)


def is_doubtful(instance: Any) -> bool:
    """Return whether what an object shows is no evidence."""
    return "doubtful" in _known(instance)


def proves(name: str, args: Any, value: Any, ask_number: Callable[[str, int], Any]) -> bool:
    """Return whether an operator gave what it gives for the values that its operands show."""
    with contextlib.suppress(Exception):
        if name == "__getitem__":
            made = value if isinstance(value, list | tuple | str) else _items(value)
            return _same(made if isinstance(made, str) else list(made), _piece(args[0], args[1], len(made)))
        shown = [_shown(arg, ask_number) for arg in args]
        made = _shown(value, ask_number)
        return made is not _NOTHING and _NOTHING not in shown and any(_same(r, made) for r in _results(name, shown))
    return False


def _results(name: str, shown: list[Any]) -> list[Any]:
    """Return what an operator may give: for two lists also item by item, and their product."""
    if name in _WHOLE:
        return [_WHOLE[name](shown[0])]
    if name == "__round__":
        return [round(*shown)]
    function = _function(name)
    if name in _UNARY:
        return [[function(item) for item in shown[0]] if type(shown[0]) is list else function(shown[0])]
    one, other = shown if not name.startswith("__r") or name == "__rshift__" else reversed(shown)
    made = []
    with contextlib.suppress(TypeError):
        made.append(function(one, other))
    with contextlib.suppress(TypeError):
        made.append(function(set(one), set(other)))
    if type(one) is list or type(other) is list:
        pairs = list(zip(*(side if type(side) is list else [side] * 10_000 for side in (one, other)), strict=False))
        with contextlib.suppress(TypeError):
            made += [[function(*pair) for pair in pairs] if name != "__matmul__" else _NOTHING, sum(a * b for a, b in pairs)]
    return made


def _piece(instance: Any, asked: slice, length: int) -> Any:
    """Return what a slice of so many items should hold; of an endless object without looking further."""
    start, stop = asked.start or 0, asked.stop
    if asked.step in (None, 1) and type(stop) is int and 0 <= start <= stop == start + length:
        return [instance[place] for place in range(start, stop)]
    if "__iter__" not in _own_names(type(instance)) and "__getitem__" not in _own_names(type(instance)):
        return _NOTHING
    return _items(instance)[asked]


def _function(name: str) -> Callable[..., Any]:
    bare = name.strip("_")[is_in_place(name) :]  # in place, it would change the list that was shown
    for known in (bare, f"{bare}_", bare[1:], f"{bare[1:]}_"):
        if bare in ("divmod", "rdivmod"):
            return divmod
        if hasattr(operator, f"__{known.strip('_')}__"):
            found: Callable[..., Any] = getattr(operator, f"__{known.strip('_')}__")
            return found
    raise TypeError


def _same(one: Any, other: Any) -> bool:
    if type(one) in (int, float) and type(other) in (int, float):
        return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-12)
    if type(one) is set and type(other) is list:
        return one == set(other)
    if type(one) in (list, tuple) and type(other) in (list, tuple) and len(one) == len(other):
        return all(_same(*pair) for pair in zip(one, other, strict=True))
    return bool(one == other)


def _shown(value: Any, ask_number: Callable[[str, int], Any]) -> Any:
    """Return the one value that an operand stands for: itself, or what it shows as a number or a list."""
    if not isinstance(value, Standin):
        return list(value) if type(value) is tuple else value
    kind, known = type(value), _known(value)
    if "doubtful" in known:
        return _NOTHING
    if "__iter__" in _own_names(kind) or "__getitem__" in _own_names(kind):
        return _NOTHING if hasattr(kind, "keys") else _items(value)
    shown = _view(value, 0, ask_number) if not _own_names(kind).isdisjoint(_CONVERSIONS) else _content(value, ask_number)
    if shown is not _NOTHING and known.setdefault("operand", shown) != shown:
        return _NOTHING
    return shown


def _content(value: Any, ask_number: Callable[[str, int], Any]) -> Any:
    held = ask_number("content", reference(value).number)
    return held[0] if type(held) is list and len(held) == 1 and not isinstance(held[0], Standin) else _NOTHING


def _known(instance: Any) -> dict[Any, Any]:
    known: dict[Any, Any] = reference(instance).facts.setdefault("shown", {})
    return known
