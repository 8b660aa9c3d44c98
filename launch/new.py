"""`reasonlab problems new NAME` and `reasonlab verifier new NAME`: a commented starting point and its test, as files of yours.

Both files appear whole or neither does, and nothing that is there is written over.
"""

import argparse
import importlib.util
import keyword
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from problems.errors import LabError
from problems.own import TAKEN
from problems.telling import tell, with_manner
from rl.settings.arguments import clearly

DOMAIN = '''"""Problems of one's own: NAME. Try `pytest test_NAME.py`, then `problems: [{python: NAME.py}]` in a configuration.

Three functions and the record DOMAIN at the end. They must be pure: what is random comes from `rng`, nothing from a clock or
a file that may change, or the same seed will not give the same problems.
"""

from random import Random

from pydantic import Field

from problems.types import Domain, Draft, PositiveRange, Problem, SourceConfig, boxed, thinking


class Settings(SourceConfig):
    """What a configuration may set beside `python`; a key that is not here is an error."""

    dice: PositiveRange = Field(default=(2, 4), description="fewest and most dice")


def generate(rng: Random, config: Settings) -> Draft:
    """Draw one problem."""
    dice = rng.randint(*config.dice)
    eyes = [rng.randint(1, 6) for _ in range(dice)]
    return Draft(
        prompt=f"Dice show {' '.join(map(str, eyes))}. How many eyes in all?",
        reference=str(sum(eyes)),  # the one right answer, as text
        difficulty={"dice": dice},  # what results are grouped by
    )


def solve(problem: Problem, style: str, rng: Random) -> str:
    """Write a worked solution, which a cold start imitates: "direct" answers at once, "steps" and "checked" think first.

    It ends in a boxed answer: what practice pays is the answer that is marked.
    """
    answer = problem.reference or ""
    if style == "direct":
        return boxed(answer)
    total, steps = 0, []
    for eyes in problem.prompt.split(".")[0].split()[2:]:
        total += int(eyes)
        steps.append(f"+{eyes}={total};")
    return thinking("".join(steps), answer)


def perturb(problem: Problem, rng: Random) -> str:
    """Return a wrong answer near the right one: a verifier that pays for it is broken."""
    return str(int(problem.reference or 0) + rng.choice([-1, 1]))


# `verifier` says how an answer is judged: "number" (the default) compares plain numbers, "math" reads formulas too, "exact"
# compares a short text as it stands; where none of them does, write one: `reasonlab verifier new my_verifier`
DOMAIN = Domain(name="NAME", config=Settings, generate=generate, solve=solve, perturb=perturb, verifier="number")
'''

DOMAIN_TEST = '''"""NAME.py keeps what a domain promises. Run `pytest test_NAME.py`."""

from pathlib import Path

from problems.catalog import build_source, perturb, solve
from problems.own import own_settings
from problems.types import SPLITS, STYLES, Problem, ProblemSource, boxed
from rewards.verifiers import verify

FILE = Path(__file__).with_name("NAME.py")


def source(seed: int = 0) -> ProblemSource:
    """Open the domain as a configuration would; give settings of yours here to test them too."""
    return build_source([own_settings({"python": str(FILE)})], seed)


def some_problems() -> list[Problem]:
    drawn = source()
    return [drawn.get(split, index) for split in SPLITS for index in range(50)]


def test_the_same_seed_gives_the_same_problems_and_another_gives_others() -> None:
    first, again, other = (
        [problem.prompt for problem in (source(seed).get("train", i) for i in range(20))] for seed in (0, 0, 1)
    )
    assert first == again
    assert first != other


def test_no_problem_is_in_two_splits() -> None:
    drawn = source()
    prompts = [{drawn.get(split, index).prompt for index in range(200)} for split in SPLITS]
    assert sum(map(len, prompts)) == len(set.union(*prompts))


def test_every_worked_solution_is_paid() -> None:
    for problem in some_problems():
        for style in STYLES:
            assert verify(problem, solve(problem, style)).status == "correct", (problem.prompt, style)


def test_a_wrong_answer_near_the_right_one_is_not_paid() -> None:
    for problem in some_problems():
        assert verify(problem, boxed(perturb(problem))).worth == 0.0, problem.prompt
'''

VERIFIER = '''"""A verifier of one's own: NAME. Try `pytest test_NAME.py`, then `reward: {python: NAME.py:verify}`.

It runs in a process that is killed after `reward.timeout_seconds`, and never sees the model: a problem and a text come in, a
verdict goes out. The text is the model's, so it may hold anything: never give it to eval or exec.
"""

from problems.types import Problem
from rewards.answer import committed_answers
from rewards.types import Reading, Verdict


def verify(problem: Problem, completion: str, reading: Reading) -> Verdict:
    """Judge one completion.

    problem.prompt, .reference, .checks and .difficulty are what the problem's source gave; `reading` says what counts as a
    final answer and is handed on. Return one of these; raise nothing on purpose:

        Verdict(status="correct")             pays 1 and counts as right
        Verdict(status="wrong")               pays 0
        Verdict(status="wrong", score=0.1)    pays 0.1, and counts as wrong all the same
        Verdict(status="unparsed")            pays 0: no answer was found
        Verdict(status="error")               cannot be scored: the problem is at fault, nothing is learnt from it
    """
    if problem.reference is None:
        return Verdict(status="error", detail="a problem without a reference")
    answers, mark, *_ = committed_answers(completion, reading)  # a box, <answer>, ####, "the answer is"
    if not answers:
        return Verdict(status="unparsed", detail=f"no final answer: {mark}")
    answer = answers[0].strip()
    if answer == problem.reference:
        return Verdict(status="correct", extracted=answer)
    # an example of a part of the score: the right last digit. A model takes what is easiest to get: pay it for any answer of
    # the right length, and it learns to write answers of that length. So a part is small, and needs some of the work
    score = 0.1 if answer[-1:].isdigit() and answer[-1] == problem.reference[-1:] else 0.0
    return Verdict(status="wrong", extracted=answer, score=score, detail=f"{answer!r:.40} is not {problem.reference!r:.40}")
'''

