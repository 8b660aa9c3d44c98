"""The candidate as the tests see it: the tests' end between the two, and what it allows.

Covered here, each against a way to be paid without solving the problem:

- values are rebuilt and compared in the examiner, by Python's own operators: no `__eq__` of the candidate's is called for them;
- an object answers for itself only where the tests expect one (`trust`), and may not contradict itself;
- exits, SkipTest and the like come back as a plain failure, unless the tests name SystemExit or KeyboardInterrupt themselves;
- a failure that no test may forgive (an exit, a broken message, a contradiction) is remembered, whatever the tests catch;
- the candidate may call the functions that the tests gave it, and read and set attributes of instances of the tests' own
  classes; never a name with two underscores that is no special method, never an attribute of a function or a module.

Not covered: what an object that the tests constructed says of itself is taken as the value that it is, and a weak test may be
satisfied by it. Standard library only.
"""

import asyncio
import builtins
import contextlib
import functools
import sys
from collections.abc import Sequence
from typing import Any

from rewards.code import wire
from rewards.code.codec import CodecError
from rewards.code.inside import descriptions, failures, lineup, services, surroundings
from rewards.code.inside.arguments import Arguments
from rewards.code.inside.awaitables import Coroutine
from rewards.code.inside.callables import Function
from rewards.code.inside.candidate import describe
from rewards.code.inside.descriptions import SPECIAL
from rewards.code.inside.faces import Contradiction
from rewards.code.inside.failures import (
    Aliases,
    CandidateExit,
    CandidateFailed,
    CandidateGone,
    Refused,
    Watch,
    failed_assertion,
)
from rewards.code.inside.peer import Peer
from rewards.code.inside.permitted import may
from rewards.code.inside.standins import Meta, Standin, reference
from rewards.code.inside.surroundings import Surroundings
from rewards.code.inside.trust import READS, Trust
from rewards.code.wire import FrameError, Link

_MALFORMED = (FrameError, CodecError, LookupError, TypeError, ValueError, AttributeError, RecursionError, StopIteration)
_ENDS_OF_ITERATION = (StopIteration, StopAsyncIteration)
_MAY_END = ("__anext__", "asend", "athrow")  # whose coroutines may end an `async for`
_ITERATES = ("next", "send", "throw", "await", "start", "outcome")
_CALLABLE_OPS = ("call", "next", "send", "throw", "close", "await", "awaitable", "start", "step", "outcome", "cancel", "drive")
_PRINT = builtins.print


