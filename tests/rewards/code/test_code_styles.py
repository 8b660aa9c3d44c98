# ruff: noqa: E501  programs are quoted as they are

"""What the three styles accept, how failures are told apart, and what they pay."""

from typing import Any

import pytest
from code_support import code_problem, fenced, needs_sandbox

from rewards.code.judging.verifier import CodeVerifier
from rewards.code.settings import SandboxSettings
from rewards.shaping import RewardConfig, shape
from rewards.verifiers import verify

pytestmark = needs_sandbox
ADD: dict[str, Any] = {
    "style": "function",
    "entry_point": "f",
    "tests": [{"args": [1, 2], "expected": 3}, {"args": [4, 5], "expected": 9}],
}
ECHO = {"style": "stdin", "tests": [{"stdin": "x y\n", "stdout": "x y\n"}], "timeout_seconds": 10, "memory_megabytes": 128}


@pytest.fixture(scope="module")
def verifier():
    made = CodeVerifier(SandboxSettings())
    yield made
    made.close()


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        ("print(input())", "correct"),
        ("print('x  z')", "wrong answer"),
        ("print(", "compile error"),
        ("print(input())\n1 / 0", "exception"),
        ("while True: pass", "time limit"),
        ("x = bytearray(2 * 2**30)", "memory limit"),
        ("x = bytearray(300 * 2**20)\nprint(input())", "memory limit"),
        ("while True: print('x' * 10**6)", "output limit"),
    ],
)
def test_ends_are_told_apart(verifier: CodeVerifier, source: str, kind: str) -> None:
    checks = {**ECHO, "timeout_seconds": 1} if kind == "time limit" else ECHO
    assert verifier.verify(code_problem(checks), fenced(source)).kind == kind


def test_what_is_no_program_is_unparsed(verifier: CodeVerifier) -> None:
    for text in ("The answer is seven.", "<think>```python\nprint(1)\n```", "```cpp\nint main() {}\n```", ""):
        assert verifier.verify(code_problem(ECHO), text).status == "unparsed"


def test_a_program_without_a_fence_is_read(verifier: CodeVerifier) -> None:
    assert verifier.verify(code_problem(ECHO), "<think>easy</think>\nprint(input())\n").status == "correct"


def test_a_fraction_of_the_tests_is_paid_on_request(verifier: CodeVerifier) -> None:
    half = fenced("def f(a, b): return 3")
    assert verifier.verify(code_problem(ADD), half).score is None
    verdict = verifier.verify(code_problem({**ADD, "reward": "fraction"}), half)
    assert (verdict.status, verdict.score) == ("wrong", 0.5)
    assert shape(RewardConfig(), verdict, half, 1, 10).total == 0.5
    weighted = {**ADD, "reward": "weighted", "tests": [{**ADD["tests"][0], "weight": 3}, ADD["tests"][1]]}
    assert verifier.verify(code_problem(weighted), half).score == 0.75  # 3 of 3 + 1
    asserts = {"style": "assert", "entry_point": "f", "tests": "assert f(1, 2) == 3\nassert f(4, 5) == 9", "reward": "fraction"}
    assert verifier.verify(code_problem(asserts), half).score == 0.5


def test_tests_that_cannot_be_used_are_our_fault(verifier: CodeVerifier) -> None:
    for checks in (
        {"style": "riddle"},
        {"style": "stdin", "tests": []},
        {"style": "function", "tests": [{"args": [], "expected": 1}]},
        {"style": "assert", "tests": "assert (", "entry_point": "f"},
        {"style": "assert", "tests": "x = 1", "entry_point": "f"},  # never calls the program: everything would pass
    ):
        assert verifier.verify(code_problem(checks), fenced("def f(a, b): return 3")).status == "error"


def test_a_checker_decides_between_several_right_answers(verifier: CodeVerifier) -> None:
    checker = "def check(given, output, expected):\n    return sum(map(int, output.split())) == int(given)\n"
    checks = {"style": "stdin", "tests": [{"stdin": "9", "stdout": ""}], "checker": checker}
    assert verifier.verify(code_problem(checks), fenced("print(4, 5)")).status == "correct"
    assert verifier.verify(code_problem(checks), fenced("print(4, 4)")).status == "wrong"
    # An output that breaks the checker is wrong: unscorable would be a way out.
    assert verifier.verify(code_problem(checks), fenced("print('four')")).status == "wrong"


def test_unordered_only_on_request(verifier: CodeVerifier) -> None:
    checks = {"style": "function", "entry_point": "f", "tests": [{"args": [], "expected": [1, 2, 3]}]}
    answer = fenced("def f(): return [3, 1, 2]")
    assert verifier.verify(code_problem(checks), answer).status == "wrong"
    assert verifier.verify(code_problem({**checks, "unordered": True}), answer).status == "correct"


