"""The styles of tests by name. Start here for a style of your own: a file with one function, and a line in STYLES.

Each function takes a sandbox, the problem's checks and prompt, the candidate and its limits, and returns an Outcome; it raises
BadTests where the problem is at fault and HostDied where the sandbox is. Expected outputs stay in this process. Whatever the
candidate's side sends is an answer, to be compared, or noise, to be called wrong.
"""

from collections.abc import Callable, Mapping
from typing import Any

from rewards.code.judging.asserts import judge_assert
from rewards.code.judging.calls import judge_function
from rewards.code.judging.outcome import Outcome
from rewards.code.judging.sandbox import Sandbox
from rewards.code.judging.scripts import judge_stdin
from rewards.code.judging.source import Candidate
from rewards.code.settings import Limits

Style = Callable[[Sandbox, Mapping[str, Any], str, Candidate, Limits], Outcome]

STYLES: dict[str, Style] = {"stdin": judge_stdin, "function": judge_function, "assert": judge_assert}
