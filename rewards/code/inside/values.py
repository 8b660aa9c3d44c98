"""How values cross between tests and candidate in style assert: as data, rebuilt at the other end as exactly their types.

    plain JSON: None, bool, str, float, int, list    {"i": "0x.."} large int    {"t": [..]} tuple    {"d": [[k, v]..]} dict
    {"s"} set    {"f"} frozenset    {"b"} bytes    {"B"} bytearray    {"c"} complex    {"u"} tuple that holds a container
    {"@": n} a container that crossed before    {"~": [n, ..]} and, where it is no longer watched, what it holds now
    {"T": name} a type or function of the language    {"v": [name, ..]} another value of the standard library (`stdlib`)
    everything else, {"h": ..}, {"o": ..} and so on, is an object and belongs to `peer`

Mutable containers are numbered at both ends in the order in which they cross, so that aliases, cycles and the very object
that was given survive; what either side changes in one crosses with its next message (`changes`, `apply`). A subclass of a
plain type counts as its base, read through the base's own methods. Nothing here evaluates what a message names, and everything
is linear in the size of the message. Standard library only.
"""

import sys
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable
from operator import is_
from types import TracebackType
from typing import Any

from rewards.code import codec
from rewards.code.codec import MAX_DEPTH, MAX_ITEMS, CodecError
from rewards.code.inside import frames, stdlib

_SMALL = 2**63
SHORT = 100  # characters of a text of which there is one object in a process
_SCALARS = (type(None), bool, str, float)
_PLAIN_KEYS = (*_SCALARS, int, bytes)
_BASES: tuple[type, ...] = (str, int, float, dict, list, tuple, set, frozenset, bytes, bytearray, complex, deque)
_MAX_WATCHED, _MAX_WATCHED_ITEMS = 24, 1000  # containers watched for changes at every message, and the items in them
Node = Any


