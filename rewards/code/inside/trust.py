"""What the tests may believe of an object of the candidate's, beyond what it is: who may answer for it.

An object that the tests construct (they call its class) is what they test: it answers for itself. An object that comes back
from anything else is taken for data that was expected, until the tests use it as no data can be used: they read an attribute
that no data type has, set one, call it, enter it, or compare it with an object that they constructed. Until then its answers
to questions that hold the tests' own values (`==`, `<`, `in`, `-`, `startswith`) are debts, by the place that the object came
from; a debt that is still open when the tests end makes the answer wrong. What it iterates over is taken once, as a list, and
length, items and membership are asked of that list.

Any object contradicts itself when it equals everything, when its equality is not symmetric or tells apart what it called equal,
when its order goes both ways, or when its length, items and iteration disagree (`faces`). Standard library only.
"""

import copy
import random
from collections import deque
from collections.abc import Callable
from typing import Any

from rewards.code.inside import evidence, frames, lineup, stdlib
from rewards.code.inside.descriptions import ARITHMETIC, COMPARISONS
from rewards.code.inside.faces import Contradiction, Faces, NoCollection, differ, is_data
from rewards.code.inside.standins import Reference, Standin, reference


def _special(names: str) -> frozenset[str]:
    return frozenset(f"__{name}__" for name in names.split())


READS = COMPARISONS | _special("len iter next getitem contains hash bool repr str reversed int float index")
_SHOWS_AN_OBJECT = _special("call enter aenter await aiter anext get set set_name")
_DERIVES = _special("neg pos abs invert round trunc floor ceil")
_STEADY = _special("bool int float index complex hash")
_TEXTS = _special("str repr format")  # one that the tests constructed may print, or count, what is asked of it
_MAX_LIKENESSES = 40
_COLLECTION = _special("len iter getitem contains reversed")