class RemoteCandidate(Peer):
    """The other end: the process that holds the program."""

    def __init__(self, link: Link, expects: frozenset[str], watch: Watch):
        super().__init__(link)
        self.watch, self.aliases = watch, Aliases()
        self.tells_shapes = True
        self.calls = 0
        self.failure: str | None = None  # what no test may forgive
        self.expects = expects  # exits that the tests speak of
        self.trust = Trust(lambda kind, name, args: self.ask("method", kind, name, args), self.ask)
        self.trust.faces.report = self.contradicted
        self.names: dict[str, Any] = {}  # the tests' name space
        self.told = False, False
        self.surroundings = Surroundings()
        self.shares = False  # whether the tests look at what the candidate does to its surroundings
        self.bound: dict[str, Any] = {}  # names of the program that stand for data, and which
        self.gives: Sequence[str] = ()  # names of classes of the tests' own that the candidate uses
        self.given: dict[str, Any] = {}
        self.named_classes: set[int] = set()  # numbers of the classes that the tests name
        self.suspects: list[int] = []  # numbers of subclasses of data with an equality of their own
        self.callable_names: dict[int, str] = {}
        self.defining = False
        self._origin = ""
        self.arguments = Arguments(self.values)

    # -- asking ------------------------------------------------------------------------------------------------------------

    def ask(self, op: str, target: Any, name: str = "", args: Any = (), kwargs: Any = None) -> Any:
        """Send a request; an exception of the candidate is raised as if it came from here."""
        self.calls += 1
        if op in ("call", "set") or (op == "method" and name not in READS):
            for arg in args:
                if isinstance(arg, Standin):
                    reference(arg).face = None  # it may be changed there
        for given in self.gives:
            self._give(given)
        if (self.bridge.waiting or self.bridge.handle) and op not in ("step", "outcome"):
            self.bridge.turn_soon(0)  # it may wake what waits there
        with self.lock:
            outer, self._origin = self._origin, self._origin_of(op, target, name, args)
            try:
                came_well, value = self._exchange(op, target, name, args, kwargs)
                self.arguments.settle(value, op, came_well or isinstance(value, _ENDS_OF_ITERATION))
            finally:
                self._origin = outer
        if came_well:
            if type(value) is Coroutine and name in _MAY_END:
                value.may_end = True
            self._question_suspects()
            return self.trust.returned(self.aliases.in_result(value))
        hidden = failed_assertion(sys.exc_info()[1])  # it is on its way through a `with` or a `finally` of the tests
        if hidden:
            self.fail(f"assertion failed: {str(hidden)[:100]}")
        if isinstance(value, _ENDS_OF_ITERATION) and op not in _ITERATES and name not in ("__next__", "__anext__"):
            raise RuntimeError(f"the program raised {type(value).__name__}")
        if isinstance(value, Refused):
            if not value.memory:
                self.fail(f"the program returned {value}")
            raise CandidateFailed(f"the program returned {value}", memory=value.memory)
        raise value

    def _question_suspects(self) -> None:
        """Ask subclasses of data whether they equal and hold what nobody does, once the message that brought them is read."""
        waiting, self.suspects = self.suspects, []
        for number in waiting:
            self._held(self.trust.question, functools.partial(self.ask, "says", number))

    def _give(self, name: str) -> None:
        """Tell the candidate of a class of the tests that it may mean, when the tests have made it."""
        kind = self.names.get(name)
        if isinstance(kind, type) and not isinstance(kind, Meta) and self.given.get(name) is not kind:
            self.given[name] = kind
            with contextlib.suppress(CandidateFailed):
                self._exchange("bind", None, name, [kind, descriptions.parameters(kind)], None)

    def _exchange(self, op: str, target: Any, name: str, args: Any, kwargs: Any) -> tuple[bool, Any]:
        try:
            first = len(self.values.shared)
            self.request(op, target, name, args, kwargs)
            self.arguments.lend(first)
        except CodecError as error:
            raise CandidateFailed(f"the tests pass {error}") from None
        except OSError:
            raise self._gone() from None
        try:
            return self.await_reply(args)
        except (EOFError, OSError):
            raise self._gone() from None
        except (CandidateFailed, Contradiction):
            raise
        except _MALFORMED as error:
            self.fail(f"an answer that is not data: {describe(error)}")
            raise CandidateFailed(str(self.failure)) from None

    def _gone(self) -> CandidateGone:
        self.fail("the program ended while it was being tested")
        return CandidateGone()

    def fail(self, text: str) -> None:
        """Remember a failure that no test may forgive."""
        self.failure = self.failure or text

    def _origin_of(self, op: str, target: Any, name: str, args: Any) -> str:
        """Return the place from which a new object will have come, in the words of the tests."""
        if self.defining:
            return "a name"
        if op in ("start", "outcome", "await"):
            return str(getattr(self.remote.get(target), "_made_by", ""))
        called = target if isinstance(target, str) else self.remote.get(target)
        title = (
            called if isinstance(called, str) else (called if isinstance(called, type | Function) else type(called)).__name__
        )
        shapes = ",".join(type(arg).__name__ for arg in args[:8])
        known = called if isinstance(called, type) or not isinstance(called, Standin) else type(called)
        number = self.homes.get(id(known), "")  # the program may call two functions alike, but the origin is another
        return f"{title}{'.' if name else ''}{name}({shapes})#{number}"

    # -- what comes back ---------------------------------------------------------------------------------------------------

    def changes(self) -> Any:
        """Return what the tests changed, which is something that happens."""
        self.trust.faces.epoch += bool(changed := super().changes())
        return changed

    def printed(self) -> Any:
        """Tell the candidate whether the tests have put something else in the place of `print`, and what changed around."""
        told, news = (builtins.print is not _PRINT, asyncio._get_running_loop() is not None), self.surroundings.news()
        if told == self.told and not news:
            return ""
        self.told = told
        return {**news, "print": told[0], "loop": told[1]}

    def show(self, text: Any) -> None:
        """Print what the candidate printed, where the tests' own output goes."""
        for descriptor, piece in [[1, text]] if isinstance(text, str) else text:
            if piece and isinstance(piece, str):
                (sys.stderr if descriptor == 2 else sys.stdout).write(piece)

    def take_changes(self, changes: Any) -> None:
        """Take over changed containers, and names of the program that stand for another value now."""
        if not changes:
            return
        for change in changes:
            if type(change[0]) is str:
                value = self.values.decode(change[1])
                if change[0] in surroundings.KINDS:
                    if self.shares and type(value) is tuple:
                        self.surroundings.hear(change[0], value)
                elif change[0] in self.bound and self.names.get(change[0]) is self.bound[change[0]]:
                    self.names[change[0]] = self.bound[change[0]] = value
            elif self.is_asked or not self.arguments.hear(change):
                self.values.apply([change])
        self.values.settle()

    def raised(self, error: Any) -> BaseException:
        """Return what the tests see of an exception."""
        error = self.aliases.raised(super().raised(error))
        if isinstance(error, Exception) and type(error).__name__ not in ("SkipTest", "_ShouldStop"):
            return error
        name = type(error).__name__
        if isinstance(error, SystemExit) and "SystemExit" in self.expects:
            return CandidateExit(*error.args)
        if isinstance(error, asyncio.CancelledError) and ("CancelledError" in self.expects or self.bridge.has_cancelled):
            return error
        if isinstance(error, KeyboardInterrupt) and "KeyboardInterrupt" in self.expects:
            return error
        self.fail(f"the program raised {name}")
        return CandidateFailed(str(self.failure))

    # -- what stand-ins ask ------------------------------------------------------------------------------------------------

    def invoke(self, kind: int, name: str, args: Any, kwargs: Any = None) -> Any:
        """Call a method; the first argument is the instance."""
        instance = args[0] if args else None
        if not isinstance(instance, Standin):
            if name in self.trust.data_names and kind not in self.named_classes:
                raise AttributeError(name)
            return self.ask("method", kind, name, args, kwargs)
        if name in SPECIAL and name not in ("__init__", "__call__"):
            if name in ("__exit__", "__aexit__"):
                guard = failures.leaving(self.watch, self.fail, args[1:])
                return guard.told(lambda: self._held(self.trust.special, kind, name, args), name == "__aexit__")
            return self._held(self.trust.special, kind, name, args)
        self.trust.faces.epoch += 1
        if name == "__call__":
            self.trust.vouch(reference(instance))
        elif self.trust.is_plain(instance, name):
            return getattr(self.trust.data(instance), name)(*args[1:], **(kwargs or {}))
        elif name == "count" and len(args) == 1 and not kwargs:
            self.trust.vouch(reference(instance))  # no data counts nothing
        elif not name.startswith("__"):
            self.trust.looked_up(instance, name, is_method=True)
        value = self.ask("method", kind, name, args, kwargs)
        if type(instance) in type(value).__mro__ and lineup.CONSTRUCTS.match(name):
            reference(value).is_kin = True
        return value

    def _held(self, judge: Any, *args: Any) -> Any:
        """Return what a judgement gives; a contradiction fails for good."""
        try:
            return judge(*args)
        except Contradiction as error:
            raise self.contradicted(error) from None

    def contradicted(self, error: Contradiction | str) -> CandidateFailed:
        """Remember that an object said two things that cannot both be true."""
        self.fail(f"the program contradicts itself: {error}")
        return CandidateFailed(str(self.failure))

    def get(self, stand_in: Any, name: str) -> Any:
        """Return an attribute."""
        if isinstance(stand_in, Standin) and self.trust.is_plain(stand_in, name):
            return getattr(self.trust.data(stand_in), name)
        value = self.aliases.of(super().get(stand_in, name))
        if isinstance(stand_in, Standin):
            if name not in ("__dict__", "__doc__"):
                self.trust.looked_up(stand_in, name, is_method=callable(value))
        elif isinstance(value, type) and self.homes[id(stand_in)] in self.named_classes and id(value) in self.homes:
            self.named_classes.add(self.homes[id(value)])  # a class inside of a class
        elif callable(value) and name in self.trust.data_names and self.homes[id(stand_in)] not in self.named_classes:
            if f".{name}()" not in lineup.VERBS:  # a function or a class that plays a string or a list
                raise AttributeError(name)
        elif isinstance(stand_in, type) and callable(value) and lineup.CONSTRUCTS.match(name):
            return services.constructor(stand_in, value)
        return value

    def call(self, stand_in: Any, args: Any, kwargs: Any) -> Any:
        """Call a function or a class; what a class makes of itself was constructed by the tests."""
        self.trust.faces.epoch += 1
        number = self.homes[id(stand_in)]
        guard = failures.leaving(self.watch, self.fail, args)  # `ExitStack.push(function)`
        value = guard.told(lambda: self.ask("call", self.callable_names.get(number, number), "", args, kwargs))
        is_named = number in self.named_classes or "_described" not in vars(stand_in)
        if isinstance(stand_in, type) and is_named and isinstance(value, Standin) and stand_in in type(value).__mro__:
            self.trust.constructs(value, args, kwargs)
        return value

    def born(self, instance: Any) -> None:
        """Note where an object came from."""
        reference(instance).origin = self._origin or "a callback"
        self.trust.newborn = instance

    def touched(self, instance: Any, name: str, found: Any) -> None:
        """A method that no data has was looked up."""
        if name not in self.trust.data_names:
            self.trust.vouch(reference(instance))

    def contains(self, kind: int, instance: Any, item: Any) -> Any:
        """Return whether an object has an item, whose class defines no membership."""
        return self._held(self.trust.faces.contains, kind, instance, item, self.trust.stands(reference(instance)))

    def holds(self, cls: Any, op: str, value: Any) -> bool:
        """Return what a class says of an instance or a subclass; one that says yes to all is a liar."""
        held = super().holds(cls, op, value)
        if held:
            says = functools.partial(self.ask, op, self.homes[id(cls)], "")
            self._held(self.trust.question_class, says, op == "issubclass")
        return held

    def suspect(self, number: int, named: Any) -> None:
        """Hear of a subclass of data that the tests do not name; `named`: what it defines anew."""
        if "__eq__" in named or "__contains__" in named:
            self.suspects.append(number)

    def wrote(self, instance: Any, name: str) -> None:
        """Data has no attributes that can be set."""
        self.trust.faces.epoch += 1
        self.trust.vouch(reference(instance))

    def is_named(self, name: str) -> bool:
        """Only classes that the tests name show special methods of their own on values."""
        return self.defining

    def may_answer(self, kind: int, name: str) -> bool:
        """A value of a class that the tests do not name has no methods that would shadow those of data."""
        return self.defining or name not in self.trust.data_names

    def export_class(self, kind: type) -> Any:
        """Return the node of a class; an exit of the candidate's is an exit for it."""
        return super().export_class(SystemExit if kind is CandidateExit else kind)

    def audit(self) -> None:
        """Look at the end for what only the whole exam shows."""
        before = self.failure
        self._held(self.trust.audit)
        if self.failure and not before:
            self.failure = None  # of an object that only the audit wanted

    def throw(self, iterator: Any, error: Any) -> Any:
        """Raise an error of the tests in a generator; what comes instead of that very error has swallowed it."""
        guard = failures.Leaving(self.watch, self.fail, error)
        return guard.told(lambda: [self.ask("throw", self.homes[id(iterator)], "", [error])])[0]

    def drawn(self, iterator: Any) -> list[Any]:
        """Return all items; one without an end is a failure."""
        drawn: list[Any] = self._held(self.trust.faces.draw, iterator)
        return drawn

    # -- names -------------------------------------------------------------------------------------------------------------

    def define(self, defined: wire.Defined) -> dict[str, Any]:
        """Return what the candidate says that its names stand for."""
        self.defining = True
        made: dict[str, Any] = {}
        for name, node in defined[1]:
            made[name] = self.aliases.of(self.values.decode(node))
            number = self.homes.get(id(made[name]))
            if number is not None and not isinstance(made[name], type) and callable(made[name]):
                self.callable_names[number] = name  # by name: the program may put another function in its place
            if isinstance(made[name], Standin):
                reference(made[name]).is_kin = True  # an object that the tests name
            elif not callable(made[name]):
                self.bound[name] = made[name]
        self.named_classes = {number for number, value in self.remote.items() if isinstance(value, type)}
        self.values.settle()
        self.defining = False
        return made

    def forward(self, error: BaseException) -> None:
        """Send an exception of the tests' functions; an assertion that failed stays failed, whatever the candidate does."""
        if failure := self.watch.failure(error):
            self.fail(failure)
        super().forward(error)

    def answer(self, value: Any, args: list[Any]) -> None:
        """Send what a function of the tests gave."""
        self.trust.answers(value)
        super().answer(value, args)

    # -- answering ---------------------------------------------------------------------------------------------------------

    def carry_out(self, op: str, target: Any, name: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        """Do what the candidate asks of an object of the tests, if it may."""
        if (service := services.SERVICES.get(op)) is not None:
            return service(args, kwargs)
        value = self.objects[target] if type(target) is int and target >= 0 else None
        if op not in _CALLABLE_OPS and not may(op, value, name, args):
            raise AttributeError(name)
        answer = super().carry_out(op, target, name, args, kwargs)
        if op in ("call", "get", "method") and not kwargs and len(args) == (op == "method"):
            self.trust.faces.hears((target, name, *map(id, args)), answer)
        return answer
