"""When an output or a value counts as the expected one. Runs in the judge; what comes from the candidate is only data.

Text: line ends and white space at the end of lines and of the text do not count; the number of lines, and of tokens in a
line, must agree; tokens are equal as text, or within the tolerance where the expected token is a decimal number.
Values: expected-driven, so that the depth and the size of the walk are those of the expected value. A tuple equals a list;
bool is no int, str is no int; an expected float allows the tolerance, an expected int does not.
"""

import json
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from rewards.code import codec
from rewards.code.wire import Data

TOLERANCE = 1e-6
_DECIMAL = re.compile(rb"[-+]?(?:\d+\.\d*|\.\d+|\d+(?=[eE]))(?:[eE][-+]?\d{1,4})?")
_NUMBER = re.compile(rb"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d{1,4})?")
_MAX_NUMBER = 400  # characters
_MAX_SEARCHED = 2000  # items in any order that are not spelled alike: each is searched for among all others


def same_text(expected: bytes, output: bytes, tolerance: float = TOLERANCE) -> bool:
    """Return whether a program's output counts as the expected one."""
    wanted, got = _lines(expected), _lines(output)
    if wanted == got:
        return True
    return len(wanted) == len(got) and all(_same_line(a, b, tolerance) for a, b in zip(wanted, got, strict=True))


def _lines(text: bytes) -> list[bytes]:
    lines = [line.rstrip() for line in text.replace(b"\r\n", b"\n").split(b"\n")]
    while lines and not lines[-1]:
        lines.pop()
    return lines


def _same_line(expected: bytes, output: bytes, tolerance: float) -> bool:
    if expected == output:
        return True
    wanted, got = expected.split(), output.split()
    return len(wanted) == len(got) and all(_same_token(a, b, tolerance) for a, b in zip(wanted, got, strict=True))


def _same_token(expected: bytes, output: bytes, tolerance: float) -> bool:
    if expected == output:
        return True
    if not tolerance or len(expected) > _MAX_NUMBER or len(output) > _MAX_NUMBER:
        return False
    if not _DECIMAL.fullmatch(expected) or not _NUMBER.fullmatch(output):
        return False
    return close(float(expected), float(output), tolerance)


def close(expected: float, value: float, tolerance: float) -> bool:
    """Return whether two numbers agree: absolutely below 1, relatively above."""
    if math.isnan(expected):
        return math.isnan(value)
    if math.isinf(expected) or not math.isfinite(value):
        return expected == value
    return abs(expected - value) <= tolerance * max(1.0, abs(expected))


def same_value(expected: Any, node: Data, tolerance: float = TOLERANCE, unordered: bool | str = False) -> bool:
    """Return whether `node` (JSON data of `codec`) is the expected value.

    `unordered`: True lets the items of the outermost list come in any order, "deep" those of every list.
    """
    return _Comparison(tolerance, unordered == "deep").same(expected, node, unordered=bool(unordered))


