"""The public programs of style assert: no hostile one is paid, no honest one refused, and none is unscorable."""

from code_programs import misjudged, programs
from code_support import needs_sandbox

from rewards.code.settings import SandboxSettings

pytestmark = needs_sandbox


def test_there_are_a_hundred_of_each() -> None:
    honest = [program for program in programs() if program.honest]
    assert len(honest) >= 100
    assert len(programs()) - len(honest) >= 100


def test_no_hostile_program_is_paid_and_no_honest_one_refused() -> None:
    assert misjudged(SandboxSettings(), programs()) == []
