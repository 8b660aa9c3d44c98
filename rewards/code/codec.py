"""The closed data format in which values cross between processes: JSON, with one-key objects for what JSON lacks.

    {"i": "0x.."} large int    {"t": [..]} tuple    {"s": [..]} set    {"f": [..]} frozenset    {"d": [[k, v]..]} dict
    {"b": hex} bytes    {"B": hex} bytearray    {"c": [re, im]} complex    {"r": [start, stop, step]} range
    {"q": [..]} deque    {"D": text} Decimal    {"F": [n, d]} Fraction    {"n": [dtype, shape, flat]} numpy array
    {"y": [name, text]} date, time, datetime    {"Y": [days, seconds, microseconds]} timedelta
    {"T": name} a type or function of the language    {"h": [id, kind, name]} a handle

Values are taken by exact type; a subclass of a plain type (an IntEnum, a Counter, a list that lies about its length) counts
as its base, read through the base's own methods. Nothing here evaluates, imports or instantiates what a message names, and
everything is linear in the size of the message. Standard library only.
"""

import builtins
import datetime
import math
from collections import deque
from collections.abc import Callable, Iterator
from decimal import Decimal
from fractions import Fraction
from itertools import islice
from typing import Any

MAX_DEPTH = 150
MAX_ITEMS = 2_000_000
_SMALL = 2**63
_SCALARS = (type(None), bool, str, float)
_PLAIN_BASES: tuple[type, ...] = (str, int, float, list, tuple, dict, set, frozenset, bytes, bytearray, complex)
ITERATORS: tuple[type, ...] = (Iterator, type({}.keys()), type({}.values()), type({}.items()))
_DATES: dict[str, Any] = {"date": datetime.date, "time": datetime.time, "datetime": datetime.datetime}
_NUMPY_KINDS = "biufcU"
# Types and functions of the language itself may be named; none of them reaches a file, a module or a name space.
_NAMEABLE = {
    name: value
    for name, value in vars(builtins).items()
    if (isinstance(value, type) and not issubclass(value, BaseException))
    or name in ("abs", "all", "any", "bin", "chr", "divmod", "hex", "len", "max", "min", "ord", "pow", "round", "sorted", "sum")
}
_NAMES = {id(value): name for name, value in _NAMEABLE.items()}
Export = Callable[[Any], list[Any] | None]  # returns [id, kind, name], or None for what may not cross


class CodecError(Exception):
    """A value that cannot cross, or a message that is not in the format."""


class NotPlainData(CodecError):
    """A value of a type that the format does not know."""


class Encoder:
    """Turns values into JSON data. `export` makes handles; `flatten` takes iterators, views and arrays as lists."""

    def __init__(self, export: Export | None = None, flatten: bool = False):
        self.export = export
        self.flatten = flatten
        self.items = 0

    def encode(self, value: Any, depth: int = 0) -> Any:
        """Return `value` as JSON data; raises CodecError."""
        kind = type(value)
        if kind in _SCALARS:
            return value
        if kind is int:
            return value if -_SMALL <= value < _SMALL else {"i": hex(value)}
        if depth > MAX_DEPTH:
            raise CodecError(f"nested deeper than {MAX_DEPTH}")
        if kind is list:
            return self._all(value, depth)
        if kind is tuple:
            return {"t": self._all(value, depth)}
        if kind is dict:
            return {"d": [[self.encode(k, depth + 1), self.encode(v, depth + 1)] for k, v in self._counted(value.items())]}
        if kind is set:
            return {"s": self._all(value, depth)}
        if kind is frozenset:
            return {"f": self._all(value, depth)}
        if kind is bytes:
            return {"b": value.hex()}
        if kind is bytearray:
            return {"B": value.hex()}
        return self._rare(value, kind, depth)

    def _counted(self, values: Any) -> Any:
        self.items += len(values)
        if self.items > MAX_ITEMS:
            raise CodecError(f"more than {MAX_ITEMS} items")
        return values

    def _all(self, values: Any, depth: int) -> list[Any]:
        return [self.encode(item, depth + 1) for item in self._counted(values)]

    def _rare(self, value: Any, kind: type, depth: int) -> Any:
        if kind is complex:
            return {"c": [value.real, value.imag]}
        if kind is range:
            return (
                self._all(list(self._limited(value)), depth) if self.flatten else {"r": [value.start, value.stop, value.step]}
            )
        if kind is deque:
            return self._all(list(value), depth) if self.flatten else {"q": self._all(list(value), depth)}
        if kind is Decimal:
            return {"D": Decimal.__str__(value)}
        if kind is Fraction:
            return {"F": [hex(value.numerator), hex(value.denominator)]}
        if kind in _DATES.values() and getattr(value, "tzinfo", None) is None:
            return {"y": [kind.__name__, value.isoformat()]}
        if kind is datetime.timedelta:
            return {"Y": [value.days, value.seconds, value.microseconds]}
        if kind.__module__ == "numpy":
            return self._numpy(value, depth)
        for base in _PLAIN_BASES:
            if issubclass(kind, base):
                return self.encode(_as_base(value, base), depth)
        if id(value) in _NAMES:
            return {"T": _NAMES[id(value)]}
        if self.flatten and issubclass(kind, ITERATORS):
            return self._all(list(self._limited(value)), depth)
        handle = self.export(value) if self.export else None
        if handle is None:
            raise NotPlainData(f"a value of type {kind.__name__}, which is not plain data")
        return {"h": handle}

    def _limited(self, values: Any) -> Iterator[Any]:
        taken = list(islice(values, MAX_ITEMS + 1))
        if len(taken) > MAX_ITEMS:
            raise CodecError(f"more than {MAX_ITEMS} items")
        return iter(taken)

    def _numpy(self, value: Any, depth: int) -> Any:
        if not hasattr(value, "tolist"):
            raise CodecError(f"a value of type numpy.{type(value).__name__}")
        if getattr(value, "shape", ()) == () or self.flatten or value.dtype.kind not in _NUMPY_KINDS:
            return self.encode(value.tolist(), depth + 1)
        return {"n": [value.dtype.str, list(value.shape), self._all(value.ravel().tolist(), depth)]}


