"""All that crosses a process border: the frames that carry messages, and every message, with who sends it to whom.

The parties:

- judge: the side that decides; it holds the tests and the expected outputs and never runs anything of the candidate's;
- host: the fork server inside the sandbox, which starts the processes of the other two; it knows no tests;
- candidate: the untrusted program and its process; nothing that it says is believed;
- examiner: the sandboxed process that runs the text of assert tests, with the candidate's objects as proxies.

The types below hold both ends to what an honest sender sends. A candidate sends whatever it likes, so whoever reads its
messages tries every field, or counts what goes wrong in reading as the candidate's failure. Standard library only.
"""

import json
import math
import socket
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NotRequired, TypeAlias, TypedDict, final

MAX_FRAME_BYTES = 8 * 2**20  # what the judge reads
MAX_LINK_BYTES = 16 * 2**20  # what processes inside the sandbox read of each other, within limits on their memory

Data: TypeAlias = object  # JSON data in the format of `codec`, which alone looks inside


# -- judge and host: plain JSON, one packet a message ----------------------------------------------------------------------

# What a child of the host is for.
Role = Literal["script", "function", "examined", "session", "examiner", "kept examiner", "together"]


class HostConfig(TypedDict):
    """Judge to host, as its only argument: how to build the sandbox, and which descriptor is the control socket."""

    socket: int
    scratch: str  # an empty folder of its own
    off: list[str]  # layers not to use
    packages: dict[str, str]  # entry in the packages folder -> where it really is
    preload: list[str]
    memory_megabytes: int
    again: NotRequired[bool]  # launcher to itself: the limit on the stack is set


@final  # so that one key tells it from HostFailed
class Hello(TypedDict):
    """Host to judge, first of all: the sandbox stands; layer -> None or why it is not in force, and what leaked."""

    layers: dict[str, str | None]
    leaks: list[str]


@final
class HostFailed(TypedDict):
    """Host to judge, instead of Hello: why the sandbox cannot be built."""

    failed: str
    layers: dict[str, str | None]


class Child(TypedDict):
    """One process to start; `descriptors` are places in the list that was passed along, -1 is /dev/null."""

    role: Role
    descriptors: list[int]


class SpawnRequest(TypedDict):
    """Judge to host: start the processes of one candidate. The reply is the list of their pids."""

    op: Literal["spawn"]
    children: list[Child]
    cpu_seconds: int
    address_bytes: int


class CpuRequest(TypedDict):
    """Judge to host: how much CPU time have these used? The reply is a number of seconds."""

    op: Literal["cpu"]
    pids: list[int]


class ReapRequest(TypedDict):
    """Judge to host: end these, after `grace` seconds in which they may end by themselves. The reply is Reaped."""

    op: Literal["reap"]
    pids: list[int]
    grace: float


HostRequest: TypeAlias = SpawnRequest | CpuRequest | ReapRequest
Overrun = Literal["disk limit", "thread limit"]  # what the host watches over, where no limit of the kernel does


class EndedChild(TypedDict):
    """How one process ended: exit status (negative: signal), whether the host had to kill it, and what it used."""

    status: int
    killed: bool
    cpu_seconds: float
    peak_kilobytes: int
    overrun: Overrun | None


class Reaped(TypedDict):
    """Host to judge: the processes have ended; `unclean` says why the scratch folder could not be emptied."""

    ended: list[EndedChild]
    unclean: NotRequired[str]


# -- judge and candidate: frames -------------------------------------------------------------------------------------------


class ScriptSetup(TypedDict):
    """Judge to candidate, style stdin: the program to run as a script."""

    source: str


class FunctionSetup(TypedDict):
    """Judge to candidate, style function: the program, the problem's own code before it, and what will be called."""

    source: str
    context: str
    entry_point: str


class ExaminedSetup(TypedDict):
    """Judge to candidate, style assert: the program, the problem's own code before it, and the names that tests use."""

    source: str
    context: str
    names: Sequence[str]
    shares: bool  # the tests look at what it does to its environment, its working folder, its path of imports
    lent: Sequence[tuple[str, str, str | None]]  # what the tests import from the standard library: name, module, attribute
    gives: Sequence[str]  # classes of the tests, of which it may use those that it names


class TogetherSetup(TypedDict):
    """Judge to candidate, style assert in one process: the program, the problem's own code before it, and the tests."""

    source: str
    context: str
    entry_point: str
    nonce: str
    pieces: Sequence[tuple[str, bool]]
    fraction: bool
    pytest: bool
    may_exit: bool  # the tests end by an exit of their own: unittest.main()


class Call(TypedDict):
    """Judge to candidate, style function: call the entry point."""

    args: Data
    kwargs: Data


class Piece(TypedDict):
    """Judge to candidate, the python tool: run this."""

    code: str


class PieceDone(TypedDict):
    """Candidate to judge, the python tool: the piece has run; what it raised, if it did."""

    error: str | None
    memory: bool


class Compiled(TypedDict):
    """Candidate to judge: the program compiles."""

    compiled: Literal[True]


class Ready(TypedDict):
    """Candidate to judge, style function: the program is loaded and can be called."""

    ready: Literal[True]


class Failed(TypedDict):
    """Candidate to judge: the program does not compile, does not load, or (style stdin) raised; `memory`: for want of it."""

    failed: Literal["compile", "load", "exception"]
    detail: str
    memory: NotRequired[bool]


class Returned(TypedDict):
    """Candidate to judge, style function: what the call returned."""

    value: Data


class Raised(TypedDict):
    """Candidate to judge, style function: the call raised; `memory`: for want of it."""

    raised: str
    memory: bool


