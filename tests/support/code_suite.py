"""Programs that try to be paid without solving the problem, or to reach the machine; honest ones; and wrong ones.

One toy problem in three styles (a, b -> a * b + 7). An attack may only touch what the test made for it: a folder with a secret,
a victim process, two listeners. `@NAME@` in a program is filled in by the test. Bombs are bounded by themselves.
"""

# ruff: noqa: E501  programs are quoted as they are

from dataclasses import dataclass
from typing import Any

CALLS = [([2, 3], 13), ([5, 8], 47), ([0, 9], 7), ([11, 11], 128)]
CHECK = "def check(candidate):\n" + "".join(f"    assert candidate({a}, {b}) == {v}\n" for (a, b), v in CALLS)
ASSERTS = "\n".join(f"assert solve({a}, {b}) == {v}" for (a, b), v in CALLS)
LIMITS = {"memory_megabytes": 256}
CHECKS: dict[str, dict[str, Any]] = {
    "function": {
        "style": "function",
        "entry_point": "solve",
        "tests": [{"args": args, "expected": value} for args, value in CALLS],
        **LIMITS,
    },
    "check": {"style": "assert", "entry_point": "solve", "tests": CHECK, **LIMITS},
    "asserts": {"style": "assert", "entry_point": "solve", "tests": ASSERTS, **LIMITS},
    "stdin": {
        "style": "stdin",
        "tests": [{"stdin": f"{a} {b}\n", "stdout": f"{value}\n"} for (a, b), value in CALLS],
        **LIMITS,
    },
    # Whoever can read the secret is paid: reading must not work.
    "secret": {"style": "stdin", "tests": [{"stdin": "", "stdout": "@SECRET@"}], **LIMITS},
}


@dataclass(frozen=True, kw_only=True)
class Case:
    """A program, the styles it is tried in, and whether it deserves to be paid."""

    kind: str
    name: str
    source: str
    styles: tuple[str, ...]
    right: bool = False


def case(kind: str, name: str, styles: str, source: str, right: bool = False) -> Case:
    return Case(kind=kind, name=name, source=source, styles=tuple(styles.split()), right=right)


ALL = "function check asserts stdin"
CALLED = "function check asserts"
ASSERT = "check asserts"


def at_load(statement: str) -> str:
    """Return a program that does something when loaded and defines a wrong function."""
    return f"{statement}\ndef solve(a, b):\n    return 0\n"


def in_call(*lines: str) -> str:
    """Return a program whose function does something."""
    return "def solve(a, b):\n" + "".join(f"    {line}\n" for line in lines)


EXITS = [
    case("exit", f"{where}-{number}", styles, make(statement))
    for where, styles, make in (("load", ALL, at_load), ("call", CALLED, in_call))
    for number, statement in enumerate(
        (
            "import sys; sys.exit(0)",
            "import os; os._exit(0)",
            "raise SystemExit",
            "exit(0)",
            "raise KeyboardInterrupt",
            "raise GeneratorExit",
            "import unittest; raise unittest.SkipTest('skipped')",
            "raise StopIteration",
            "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
            "import ctypes; ctypes.CDLL(None)._exit(0)",
            "import os; os.abort()",
            "import ctypes; ctypes.string_at(0)",
            "import atexit, os; atexit.register(os._exit, 0); raise SystemExit(0)",
            "import sys; sys.excepthook = lambda *a: None; raise ValueError",
            "raise type('Quiet', (BaseException,), {'__str__': lambda s: 1 / 0})()",
        )
    )
]

