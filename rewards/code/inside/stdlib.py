"""The standard library's value types, and numpy's arrays, as lists of data and back: [name, parts..].

Each is read through its own type and rebuilt by its own constructor from checked parts; names come from closed tables.
Standard library only.
"""

import argparse
import array
import bisect
import builtins
import cmath
import collections
import datetime
import decimal
import fractions
import functools
import gc
import heapq
import importlib
import itertools
import math
import operator
import pathlib
import re
import sys
import types
import uuid
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, ItemsView, KeysView, ValuesView
from typing import Any

from rewards.code.codec import CodecError
from rewards.code.inside import typenotes

DATA_TYPES: tuple[type, ...] = (
    *(str, dict, list, tuple, set, frozenset, bytes, bytearray, complex, float, int, range, deque, Counter, OrderedDict),
    *(defaultdict, datetime.datetime, datetime.timedelta, decimal.Decimal, fractions.Fraction, array.array),
)
_NAMES_OF_DATA = frozenset(name for kind in DATA_TYPES for name in dir(kind) if not name.startswith("__"))
_dates: Any = types.SimpleNamespace(**vars(datetime))  # tests patch `datetime.datetime`
Take = Callable[[Any], Any]  # encodes, or decodes, one part
MUTABLE = (list, dict, set, bytearray, deque, OrderedDict, Counter, defaultdict, array.array)
_FUNCTIONS = "abs all any bin chr divmod hex len max min ord pow repr round sorted sum callable format hash isinstance"
_CALLING = ("call", "attrgetter", "itemgetter", "methodcaller")  # what they make is no value
_OPERATORS = frozenset(
    f"__{name}__"
    for name in [
        "add",
        "sub",
        "mul",
        "truediv",
        "floordiv",
        "mod",
        "pow",
        "and",
        "or",
        "xor",
        "neg",
        "eq",
        "ne",
        "lt",
        "le",
        "gt",
        "ge",
        "len",
    ]
)
_WITH_EXCEPTIONS = """
    builtins json.decoder decimal asyncio.exceptions asyncio.queues concurrent.futures._base concurrent.futures.thread re queue
    _queue struct zlib binascii csv _csv configparser copy shutil subprocess dataclasses sqlite3 graphlib statistics zoneinfo
    zoneinfo._common pickle _pickle urllib.error http.client http.cookies smtplib ftplib ssl socket email.errors
    xml.etree.ElementTree xml.parsers.expat xml.dom xml.sax._exceptions tarfile zipfile gzip _lzma argparse getopt calendar
    ipaddress locale tokenize tomllib plistlib threading multiprocessing.context wave netrc
"""
_EXCEPTION_MODULES = frozenset(_WITH_EXCEPTIONS.split())
_OTHER_EXCEPTIONS = ("numpy.linalg", "numpy.exceptions", "pandas.errors")  # where they are loaded: nothing is imported for them
_MODULES = ("random", "math", "time", "operator", "string", "itertools", "statistics")  # which each end has as its own
_PATHS: dict[str, Any] = {
    kind.__name__: kind for kind in (pathlib.PurePosixPath, pathlib.PureWindowsPath, pathlib.PosixPath, pathlib.PurePath)
}


def names_of_data() -> frozenset[str]:
    """Return the attributes that data has; numpy's too, where the tests use it."""
    numpy = sys.modules.get("numpy")
    if numpy is None:
        return _NAMES_OF_DATA
    return _NAMES_OF_DATA | {name for name in dir(numpy.ndarray) if not name.startswith("__")} - {"data", "size", "T", "flat"}


def _namespace(items: Any) -> Any:
    """Return a namespace; none whose functions would answer as the methods of data."""
    held = dict(items)
    if any(callable(value) and name in names_of_data() for name, value in held.items()):
        raise CodecError("a namespace that plays data")
    return types.SimpleNamespace(**held)


def _named() -> dict[str, Any]:
    """Return what may be named: types and harmless functions of the language, and types of the standard library's values."""
    table: dict[str, Any] = {
        name: value for name, value in vars(builtins).items() if isinstance(value, type) or name in _FUNCTIONS.split()
    }
    for module, names in (
        (collections, "Counter OrderedDict defaultdict deque ChainMap"),
        (datetime, "date time datetime timedelta timezone tzinfo"),
        (decimal, "Decimal"),
        (fractions, "Fraction"),
        (pathlib, "PurePath PurePosixPath PureWindowsPath Path PosixPath"),
        (uuid, "UUID"),
        (argparse, "Namespace"),
        (types, "NoneType FunctionType GeneratorType SimpleNamespace EllipsisType"),
    ):
        table.update({f"{module.__name__}.{name}": getattr(module, name) for name in names.split()})
    table["array.array"] = array.array
    table.update({f"module {name}": importlib.import_module(name) for name in _MODULES})
    return table | _functions() | typenotes.NAMED