class Values:
    """One end's encoder and decoder. `export` and `resolve` do what is no data, or raise CodecError."""

    def __init__(self, export: Callable[[Any], Node], resolve: Callable[[str, Any], Any]):
        self.export, self.resolve = export, resolve
        self.shared: list[Any] = []  # by number; kept alive, so that their ids stay their own
        self.numbers: dict[int, int] = {}
        self.marks: dict[int, Any] = {}  # number -> what the other end knows of the container; oldest first
        self._fresh: dict[int, None] = {}  # an ordered set
        self._large: list[int] = []  # by their size when they crossed, which both ends know
        self.items = 0

    # -- encoding ----------------------------------------------------------------------------------------------------------

    def encode(self, value: Any) -> Node:
        """Return `value` as JSON data; raises CodecError."""
        self.items = 0
        return self._node(value, 0)

    def _node(self, value: Any, depth: int) -> Node:
        kind = type(value)
        if kind in _SCALARS:
            return value
        if kind is int:
            return value if -_SMALL <= value < _SMALL else {"i": hex(value)}
        if depth > MAX_DEPTH:
            raise CodecError(f"nested deeper than {MAX_DEPTH}")
        encode = _ENCODERS.get(kind)
        if encode is None:
            return self._rare(value, kind, depth)
        if kind in stdlib.MUTABLE:
            number = self.numbers.get(id(value))
            if number is not None:
                return {"@": number} if self._is_watched(number) else self._anew(value, number)
            self._share(value)
        elif kind is tuple and any(type(item) in stdlib.MUTABLE for item in value):
            return self._holding(value, depth)
        return encode(self, value, depth)

    def _holding(self, value: Any, depth: int) -> Node:
        """Return the node of a tuple that holds a container: it stays the very tuple, as they stay the very containers."""
        number = self.numbers.get(id(value))
        if number is not None and all(
            self._is_watched(self.numbers.get(id(item), -1)) for item in value if type(item) in stdlib.MUTABLE
        ):
            return {"@": number}
        nodes = self.all(value, depth)
        self._share(value)
        return {"u": nodes}

    def _is_watched(self, number: int) -> bool:
        return number in self.marks or number in self._fresh

    def _anew(self, value: Any, number: int) -> Node:
        """Tell again what a known container holds: it is not watched any more, and may have changed."""
        self._fresh[number] = None
        return {"~": [number, self._body(value)]}

    def all(self, values: Iterable[Any], depth: int = 0) -> list[Node]:
        """Return the nodes of several values."""
        nodes = [self._node(item, depth + 1) for item in values]
        self.items += len(nodes)
        if self.items > MAX_ITEMS:
            raise CodecError(f"more than {MAX_ITEMS} items")
        return nodes

    def pairs(self, value: dict[Any, Any], depth: int) -> list[Node]:
        """Return the nodes of a dict's items."""
        self.items += len(value)
        return [[self._node(k, depth + 1), self._node(v, depth + 1)] for k, v in items_of(value)]

    def _rare(self, value: Any, kind: type, depth: int) -> Node:
        if kind is TracebackType:
            return None
        name = stdlib.NAMES.get(id(value))
        if name is not None:
            return {"T": name}
        if kind.__module__.partition(".")[0] in frames.LIBRARIES:
            body = frames.encode(value, lambda item: self._node(item, depth + 1)) or stdlib.encode_numpy(value)
            if body is not None:
                if body[0] == "array":
                    number = self.numbers.get(id(value))
                    if number is not None:
                        return {"@": number} if self._is_watched(number) else self._anew(value, number)
                    self._share(value)
                return {"v": body}
        node = self.export(value)
        if node is not None:
            return node
        for base in _BASES:
            if issubclass(kind, base):
                return self._node(codec._as_base(value, base) if base is not deque else deque(deque.__iter__(value)), depth)
        raise CodecError(f"a value of type {kind.__name__}, which is not plain data")

    def _share(self, value: Any) -> None:
        number = len(self.shared)
        self.shared.append(value)
        self.numbers[id(value)] = number
        self._fresh[number] = None

    # -- decoding ----------------------------------------------------------------------------------------------------------

    def decode(self, node: Node, depth: int = 0) -> Any:
        """Return the value; raises CodecError on anything that is not in the format."""
        kind = type(node)
        if kind is str and len(node) <= SHORT:
            return sys.intern(node)  # `state is DONE`: in one process, the constant
        if kind in _SCALARS or kind is int:
            return node
        if depth > MAX_DEPTH + 4:
            raise CodecError("nested too deep")
        if kind is list:
            made: list[Any] = []
            self._share(made)
            made += [self.decode(item, depth + 1) for item in node]
            return made
        if kind is not dict or len(node) != 1:
            raise CodecError("not a value")
        ((tag, body),) = node.items()
        try:
            decode = _DECODERS.get(tag)
            return decode(self, body, depth + 1) if decode else self.resolve(tag, body)
        except (TypeError, ValueError, KeyError, IndexError, ArithmeticError, AttributeError, ImportError) as error:
            raise CodecError(f"a malformed {tag!r}: {type(error).__name__}") from None

    def list_of(self, body: Any, depth: int = 0) -> list[Any]:
        """Return the values of several nodes."""
        if type(body) is not list:
            raise CodecError("not a list")
        return [self.decode(item, depth) for item in body]

    def _into(self, made: Any, body: Any, depth: int) -> Any:
        """Share an empty container, then fill it: it may hold itself."""
        self._share(made)
        _fill(made, self._content(made, body, depth))
        return made

    def _content(self, made: Any, body: Any, depth: int) -> Any:
        if isinstance(made, dict):
            return [(self.decode(key, depth), self.decode(value, depth)) for key, value in body]
        return self.list_of(body, depth)

    # -- changes -----------------------------------------------------------------------------------------------------------

    def settle(self) -> None:
        """After a message was sent or read: from now on, notice what changes in the containers that it carried."""
        for number in self._fresh:
            value = self.shared[number]
            if type(value) is tuple:
                continue  # never changes
            self.marks[number] = _mark(value)
            if _size(value) > _MAX_WATCHED_ITEMS:
                self._large.append(number)
        self._fresh.clear()

    def rewind(self, position: int) -> None:
        """Forget the containers numbered since `position`: the message was not sent."""
        for value in self.shared[position:]:
            self.numbers.pop(id(value), None)
        del self.shared[position:]
        self._fresh = {number: None for number in self._fresh if number < position}

    def forget_old(self) -> None:
        """Between calls: stop watching the oldest containers, and let go of large ones, at both ends alike: they cross anew."""
        items = sum(_size(self.shared[number]) for number in self.marks)
        while self.marks and (len(self.marks) > _MAX_WATCHED or items > _MAX_WATCHED_ITEMS):
            number = next(iter(self.marks))
            items -= _size(self.shared[number])
            del self.marks[number]
        for number in self._large:
            self.marks.pop(number, None)
            self.numbers.pop(id(self.shared[number]), None)
            self.shared[number] = None
        self._large.clear()

    def changes(self) -> list[Node]:
        """Return what changed since it last crossed, as [number, content] of each container."""
        changed: list[Node] = []
        self.items = 0
        for number, known in list(self.marks.items()):
            value = self.shared[number]
            if not _unchanged(value, known):
                self.marks[number] = _mark(value)
                position = len(self.shared)
                try:
                    changed.append([number, self._body(value)])
                except CodecError:  # what cannot cross stays as it was over there
                    self.rewind(position)
        return changed

    def _body(self, value: Any) -> Node:
        if stdlib.is_array(value):
            return stdlib.array_body(value)
        return self.pairs(value, 0) if isinstance(value, dict) else self.all(list(value))

    def apply(self, changes: Any) -> None:
        """Take over the other end's changes into the very objects."""
        for number, body in changes:
            self._refill(number, body, 1)
            if number in self.marks:
                self.marks[number] = _mark(self.shared[number])

    def _refill(self, number: Any, body: Any, depth: int) -> Any:
        """Put other content into a known container, and return it."""
        value = self.shared[number] if type(number) is int and number >= 0 else None
        if stdlib.is_array(value):
            stdlib.fill_array(value, body)
        else:
            _fill(value, self._content(value, body, depth))
        return value