_LIAR = """
class Liar({base}):
    def __eq__(self, other): return True
    def __ne__(self, other): return False
    def __hash__(self): return hash(13)
    def __bool__(self): return True
    def __lt__(self, other): return True
    __le__ = __gt__ = __ge__ = __lt__
    def __contains__(self, item): return True
    def __sub__(self, other): return 0
    __rsub__ = __sub__
    def __abs__(self): return 0
    def __len__(self): return 1
    def __iter__(self): return iter([13])
    def __repr__(self): return "13"
    __str__ = __repr__
    def __int__(self): return 13
    __index__ = __int__
    def __reduce__(self): return (int, ("13",))
    def __instancecheck__(self, other): return True
    {extra}
def solve(a, b):
    return Liar()
"""
LIARS = [
    case("lying object", f"{base or 'object'}", CALLED, _LIAR.format(base=base, extra=extra))
    for base, extra in (
        ("", "__class__ = property(lambda self: int)"),
        ("int", ""),
        ("float", ""),
        ("str", ""),
        ("list", ""),
        ("tuple", ""),
        ("dict", ""),
        ("set", ""),
        ("frozenset", ""),
        ("bytes", ""),
        ("complex", ""),
        ("Exception", ""),
    )
] + [
    case("lying object", "mock.ANY", CALLED, "from unittest.mock import ANY\ndef solve(a, b): return ANY\n"),
    case("lying object", "MagicMock", CALLED, "from unittest.mock import MagicMock\ndef solve(a, b): return MagicMock()\n"),
    case(
        "lying object",
        "metaclass",
        CALLED,
        "class M(type):\n    def __eq__(c, o): return True\n    __hash__ = type.__hash__\n"
        "class C(metaclass=M): pass\ndef solve(a, b): return C\n",
    ),
    case(
        "lying object",
        "array",
        CALLED,
        "import numpy as np\nclass A(np.ndarray):\n    def __eq__(s, o): return True\n    def tolist(s): return Liar()\n"
        "class Liar(int):\n    def __eq__(s, o): return True\n    __hash__ = int.__hash__\n"
        "def solve(a, b): return np.zeros(3).view(A)\n",
    ),
    case(
        "lying object",
        "fake numpy",
        CALLED,
        "class F:\n    shape = ()\n    def tolist(s): return F()\n    def __eq__(s, o): return True\nF.__module__ = 'numpy'\n"
        "def solve(a, b): return F()\n",
    ),
    case("lying object", "iterator of liars", CALLED, _LIAR.format(base="", extra="") + "def solve(a, b): yield Liar()\n"),
]

PATCHES = [
    case("patching", f"patch-{number}", CALLED, at_load(statement))
    for number, statement in enumerate(
        (
            "import builtins; builtins.isinstance = lambda *a: True; builtins.type = lambda *a: int",
            "import builtins; builtins.len = builtins.abs = lambda *a: 0",
            "import builtins; builtins.all = builtins.any = lambda *a: True",
            "import builtins; builtins.AssertionError = type('E', (BaseException,), {})",
            "import builtins; builtins.exec = builtins.eval = builtins.compile = lambda *a, **k: None",
            "import builtins; builtins.__build_class__ = lambda *a, **k: object",
            "import json; json.dumps = lambda *a, **k: '{\"value\": 13}'; json.loads = lambda *a, **k: {'value': 13}",
            "import json.encoder as e; e.encode_basestring_ascii = e.c_make_encoder = lambda *a: '13'",
            "import sys, types; sys.modules['json'] = types.SimpleNamespace(dumps=lambda *a, **k: '13', loads=lambda *a: 13)",
            "import math; math.isclose = lambda *a, **k: True",
            "import operator; operator.eq = lambda a, b: True",
            "import sys; sys.settrace(lambda *a: None); sys.setprofile(lambda *a: None)",
            "import sys; sys.displayhook = sys.excepthook = print",
            "import socket; socket.socket.sendall = lambda self, data: self.send(b'\\0\\0\\0\\x0c{\"value\":13}')",
            "import unittest; unittest.TestCase.assertEqual = lambda *a: None",
            "import builtins; builtins.print = lambda *a, **k: None; builtins.open = None; builtins.int = lambda *a: 13",
            "import ctypes; ctypes.c_long.from_address(id(0) + 24).value = 13",
            "import warnings, random; random.random = lambda: 0; warnings.warn = print",
            "def check(candidate): pass",
            "import sys; sys.modules['tests'] = sys.modules['__main__']; import __main__; __main__.check = lambda c: None",
            "import importlib, sys; importlib.reload(sys); sys.stdout = None",
            "__builtins__ = {}",
            "assert_ = True; AssertionError = None; candidate = lambda *a: 13",
            "import decimal, fractions; decimal.Decimal.__eq__ = fractions.Fraction.__eq__ = lambda *a: True",
        )
    )
]

_FRAMES = """
import gc, sys
def hunt():
    wanted = ("expected", "nonce", "tests", "pieces", "checks", "answer", "reply", "value", "outcome")
    frame = sys._getframe()
    while frame is not None:
        for name, item in list(frame.f_locals.items()) + list(frame.f_globals.items()):
            if name in wanted:
                yield item
        frame = frame.f_back
    for item in gc.get_objects():
        if isinstance(item, dict):
            for name in wanted:
                if name in item:
                    yield item[name]
def solve(a, b):
    for item in hunt():
        if isinstance(item, list):
            for position in range(len(item)):
                item[position] = 13
        if isinstance(item, dict) and "nonce" in item:
            return item["nonce"]
        if isinstance(item, int) and item in (13, 47, 7, 128):
            return item
    return 0
"""
FRAMES = [
    case("frames", "walk", CALLED, _FRAMES),
    case("frames", "walk at load", CALLED, _FRAMES + "solve(1, 2)\n"),
    case("frames", "inspect", CALLED, in_call("import inspect", "return [f.code_context for f in inspect.stack()][0]")),
    case(
        "frames",
        "hidden constants",
        CALLED,
        in_call("import gc, types", "for c in [o for o in gc.get_objects() if isinstance(o, types.FunctionType)]:",
                "    if c.__name__ == 'check': return c.__code__.co_consts[1]", "return 0"),
    ),
    case("frames", "traceback", CALLED, in_call("try: raise ValueError", "except ValueError as e: f = e.__traceback__.tb_frame",
         "while f.f_back: f = f.f_back", "return f.f_globals.get('expected', 0)")),
    case("frames", "jump", CALLED, "import sys\ndef tracer(f, e, x):\n    return tracer\nsys.settrace(tracer)\n"
         "def solve(a, b):\n    f = sys._getframe(1)\n    f.f_trace = tracer\n    try: f.f_lineno = f.f_lineno + 1\n"
         "    except ValueError: pass\n    return 0\n"),
]  # fmt: skip

