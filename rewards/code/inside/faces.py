"""The faces of a collection of the candidate's: length, items by number or key, iteration, membership, held against each other.

A collection that the tests did not construct has one face only: what it iterates over, drawn once (`Faces.stranger`). One that
they constructed answers for itself, and may not say two things between which nothing happened (`Faces.checked`). Standard
library only.
"""

from collections.abc import Callable, Iterator
from typing import Any

from rewards.code.inside.standins import reference

MAX_DRAWN = 100_000
_MAX_PROBED = 64


class Contradiction(Exception):
    """An object said two things that cannot both be true."""


class NoCollection(Exception):
    """An object of which no single face can be taken."""


class Faces:
    """What collections said. `ask` calls the candidate's method: (class, name, arguments) -> value."""

    def __init__(self, ask: Callable[[int, str, Any], Any]):
        self.ask = ask
        self.report: Callable[[Contradiction], BaseException] = lambda error: error
        self.epoch = 0  # what an object said is compared with what it says before anything else happens

    # -- collections that the tests did not construct ----------------------------------------------------------------------

    def stranger(self, kind: int, name: str, args: Any) -> Any:
        """Answer from the one face of a collection; raises NoCollection where it has none."""
        face = self._face(kind, args[0])
        if name == "__getitem__" and isinstance(face, dict) and args[1] not in face:
            return self.ask(kind, name, args)  # a default, or the exception
        if name == "__reversed__":
            return reversed(list(face))
        return getattr(face, name)(*args[1:])

    def _face(self, kind: int, instance: Any) -> Any:
        held = reference(instance)
        if held.face is None:
            held.face = self._draw_face(kind, instance)
        return held.face

    def _draw_face(self, kind: int, instance: Any) -> Any:
        defined = type(instance)
        if hasattr(defined, "__next__"):
            raise NoCollection
        if not hasattr(defined, "__iter__"):
            return self._by_number(kind, instance)
        items = self.draw(self.ask(kind, "__iter__", (instance,)))
        if not hasattr(defined, "keys") or not hasattr(defined, "__getitem__"):
            return items
        return {key: self.ask(kind, "__getitem__", (instance, key)) for key in items}

    def _by_number(self, kind: int, instance: Any) -> list[Any]:
        """Return the items of an object that has numbers alone, as Python's own iteration does."""
        items: list[Any] = []
        if not hasattr(type(instance), "__getitem__"):
            raise NoCollection
        while len(items) <= MAX_DRAWN and not (len(items) == _MAX_PROBED and self._has(kind, instance, MAX_DRAWN)):
            try:
                items.append(self.ask(kind, "__getitem__", (instance, len(items))))
            except IndexError:
                return items
            except (KeyError, TypeError):
                raise NoCollection from None
        raise Contradiction("items without an end")

    def _has(self, kind: int, instance: Any, place: int) -> bool:
        try:
            self.ask(kind, "__getitem__", (instance, place))
        except Exception:
            return False
        return True

    def draw(self, iterator: Any) -> list[Any]:
        """Return all items of an iterator of the candidate's."""
        items = []
        for item in iterator:
            items.append(item)
            if len(items) > MAX_DRAWN:
                raise Contradiction("an iteration without an end")
        return items

    # -- collections that the tests constructed ----------------------------------------------------------------------------

    def facts(self, instance: Any) -> dict[str, Any]:
        """Return what an object has said since anything happened."""
        held = reference(instance)
        if held.facts.get("epoch") != self.epoch:
            held.facts = {"epoch": self.epoch, "indexed": {}}
        return held.facts

    def checked(self, kind: int, name: str, args: Any) -> Any:
        """Let the object answer, and hold its answers against each other."""
        instance = args[0]
        facts = self.facts(instance)
        value = self.ask(kind, name, args)
        if name == "__len__" and facts.get("begins") is True:
            return (
                value  # `list(x)` asks for a length as a hint, before the first item: nobody has said that it is their number
            )
        if name == "__len__":
            if facts.setdefault("len", value) != value:
                raise Contradiction("two lengths")
        elif name == "__getitem__" and type(args[1]) is int and args[1] >= 0:
            if differ(facts["indexed"].setdefault(args[1], value), value):
                raise Contradiction("two items at one place")
        elif name == "__iter__" and not hasattr(type(instance), "__next__"):
            facts["begins"] = True
            return self._recorded(kind, instance, value)
        elif name == "__contains__" and value is True and _is_absent(instance, args[1], facts):
            raise Contradiction("an object contains what it does not iterate over")
        self._agree(kind, instance)
        return value

    def _recorded(self, kind: int, instance: Any, iterator: Any) -> Iterator[Any]:
        items: list[Any] = []
        epoch = self.epoch
        self.facts(instance)["begins"] = False
        for item in iterator:
            if len(items) <= MAX_DRAWN:
                items.append(item)
            yield item
        if epoch == self.epoch and len(items) <= MAX_DRAWN:
            self.facts(instance)["items"] = items
            try:
                self._agree(kind, instance)
            except Contradiction as error:
                raise self.report(error) from None

    def _agree(self, kind: int, instance: Any) -> None:
        """Hold length, items and iteration against each other, as far as the tests have asked for them."""
        facts = self.facts(instance)
        items, indexed = facts.get("items"), facts["indexed"]
        if items is None:
            return
        length = facts.get("len", len(items))
        may_differ = length == len(items) or self._is_bag(kind, instance, length, items)
        may_differ = may_differ or bool(reference(instance).shadows)  # the tests have set what it counted before
        if not may_differ and not self._is_table(kind, instance, length, items):
            raise Contradiction(f"a length of {length!r} and {len(items)} items")
        wrong = [place for place, item in indexed.items() if place < len(items) and differ(items[place], item)]
        if wrong and not hasattr(type(instance), "keys") and self._is_sequence(kind, instance, len(items)):
            raise Contradiction("items by number that differ from those of the iteration")

    def _is_bag(self, kind: int, instance: Any, length: Any, items: list[Any]) -> bool:
        """Return whether an object counts: it iterates over words, of which it holds as many in all as its length says."""
        words = all(type(item) is str for item in items) and len(set(items)) == len(items)
        if type(length) is not int or not words or length <= len(items) or self.facts(instance)["indexed"]:
            return False  # a shorter length would make loops over numbers empty
        try:
            counts = [self.ask(kind, "__getitem__", (instance, item)) for item in items]
        except Exception:
            return False
        return all(type(count) is int for count in counts) and sum(counts) == length

    def _is_table(self, kind: int, instance: Any, length: Any, items: list[Any]) -> bool:
        """Return whether an object has as many rows as its length, which hold, one after another, what it iterates over."""
        if type(length) is not int or not 0 < length <= _MAX_PROBED or "__getitem__" not in dir(type(instance)):
            return False
        try:
            rows = [self.ask(kind, "__getitem__", (instance, place)) for place in range(length)]
        except Exception:
            return False
        if not all(type(row) in (list, tuple) for row in rows):
            return False
        cells = [cell for row in rows for cell in row]
        return len(cells) == len(items) and all(is_data(c) and is_data(i) and c == i for c, i in zip(cells, items, strict=True))

    def _is_sequence(self, kind: int, instance: Any, length: int) -> bool:
        """Return whether an object has items at all numbers below `length` and none at it: else they are keys."""
        for place in range(min(length, _MAX_PROBED)):
            try:
                self.ask(kind, "__getitem__", (instance, place))
            except Exception:
                return False
        try:
            self.ask(kind, "__getitem__", (instance, length))
        except IndexError:
            return True
        except Exception:
            return False
        return False


def _is_absent(instance: Any, item: Any, facts: dict[str, Any]) -> bool:
    """Return whether an item is none of those that an object, which has a length, iterates over."""
    if hasattr(type(instance), "keys") or "items" not in facts or "len" not in facts or not is_data(item):
        return False
    return all(is_data(held) and held != item for held in facts["items"])


def differ(one: Any, other: Any) -> bool:
    """Return whether two answers are plain values, and not the same."""
    return is_data(one) and is_data(other) and one != other and not (one != one and other != other)  # noqa: PLR0124  nan


def is_data(value: Any) -> bool:
    """Return whether a value is a plain one, which the tests can compare by themselves."""
    return value is None or isinstance(value, bool | int | float | str | bytes)