@pytest.mark.parametrize(
    ("expected", "source", "right"),
    [
        ([1, 2], "(1, 2)", True),
        (1, "True", False),
        (True, "1", False),
        (1, "'1'", False),
        (2, "2.0", True),
        (2, "2.0000001", False),
        (0.3, "0.1 + 0.2", True),
        (0.3, "0.30001", False),
        ({"1": 2}, "{1: 2}", True),
        ({"a": 1, "b": 2}, "{'b': 2, 'a': 1}", True),
        ({"$set": [1, 2]}, "{2, 1}", True),
        ({"$set": [1, 2]}, "[1, 2]", False),
        ([1, 2], "{1, 2}", False),
        ({"$bytes": "AAE="}, "bytes([0, 1])", True),
        ({"$float": "nan"}, "float('nan')", True),
        ({"$float": "inf"}, "float('inf')", True),
        ([["a"], ["b"]], "{1: ['a'], 2: ['b']}.values()", True),
        ([0, 1, 4], "(i * i for i in range(3))", True),
        (2**70, "1 << 70", True),
        (None, "None", True),
        ("é\ud800", "'é\\ud800'", True),
        ([1, 1], "__import__('numpy').ones(2)", True),
        ({"a": 2}, "__import__('collections').Counter('aa')", True),
    ],
)
def test_values(verifier: CodeVerifier, expected: object, source: str, right: bool) -> None:
    pytest.importorskip("numpy")
    checks = {"style": "function", "entry_point": "f", "tests": [{"args": [], "expected": expected}]}
    verdict = verifier.verify(code_problem(checks), fenced(f"def f(): return {source}"))
    assert verdict.status == ("correct" if right else "wrong"), verdict.detail