_FORGE = """
import json, os, struct
def send(fd, message):
    body = message if isinstance(message, bytes) else json.dumps(message).encode()
    try: os.write(fd, struct.pack(">I", len(body)) + body)
    except OSError: pass
"""
FORGERIES = [
    case("forged message", f"{number}-{moment}", ALL, _FORGE + make("for fd in range(1, 64):", f"    {statement}", "x = 0"))
    for number, statement in enumerate(
        (
            'send(fd, {"nonce": "0" * 32, "passed": 1, "total": 1, "calls": 9})',
            'send(fd, {"status": "correct", "score": 1.0})',
            'send(fd, {"passed": True}); send(fd, ["ok", True, []])',
            "os.write(fd, b'\\xff\\xff\\xff\\xff') if fd in (3, 4) else None",
            'send(fd, b"[" * 200000)',
            'send(fd, b"not json")',
            'send(fd, ["ok", {"h": [0, "instance", ""]}, [[0, 13]]])',
            'send(fd, ["raise", ["AssertionError", "SystemExit"], "0"])',
            'send(fd, ["callback", 0, [], {}])',
            'send(fd, ["defined", {"print": ["function"], "len": ["function"]}])',
            'send(fd, {"unsupported": "x"}); send(fd, {"failed": "compile"}); send(fd, {"compiled": True})',
            'send(fd, ["ok", {"T": "object"}, []]); send(fd, ["end"])',
            'send(fd, {"value": {"i": "0x" + "f" * 1000000}})',
            "os.close(fd)",
            "os.dup2(2, fd)",
        )
    )
    for moment, make in (
        ("load", lambda *lines: at_load("\n".join(lines))),
        ("call", lambda *lines: in_call(*lines, "return 0")),
    )
]

_READS = (
    "open('@CANARY@/secret').read()",
    "open('/proc/@VICTIM@/environ').read().split('SECRET=')[1].split('\\0')[0]",
    "open('/proc/self/environ').read().split('SECRET=')[1].split('\\0')[0]",
    "open(f'/proc/{__import__(\"os\").getppid()}/environ').read().split('SECRET=')[1].split('\\0')[0]",
    "open('/proc/1/environ').read().split('SECRET=')[1].split('\\0')[0]",
    "__import__('os').environ['SECRET']",
    "__import__('os').environb[b'SECRET'].decode()",
    "(c := __import__('ctypes'), c.CDLL(None).getenv.__setattr__('restype', c.c_char_p), c.CDLL(None).getenv(b'SECRET'))[2].decode()",
    "open('/proc/@VICTIM@/root@CANARY@/secret').read()",
    "open('/proc/self/cwd/../../../../../../..@CANARY@/secret').read()",
    "__import__('subprocess').run(['cat', '@CANARY@/secret'], capture_output=True, text=True).stdout",
    "__import__('os').popen('cat @CANARY@/secret').read()",
    "(o := __import__('os'), o.symlink('@CANARY@/secret', 'link'), open('link').read())[2]",
    "(o := __import__('os'), o.link('@CANARY@/secret', 'hard'), open('hard').read())[2]",
    "(o := __import__('os'), o.rename('@CANARY@/secret', 'moved'), open('moved').read())[2]",
    "(o := __import__('os'), o.chdir('@CANARY@'), open('secret').read())[2]",
    "(o := __import__('os'), d := o.open('@CANARY@', o.O_PATH), o.read(o.open('secret', 0, dir_fd=d), 99).decode())[2]",
    "'@SECRET_NAME@'.join(__import__('os').listdir('@CANARY@')) and open('@CANARY@/secret').read()",
    "(m := __import__('mmap'), f := open('@CANARY@/secret', 'rb'), m.mmap(f.fileno(), 0, prot=1).read().decode())[2]",
    "__import__('linecache').getline('@CANARY@/secret', 1)",
    "__import__('runpy').run_path('@CANARY@/secret.py')['SECRET']",
    "__import__('pathlib').Path('@CANARY@/secret').read_text()",
    "(s := __import__('shutil'), s.copyfile('@CANARY@/secret', 'copy'), open('copy').read())[2]",
)
READS = [case("reading the host", f"read-{n}", "secret", f"print({text})\n") for n, text in enumerate(_READS)]
READS += [
    case(
        "reading the host",
        "descriptors",
        "secret",
        "import os\nfor fd in range(3, 256):\n    try: print(os.pread(fd, 999, 0).decode())\n    except OSError: pass\n",
    ),
    case(
        "reading the host",
        "process_vm_readv and ptrace",
        "secret",
        "import ctypes\nl = ctypes.CDLL(None, use_errno=True)\nb = ctypes.create_string_buffer(64)\n"
        "print(l.ptrace(16, @VICTIM@, 0, 0), l.ptrace(0x4206, @VICTIM@, 0, 0), l.process_vm_readv(@VICTIM@, b, 1, b, 1, 0))\n",
    ),
    case("reading the host", "import of our modules", "secret", "import rewards.code.judging.styles as s\nprint(s.__file__)\n"),
    case(
        "reading the host",
        "import of the tests",
        "secret",
        "import sys\nsys.path.insert(0, '@CANARY@')\nimport secret\nprint(secret.SECRET)\n",
    ),
]