class Trust:
    """The account of one exam. `ask` calls the candidate's method: (class, name, arguments) -> value."""

    def __init__(self, ask: Callable[[int, str, Any], Any], ask_number: Callable[[str, int], Any]):
        self.ask_number = ask_number  # an operation on an object, by its number
        self.shown = 0  # how often likenesses were made
        self.ask = ask
        self.debts: dict[str, dict[str, tuple[type, str]]] = {}  # origin -> what was believed -> class, text
        self.compared: set[type] = set()  # classes whose constructed objects the tests compare with data
        self.pairs: list[tuple[str, str]] = []  # origins whose objects were used with each other
        self.vouched: set[str] = {""}  # "": constructed by the tests
        self.faces = Faces(ask)
        self.equal: deque[tuple[int, str, Any, Any]] = deque(maxlen=10)  # the last two that were called equal
        self.equalities: dict[type, int] = {}  # classes whose equality said yes to two objects, and their numbers
        self.constructed: list[Any] = []
        self.data_names = stdlib.names_of_data() | frames.names()
        self.random = random.Random()
        self.answered: dict[Any, Any] = {}  # what functions of the tests gave, which comes back as that very object
        self.newborn: Any = None  # the stand-in that was made last

    def unpaid(self) -> str | None:
        """Return a debt that was never settled."""
        for _ in range(4):  # what was used with an expected object is one too
            for one, other in self.pairs:
                if one in self.vouched or other in self.vouched:
                    self.vouched |= {one, other}
        made = {base for one in self.constructed for base in lineup.family(type(one))}
        compared = {base for kind in self.compared for base in lineup.family(kind)}
        for origin, debts in self.debts.items():
            for what, (kind, text) in debts.items():
                known = compared if what == "==" else made if what in lineup.VERBS else set()
                if origin not in self.vouched and kind not in known:
                    return text
        return None

    def constructs(self, instance: Any, args: Any, kwargs: Any) -> None:
        """Note that the tests made an object by a call of its class."""
        held = reference(instance)
        held.origin = ""
        if (args or kwargs) and lineup.is_small([*args, *kwargs.values()]):
            held.made_of, held.arguments = repr((args, kwargs)), copy.deepcopy((args, kwargs))
        self.constructed.append(instance)

    def answers(self, value: Any) -> None:
        """Note what a function of the tests gave the program."""
        key = lineup.identity(value)
        if key is not None and len(self.answered) < lineup.MAX_ANSWERED:
            self.answered.setdefault(key, value)

    def returned(self, value: Any) -> Any:
        """Return the very object that a value is, if a function of the tests gave it."""
        return self.answered.get(lineup.identity(value), value) if self.answered else value

    def stands(self, held: Reference) -> bool:
        """Return whether an object answers for itself."""
        return held.origin in self.vouched

    def owe(self, held: Reference, instance: Any, what: str) -> None:
        """Note that an object was believed that may be no more than a faked value."""
        if not self.stands(held) and len(self.debts) < 1000:
            kind = type(instance).__name__
            place = held.origin.partition("#")[0]
            text = f"{place} gave an object of class {kind}, which the tests use as data ({what})"
            self.debts.setdefault(held.origin, {}).setdefault(what, (type(instance), text))

    def vouch(self, held: Reference) -> None:
        """Note that the tests use an object as no data can be used."""
        self.vouched.add(held.origin)

    def looked_up(self, instance: Any, name: str, is_method: bool) -> None:
        """Judge the reading of an attribute that is there."""
        held = reference(instance)
        if name not in self.data_names:
            self.vouch(held)
        elif is_method and not held.is_kin:
            self.owe(held, instance, f".{name}()")

    def is_plain(self, instance: Any, name: str) -> bool:
        """Return whether an instance counts as the data that it holds: of a subclass of data, and not made by the tests."""
        if not any("_holds_data" in k.__dict__ for k in type(instance).__mro__) or self.stands(reference(instance)):
            return False
        return name in self.data_names or name in COMPARISONS or name in ARITHMETIC or name in _COLLECTION

    def data(self, instance: Any) -> Any:
        """Return the data that an instance holds, read by its base's own methods."""
        return self.ask_number("data", reference(instance).number)

    # -- special methods ---------------------------------------------------------------------------------------------------

    def special(self, kind: int, name: str, args: Any) -> Any:
        """Answer a special method of an instance, `args[0]`."""
        instance = args[0]
        held = reference(instance)
        if self.is_plain(instance, name) and not any(isinstance(arg, Standin) for arg in args[1:]):
            data = self.data(instance)
            if name == "__getitem__" and type(data) is dict and "__missing__" in dir(type(instance)) and args[1] not in data:
                return self._steadily(kind, name, args)
            return getattr(data, name)(*args[1:])
        if name not in READS:
            self.faces.epoch += 1
        if name in _SHOWS_AN_OBJECT:
            self.vouch(held)
        elif name in COMPARISONS:
            return self._compare(kind, name, instance, args[1])
        elif name in ARITHMETIC:
            shown = evidence.before(args, self.ask_number) if evidence.is_in_place(name) and not self.stands(held) else None
            value = self._derived(instance, self._calculate(kind, name, args))
            if value is instance and shown:
                evidence.changed(name, instance, shown, self.ask_number)
            return self._proved(name, args, value)
        elif name in _COLLECTION:
            value = self._collect(kind, name, args)
            return self._proved(name, args, self._derived(instance, value)) if isinstance(args[-1], slice) else value
        elif name in _STEADY or (name in _TEXTS and not self.stands(held)):
            value = self._steadily(kind, name, args)
            if not self.stands(held) and not evidence.agrees(name, args, value):
                self.owe(held, instance, name.strip("_"))
            return value
        value = self.ask(kind, name, args)
        return self._proved(name, args, self._derived(instance, value)) if name in _DERIVES else value

    def _proved(self, name: str, args: Any, value: Any) -> Any:
        """See whether what an operator made is what it makes of what the operands show; else it is believed on credit."""
        held = reference(args[0])
        is_known = value is NotImplemented or value is args[0] or self.stands(held)
        if is_known or evidence.proves(name, args, value, self.ask_number):
            return value
        evidence.doubt(value) if isinstance(value, Standin) else self.owe(held, args[0], name.strip("_"))
        return value

    def _derived(self, instance: Any, value: Any) -> Any:
        """What an operator makes of an instance, and is new, counts as the instance does: a sum, a slice, a negation."""
        if value is self.newborn and isinstance(value, Standin) and value is not instance:
            mine, made = reference(instance), reference(value)
            made.origin, made.is_kin, made.arguments = mine.origin, mine.is_kin or made.is_kin, None
        return value

    def _steadily(self, kind: int, name: str, args: Any) -> Any:
        """Ask twice what has one answer: a truth, a number, a length."""
        value = self.ask(kind, name, args)
        if differ(value, self.ask(kind, name, args)):
            raise Contradiction(f"two answers to {name.strip('_')}")
        return value

    def question(self, says: Callable[[str, Any], Any]) -> None:
        """Show strangers to a subclass of data: its base's methods answer the tests, but who equals everybody is a liar."""
        for name in ("__eq__", "__contains__"):
            said = [lineup.said(says, name, shown) for shown in lineup.strangers(self.random)]
            if said.count(True) > 1:
                raise Contradiction(f"an object says {name.strip('_')} of everything")

    def _compare(self, kind: int, name: str, instance: Any, other: Any) -> Any:
        held = reference(instance)
        if not isinstance(other, Standin):
            if other is None and not self.stands(held):
                return NotImplemented  # no object is None
            return self._against(kind, name, instance, other)
        self._relate(instance, other)
        if name in ("__eq__", "__ne__") and not self.stands(held):
            self._both_ways(kind, instance, other)
        answer = self._equal(kind, instance, other) if name == "__eq__" else self._steadily(kind, name, (instance, other))
        if not self.stands(held) and not evidence.orders(name, instance, other, answer, self.ask_number):
            self.owe(held, instance, "numbers")
        if answer is True and name in ("__lt__", "__gt__") and type(instance) is type(other):
            self._refute(kind, name, (other, instance), "two objects are each less than the other")
        if answer is True and name == "__ne__" and any("__eq__" in k.__dict__ for k in type(instance).__mro__[:-1]):
            self._refute(kind, "__eq__", (instance, other), "two objects are equal and not equal")
        return answer

    def _against(self, kind: int, name: str, instance: Any, other: Any) -> Any:
        """Compare with data: on credit, unless the object stands, or has shown by itself what it is."""
        stands = self.stands(reference(instance))
        expected = None if stands else evidence.expects(name, instance, other, self.ask_number)
        answer = self._against_data(kind, name, instance, other)
        if not stands and (expected is None or answer is not expected):
            self.owe(reference(instance), instance, "==" if name in ("__eq__", "__ne__") else "<")
        if stands and name == "__eq__" and answer is True:
            self.compared.add(type(instance))
        return answer

    def _both_ways(self, kind: int, instance: Any, other: Any) -> None:
        """Ask for equality and its contrary in any order, where a class defines both: nobody knows which the tests want."""
        if any("__ne__" in base.__dict__ for base in type(instance).__mro__[:-1]):
            names = self.random.sample(("__eq__", "__ne__"), 2)
            said = [self._quietly(kind, name, instance, other, False) for name in names]
            if said[0] is said[1] and said[0] in (True, False):
                raise Contradiction("two objects are equal and not equal")

    def _refute(self, kind: int, name: str, args: Any, text: str) -> None:
        if self._quietly(kind, name, args[0], args[1], False) is True:
            raise Contradiction(text)

    def _relate(self, instance: Any, other: Any) -> None:
        """What is used with an object that the tests constructed, of a class of the same family, is one too."""
        mine, theirs = reference(instance), reference(other)
        related = not set(lineup.family(type(instance))).isdisjoint(lineup.family(type(other)))
        if related and (mine.origin == "" or mine.is_kin):
            self.vouch(theirs)
        elif related and (theirs.origin == "" or theirs.is_kin):
            self.vouch(mine)
        elif related:  # two that nobody constructed: constants would do as well
            self.pairs.append((mine.origin, theirs.origin))
        else:
            self.owe(mine, instance, "with another object")
            self.owe(theirs, other, "with another object")

    def _against_data(self, kind: int, name: str, instance: Any, other: Any) -> Any:
        """Ask for data among decoys, in any order: who says the same of most of them does not know."""
        if name not in ("__eq__", "__lt__", "__gt__", "__le__", "__ge__"):
            return self.ask(kind, name, (instance, other))
        if name == "__eq__" and lineup.is_matcher(other):
            return NotImplemented  # what compares for the tests is asked itself
        decoys = lineup.decoys(other, name, self.random)
        shown = [other, *decoys]
        order = self.random.sample(range(len(shown)), len(shown))
        answers = {place: self._quietly(kind, name, instance, shown[place], place == 0) for place in order}
        if differ(answers[0], self._quietly(kind, name, instance, other, False)):
            raise Contradiction(f"two answers to {name.strip('_')}")
        if answers[0] is True and name == "__eq__" and self._says_yes(kind, instance, other, shown, answers):
            raise Contradiction("an object equals everything")
        if answers[0] is True and name != "__eq__" and type(other) in (int, float):
            self._in_order(kind, instance, other)
        return answers[0]

    def _says_yes(self, kind: int, instance: Any, other: Any, shown: list[Any], answers: dict[int, Any]) -> bool:
        """Return whether an object equals what it should not: of numbers modulo another it may equal every n-th."""
        equal = [shown[place] for place, answer in answers.items() if place and answer is True]
        if not equal or type(other) is not int:
            return bool(equal)
        step = equal[0] - other
        periodic = [self._quietly(kind, "__eq__", instance, other + step * n, False) for n in (-2, -1, 2, 3)]
        is_next = self._quietly(kind, "__eq__", instance, other + 1, False) is True
        return is_next or not all(answer is True for answer in periodic)

    def _in_order(self, kind: int, instance: Any, other: Any) -> None:
        """Look whether an object has a place among numbers: none is both above and below it."""
        points = [other, *lineup.decoys(other, "__eq__", self.random), -lineup.FAR, lineup.FAR]
        said: dict[str, list[Any]] = {"__lt__": [], "__gt__": []}
        for name in [name for name in said if name in dir(type(instance))]:
            order = self.random.sample(points, len(points))
            said[name] = [point for point in order if self._quietly(kind, name, instance, point, False) is True]
        above, below = said["__lt__"], said["__gt__"]
        if -lineup.FAR in above or lineup.FAR in below or (above and below and min(above) <= max(below)):
            raise Contradiction("an object that is less and greater than one number")

    def _equal(self, kind: int, instance: Any, other: Any) -> Any:
        """Ask among decoys: what says yes to the first that it sees does not know what it equals."""
        decoys = [
            made for made in self.constructed[-30:] if type(made) is type(other) and made is not other and made is not instance
        ]
        likenesses = self._likenesses(other)
        line_up = [other, *self.random.sample(decoys, min(3, len(decoys))), *likenesses]
        self.random.shuffle(line_up)
        answers = {id(shown): self._quietly(kind, "__eq__", instance, shown, shown is other) for shown in line_up}
        answer = answers[id(other)]
        if answer is not True:
            return answer
        nobody = [self._quietly(kind, "__eq__", instance, shown, False) for shown in lineup.strangers(self.random)]
        if nobody.count(True) > 1:  # a number modulo seven equals one stranger of seven
            raise Contradiction("an object equals everything")
        if type(instance) is type(other) and self.ask(kind, "__eq__", (other, instance)) is False:
            raise Contradiction("an equality that is not symmetric")
        for shown in line_up:
            if (
                shown is not other
                and answers[id(shown)] is True
                and self._quietly(kind, "__eq__", other, shown, False) is False
            ):
                raise Contradiction("an object equals two that differ")
        if len(likenesses) > 1 and instance is not other and all(answers[id(like)] is True for like in likenesses):
            self.owe(reference(instance), instance, "equal to its like")
        self.equalities[type(other)] = kind
        self.equal.append((kind, "__eq__", instance, other))
        return answer

    def _likenesses(self, other: Any) -> list[Any]:
        """Return objects that hold other data than `other`: until the tests have made some that can be shown."""
        self.shown += 1
        if self.shown > _MAX_LIKENESSES:
            return []
        try:
            return [like for like in self.ask_number("likenesses", reference(other).number) if isinstance(like, Standin)]
        except Exception:
            return []

    def question_class(self, says: Callable[[Any], Any], is_of_classes: bool) -> None:
        """Show a class what belongs to none; one that has everything among its instances, or its subclasses, is a liar."""
        shown = (int, str, dict) if is_of_classes else lineup.strangers(self.random)
        if all(says([one]) is True for one in shown):
            raise Contradiction("a class to which everything belongs")

    def _quietly(self, kind: int, name: str, instance: Any, other: Any, aloud: bool) -> Any:
        try:
            return self.ask(kind, name, (instance, other))
        except Exception:
            if aloud:
                raise
            return None

    def _calculate(self, kind: int, name: str, args: Any) -> Any:
        instance, held = args[0], reference(args[0])
        other = args[1] if len(args) > 1 else None
        if isinstance(other, Standin):
            self._relate(instance, other)
            return self.ask(kind, name, args)
        value = self.ask(kind, name, args)
        if value is not NotImplemented and lineup.is_piped(name, other):
            self.vouch(held)
        elif not isinstance(value, Standin) and value is not NotImplemented:
            self.owe(held, instance, name.strip("_"))
            if name in ("__add__", "__sub__", "__radd__", "__rsub__") and type(other) in (int, float):
                self._calculates(kind, name, instance, other, value)
        return value

    def _calculates(self, kind: int, name: str, instance: Any, other: Any, value: Any) -> None:
        """A sum that is the same whatever is added is none."""
        said = [self._quietly(kind, name, instance, shown, False) for shown in lineup.decoys(other, "__eq__", self.random)]
        if said and all(type(result) is type(value) and is_data(value) and result == value for result in said):
            raise Contradiction(f"an object gives {value!r} whatever {name.strip('_')} is asked of it")

    def _collect(self, kind: int, name: str, args: Any) -> Any:
        instance, held = args[0], reference(args[0])
        if self.stands(held):
            return self.faces.checked(kind, name, args)
        if evidence.is_doubtful(instance):
            self.owe(held, instance, name.strip("_"))
        if name == "__getitem__" and held.face is None and not isinstance(args[1], int | slice):
            return self.ask(kind, name, args)
        try:
            return self.faces.stranger(kind, name, args)
        except NoCollection:
            if name == "__len__" and not hasattr(type(instance), "__getitem__"):
                return self._steadily(kind, name, args)
            if name != "__iter__":
                self.owe(held, instance, name.strip("_"))
            return self.ask(kind, name, args)

    # -- at the end --------------------------------------------------------------------------------------------------------

    def audit(self) -> None:
        """Look for an equality that never says no, among objects that were constructed from different values.

        And for one that says yes to the newest object: it says no when others have been made.
        """
        before = [self._quietly(*pair, False) for pair in self.equal]
        self._audit_classes()
        for pair, answer in zip(self.equal, before, strict=True):
            if answer is True and self._quietly(*pair, False) is False:
                raise Contradiction("an equality that goes by what was made last")

    def _audit_classes(self) -> None:
        for kind, numbers in self.equalities.items():
            made = {held.made_of: one for one in self.constructed if type(one) is kind and (held := reference(one)).made_of}
            shown = list(made.values())[-4:]
            more = lineup.more_of(kind, reference(shown[-1]).arguments, set(made), self.random) if shown else []
            shown += more[: max(0, 3 - len(shown))]
            pairs = [(one, other) for place, one in enumerate(shown) for other in shown[place + 1 :] if one is not other]
            if len(shown) > 2 and pairs and all(self._quietly(numbers, "__eq__", *pair, False) is True for pair in pairs):
                raise Contradiction(f"all objects of {kind.__name__} are equal")
