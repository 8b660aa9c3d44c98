"""The faces of a collection of the candidate's: length, items by number or key, iteration, membership, held against each other.

A collection that the tests did not construct has one face only: what it iterates over, drawn once (`Faces.stranger`). One that
they constructed answers for itself, and may not say two things between which nothing happened (`Faces.checked`). Standard
library only.
"""

import random
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from rewards.code.inside import lineup
from rewards.code.inside.standins import Standin, reference

MAX_DRAWN = 100_000
_MAX_PROBED = 64
_FAR = 10**15 + 7  # a number at which nothing stands
_MISSING = object()
_MAX_HEARD = 1000
_ENDLESS = 1000  # items beyond those that were to be expected: an iteration that has no end


class Contradiction(Exception):
    """An object said two things that cannot both be true."""


class NoCollection(Exception):
    """An object of which no single face can be taken."""


class Drawn:
    """What an object iterates over, drawn once, as far as anyone has asked: all who iterate see the same."""

    def __init__(self, iterator: Any):
        self.items: list[Any] = []
        self._rest = iterator

    def reaches(self, place: int) -> bool:
        """Return whether there is an item at a place."""
        while len(self.items) <= place:
            try:
                self.items.append(next(self._rest))
            except StopIteration:
                return False
        return True

    def __iter__(self) -> Iterator[Any]:
        place = 0
        while self.reaches(place):
            yield self.items[place]
            place += 1

    def all(self) -> list[Any]:
        """Return all items; an iteration without an end is a contradiction."""
        if self.reaches(MAX_DRAWN):
            raise Contradiction("an iteration without an end")
        return self.items

    def holds(self, item: Any) -> bool:
        """Return whether an item is among them; what has no end has to leave out a number beside it."""
        place = next((place for place, held in enumerate(self) if place > MAX_DRAWN or held is item or held == item), -1)
        if place > MAX_DRAWN or (place >= 0 and self.reaches(2 * place + _ENDLESS) and not self._leaves_out(item)):
            raise Contradiction("an iteration without an end")
        return place >= 0

    def _leaves_out(self, item: Any) -> bool:
        return type(item) is int and any(all(held != item + step for held in self.items) for step in range(1, 7))


class Numbered:
    """What an object has at places, as it said first."""

    def __init__(self, ask: Callable[[Any], Any]):
        self._ask = ask
        self._known: dict[int, Any] = {}

    def __getitem__(self, key: Any) -> Any:
        if type(key) is not int:
            return self._ask(key)
        if key not in self._known:
            self._known[key] = self._ask(key)
        return self._known[key]