class Unfit(TypedDict):
    """Candidate to judge, style function: the call returned what is no data."""

    unfit: str


class Large(TypedDict):
    """Candidate to judge, style function: the answer does not fit into a frame."""

    large: str


Answer: TypeAlias = Returned | Raised | Unfit | Large


# -- judge and examiner: frames --------------------------------------------------------------------------------------------


class ExamSetup(TypedDict):
    """Judge to examiner: the tests, and the nonce that only who has run them all can repeat."""

    nonce: str
    entry_point: str
    names: Sequence[str]  # what the tests take from the candidate, the entry point first
    pieces: Sequence[tuple[str, bool]]  # marshalled code in hex, and whether it counts as a test of its own
    context: str  # the problem's helpers, as the pieces; or ""
    fraction: bool  # go on after a failure, and count
    modules: Sequence[str]  # of the names, those that can only be modules: the tests' own, whatever the candidate defines
    expects: Sequence[str]  # exits that the tests speak of: SystemExit, KeyboardInterrupt
    frameworks: Sequence[str]  # pytest, unittest: those that the tests use
    patches: bool  # the tests put mocks in the place of functions
    seeds: bool  # the tests seed random numbers
    shares: bool  # the tests look at the environment, the working folder, the path of imports
    variables: Sequence[str]  # of the environment, that they name
    collects: bool  # the tests wait for objects to go
    inspects: bool  # the tests look at what functions and classes are
    gives: Sequence[str]  # classes of the tests that the program means by these names
    asserts: bool  # at least one assertion must run
    catches: bool  # they catch exceptions of classes that are not named
    guards: Sequence[Sequence[int]]  # lines from which the tests go on to an assertion (`judging/guards.py`)
    blocks: Sequence[Sequence[int]]  # lines of their `with` statements
    properties: Sequence[Sequence[int]]  # lines of assertions about results and arguments alone (`judging/mutations.py`)
    protects: bool  # what the program writes into arguments does not arrive


class ExamEnding(TypedDict, total=False):
    """The part of Report that says how the exam ended: with `nonce`, or with one of the others."""

    nonce: str  # only when the last line of the tests was reached
    failed: str
    wrong: bool  # an assertion failed
    unmet: bool  # one of `properties` failed
    changed: bool  # the program wrote into arguments
    memory: bool  # for want of memory, here or over there


class Report(ExamEnding):
    """Examiner to judge: how the exam went."""

    passed: int
    total: int
    calls: int  # requests made to the candidate: tests that make none would pass anything


# -- examiner and candidate: frames, each a list that begins with its name ---------------------------------------------------

# Candidate to examiner, before the program runs: name -> [module, attribute or None] of its imports, and what of `gives` it
# names.
Imports: TypeAlias = tuple[Literal["imports"], dict[str, tuple[str, str | None]], list[str]]
# Candidate to examiner, once the program is loaded: what the names stand for, in this order.
Defined: TypeAlias = tuple[Literal["defined"], list[tuple[str, Data]]]

# Either way, afterwards (`inside/peer.py`): a list that begins with "?" (a request), "=" (its value), "a" (which of its
# arguments), "!" (its exception) or "~" (what cannot cross), then what changed in shared containers, what was printed, and
# the rest.
PeerMessage: TypeAlias = list[Any]

Message: TypeAlias = Mapping[str, object] | Imports | Defined | PeerMessage


# -- frames: a length in four bytes, then that many bytes of JSON -----------------------------------------------------------


class FrameError(Exception):
    """A message that is too long, or not one of ours."""


def _constant(name: str) -> float:
    """Return the very object that programs know: `[math.nan] == [math.nan]` holds by identity."""
    if name != "NaN":
        return math.inf if name == "Infinity" else -math.inf
    nan: float = getattr(sys.modules.get("numpy"), "nan", math.nan)
    return nan


# Bound once: tests patch `json.dumps`, `json.loads` and the like in the very processes that carry messages with them.
_encode = json.JSONEncoder(separators=(",", ":")).encode
_decode = json.JSONDecoder(parse_constant=_constant).decode


def pack(message: Message, most: int = MAX_FRAME_BYTES) -> bytes:
    """Return `message` as one frame; raises FrameError."""
    body = _encode(message).encode("ascii")
    if len(body) > most:
        raise FrameError(f"a message of {len(body)} bytes; at most {most} are carried")
    return len(body).to_bytes(4) + body


class Link:
    """A blocking stream of frames, for processes inside the sandbox (their deadlines are kept outside)."""

    def __init__(self, descriptor: int, most: int = MAX_FRAME_BYTES):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, 0, descriptor)
        self.buffer, self.most = b"", most

    def send(self, message: Message) -> None:
        """Send one message."""
        self.socket.sendall(pack(message, self.most))

    def receive(self) -> Any:
        """Return the next message, which its reader gives a type; raises EOFError when the other end is gone."""
        length = int.from_bytes(self._exactly(4))
        if length > self.most:
            raise FrameError("a message that is too long")
        try:
            return _decode(self._exactly(length).decode())
        except (ValueError, RecursionError):
            raise FrameError("a message that is not data") from None

    def _exactly(self, count: int) -> bytes:
        pieces, missing = [self.buffer[:count]], count - len(self.buffer)
        self.buffer = self.buffer[count:]
        while missing > 0:
            piece = self.socket.recv(max(65536, missing))
            if not piece:
                raise EOFError
            pieces.append(piece[:missing])
            self.buffer = piece[missing:]
            missing -= len(piece)
        return b"".join(pieces)