ASSERTED = {
    "arguments changed in place": (
        "x = [3, [1], 2]\nf(x)\nassert x == [9, [1, 1]]",
        "def f(x):\n    x[1].append(1)\n    x[:] = [9, x[1]]",
    ),
    "the same object back": ("x = [1]\nassert f(x) is x", "def f(x): return x"),
    "a function as argument": ("assert f(lambda x: x + 1, 2) == 3", "def f(g, x): return g(x)"),
    "a type as argument": ("assert f([1, 'a'], int) == [1]", "def f(x, t): return [i for i in x if isinstance(i, t)]"),
    "an iterator as argument": ("assert f(iter([1, 2])) == 3", "def f(x): return sum(x)"),
    "a generator as result": ("assert list(f(3)) == [0, 1, 2]", "def f(n):\n    yield from range(n)"),
    "a function as result": ("assert f(2)(3) == 5", "def f(a): return lambda b: a + b"),
    "exceptions by name": ("try:\n    f(0)\n    assert False\nexcept ZeroDivisionError: pass", "def f(x): return 1 / x"),
    "classes of the program": (
        "a = Node(1)\na.next = Node(2)\nassert f(a) == 3\nassert a.next.value == 2",
        "class Node:\n    def __init__(self, v): self.value, self.next = v, None\n"
        "def f(n): return 0 if n is None else n.value + f(n.next)",
    ),
    "own exceptions": (
        "try:\n    f()\n    assert False\nexcept Empty as e: pass",
        "class Empty(ValueError): pass\ndef f(): raise Empty('x')",
    ),
    "a match object": ("assert f('a1')\nassert not f('a')", "import re\ndef f(s): return re.search('[0-9]', s)"),
    "names that only the program imports": ("assert math.isclose(f(), math.pi)", "import math\ndef f(): return math.pi"),
    "sets and bytes and tuples": ("assert f() == ({1}, b'x', (1, 2.5))", "def f(): return ({1}, b'x', (1, 2.5))"),
    "dates": (
        "from datetime import datetime, timedelta\nassert f(datetime(2020, 1, 31, 5)) == (datetime(2020, 2, 1, 5), timedelta(1))",
        "from datetime import timedelta\ndef f(d): return d + timedelta(days=1), timedelta(1)",
    ),
    "long integers": ("assert len(f(6000)) == 6001", "def f(n): return str(10**n)"),
    "the name candidate": ("assert candidate(2) == 4", "def f(x): return 2 * x"),
    "test functions": ("def test_f():\n    assert f() == 1\n", "def f(): return 1"),
    "unittest": (
        "import unittest\nclass T(unittest.TestCase):\n    def test_it(self): self.assertEqual(f(), 1)\nunittest.main()",
        "def f(): return 1",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ASSERTED)
def test_what_crosses_between_tests_and_candidate(verifier: CodeVerifier, name: str) -> None:
    tests, source = ASSERTED[name]
    checks = {"style": "assert", "tests": tests, "entry_point": "f"}
    verdict = verifier.verify(code_problem(checks), fenced(source))
    assert verdict.status == "correct", verdict.detail
    nothing = verifier.verify(code_problem(checks), fenced(source.replace("def f(", "def f(*_):\n    return\ndef g(")))
    assert nothing.status != "correct"


def test_helpers_of_the_problem_come_from_its_text_not_from_the_program(verifier: CodeVerifier) -> None:
    prompt = "def twice(x):\n    return 2 * x\n\ndef f(x):\n    '''half of x'''\n"
    checks = {"style": "assert", "tests": "def check(candidate):\n    assert twice(candidate(8)) == 8\n", "entry_point": "f"}
    cheat = "def twice(x): return 8\ndef f(x): return 0\n"
    assert verifier.verify(code_problem(checks, prompt), fenced(cheat)).status == "wrong"
    assert verifier.verify(code_problem(checks, prompt), fenced("def f(x): return x // 2")).status == "correct"


@pytest.mark.parametrize(
    "tests",
    [
        "from solution import f, g\nassert f(1) == 2 and g(2) == 4",
        "from solution import *\nassert f(1) == 2 and g(2) == 4",
        "import solution as s\nfrom solution import g as double\nassert s.f(1) == 2 and double(2) == 4",
        "def test():\n    from solution import f\n    assert f(1) == 2\ntest()",
    ],
)
def test_tests_may_import_the_program_by_the_name_of_its_file(verifier: CodeVerifier, tests: str) -> None:
    right, wrong = "def f(x): return x + 1\ndef g(x): return 2 * x", "def f(x): return x\ndef g(x): return x"
    problem = code_problem({"style": "assert", "tests": tests})
    assert [verifier.verify(problem, fenced(source)).status for source in (right, wrong)] == ["correct", "wrong"]


def test_an_examiner_that_is_kept_forgets_what_the_last_program_did(verifier: CodeVerifier) -> None:
    checks = {"style": "assert", "tests": "assert f([2, 1]) == [1, 2]", "entry_point": "f"}
    for _ in range(3):
        assert verifier.verify(code_problem(checks), fenced("def f(x): return sorted(x)")).status == "correct"
        assert verifier.verify(code_problem(checks), fenced("def f(x):\n    x.clear()\n    return x")).status == "wrong"
        assert verifier.verify(code_problem(checks), fenced("import os\nos._exit(0)")).status == "wrong"


def test_verify_knows_the_domain() -> None:
    assert verify(code_problem(ADD), fenced("def f(a, b): return a + b")).status == "correct"
    assert verify(code_problem(ADD), fenced("def f(a, b): return a - b")).status == "wrong"


TRICKS = {
    "an array interface": (
        "import numpy as np\nassert np.allclose(f(), [1, 2, 3])",
        "class A:\n    __array_interface__ = {'shape': (3,), 'typestr': '<f8', 'data': (4096, False), 'version': 3}\ndef f(): return A()",
    ),
    "arithmetic of its own": (
        "assert abs(f() - 3) < 1e-6",
        "class A:\n    def __sub__(s, o): return 0\n    __rsub__ = __sub__\n    def __abs__(s): return 0\ndef f(): return A()",
    ),
    "equal to everything": (
        "assert f() in [1, 2]",
        "class A:\n    def __eq__(s, o): return True\n    __hash__ = id\ndef f(): return A()",
    ),
    "a false class": ("assert isinstance(f(), int)", "class A:\n    __class__ = int\ndef f(): return A()"),
    "an end of iteration": ("assert all(map(lambda x: f(x) == x, [1, 2]))", "def f(x): raise StopIteration"),
    "an exit that tests forgive": (
        "try: r = f(1)\nexcept BaseException: r = 1\nassert r == 1",
        "import sys\ndef f(x): sys.exit(0)",
    ),
    "a forged description": (
        "assert f(2)",
        "import json, os, struct\nb = json.dumps(['defined', {'f': ['class', ['f', 'ValueError', 'BaseException']]}]).encode()\n"
        "os.write(4, struct.pack('>I', len(b)) + b)\nos._exit(0)",
    ),
    "a deep answer passed on": (
        "assert f(f([1])) == [1]",
        "def f(x):\n    for _ in range(148): x = [x]\n    return x",
    ),
    "endless callbacks": ("assert f(lambda x: x + 1) == 3", "def f(g):\n    while True: g(1)"),
}


@pytest.mark.parametrize("name", TRICKS)
def test_tricks_with_proxies_are_wrong_and_never_unscorable(verifier: CodeVerifier, name: str) -> None:
    tests, source = TRICKS[name]
    checks = {"style": "assert", "tests": tests, "entry_point": "f", "timeout_seconds": 0.5}
    assert verifier.verify(code_problem(checks), fenced(source)).status in ("wrong", "timeout")