class Faces:
    """What collections said. `ask` calls the candidate's method: (class, name, arguments) -> value."""

    def __init__(self, ask: Callable[[int, str, Any], Any]):
        self.ask = ask
        self.report: Callable[[Contradiction], BaseException] = lambda error: error
        self.heard: dict[Any, Any] = {}  # what functions and attributes of the tests said last
        self.epoch = 0  # what an object said is compared with what it says before anything else happens

    # -- collections that the tests did not construct ----------------------------------------------------------------------

    def stranger(self, kind: int, name: str, args: Any) -> Any:
        """Answer from the one face of a collection; raises NoCollection where it has none."""
        face = self._face(kind, args[0])
        if isinstance(face, Drawn):
            return self._from_drawn(kind, name, args, face)
        if name == "__getitem__" and isinstance(face, dict) and args[1] not in face:
            return self.ask(kind, name, args)  # a default, or the exception
        if name == "__getitem__" and isinstance(face, list) and type(args[1]) is not int:
            return self.ask(kind, name, args)  # a slice of its own class, a name
        if name == "__reversed__":
            return reversed(list(face))
        return getattr(face, name)(*args[1:])

    def _from_drawn(self, kind: int, name: str, args: Any, face: Drawn) -> Any:
        if name == "__getitem__":
            return self._item(kind, args, face)
        if name == "__len__":
            return self._length(kind, args[0], face)
        if name == "__contains__":
            return face.holds(args[1])
        return reversed(face.all()) if name == "__reversed__" else iter(face)

    def _item(self, kind: int, args: Any, face: Drawn) -> Any:
        """Return what is at a place, or under a key; a sequence has there what it iterates over."""
        value = self.ask(kind, "__getitem__", args)
        if type(args[1]) is not int or args[1] < 0 or not face.reaches(args[1]):
            return value
        item = face.items[args[1]]
        if differ(item, value) and self._is_sequence(kind, args[0], len(face.all())):
            raise Contradiction("items by number that differ from those of the iteration")
        return item if differ(item, value) or is_data(item) != is_data(value) else value

    def _length(self, kind: int, instance: Any, face: Drawn) -> Any:
        """Return the length: the number of items, unless they have no end."""
        said = self.ask(kind, "__len__", (instance,))
        if type(said) is not int or face.reaches(max(said, 0) + _ENDLESS):
            return said
        count = len(face.items)
        may_differ = said == count or self._is_bag(kind, instance, said, face.items)
        return said if may_differ or self._is_table(kind, instance, said, face.items) else count

    def contains(self, kind: int, instance: Any, item: Any, stands: bool) -> bool:
        """Return whether an object of a class without a membership of its own has an item: as the language looks for it."""
        if stands:
            return any(held is item or held == item for held in iter(instance))
        return Drawn(iter(instance)).holds(item)

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
        iterator = self.ask(kind, "__iter__", (instance,))
        if not hasattr(defined, "keys") or not hasattr(defined, "__getitem__"):
            return Drawn(iterator)
        return {key: self.ask(kind, "__getitem__", (instance, key)) for key in self.draw(iterator)}

    def _by_number(self, kind: int, instance: Any) -> Any:
        """Return the items of an object that has numbers alone, as Python's own iteration does."""
        items: list[Any] = []
        if not hasattr(type(instance), "__getitem__"):
            raise NoCollection
        if not hasattr(type(instance), "__len__"):
            return Numbered(lambda key: self.ask(kind, "__getitem__", (instance, key)))
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
            held.facts = {"epoch": self.epoch, "indexed": {}, "shown": held.facts.get("shown", {})}
        return held.facts

    def hears(self, key: Any, value: Any) -> None:
        """Hear what the tests tell the program: of a clock that goes on, what was said before is no contradiction."""
        if key in self.heard and differ(*map(_instant, (self.heard[key], value))):
            self.epoch += 1
        if not isinstance(value, Standin) and (len(self.heard) < _MAX_HEARD or key in self.heard):  # an object would stay alive
            self.heard[key] = value

    def checked(self, kind: int, name: str, args: Any) -> Any:
        """Let the object answer, and hold its answers against each other."""
        instance = args[0]
        self.facts(instance)
        value = self.ask(kind, name, args)
        facts = self.facts(instance)  # a new account, if a clock of the tests told the program of another time
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
        elif name == "__contains__" and value is True:
            facts.setdefault("contained", []).append(args[1])
            if self._has_all(kind, instance, args[1]):
                raise Contradiction("an object that contains everything")
        self._agree(kind, instance)
        return value

    def _has_all(self, kind: int, instance: Any, item: Any) -> bool:
        """Return whether a collection that an operator made has whatever it is asked for."""
        is_made = reference(instance).arguments is None and {"__iter__", "__len__"} & set(dir(type(instance)))
        shown = lineup.decoys(item, "__eq__", random.Random()) if is_made else []
        return bool(shown) and all(self.ask(kind, "__contains__", (instance, decoy)) is True for decoy in shown)

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
        if any(_is_absent(instance, item, facts) for item in facts.get("contained", ())[-20:]):
            raise Contradiction("an object contains what it does not iterate over")
        length = facts.get("len", len(items))
        may_differ = length == len(items) or self._is_bag(kind, instance, length, items)
        may_differ = may_differ or bool(reference(instance).shadows)  # the tests have set what it counted before
        if not may_differ and not self._is_table(kind, instance, length, items):
            raise Contradiction(f"a length of {length!r} and {len(items)} items")
        wrong = [place for place, item in indexed.items() if place < len(items) and differ(items[place], item)]
        if wrong and self._belies(kind, instance, items, {place: indexed[place] for place in wrong}):
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

    def _belies(self, kind: int, instance: Any, items: list[Any], indexed: dict[int, Any]) -> bool:
        """Return whether items by number, which differ from those of the iteration, are none by key either."""
        keyed = hasattr(type(instance), "keys")
        if not keyed and self._is_sequence(kind, instance, len(items)):
            return True
        default = self._at(kind, instance, _FAR)
        if not keyed:  # a ring goes on behind its end, and may begin anywhere
            held = [self._at(kind, instance, place) for place in range(min(len(items), _MAX_PROBED))]
            if _MISSING in held or sorted(map(repr, held)) == sorted(map(repr, items)):
                return False
        return any(
            place not in items and value != default and not (keyed and self._at(kind, instance, items[place]) == value)
            for place, value in indexed.items()
        )

    def _at(self, kind: int, instance: Any, key: Any) -> Any:
        try:
            return self.ask(kind, "__getitem__", (instance, key))
        except Exception:
            return _MISSING

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


def _instant(value: Any) -> Any:
    return str(value) if isinstance(value, datetime | timedelta | Decimal) else value


def _is_absent(instance: Any, item: Any, facts: dict[str, Any]) -> bool:
    """Return whether an item is none of those that an object, which has a length, iterates over."""
    if "items" not in facts or "len" not in facts or not is_data(item):
        return False
    if hasattr(type(instance), "keys") and type(item) is str:  # keys may be known in other letters, or by a path
        names = [held.casefold() for held in facts["items"] if type(held) is str]
        if any(name in item.casefold() or item.casefold() in name for name in names):
            return False
    return all(is_data(held) and held != item for held in facts["items"])


def differ(one: Any, other: Any) -> bool:
    """Return whether two answers are plain values, and not the same."""
    return is_data(one) and is_data(other) and one != other and not (one != one and other != other)  # noqa: PLR0124  nan


def is_data(value: Any) -> bool:
    """Return whether a value is a plain one, which the tests can compare by themselves."""
    if isinstance(value, Standin):
        return False
    return value is None or isinstance(value, bool | int | float | str | bytes)