def _as_base(value: Any, base: type) -> Any:
    """Return what an instance of a subclass of `base` holds, without calling anything the subclass defines."""
    if base is int:
        return int.__add__(value, 0)
    if base is float:
        return float.__add__(value, 0.0)
    if base is str:
        return str.__str__(value)
    if base is dict:
        return dict(zip(dict.keys(value), dict.values(value), strict=True))
    if base is complex:
        return complex.__add__(value, 0j)
    if base in (bytes, bytearray):
        return base(memoryview(value))
    iterate: Callable[[Any], Any] = base.__iter__  # type: ignore[attr-defined]
    return base(iterate(value))


class Decoder:
    """Turns JSON data back into values. `resolve` gives meaning to handles: [id, kind, name] -> object."""

    def __init__(self, resolve: Callable[[list[Any]], Any] | None = None):
        self.resolve = resolve

    def decode(self, node: Any, depth: int = 0) -> Any:
        """Return the value; raises CodecError on anything that is not in the format."""
        kind = type(node)
        if kind in _SCALARS or kind is int:
            return node
        if depth > MAX_DEPTH + 2:
            raise CodecError("nested too deep")
        if kind is list:
            return [self.decode(item, depth + 1) for item in node]
        if kind is not dict or len(node) != 1:
            raise CodecError("not a value")
        ((tag, body),) = node.items()
        try:
            return self._tagged(tag, body, depth + 1)
        except CodecError:
            raise
        except (TypeError, ValueError, KeyError, IndexError, ArithmeticError, AttributeError) as error:
            raise CodecError(f"a malformed {tag!r}: {type(error).__name__}") from None

    def _all(self, body: Any, depth: int) -> list[Any]:
        if type(body) is not list:
            raise CodecError("not a list")
        return [self.decode(item, depth) for item in body]

    def _tagged(self, tag: str, body: Any, depth: int) -> Any:
        match tag:
            case "t":
                return tuple(self._all(body, depth))
            case "d":
                return {self.decode(key, depth): self.decode(value, depth) for key, value in body}
            case "s":
                return set(self._all(body, depth))
            case "f":
                return frozenset(self._all(body, depth))
            case "i":
                return int(body, 16)
            case "b":
                return bytes.fromhex(body)
            case "B":
                return bytearray.fromhex(body)
            case "c":
                return complex(*map(float, body))
            case "r":
                return range(*body)
            case "q":
                return deque(self._all(body, depth))
            case "D":
                return Decimal(body)
            case "F":
                return Fraction(int(body[0], 16), int(body[1], 16))
            case "y":
                return _DATES[body[0]].fromisoformat(body[1])
            case "Y":
                return datetime.timedelta(*body)
            case "n":
                return self._array(body, depth)
            case "T":
                return _NAMEABLE[body]
            case "h" if self.resolve and type(body) is list and len(body) == 3:
                return self.resolve(body)
        raise CodecError(f"an unknown tag {tag!r}")

    def _array(self, body: Any, depth: int) -> Any:
        import numpy as np  # only where the other side had it

        dtype, shape, flat = body
        if np.dtype(dtype).kind not in _NUMPY_KINDS or len(flat) != math.prod(shape):
            raise CodecError("not an array")
        return np.array(self._all(flat, depth), dtype=dtype).reshape(shape)


def encode(value: Any, *, export: Export | None = None, flatten: bool = False) -> Any:
    """Return `value` as JSON data; raises CodecError."""
    return Encoder(export, flatten).encode(value)


def decode(node: Any, resolve: Callable[[list[Any]], Any] | None = None) -> Any:
    """Return the value of JSON data; raises CodecError."""
    return Decoder(resolve).decode(node)
