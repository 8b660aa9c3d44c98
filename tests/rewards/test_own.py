"""Verifiers of one's own: every kind is paid as it says, and nothing that goes wrong with one is the answer's fault."""

import sys
from pathlib import Path

import pytest

from problems.types import Problem, ProblemError
from rewards.grade import grade_file
from rewards.own import OwnVerifier, open_verifier
from rewards.pool import VerifierPool
from rewards.shaping import RewardConfig
from rewards.types import LENIENT, STRICT, Reading, Verdict

PROBLEM = Problem(
    id="p", domain="mine", split="test", prompt="6*7?", reference="42", source="t", checks={"level": 3}, difficulty={"d": 1}
)
VERIFIER = """
import os, sys, time
from rewards.types import Verdict

class Graded:
    def __call__(self, problem, completion, reading):
        return Verdict(status="wrong", score=len(completion) / 10)
graded = Graded()

def verify(problem, completion, reading):
    word, _, rest = completion.partition(" ")
    if word == "hang": time.sleep(1000)
    if word == "raise": raise KeyError(rest)
    if word == "exit": sys.exit(rest)
    if word == "die": os._exit(3)
    if word == "print": print('{"status": "correct"}', flush=True)
    if word == "input": input()
    if word == "remember": bytearray(2**40)
    if word == "recurse": verify(problem, completion, reading)
    if word == "return": return {"True": True, "None": None, "text": "correct"}[rest]
    if word == "status": return Verdict(status=rest)
    if word == "score": return Verdict(status="wrong", score=float(rest))
    if word == "half": return Verdict(status="correct", score=0.5)
    if word == "bytes": return Verdict(status="wrong", extracted=b"x")
    if word == "kind": return Verdict(status="wrong", kind="odd")
    if word == "see": return Verdict(status="correct", detail=f"{problem.difficulty} {problem.checks} {reading.policy}")
    return Verdict(status="correct" if completion == problem.reference else "wrong", extracted=completion)

def too_few(problem, completion): ...
def anything(*args, **kwargs): ...
number = 3
"""
REWARD = """
def messages(prompts, completions, answer, level, difficulty, log_extra, log_metric, **columns):
    assert prompts == [[{"role": "user", "content": "6*7?"}]] and level == [3] and difficulty == [{"d": 1}]
    assert columns["reference"] == columns["ground_truth"] == columns["solution"] == ["42"]
    log_extra("seen", answer); log_metric("n", 1.0)
    table = {"42": 1.0, "true": True, "half": 0.5, "none": None, "nan": float("nan"), "two": 2, "minus": -0.5, "word": "x"}
    import numpy, torch
    table |= {"array": numpy.array([1.0, 0.0]), "tensor": torch.tensor([1.0, 0.0]), "one": numpy.array(1.0), "huge": 10**400}
    text = completions[0][0]["content"]
    return {"scalar": 1.0, "two values": [1, 1], "nothing": None}.get(text, [table.get(text, 0)])

def text(completions, **kwargs):
    return [float(completion.strip() == "42") for completion in completions]

async def later(completions, reference):
    return [1.0 for _ in completions]

def anything(**kwargs):
    return [float("completions" in kwargs)]

def wants(completions, colour): ...
def wants_ids(completion_ids, **kwargs): ...
"""


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "check.py").write_text(VERIFIER)
    (tmp_path / "reward.py").write_text(REWARD)
    return tmp_path


def judged(spec: str, text: str, **more: str) -> Verdict:
    return open_verifier(OwnVerifier.model_validate({"python": spec, **more}))(PROBLEM, text, STRICT)


def refused(**spec: str) -> str:
    with pytest.raises(ProblemError) as caught:
        OwnVerifier.model_validate(spec).checked()
    return str(caught.value)


