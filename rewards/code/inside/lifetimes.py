"""When objects that one end knows of the other's may go: for tests that wait for the end of what they deleted.

Each end keeps what the other knows by number. Where the tests collect garbage (`gc.collect()`, and after every `del name`),
each end says which stand-ins nothing but the link holds; the other lets go of what they stand for, and sees whether it goes.
Only what has gone is forgotten, so that weak references to a stand-in live as long as what it stands for. Standard library
only.
"""

import gc
import sys
import types
import weakref
from collections import Counter
from collections.abc import Iterable
from typing import Any

from rewards.code.inside.callables import Function
from rewards.code.inside.standins import Standin

_COLLECT = gc.collect  # which `Collector.collect` takes the place of
_ROUNDS = 3  # what has gone may have held others


def unneeded(peer: Any, held: Iterable[Any] = ()) -> list[int]:
    """Return the numbers of stand-ins that nobody uses; `held`: what else of this end's own keeps them."""
    own = Counter(map(id, held))
    found = []
    for number in list(peer.remote):
        item = peer.remote[number]
        let_go(item)
        if isinstance(item, Standin | Function | types.FunctionType) and sys.getrefcount(item) <= 3 + own[id(item)]:
            found.append(number)  # three: the table, the name here, the argument of the count
        del item
    return found


def let_go(error: Any) -> None:
    """Have an exception keep no frames alive, nor the object whose attribute was missing."""
    if not issubclass(type(error), BaseException):
        return
    for one in (error, error.__context__, error.__cause__):
        if one is not None:
            one.__traceback__ = None
        if isinstance(one, AttributeError):
            one.obj = None


def release(peer: Any, numbers: Any, has_cycles: bool = True) -> list[int]:
    """Let go of our objects, also those in cycles; return the numbers of those that have gone."""
    watched = {}
    for place in range(len(peer.objects)):
        let_go(peer.objects[place])
    for number in numbers:
        if type(number) is int and 0 <= number < len(peer.objects) and peer.objects[number] is not None:
            watched[number] = _Weakly(peer, number)
    if has_cycles:
        _COLLECT()
    return [number for number, weak in watched.items() if not weak.restore(peer, number)]


class _Weakly:
    """One of our objects, held weakly: of a bound method, the object that it is bound to."""

    def __init__(self, peer: Any, number: int):
        item = peer.objects[number]
        self.function = item.__func__ if type(item) is types.MethodType else None
        self.strong = None
        try:
            self.weak: Any = weakref.ref(item if self.function is None else item.__self__)
        except TypeError:  # no weak references to it: it stays
            self.strong = item
        peer.objects[number] = None
        self.key = id(item)
        peer.numbers.pop(self.key, None)

    def restore(self, peer: Any, number: int) -> bool:
        """Put the object back in its place; return whether it is still there."""
        item = self.strong if self.strong is not None else self.weak()
        if item is None:
            return False
        item = item if self.function is None or self.strong is not None else types.MethodType(self.function, item)
        peer.objects[number] = item
        peer.numbers[id(item)] = number
        return True


def forget(peer: Any, numbers: Any) -> None:
    """Let go of stand-ins whose objects have gone."""
    for number in numbers:
        item = peer.remote.pop(number, None)
        peer.homes.pop(id(item), None)


class Collector:
    """Collects the garbage of both ends, in the tests' place of `gc.collect`."""

    def __init__(self, candidate: Any):
        self.candidate = candidate
        self.get = candidate.get
        candidate.__dict__["get"] = self.get_from  # in the place of the method

    def get_from(self, stand_in: Any, name: str) -> Any:
        """Return an attribute; of a class, where objects may write that they go, after those have gone that nobody uses."""
        if isinstance(stand_in, type) and not name.startswith("__") and not self.candidate.depth:
            self.exchange(has_cycles=False)
        return self.get(stand_in, name)

    def collect(self, *generation: int) -> int:
        """Collect here, then between the two ends."""
        count = _COLLECT(*generation)
        self.candidate.trust.faces.epoch += 1  # something happens
        self.exchange(has_cycles=True)
        return count

    def exchange(self, has_cycles: bool) -> None:
        """Have both ends let go of what the other does not use."""
        peer, trust = self.candidate, self.candidate.trust
        for _ in range(_ROUNDS):
            trust.newborn = None
            asked = set(unneeded(peer, trust.constructed))
            dead = asked.intersection(peer.ask("release", None, "", [list(asked), has_cycles]))
            ended = set(map(id, (peer.remote.get(number) for number in dead)))
            trust.constructed = [made for made in trust.constructed if id(made) not in ended]
            forget(peer, dead)
            gone = release(peer, peer.ask("unneeded", None), has_cycles)
            if gone:
                peer.ask("forget", None, "", [gone])
            if not dead and not gone:
                break
            if has_cycles:
                _COLLECT()