def _functions() -> dict[str, Any]:
    """Return functions of the language that compute and do no more, and the methods of data as functions (`str.lower`)."""
    table: dict[str, Any] = {"functools.reduce": functools.reduce}
    for module in (operator, math, cmath, itertools, heapq, bisect):
        public = {name: value for name, value in vars(module).items() if not name.startswith("_") and callable(value)}
        table.update({f"{module.__name__}.{name}": value for name, value in public.items() if name not in _CALLING})
    for kind in DATA_TYPES[:11]:
        for name, value in vars(kind).items():
            plain = isinstance(value, types.MethodDescriptorType) and not name.startswith("__")
            if plain or (isinstance(value, types.WrapperDescriptorType) and name in _OPERATORS):
                table[f"{kind.__name__}.{name}"] = value
    return table


NAMED = _named()
NAMES: dict[int, str] = {}
for _name, _value in NAMED.items():
    NAMES.setdefault(id(_value), _name)  # the shortest name of what has several


def exception_class(module: Any, name: Any) -> type[BaseException] | None:
    """Return an exception class of the standard library, or None. What skips a test is none."""
    if type(name) is not str or not (module in _EXCEPTION_MODULES or (module in _OTHER_EXCEPTIONS and module in sys.modules)):
        return None
    if module != "builtins" and module not in sys.modules:
        importlib.import_module(module)
    kind = getattr(sys.modules[module], name, None)
    return kind if isinstance(kind, type) and issubclass(kind, BaseException) else None


# -- out -------------------------------------------------------------------------------------------------------------------


def zone_parts(zone: Any, take: Take) -> Any:
    """Return a time zone as data."""
    if zone is None:
        return None
    if type(zone) is _dates.timezone:
        return [take(zone.utcoffset(None)), zone.tzname(None)]
    key = getattr(zone, "key", None)
    if type(zone).__module__.startswith("zoneinfo") and isinstance(key, str):
        return key
    return None


def _time_parts(value: Any, take: Take) -> list[Any]:
    zone = zone_parts(value.tzinfo, take)
    if zone is None and value.utcoffset() is not None:  # a zone of the program's own: its offset here and now
        zone = [take(value.utcoffset()), value.tzname()]
    return [value.hour, value.minute, value.second, value.microsecond, value.fold, zone]


def _view(name: str) -> Callable[[Any, Take], list[Any]]:
    def parts(value: Any, take: Take) -> list[Any]:
        viewed = gc.get_referents(value.mapping)[0]  # a view shows what becomes of its dictionary: so that one goes over
        is_plain = type(viewed) in (dict, OrderedDict) and all(type(item) in _PLAIN for item in viewed.values())
        return [name, take(viewed), True] if is_plain else [name, take(tuple(value)), False]

    return parts


def _view_over(name: str) -> Callable[[Any, Take], list[Any]]:
    return lambda value, take: [name, take(value._mapping)]


def _match(value: Any, take: Take) -> list[Any]:
    if not isinstance(value.string, str | bytes):
        raise CodecError("a match in what is no text")
    return ["match", take(value.re), take(value.string), value.start(), value.end(), value.endpos]