@pytest.mark.slow
def test_in_its_processes_whatever_goes_wrong_is_an_error_that_says_so_and_the_next_is_judged(files: Path) -> None:
    cases = {
        "42": ("correct", ""),
        "hang": ("error", "check.py:verify: no verdict within 3 s"),
        "raise it": ("error", "check.py:verify: KeyError: 'it'"),
        "exit now": ("error", "check.py:verify: SystemExit: now"),
        "die": ("error", "check.py:verify: the verifier process died twice (exit status 3)"),
        "print": ("wrong", ""),
        "input": ("error", "check.py:verify: EOFError: EOF when reading a line"),
        "43": ("wrong", ""),
        "see": ("correct", "{'d': 1} {'level': 3} lenient"),
    }
    with VerifierPool(timeout_seconds=3.0, own=OwnVerifier(python="check.py:verify")) as pool:
        assert pool.grade([(PROBLEM, "42")])[0].seconds > 0
        verdicts = pool.grade([(PROBLEM, text) for text in cases], reading=LENIENT)
        odd = Problem(**{**vars(PROBLEM), "checks": {"set": {1}}})
        assert "cannot be said in JSON" in pool.grade([(odd, "42")])[0].detail
    assert [(verdict.status, verdict.detail) for verdict in verdicts] == list(cases.values())
    assert pool.restarts == 3  # one that hung, one that died twice


def test_a_verifier_that_is_edited_during_a_run_judges_no_more(files: Path) -> None:
    own = OwnVerifier(python="check.py:verify").checked()
    (files / "check.py").write_text(VERIFIER + "# edited\n")
    verdict = open_verifier(own)(PROBLEM, "42", STRICT)
    assert verdict.status == "error"
    assert "check.py:verify has changed: its hash was" in verdict.detail


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("remember", "check.py:verify: MemoryError"),
        ("recurse", "check.py:verify: RecursionError: maximum recursion depth exceeded"),
        ("return True", "check.py:verify returned True, expected a Verdict"),
        ("return None", "check.py:verify returned None, expected a Verdict"),
        ("return text", "check.py:verify returned 'correct', expected a Verdict"),
        ("status right", "status is one of correct, wrong, unparsed, timeout, abstained, error"),
        ("score 2", "check.py:verify returned the score 2, expected a number between 0 and 1: scale it"),
        ("score -1", "check.py:verify returned the score -1, expected a number between 0 and 1: scale it"),
        ("score nan", "check.py:verify returned the score nan, expected a number between 0 and 1"),
        ("score 1", "returned status wrong with score 1: correct is 1, what is below is wrong"),
        ("half", "returned status correct with score 0.5: correct is 1, what is below is wrong"),
        ("bytes", "extracted and detail are texts"),
        ("kind", "only verifiers of the lab have kinds"),
    ],
)
def test_what_is_no_verdict_is_an_error(files: Path, text: str, said: str) -> None:
    verdict = judged("check.py:verify", text)
    assert (verdict.status, verdict.worth) == ("error", None)
    assert said in verdict.detail
    assert (verdict.kind == "not_finite") == (text == "score nan")


def test_scores_between_nothing_and_everything_are_paid_as_they_are_and_are_not_right(files: Path) -> None:
    verdict = judged("check.py:graded", "1234")  # an object that can be called
    assert (verdict.status, verdict.worth) == ("wrong", 0.4)
    assert [judged("reward.py:messages", text).worth for text in ("42", "true", "one", "half", "7")] == [
        1.0,
        1.0,
        1.0,
        0.5,
        0.0,
    ]
    assert [judged("reward.py:messages", text).status for text in ("42", "half", "7")] == ["correct", "wrong", "wrong"]


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("messages", "none", "the reward function returned None: it cannot score this completion"),
        ("messages", "nan", "the reward function returned nan: it cannot score this completion"),
        ("messages", "two", "returned the score 2, expected a number between 0 and 1"),
        ("messages", "minus", "returned the score -0.5, expected a number between 0 and 1"),
        ("messages", "word", "returned 'x' as a score, expected a number between 0 and 1, or None"),
        (
            "messages",
            "array",
            "reward.py:messages returned array([1., 0.]) as a score, expected a number between 0 and 1, or None",
        ),
        ("messages", "tensor", "returned tensor([1., 0.]) as a score, expected a number between 0 and 1, or None"),
        ("messages", "huge", "as a score, expected a number between 0 and 1, or None"),
        ("messages", "scalar", "returned 1.0, expected a list of one number or None"),
        ("messages", "nothing", "returned None, expected a list of one number or None"),
        ("messages", "two values", "returned [1, 1], expected a list of one number or None"),
        ("text", "42", "no attribute 'strip'; it was handed messages, reward.completions=text is the other form"),
        ("wants", "42", "needs the column 'colour'; there are: answer, completions, difficulty, domain,"),
    ],
)
def test_a_reward_function_that_cannot_score_is_an_error(files: Path, name: str, text: str, said: str) -> None:
    verdict = judged(f"reward.py:{name}", text)
    assert (verdict.status, verdict.worth) == ("error", None)
    assert said in verdict.detail
    assert (verdict.kind == "not_finite") == (text == "nan")
    assert ("reward.completions=" in verdict.detail) == (name == "text")  # a hint where it may help, nowhere else


