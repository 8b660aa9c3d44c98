"""pandas' values cross as data, rebuilt by pandas: right answers pass, and no object of the candidate's plays a frame."""

from collections.abc import Iterator

import pytest
from code_support import code_problem, fenced, needs_sandbox

from rewards.code.judging.verifier import CodeVerifier
from rewards.code.settings import SandboxSettings

pytestmark = needs_sandbox
pytest.importorskip("pandas")


@pytest.fixture(scope="module")
def verifier() -> Iterator[CodeVerifier]:
    made = CodeVerifier(SandboxSettings(packages=("numpy", "pandas")))
    yield made
    made.close()


def status(verifier: CodeVerifier, source: str, tests: str) -> str:
    checks = {"style": "assert", "entry_point": "f", "tests": tests, "timeout_seconds": 20.0}
    return verifier.verify(code_problem(checks), fenced(source)).status


ECHO = "import pandas as pd\nimport numpy as np\ndef f(value): return value\n"
FRAME = """
import numpy as np
import pandas as pd
frame = pd.DataFrame({
    "a": [1, 2, 3], "b": ["x", None, "z"], "c": pd.to_datetime(["2020-01-01", None, "2021-02-03"]),
    "d": pd.Categorical(["u", "v", "u"], ordered=True), "e": [True, False, True], "o": [[1], {"k": 2}, None],
    "f": [1.5, np.nan, 2], "g": pd.array([1, None, 3], dtype="Int64"), "t": pd.to_timedelta([1, 2, 3], "D"),
    "z": pd.date_range("2020", periods=3, tz="Europe/Berlin"), "u": pd.date_range("2020", periods=3, tz="UTC"),
    "p": pd.period_range("2020", periods=3, freq="M"), "i": pd.interval_range(0, 3),
})
"""
KINDS = {
    "a frame of columns of all kinds": "pd.testing.assert_frame_equal(f(frame), frame)",
    "series": "for name in frame: pd.testing.assert_series_equal(f(frame[name]), frame[name])",
    "two indexes": "wide = frame.set_index(['b', 'a'])[['f']]\npd.testing.assert_frame_equal(f(wide), wide)",
    "indexes": "for index in (pd.date_range('2020', periods=4), pd.RangeIndex(3, name='n'), pd.Index(['a', 'a']),\n"
    "        pd.MultiIndex.from_product([[1, 2], ['a', 'b']], names=['p', None]), frame.set_index('d').index):\n"
    "    pd.testing.assert_index_equal(f(index), index)\n"
    "assert f(pd.date_range('2020', periods=4)).freq == pd.date_range('2020', periods=4).freq",
    "moments": "for value in (pd.Timestamp('2020-01-02 03:04'), pd.Timestamp('2020-01-02', tz='Asia/Tokyo'),\n"
    "        pd.Timedelta('1D'), pd.Period('2020-03'), pd.Interval(1, 2)):\n"
    "    assert f(value) == value and type(f(value)) is type(value)\n"
    "assert f(pd.NaT) is pd.NaT and f(pd.NA) is pd.NA",
    "no columns, no rows, a name twice": "assert f(pd.DataFrame(index=[1, 2])).shape == (2, 0) and f(pd.DataFrame()).empty\n"
    "twice = pd.DataFrame([[1, 2.5]], columns=['a', 'a'])\npd.testing.assert_frame_equal(f(twice), twice)",
    "kinds of columns": "assert f(frame['a'].dtype) == np.int64\n"
    "assert f(frame.dtypes[['a', 'f']]).tolist() == [np.dtype('int64'), np.dtype('float64')]",
    "numpy's mixed arrays": "mixed = np.array([1, 'a', None], dtype=object)\nassert (f(mixed) == mixed).all()\n"
    "assert f(np.array(['2020-01-01'], dtype='M8[D]')).dtype == 'M8[D]' and f(np.datetime64('2020')) == np.datetime64('2020')",
    "frames inside of lists": "assert f([frame, {'x': frame['a']}])[1]['x'].sum() == 6",
}


@pytest.mark.parametrize("name", KINDS)
def test_what_crosses_is_what_it_was(verifier: CodeVerifier, name: str) -> None:
    assert status(verifier, ECHO, FRAME + KINDS[name]) == "correct"


def test_right_and_wrong_frames_are_told_apart(verifier: CodeVerifier) -> None:
    tests = "import pandas as pd\nexpected = pd.DataFrame({'k': ['a', 'b'], 'n': [3, 3]})\n"
    tests += "found = f(pd.DataFrame({'k': ['a', 'b', 'a'], 'n': [1, 3, 2]}))\npd.testing.assert_frame_equal(found, expected)\n"
    right = "def f(table): return table.groupby('k', as_index=False)['n'].sum()"
    assert status(verifier, "import pandas as pd\n" + right, tests) == "correct"
    assert status(verifier, "import pandas as pd\n" + right.replace("sum", "max"), tests) == "wrong"


def test_exceptions_of_pandas_cross(verifier: CodeVerifier) -> None:
    source = "import io\nimport pandas as pd\ndef f(text): return pd.read_csv(io.StringIO(text))"
    tests = "import unittest\nimport pandas as pd\nclass T(unittest.TestCase):\n    def test_empty(self):\n"
    tests += "        with self.assertRaises(pd.errors.EmptyDataError): f('')\n"
    tests += "        self.assertEqual(list(f('a,b\\n1,2').columns), ['a', 'b'])"
    assert status(verifier, source, tests) == "correct"


LIES = {
    "a class with a frame's face": (
        "class F:\n    shape = (1, 1)\n    columns = ['a']\n    empty = False\n    def equals(self, other): return True\n"
        "    def __len__(self): return 1\ndef f(value): return F()",
        "assert f(1).shape == (1, 1) and list(f(1).columns) == ['a']\nassert f(1).equals(pd.DataFrame({'a': [1]}))",
    ),
    "a subclass of a frame": (
        "class F(pd.DataFrame):\n    def equals(self, other): return True\ndef f(value): return F({'a': [2]})",
        "assert isinstance(f(1), pd.DataFrame) and f(1).equals(pd.DataFrame({'a': [1]}))",
    ),
    "cells that equal everything": (
        "class C:\n    def __eq__(self, other): return True\n    __hash__ = None\n"
        "def f(value): return pd.DataFrame({'a': pd.Series([C(), C()], dtype=object)})",
        "assert (f(1)['a'] == pd.Series([1, 2])).all()",
    ),
    "a column's name that equals everything": (
        "class N(str):\n    def __eq__(self, other): return True\n    __hash__ = str.__hash__\n"
        "def f(value): return pd.Series([1], name=N('x'))",
        "assert f(1).name == 'total'",
    ),
    "a patched pandas": (
        "pd.DataFrame.equals = lambda self, other: True\ndef f(value): return pd.DataFrame()",
        "assert f(1).equals(pd.DataFrame({'a': [1]}))",
    ),
    "groups": ("def f(value): return value.groupby('a')", "f(pd.DataFrame({'a': [1]})).sum().equals(1)"),
    "a tower of indexes": (
        "def f(value):\n    return pd.DataFrame(index=pd.RangeIndex(10 ** 15))",
        "assert len(f(1)) == 10 ** 15",
    ),
}


@pytest.mark.parametrize("name", LIES)
def test_no_object_plays_a_frame(verifier: CodeVerifier, name: str) -> None:
    source, tests = LIES[name]
    assert status(verifier, "import pandas as pd\n" + source, "import pandas as pd\n" + tests) == "wrong"