_PLAIN = (type(None), bool, int, float, str)
_VIEWS: tuple[Any, ...] = (KeysView, ItemsView, ValuesView)  # of mappings of the program's own: rebuilt over what stands for it
ENCODERS: dict[type, Callable[[Any, Take], list[Any]]] = {
    range: lambda x, t: ["range", t(x.start), t(x.stop), t(x.step)],
    slice: lambda x, t: ["slice", t(x.start), t(x.stop), t(x.step)],
    type(...): lambda x, t: ["..."],
    type(NotImplemented): lambda x, t: ["not implemented"],
    decimal.Decimal: lambda x, t: ["Decimal", decimal.Decimal.__str__(x)],
    fractions.Fraction: lambda x, t: ["Fraction", t(x.numerator), t(x.denominator)],
    datetime.time: lambda x, t: ["time", *_time_parts(x, t)],
    datetime.datetime: lambda x, t: ["datetime", x.year, x.month, x.day, *_time_parts(x, t)],
    datetime.date: lambda x, t: ["date", x.year, x.month, x.day],
    datetime.timedelta: lambda x, t: ["timedelta", x.days, x.seconds, x.microseconds],
    datetime.timezone: lambda x, t: ["timezone", zone_parts(x, t)],
    uuid.UUID: lambda x, t: ["UUID", x.hex],
    array.array: lambda x, t: ["array.array", x.typecode, t(tuple(x.tolist()))],
    types.SimpleNamespace: lambda x, t: ["namespace", t(tuple(vars(x).items()))],
    argparse.Namespace: lambda x, t: ["options", t(tuple(vars(x).items()))],
    types.MappingProxyType: lambda x, t: ["proxy", t(tuple(dict(x).items()))],
    memoryview: lambda x, t: ["memoryview", t(x.tobytes())],
    re.Pattern: lambda x, t: ["pattern", t(x.pattern), x.flags],
    re.Match: _match,
    type({}.keys()): _view("keys"),
    type({}.values()): _view("values"),
    type({}.items()): _view("items"),
    collections.ChainMap: lambda x, t: ["ChainMap", t(tuple(x.maps))],
    **{kind: _view_over(kind.__name__) for kind in _VIEWS},
    **{
        kind: lambda x, t: ["path", next(k.__name__ for k in type(x).__mro__ if k.__name__ in _PATHS), str(x)]
        for kind in _PATHS.values()
    },
}
ENCODERS |= typenotes.ENCODERS
for _view_of in (OrderedDict[Any, Any](),):
    ENCODERS |= {
        type(_view_of.keys()): _view("keys"),
        type(_view_of.values()): _view("values"),
        type(_view_of.items()): _view("items"),
    }


def encode(value: Any, take: Take, kind: type | None = None) -> list[Any]:
    """Return a value of one of the types in `ENCODERS`, or of a subclass of `kind`, as [name, parts..]."""
    return ENCODERS[kind or type(value)](value, take)


# -- back ------------------------------------------------------------------------------------------------------------------


def zone_back(body: Any, take: Take) -> Any:
    """Return a time zone of the standard library."""
    if body is None:
        return None
    if isinstance(body, str):
        import zoneinfo

        return zoneinfo.ZoneInfo(body)
    offset = take(body[0])
    if type(offset) is not _dates.timedelta:
        raise CodecError("not an offset")
    zone = _dates.timezone(offset)
    return (
        _dates.UTC if not offset and body[1] == "UTC" else zone if body[1] == str(zone) else _dates.timezone(*[offset, body[1]])
    )


def _time_back(parts: list[Any], take: Take) -> dict[str, Any]:
    names = ("hour", "minute", "second", "microsecond", "fold")
    return {**dict(zip(names, parts, strict=False)), "tzinfo": zone_back(parts[5], take)}


def _match_back(parts: list[Any], take: Take) -> Any:
    """Return the match anew: found by the same pattern, at the same place, or refused."""
    pattern, text, start, end, last = take(parts[0]), take(parts[1]), parts[2], parts[3], parts[4]
    for found in (pattern.match(text, start, last), pattern.fullmatch(text, start, end)):
        if found is not None and found.span() == (start, end):
            return found
    raise CodecError("a match that does not match")


def _view_of_dict(name: str, apart: Callable[[Any], dict[Any, Any]]) -> Callable[[list[Any], Take], Any]:
    """Return the view of a dictionary, or, where that did not cross, of one made from what the view held."""

    def view(parts: list[Any], take: Take) -> Any:
        held, is_whole = take(parts[0]), parts[1]
        if is_whole and type(held) not in (dict, OrderedDict):
            raise CodecError("a view of what is no dictionary")
        return getattr(held if is_whole else apart(held), name)()

    return view


def _view_back(kind: Any) -> Callable[[list[Any], Take], Any]:
    return lambda parts, take: kind(take(parts[0]))


def _all_of(kind: type | tuple[type, ...], value: Any) -> Any:
    if not isinstance(value, kind):
        raise CodecError("a part of another type")
    return value