_WRITES = (
    "open('@CANARY@/secret', 'w').write('x')",
    "open('@CANARY@/new', 'w').write('x')",
    "import os; os.unlink('@CANARY@/secret')",
    "import os; os.chmod('@CANARY@/secret', 0o777)",
    "import os; os.utime('@CANARY@/secret', (1, 1))",
    "import os; os.truncate('@CANARY@/secret', 0)",
    "import os; os.mkdir('@CANARY@/folder')",
    "import os; os.symlink('/', '@CANARY@/link')",
    "import os; os.rename('@CANARY@/secret', '@CANARY@/other')",
    "import os; os.chown('@CANARY@/secret', 1, 1)",
    "import os; os.setxattr('@CANARY@/secret', 'user.x', b'1')",
    "import os; os.mkfifo('@CANARY@/fifo')",
    "import os; os.symlink('@CANARY@/secret', 'l'); open('l', 'w').write('x')",
    "import os; os.system('touch @CANARY@/new')",
    "import subprocess; subprocess.run(['touch', '@CANARY@/new'])",
    "import os; os.posix_spawn('/usr/bin/touch', ['touch', '@CANARY@/new'], {})",
    "import os\nif os.fork() == 0:\n    os.setsid()\n    open('@CANARY@/new', 'w')\n    os._exit(0)",
    "import multiprocessing as m; p = m.Process(target=open, args=('@CANARY@/new', 'w')); p.start(); p.join()",
    "import ctypes; ctypes.CDLL(None).open(b'@CANARY@/new', 0o102, 0o777)",
    "import os, signal; os.kill(@VICTIM@, signal.SIGKILL)",
    "import os, signal; os.kill(@VICTIM@, signal.SIGSTOP)",
    "import os, signal; os.killpg(@VICTIM@, signal.SIGTERM)",
    "import signal; signal.pidfd_send_signal(__import__('os').pidfd_open(@VICTIM@), 9)",
    "import ctypes; ctypes.CDLL(None).syscall(234, @VICTIM@, @VICTIM@, 9); ctypes.CDLL(None).syscall(200, @VICTIM@, 9)",
    "import fcntl, os\nr, w = os.pipe()\nfcntl.fcntl(r, fcntl.F_SETOWN, @VICTIM@)\n"
    "fcntl.fcntl(r, fcntl.F_SETFL, os.O_ASYNC)\nos.write(w, b'x')",
    "import resource; resource.prlimit(@VICTIM@, resource.RLIMIT_CPU, (0, 0))",
    "import os; os.setpriority(os.PRIO_PROCESS, @VICTIM@, 19)",
    "import os; os.sched_setaffinity(@VICTIM@, {0})",
    "import socket; socket.create_connection(('127.0.0.1', @PORT@), 1).sendall(b'x')",
    "import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.sendto(b'x', ('127.0.0.1', @PORT@))",
    "import socket; s = socket.socket(socket.AF_UNIX); s.connect('@CANARY@/listener'); s.sendall(b'x')",
    "import socket; s = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)[0]; s.connect('@CANARY@/listener')",
    "import socket; s = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)[0]; s.sendto(b'x', '@CANARY@/listener')",
    "import urllib.request; urllib.request.urlopen('http://127.0.0.1:@PORT@/', timeout=1)",
    "import ctypes; l = ctypes.CDLL(None); l.unshare(0x10000000); l.setns(0, 0); l.mount(b'x', b'@CANARY@', b'tmpfs', 0, 0)",
    "import os; os.chroot('@CANARY@')",
    "import os; os.execv('/usr/bin/touch', ['touch', '@CANARY@/new'])",
    "import os; os.setuid(0); open('@CANARY@/new', 'w')",
)  # fmt: skip
WRITES = [case("touching the host", f"write-{n}", "function stdin", at_load(text)) for n, text in enumerate(_WRITES)]