VERIFIER_TEST = '''"""NAME.py pays for what is right and for nothing else. Run `pytest test_NAME.py`."""

from pathlib import Path

import pytest

from problems.types import Problem
from rewards.own import OwnVerifier
from rewards.pool import VerifierPool

FILE = Path(__file__).with_name("NAME.py")
PROBLEM = Problem(id="1", domain="mine", split="test", prompt="6 times 7?", reference="42", source="test")
CASES = [  # what a model might write, and what that pays; None: it cannot be scored
    ("The answer is \\\\boxed{42}.", 1.0),
    ("The answer is \\\\boxed{52}.", 0.1),
    ("The answer is \\\\boxed{43}.", 0.0),  # near, and as long: no merit
    ("The answer is \\\\boxed{420}.", 0.0),
    ("I do not know.", 0.0),
    ("", 0.0),
]


def test_each_text_is_paid_what_it_is_worth_in_a_process_of_its_own() -> None:
    with VerifierPool(own=OwnVerifier(python=f"{FILE}:verify")) as pool:
        verdicts = pool.grade([(PROBLEM, text) for text, _ in CASES])
    assert [verdict.worth for verdict in verdicts] == [pytest.approx(worth) for _, worth in CASES], verdicts
'''

WHAT = "writes NAME.py and test_NAME.py here, a commented starting point that works as it is."
_DOCUMENT = "the files, and the setting that uses them"
FORMS: Mapping[str, tuple[str, str, str]] = {
    "problems": (DOMAIN, DOMAIN_TEST, "problems: [{python: NAME.py}]"),
    "verifier": (VERIFIER, VERIFIER_TEST, "reward: {python: NAME.py:verify}"),
}


def write_new(kind: str, name: str, folder: Path) -> list[Path]:
    """Write NAME.py and test_NAME.py of a kind of FORMS into `folder` and return them; raises LabError."""
    check_name(name, folder)
    texts = {f"{name}.py": FORMS[kind][0], f"test_{name}.py": FORMS[kind][1]}
    written: list[Path] = []
    try:
        with tempfile.TemporaryDirectory(prefix=".new-", dir=folder) as scratch:
            for file, text in texts.items():
                whole = Path(scratch) / file
                whole.write_text(text.replace("NAME", name), encoding="utf-8")
            for file in texts:
                os.link(Path(scratch) / file, folder / file)  # unlike a rename, it fails where there is something
                written.append(folder / file)
    except OSError as error:
        for path in written:
            path.unlink()
        where = getattr(error, "filename2", None) or error.filename or folder
        raise LabError(f"cannot write {where}: {error.strerror}; nothing was written") from None
    return written


def check_name(name: str, folder: Path) -> None:
    """Raise LabError where a file cannot be called `name`."""
    there = [file for file in (f"{name}.py", f"test_{name}.py") if (folder / file).exists()]
    if there:
        raise LabError(f"{folder / there[0]} is there already; choose another name or move it away")
    if not name.isidentifier() or keyword.iskeyword(name) or name.startswith("_"):
        raise LabError(f"{name!r} cannot be the name of a Python file: letters, digits and _, as in my_dice")
    if name in TAKEN or importlib.util.find_spec(name) is not None:
        raise LabError(f"the name {name!r} is taken, by a domain of the lab or an installed module; choose another")


def tell_written(kind: str, name: str) -> int:
    """Write the files of a kind of FORMS into the working directory and tell what to do with them."""
    file, test = write_new(kind, name, Path.cwd())
    use = FORMS[kind][2].replace("NAME", name)
    lines = [
        f"written: {file.name} and {test.name}",
        f"try:     pytest {test.name}",
        f"use:     {use}   (docs/own-problems.md)",
    ]
    tell({"written": [file, test], "use": use}, lambda: print("\n".join(lines)))
    return 0


def new_problems(argv: Sequence[str]) -> int:
    """Answer `reasonlab problems new`."""
    parser = argparse.ArgumentParser(prog="reasonlab problems new", description=f"Problems of your own: {WHAT}")
    parser.add_argument("name", metavar="NAME", help="of the file and of the domain")
    return tell_written("problems", with_manner(parser, _DOCUMENT).parse_args(list(argv)).name)


@clearly
def verifier_command(argv: Sequence[str]) -> int:
    """A starting point for a verifier of one's own."""
    parser = argparse.ArgumentParser(prog="reasonlab verifier", description=f"A verifier of your own: {WHAT}")
    parser.add_argument("action", choices=("new",), help="what to do")
    parser.add_argument("name", metavar="NAME", help="of the file")
    return tell_written("verifier", with_manner(parser, _DOCUMENT).parse_args(list(argv)).name)