_DECODERS: dict[str, Callable[[list[Any], Take], Any]] = {
    "range": lambda p, t: range(*map(t, p)),
    "slice": lambda p, t: slice(*map(t, p)),
    "...": lambda p, t: ...,
    "not implemented": lambda p, t: NotImplemented,
    "Decimal": lambda p, t: decimal.Decimal(_all_of(str, p[0])),
    "Fraction": lambda p, t: fractions.Fraction(_all_of(int, t(p[0])), _all_of(int, t(p[1]))),
    "date": lambda p, t: _dates.date(*p),
    "time": lambda p, t: _dates.time(**_time_back(p, t)),
    "datetime": lambda p, t: _dates.datetime(*p[:3], **_time_back(p[3:], t)),
    "timedelta": lambda p, t: _dates.timedelta(*p),
    "timezone": lambda p, t: zone_back(p[0], t),
    "UUID": lambda p, t: uuid.UUID(hex=_all_of(str, p[0])),
    "array.array": lambda p, t: array.array(p[0], t(p[1])),
    "namespace": lambda p, t: _namespace(t(p[0])),
    "options": lambda p, t: argparse.Namespace(**vars(_namespace(t(p[0])))),
    "proxy": lambda p, t: types.MappingProxyType(dict(t(p[0]))),
    "memoryview": lambda p, t: memoryview(_all_of(bytes, t(p[0]))),
    "pattern": lambda p, t: re.compile(_all_of((str, bytes), t(p[0])), _all_of(int, p[1])),
    "match": _match_back,
    "keys": _view_of_dict("keys", dict.fromkeys),
    "values": _view_of_dict("values", lambda held: dict(enumerate(held))),
    "items": _view_of_dict("items", dict),
    "ChainMap": lambda p, t: collections.ChainMap(*t(p[0])),
    **{kind.__name__: _view_back(kind) for kind in _VIEWS},
    **typenotes.DECODERS,
    "path": lambda p, t: _PATHS[p[0]](_all_of(str, p[1])),
    "array": lambda p, t: _array(p),
    "scalar": lambda p, t: _array(p).reshape(-1)[0],
}


def decode(body: Any, take: Take) -> Any:
    """Return the value of [name, parts..]; raises what a constructor raises."""
    name, *parts = body
    return _DECODERS[name](parts, take)


# -- numpy -----------------------------------------------------------------------------------------------------------------

_KINDS = "biufcUS"


def is_array(value: Any) -> bool:
    """Return whether `value` is a numpy array: only where numpy is loaded, and by exact type."""
    numpy = sys.modules.get("numpy")
    return numpy is not None and type(value) is numpy.ndarray


def encode_numpy(value: Any) -> list[Any] | None:
    """Return a numpy array or scalar as [name, dtype, shape, items]; None for what is neither."""
    numpy = sys.modules.get("numpy")
    if numpy is None or not isinstance(value, numpy.ndarray | numpy.generic) or type(value).__module__ != "numpy":
        return None
    if value.dtype.kind not in _KINDS:
        raise CodecError(f"an array of {value.dtype}")
    plain = numpy.asarray(value)
    name = "array" if isinstance(value, numpy.ndarray) else "scalar"
    return [name, plain.dtype.str, list(plain.shape), array_body(plain)]


def array_body(value: Any) -> list[Any]:
    """Return the items of an array, flat; complex and bytes as lists and hex."""
    flat = value.ravel().tolist()
    if value.dtype.kind == "c":
        return [[item.real, item.imag] for item in flat]
    return [item.hex() for item in flat] if value.dtype.kind == "S" else flat


def _items(dtype: Any, flat: Any) -> Any:
    if dtype.kind == "c":
        return [complex(*pair) for pair in flat]
    return [bytes.fromhex(item) for item in flat] if dtype.kind == "S" else flat


def _array(parts: list[Any]) -> Any:
    import numpy

    name, shape, flat = parts
    dtype = numpy.dtype(_all_of(str, name))
    if dtype.kind not in _KINDS or len(flat) != math.prod(shape) or not all(type(n) is int and n >= 0 for n in shape):
        raise CodecError("not an array")
    return numpy.array(_items(dtype, flat), dtype=dtype).reshape(shape)


def fill_array(value: Any, flat: Any) -> None:
    """Put other items into an array of unchanged shape."""
    if len(flat) != value.size:
        raise CodecError("an array of another size")
    value[...] = _array([value.dtype.str, list(value.shape), flat])