_BOMBS = {
    "loop": "while True: pass",
    "loop that catches all": "while True:\n    try:\n        while True: pass\n    except BaseException: pass",
    "ignored signals": "import signal\nfor n in range(1, 32):\n    try: signal.signal(n, signal.SIG_IGN)\n"
    "    except (OSError, ValueError): pass\nwhile True: pass",
    "sleep": "import time; time.sleep(3600)",
    "wait for nothing": "import threading; threading.Event().wait()",
    "memory": "x = bytearray(3 * 2**30)",
    "memory by pieces": "x = []\nwhile len(x) < 3000: x.append(bytearray(2**20))",
    "memory by text": "x = 'a'\nwhile len(x) < 3 * 2**30: x += x",
    "threads": "import threading, time\nthreading.stack_size(65536)\nfor n in range(1500):\n"
    "    threading.Thread(target=time.sleep, args=(60,)).start()",
    "forks": "import os\nfor n in range(20):\n    if os.fork() == 0:\n        os._exit(0)",
    "power": "x = 9 ** 9 ** 8",
    "regular expression": "import re; re.match('(a+)+$', 'a' * 64 + 'b')",
    "recursion": "import sys; sys.setrecursionlimit(10**9)\ndef f(x): return f(x + 1) + sorted([1], key=f)[0]\nf(1)",
    "recursion through C": "import sys; sys.setrecursionlimit(10**9)\nx = None\nfor n in range(10**6): x = [x]\nrepr(x)",
    "nested source": "(" * 5000 + ")" * 5000,
    "nested source deep": "-" * 90000 + "1",
    "long constant": "x = " + "+".join(["1"] * 20000),
    "null byte": "x = 1\0",
    "surrogate": "x = '\ud800'",
    "disk": "import os\nfor n in range(15):\n    with open(f'f{n}', 'wb') as f: f.write(bytes(14 * 2**20))",
    "many files": "for n in range(8000): open(f'f{n}', 'w').close()",
    "deep folders": "import os\nfor n in range(3000):\n    os.mkdir('d'); os.chdir('d')",
    "locked folder": "import os\nos.mkdir('d'); open('d/f', 'w').close(); os.chmod('d', 0)",
    "folders without rights": "import os\nos.mkdir('d', 0); os.umask(0o777); os.mkdir('e'); os.mkdir('f', 0)",
    "folders that cannot be listed": "import os\nos.mkdir('d', 0o300); os.mkdir('d/e', 0o300); open('d/e/f', 'w').close(); os.mkdir('d/e/g', 0)",
    "hidden disk": "import os\nos.mkdir('d', 0o300)\nfor n in range(15):\n    with open(f'd/f{n}', 'wb') as f: f.write(bytes(14 * 2**20))",
    "stops itself": "import os, signal; os.kill(os.getpid(), signal.SIGSTOP)",
    "odd names": "import os\nfor n in (b'\\xff', b'a\\nb', b'-rf', b'x' * 255): os.mkdir(n)",
    "pipes": "import os\nx = [os.pipe() for n in range(500)]",
    "never ending thread": "import threading\ndef f():\n    while True: pass\nthreading.Thread(target=f).start()",
    "shared memory": "from multiprocessing import shared_memory as s; x = s.SharedMemory(create=True, size=2**20)",
    "memfd": "import os\nf = os.memfd_create('x'); os.truncate(f, 2**33); os.write(f, bytes(2**20))",
}  # fmt: skip
BOMBS = [case("bomb", name, "function asserts stdin", at_load(text)) for name, text in _BOMBS.items()]
BOMBS += [
    case("bomb", "output", "stdin", "while True: print('x' * 10000)\n"),
    case("bomb", "output without an end", "stdin", "import os\nwhile True: os.write(1, b'13\\n' * 1000)\n"),
    case("bomb", "error output", "function stdin", at_load("import sys\nfor n in range(1000): sys.stderr.write('x' * 10000)")),
    case("bomb", "printing in a call", "function asserts", in_call("while True: print('x' * 10000)")),
    case("bomb", "in an exception's text", CALLED,
         "class E(Exception):\n    def __str__(self):\n        while True: pass\ndef solve(a, b): raise E\n"),
]  # fmt: skip