class _Comparison:
    """One comparison's rules; `node` is always the candidate's, and may be anything that JSON can say."""

    def __init__(self, tolerance: float, deep: bool):
        self.tolerance = tolerance
        self.deep = deep

    def same(self, expected: Any, node: Data, unordered: bool = False) -> bool:
        if expected is None or isinstance(expected, bool | str):
            return type(node) is type(expected) and node == expected
        if isinstance(expected, int | float):
            return self._number(expected, node)
        if isinstance(expected, list | tuple):
            return self._sequence(expected, node, unordered)
        if isinstance(expected, Mapping):
            return self._mapping(expected, node)
        if isinstance(expected, set | frozenset):
            items = _items(node, "s", "f", plain=False)
            return items is not None and len(items) == len(expected) and self._any_order(list(expected), items)
        if isinstance(expected, bytes | bytearray):
            return expected.hex() in (_body(node, "b"), _body(node, "B"))
        if isinstance(expected, complex):
            body = _body(node, "c")
            parts = body if isinstance(body, list) and len(body) == 2 else [node, 0]
            return self._number(expected.real, parts[0]) and self._number(expected.imag, parts[1])
        raise TypeError(f"an expected value of type {type(expected).__name__}")

    def _number(self, expected: float, node: Data) -> bool:
        value = _as_number(node)
        if value is None:
            return False
        if isinstance(expected, int):
            return value == expected
        try:
            return close(expected, float(value), self.tolerance)
        except OverflowError:  # an integer that no float can hold
            return False

    def _sequence(self, expected: Sequence[Any], node: Data, unordered: bool) -> bool:
        items = _items(node, "t")
        if unordered and items is None:
            items = _items(node, "s", "f")
        if items is None or len(items) != len(expected):
            return False
        if unordered:
            return self._any_order(expected, items)
        return all(self.same(wanted, item, self.deep) for wanted, item in zip(expected, items, strict=True))

    def _mapping(self, expected: Mapping[Any, Any], node: Data) -> bool:
        pairs = _body(node, "d")
        if not isinstance(pairs, list) or len(pairs) != len(expected):
            return False
        matched: set[Any] = set()
        for pair in pairs:
            key = _find_key(expected, pair[0])
            if key is _NOTHING or key in matched or not self.same(expected[key], pair[1], self.deep):
                return False
            matched.add(key)
        return True

    def _any_order(self, expected: Sequence[Any], items: list[Any]) -> bool:
        """Match each expected item with one of `items`; the sizes are equal. Equal data first, then one by one."""
        spelled = Counter(_spelling(item) for item in items)
        unmatched = []
        for wanted in expected:
            text = _spelling(codec.encode(wanted))
            if spelled[text] > 0:
                spelled[text] -= 1
            else:
                unmatched.append(wanted)
        if len(unmatched) > _MAX_SEARCHED:
            return False
        left = []
        for item in items:
            text = _spelling(item)
            if spelled[text] > 0:
                spelled[text] -= 1
                left.append(item)
        return all(self._take_out(wanted, left) for wanted in unmatched)

    def _take_out(self, wanted: Any, items: list[Any]) -> bool:
        """Remove the first of `items` that counts as `wanted`; return whether there was one."""
        for position, item in enumerate(items):
            if self.same(wanted, item, self.deep):
                del items[position]
                return True
        return False


def _spelling(node: Data) -> str:
    return json.dumps(node, sort_keys=True)


_NOTHING = object()


def _find_key(expected: Mapping[Any, Any], node: Data) -> Any:
    """Return the key of `expected` that `node` stands for. JSON has only text as keys, so "1" stands for 1 as well."""
    if isinstance(node, str | bool) or node is None:
        key: Any = node
    elif (number := _as_number(node)) is not None:
        key = number
        if number not in expected or isinstance(number, bool):
            key = str(number)
    elif isinstance(node, dict):
        return next((key for key in expected if same_value(key, node, 0.0)), _NOTHING)
    else:
        return _NOTHING
    return key if key in expected else _NOTHING


def _as_number(node: Data) -> int | float | None:
    """Return the int or float that `node` is, a Fraction or Decimal as float, or None."""
    if type(node) is int or type(node) is float:
        return node
    if isinstance(text := _body(node, "i"), str):
        try:
            return int(text, 16)
        except ValueError:
            return None
    if isinstance(text := _body(node, "D"), str) and len(text) < _MAX_NUMBER and _NUMBER.fullmatch(text.encode()):
        return float(text)
    if isinstance(parts := _body(node, "F"), list) and len(parts) == 2:
        try:
            numerator, denominator = (int(part, 16) for part in parts)
            return numerator // denominator if numerator % denominator == 0 else numerator / denominator
        except (ValueError, TypeError, ArithmeticError):
            return None
    return None


def _body(node: Data, tag: str) -> Any:
    return node.get(tag) if isinstance(node, dict) and len(node) == 1 else None


def _items(node: Data, *tags: str, plain: bool = True) -> list[Any] | None:
    if plain and isinstance(node, list):
        return node
    for tag in tags:
        body = _body(node, tag)
        if isinstance(body, list):
            return body
    return None