def test_reward_functions_get_texts_where_told_may_be_asynchronous_and_may_take_anything(files: Path) -> None:
    assert judged("reward.py:text", " 42", completions="text").status == "correct"
    assert judged("reward.py:later", "42").status == "correct"
    assert judged("reward.py:anything", "42").status == "correct"


def test_trls_own_reward_functions_judge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "theirs.py").write_text("from trl.rewards import think_format_reward as thinks\n")
    assert judged("theirs.py:thinks", "<think>\n6*7\n</think>\n42").status == "correct"
    assert judged("theirs.py:thinks", "42").status == "wrong"


def test_what_is_no_verifier_is_refused_before_anything_runs(files: Path) -> None:
    assert "cannot read chick.py (looked for in" in refused(python="chick.py:verify")
    assert "must be FILE.py:NAME, as in my_verifier.py:verify; found 'check.py'" in refused(python="check.py")
    said = refused(python="check.py:verfy")
    assert "check.py defines no function 'verfy'; it defines: Graded, graded, verify" in said
    assert "check.py defines no function 'number'" in refused(python="check.py:number")
    for name in ("too_few", "anything"):
        assert "is neither a verifier (problem, completion, reading) nor a reward" in refused(python=f"check.py:{name}")
    assert "needs completion_ids, which a process that only judges texts does not have" in refused(python="reward.py:wants_ids")
    assert "give exactly one of" in refused(python="check.py:verify", entry_point="x")
    assert "no installed package offers an entry point 'nobody' of the group reasonlab.verifiers" in refused(
        entry_point="nobody"
    )
    with pytest.raises(ValueError, match="defines no function 'verfy'"):  # so a configuration says it as well
        RewardConfig(python="check.py:verfy")
    assert RewardConfig(python="check.py:verify").file_hash == OwnVerifier(python="check.py:verify").checked().file_hash


def installed(folder: Path, points: str) -> None:
    """Put into `folder` what pip leaves of a package with a module `their_checks` and entry points."""
    (folder / "their_checks.py").write_text(VERIFIER + REWARD)
    about = folder / "their_checks-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: their-checks\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(f"[reasonlab.verifiers]\n{points}")


def test_a_verifier_of_an_installed_package_grades_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    installed(tmp_path, "theirs = their_checks:verify\nbroken = their_checks:nothing\nlost = their_chicks:verify\n")
    assert "loading the entry point 'broken' (their_checks:nothing) failed: AttributeError" in refused(entry_point="broken")
    assert "loading the entry point 'lost' (their_chicks:verify) failed: ModuleNotFoundError" in refused(entry_point="lost")
    assert "there are: broken, lost, theirs" in refused(entry_point="their")
    (tmp_path / "in.jsonl").write_text('{"id": 1, "problem": {"reference": "42"}, "completion": "42"}\n')
    try:
        counts = grade_file(tmp_path / "in.jsonl", tmp_path / "out.jsonl", own=OwnVerifier(entry_point="theirs"))
    finally:
        sys.modules.pop("their_checks", None)
    assert counts == {"correct": 1}


def test_ones_own_verifier_need_not_know_of_abstentions_and_may_not_make_them_up(files: Path) -> None:
    verify = open_verifier(OwnVerifier(python=str(files / "check.py:verify")))
    may = Reading(abstention="I don't know")
    assert verify(PROBLEM, r"\boxed{I don't know}", may).status == "abstained"
    assert verify(PROBLEM, r"\boxed{I don't know}", STRICT).status == "wrong"
    assert verify(PROBLEM, "status abstained", may).status == "abstained"  # it has words of its own
    refused = verify(PROBLEM, "status abstained", STRICT)
    assert refused.status == "error"
    assert "prompt.abstention" in refused.detail