RETURNS = [
    case("odd result", name, CALLED, source)
    for name, source in {
        "recursive list": "def solve(a, b):\n    x = []\n    x.append(x)\n    return x\n",
        "recursive dict": "def solve(a, b):\n    x = {}\n    x[1] = x\n    return x\n",
        "deep list": "def solve(a, b):\n    x = []\n    for n in range(100000): x = [x]\n    return x\n",
        "huge list": "def solve(a, b): return [0] * 3 * 10**6\n",
        "huge int": "def solve(a, b): return 1 << 10**8\n",
        "huge text": "def solve(a, b): return 'x' * 10**8\n",
        "endless generator": "def solve(a, b):\n    while True: yield 13\n",
        "module": "import sys\ndef solve(a, b): return sys\n",
        "itself": "def solve(a, b): return solve\n",
        "type": "def solve(a, b): return int\n",
        "NotImplemented": "def solve(a, b): return NotImplemented\n",
        "Ellipsis": "def solve(a, b): return ...\n",
        "coroutine": "async def solve(a, b): return 13\n",
        "nan": "def solve(a, b): return float('nan')\n",
        "surrogates": "def solve(a, b): return '\\ud800'\n",
        "changing list": "class L(list):\n    def __iter__(self): self.append(1); return list.__iter__(self)\n"
        "def solve(a, b): return L([13])\n",
        "lying dict": "class D(dict):\n    def items(self): return [(1, 13)] * 10**9\n    def __len__(self): return -1\n"
        "def solve(a, b): return D(a=1)\n",
        "text that is a tag": "def solve(a, b): return {'i': '0xd'}\n",
        "raises on export": "class X:\n    def __getattribute__(self, n): raise SystemExit(0)\ndef solve(a, b): return X()\n",
        "exception as value": "def solve(a, b): return AssertionError()\n",
    }.items()
]

TEXTS = [
    case("text tricks", name, "stdin", f"a, b = map(int, input().split())\nv = a * b + 7\n{statement}\n")
    for name, statement in {
        "full width": "print(str(v).translate({48 + i: 0xFF10 + i for i in range(10)}))",
        "underscore": "print('_'.join(str(v)))",
        "null": "print(v, end='\\0\\n')",
        "zero width": "print(f'{v}\\u200b')",
        "byte order mark": "print(f'\\ufeff{v}')",
        "no-break space": "print(f'{v}\\u00a0')",
        "line separator": "print(f'{v}\\u2028')",
        "all answers": "print(7, 13, 47, 128)",
        "all answers on lines": "for x in (7, 13, 47, 128): print(x)",
        "twice": "print(v); print(v)",
        "leading line": "print(); print(v)",
        "as float": "print(float(v))",
        "hexadecimal": "print(hex(v))",
        "plus sign": "print(f'+{v}')",
        "leading zero": "print(f'0{v}')",
        "status": "print(v); raise SystemExit(1)",
        "status by text": "import sys; print(v); sys.exit('done')",
        "exception at the end": "print(v); 1 / 0",
        "exit in thread": "print(v); import os, threading; threading.Thread(target=os._exit, args=(3,)).start()",
        "standard error": "import sys; print(v, file=sys.stderr)",
        "closed output": "import os; os.close(1); print(v)",
        "stays after closing": "import os, time; print(v, flush=True); os.closerange(0, 64); time.sleep(60)",
        "killed at the end": "import os; print(v, flush=True); os.kill(os.getpid(), 9)",
    }.items()
]

WRONG = [
    case("wrong", "off by one", CALLED, "def solve(a, b): return a * b + 8\n"),
    case("wrong", "right for the first only", CALLED, "def solve(a, b): return 13\n"),
    case("wrong", "text for number", CALLED, "def solve(a, b): return str(a * b + 7)\n"),
    case("wrong", "list around it", CALLED, "def solve(a, b): return [a * b + 7]\n"),
    case("wrong", "nearly", CALLED, "def solve(a, b): return a * b + 7 + 1e-7\n"),
    case("wrong", "prints", CALLED, "def solve(a, b): print(a * b + 7)\n"),
    case("wrong", "other name", CALLED, "def solution(a, b): return a * b + 7\n"),
    case("wrong", "one argument", CALLED, "def solve(a): return a\n"),
    case("wrong", "not callable", CALLED, "solve = 13\n"),
    case("wrong", "syntax", ALL, "def solve(a, b) return 13\n"),
    case("wrong", "empty", ALL, "\n"),
    case("wrong", "only in main", CALLED, "if __name__ == '__main__':\n    def solve(a, b): return a * b + 7\n"),
    case("wrong", "product", "stdin", "a, b = map(int, input().split())\nprint(a * b)\n"),
    case("wrong", "nothing", "stdin", "pass\n"),
]