def items_of(value: dict[Any, Any]) -> Iterable[tuple[Any, Any]]:
    """Return a dict's items by the language's own methods, in its own order."""
    if isinstance(value, OrderedDict) and all(map(_is_plain_key, dict.keys(value))):
        # Its order is not that of the dict beneath, once something was moved. To read it is to hash the keys: plain ones only.
        return [(key, dict.__getitem__(value, key)) for key in OrderedDict.__iter__(value)]
    return dict.items(value)


def _is_plain_key(key: Any) -> bool:
    return type(key) in _PLAIN_KEYS or (type(key) is tuple and all(type(item) in _PLAIN_KEYS for item in key))


def _size(value: Any) -> int:
    return int(value.size) if stdlib.is_array(value) else len(value)


def _mark(value: Any) -> Any:
    """Return what tells whether a container has changed: its items, in a copy."""
    if isinstance(value, list):
        return value[:]
    if isinstance(value, dict):
        return dict.copy(value) if type(value) is not OrderedDict else list(items_of(value))
    if isinstance(value, bytearray):
        return bytes(value)
    return (value.shape, value.tobytes()) if stdlib.is_array(value) else list(value)


def _unchanged(value: Any, known: Any) -> bool:
    """Return whether a container holds the very items that it held: nothing of theirs is called."""
    if isinstance(value, bytearray):
        return bool(value == known)
    if stdlib.is_array(value):
        return bool(value.shape == known[0] and value.tobytes() == known[1])
    if len(value) != len(known):
        return False
    if type(value) is OrderedDict:
        return all(item[0] is was[0] and item[1] is was[1] for item, was in zip(items_of(value), known, strict=True))
    if isinstance(value, dict) and not all(map(is_, dict.values(value), dict.values(known))):
        return False
    return all(map(is_, value, known))