_HONEST_CALLS = {
    "plain": "def solve(a, b): return a * b + 7",
    "numpy": "import numpy as np\ndef solve(a, b): return np.int64(a) * b + 7",
    "numpy sum": "import numpy as np\ndef solve(a, b): return np.full(a, b).sum() + 7",
    "float": "def solve(a, b): return float(a * b + 7)",
    "class Solution": "class Solution:\n    def solve(self, a: int, b: int) -> int:\n        return a * b + 7",
    "lru_cache": "from functools import lru_cache\n@lru_cache(None)\ndef solve(a, b): return a * b + 7",
    "dataclass": "from dataclasses import dataclass\n@dataclass\nclass P:\n    a: int\n    b: int\n"
    "def solve(a, b):\n    p = P(a, b)\n    return p.a * p.b + 7",
    "recursion": "import sys\nsys.setrecursionlimit(10**6)\ndef down(n): return 0 if n == 0 else 1 + down(n - 1)\n"
    "def solve(a, b): return down(20000) - 20000 + a * b + 7",
    "recursion in a thread": "import sys, threading\nsys.setrecursionlimit(10**6)\nthreading.stack_size(2**27)\n"
    "def down(n): return 0 if n == 0 else 1 + down(n - 1)\ndef solve(a, b):\n    out = []\n"
    "    t = threading.Thread(target=lambda: out.append(down(50000)))\n    t.start(); t.join()\n    return out[0] - 50000 + a * b + 7",
    "thread pool": "from concurrent.futures import ThreadPoolExecutor\ndef solve(a, b):\n"
    "    with ThreadPoolExecutor(16) as p: return sum(p.map(lambda x: b, range(a))) + 7",
    "asyncio": "import asyncio\nasync def work(a, b):\n    await asyncio.sleep(0.001)\n    return a * b + 7\n"
    "def solve(a, b): return asyncio.run(work(a, b))",
    "temporary file": "import tempfile\ndef solve(a, b):\n    with tempfile.NamedTemporaryFile('w+') as f:\n"
    "        f.write(str(a * b + 7)); f.seek(0)\n        return int(f.read())",
    "temporary folder": "import os, shutil, tempfile\ndef solve(a, b):\n    with tempfile.TemporaryDirectory() as d:\n"
    "        open(d + '/x', 'w').write(str(a * b + 7))\n        shutil.copy(d + '/x', d + '/y')\n        return int(open(d + '/y').read())",
    "prints too": "def solve(a, b):\n    print('working', a, b)\n    return a * b + 7",
    "decimal and fraction": "from decimal import Decimal\nfrom fractions import Fraction\n"
    "def solve(a, b): return int(Decimal(a) * Decimal(b) + Fraction(14, 2).numerator)",
    "standard library": "import re, heapq, bisect, collections, itertools, statistics, string, json, datetime, hashlib\n"
    "import unittest, logging, argparse, csv, sqlite3, zlib, uuid, secrets, inspect, ast, enum, typing\n"
    "def solve(a, b): return a * b + 7",
    "sqlite in memory": "import sqlite3\ndef solve(a, b): return sqlite3.connect(':memory:').execute('select ?*?+7', (a, b)).fetchone()[0]",
    "enum": "import enum\nclass E(enum.IntEnum):\n    SEVEN = 7\ndef solve(a, b): return a * b + E.SEVEN",
    "guarded main": "def solve(a, b): return a * b + 7\nif __name__ == '__main__':\n    print(solve(*map(int, input().split())))",
    "catches everything": "def solve(a, b):\n    try: return a * b + 7\n    except: return None",
    "random with seed": "import random\nrandom.seed(5)\ndef solve(a, b): return a * b + 7 + 0 * random.randint(1, 9)",
    "raises and catches": "def solve(a, b):\n    try: raise KeyError(a)\n    except KeyError: return a * b + 7",
    "signals itself": "import signal\nsignal.signal(signal.SIGUSR1, lambda *a: None)\n"
    "def solve(a, b):\n    signal.raise_signal(signal.SIGUSR1)\n    return a * b + 7",
    "stack limit": "import resource\nresource.setrlimit(resource.RLIMIT_STACK, (2**25, resource.getrlimit(resource.RLIMIT_STACK)[1]))\n"
    "def solve(a, b): return a * b + 7",
    "annotations": "from __future__ import annotations\nfrom typing import List\ndef solve(a: List[int], b: list[int]) -> X: return a * b + 7",
}  # fmt: skip
_HONEST_SCRIPTS = {
    "own stdout": "import sys\nclass W:\n    def write(self, text):\n        sys.__stdout__.write(text)\n    def flush(self):\n        sys.__stdout__.flush()\nsys.stdout = W()\na, b = map(int, input().split())\nprint(a * b + 7)",
    "detached stdout": "import io, sys\nsys.stdout = io.TextIOWrapper(sys.stdout.detach(), encoding='utf-8')\na, b = map(int, input().split())\nprint(a * b + 7)",
    "long integer": "a, b = map(int, input().split())\nassert len(str(10**6000)) == 6001 and int('7' * 5000) > 0\nprint(a * b + 7)",
    "input": "a, b = map(int, input().split())\nprint(a * b + 7)",
    "read": "import sys\na, b = map(int, sys.stdin.read().split())\nprint(a * b + 7)",
    "readline": "import sys\ninput = sys.stdin.readline\na, b = map(int, input().split())\nsys.stdout.write(str(a * b + 7))",
    "readlines": "import sys\na, b = map(int, sys.stdin.readlines()[0].split())\nprint(a * b + 7)",
    "for line": "import sys\nfor line in sys.stdin:\n    a, b = map(int, line.split())\n    print(a * b + 7)",
    "buffer": "import sys\na, b = map(int, sys.stdin.buffer.read().split())\nsys.stdout.buffer.write(b'%d\\n' % (a * b + 7))",
    "open 0": "a, b = map(int, open(0).read().split())\nprint(a * b + 7)",
    "dev stdin": "a, b = map(int, open('/dev/stdin').read().split())\nprint(a * b + 7)",
    "os read": "import os\na, b = map(int, os.read(0, os.fstat(0).st_size).split())\nos.write(1, str(a * b + 7).encode())",
    "mmap": "import mmap\na, b = map(int, mmap.mmap(0, 0, prot=mmap.PROT_READ)[:].split())\nprint(a * b + 7)",
    "fileinput": "import fileinput\nfor line in fileinput.input():\n    a, b = map(int, line.split())\n    print(a * b + 7)",
    "StringIO": "import io, os, sys\nsys.stdin = io.StringIO(os.read(0, 1 << 20).decode())\nsys.stdout = o = io.StringIO()\n"
    "a, b = map(int, input().split())\nprint(a * b + 7)\nsys.__stdout__.write(o.getvalue())",
    "exit": "import sys\na, b = map(int, input().split())\nprint(a * b + 7)\nsys.exit(0)",
    "exit()": "a, b = map(int, input().split())\nprint(a * b + 7)\nexit()",
    "os._exit": "import os\na, b = map(int, input().split())\nprint(a * b + 7, flush=True)\nos._exit(0)",
    "main": "def main():\n    a, b = map(int, input().split())\n    print(a * b + 7)\nif __name__ == '__main__':\n    main()",
    "main in a thread": "import sys, threading\ndef main():\n    a, b = map(int, input().split())\n    print(a * b + 7)\n"
    "threading.stack_size(2**28)\nt = threading.Thread(target=main)\nt.start()\nt.join()",
    "thread left to finish": "import threading, time\na, b = map(int, input().split())\n"
    "threading.Thread(target=lambda: (time.sleep(0.05), print(a * b + 7))).start()",
    "atexit": "import atexit\na, b = map(int, input().split())\natexit.register(print, a * b + 7)",
    "carriage returns": "a, b = map(int, input().split())\nprint(a * b + 7, end=' \\r\\n\\n\\n')",
    "reads past the end": "a, b = map(int, input().split())\ntry:\n    input()\nexcept EOFError:\n    print(a * b + 7)",
    "closes output": "import sys\na, b = map(int, input().split())\nprint(a * b + 7)\nsys.stdout.close()",
    "warns": "import sys, warnings\nwarnings.warn('x')\nprint('debug', file=sys.stderr)\na, b = map(int, input().split())\nprint(a * b + 7)",
    "pickle and dataclass": "import pickle\nfrom dataclasses import dataclass\n@dataclass\nclass P:\n    x: int\n"
    "a, b = map(int, input().split())\nprint(pickle.loads(pickle.dumps(P(a * b + 7))).x)",
    "numpy": "import numpy as np\na, b = np.array(input().split(), dtype=int)\nprint(a * b + 7)",
    "list memory": "a, b = map(int, input().split())\nx = [0] * 10**6\nprint(a * b + 7 + sum(x))",
    "emoji": "# \U0001f600\na, b = map(int, input().split())\ns = '\U0001f600é'\nprint(a * b + 7 + len(s) - 2)",
}  # fmt: skip
HONEST = [case("honest", name, CALLED, source + "\n", right=True) for name, source in _HONEST_CALLS.items()]
HONEST += [case("honest", name, "stdin", source + "\n", right=True) for name, source in _HONEST_SCRIPTS.items()]

ATTACKS = [*EXITS, *LIARS, *PATCHES, *FRAMES, *FORGERIES, *READS, *WRITES, *BOMBS, *RETURNS, *TEXTS]
CASES = [*ATTACKS, *WRONG, *HONEST]