def _fill(made: Any, content: Any) -> None:
    """Make a container hold `content` and nothing else."""
    if isinstance(made, list | bytearray) or type(made).__name__ == "array":
        del made[:]
        made.extend(content)
    elif isinstance(made, dict):
        dict.clear(made)
        for key, value in content:
            dict.__setitem__(made, key, value)  # a Counter's update would add
        if isinstance(made, OrderedDict):
            made.clear()
            for key, value in content:
                made[key] = value
    elif isinstance(made, set):
        made.clear()
        made.update(content)
    elif isinstance(made, deque):
        made.clear()
        made.extend(content)
    else:
        raise CodecError("not a container")


# -- by type, and by tag ---------------------------------------------------------------------------------------------------

_Encode = Callable[[Values, Any, int], Node]
_ENCODERS: dict[type, _Encode] = {
    list: lambda v, x, d: v.all(x, d),
    tuple: lambda v, x, d: {"t": v.all(x, d)},
    dict: lambda v, x, d: {"d": v.pairs(x, d)},
    set: lambda v, x, d: {"s": v.all(x, d)},
    frozenset: lambda v, x, d: {"f": v.all(x, d)},
    bytes: lambda v, x, d: {"b": x.hex()},
    bytearray: lambda v, x, d: {"B": x.hex()},
    complex: lambda v, x, d: {"c": [x.real, x.imag]},
    deque: lambda v, x, d: {"q": [x.maxlen, v.all(x, d)]},
    OrderedDict: lambda v, x, d: {"O": v.pairs(x, d)},
    Counter: lambda v, x, d: {"C": v.pairs(x, d)},
    defaultdict: lambda v, x, d: {"D": [v._node(x.default_factory, d + 1), v.pairs(x, d)]},
}
_Decode = Callable[[Values, Any, int], Any]


def _bytearray(values: Values, body: Any, _: int) -> Any:
    made = bytearray.fromhex(body)
    values._share(made)
    return made


def _defaultdict(values: Values, body: Any, depth: int) -> Any:
    made: Any = defaultdict()
    values._share(made)
    factory = values.decode(body[0], depth)
    _fill(made, values._content(made, body[1], depth))
    made.default_factory = factory
    return made


def _alias(values: Values, body: Any, _: int) -> Any:
    if type(body) is not int or body < 0:
        raise CodecError("not a number")
    return values.shared[body]


def _again(values: Values, body: Any, depth: int) -> Any:
    values._fresh[body[0]] = None
    return values._refill(body[0], body[1], depth)


def _tuple(values: Values, body: Any, depth: int) -> Any:
    made = tuple(values.list_of(body, depth))
    values._share(made)
    return made


def _other(values: Values, body: Any, depth: int) -> Any:
    decode = frames.decode if body[0] in frames.NAMES else stdlib.decode
    made = decode(body, lambda node: values.decode(node, depth))
    if type(made) in stdlib.MUTABLE or body[0] == "array":
        values._share(made)
    return made


_DECODERS: dict[str, _Decode] = {
    "@": _alias,
    "~": _again,
    "i": lambda v, b, d: int(b, 16),
    "u": _tuple,
    "t": lambda v, b, d: tuple(v.list_of(b, d)),
    "d": lambda v, b, d: v._into({}, b, d),
    "s": lambda v, b, d: v._into(set(), b, d),
    "f": lambda v, b, d: frozenset(v.list_of(b, d)),
    "b": lambda v, b, d: bytes.fromhex(b),
    "B": _bytearray,
    "c": lambda v, b, d: complex(*map(float, b)),
    "q": lambda v, b, d: v._into(deque(maxlen=b[0]), b[1], d),
    "O": lambda v, b, d: v._into(OrderedDict(), b, d),
    "C": lambda v, b, d: v._into(Counter(), b, d),
    "D": _defaultdict,
    "T": lambda v, b, d: stdlib.NAMED[b],
    "v": _other,
}


def _encode_other(values: Values, value: Any, depth: int) -> Node:
    return {"v": stdlib.encode(value, lambda item: values._node(item, depth + 1))}


_ENCODERS.update(dict.fromkeys(stdlib.ENCODERS, _encode_other))
