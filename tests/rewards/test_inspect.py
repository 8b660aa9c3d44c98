"""The scorer for inspect_ai: verdicts by the lab, and no score where none can be given."""

import importlib.util
from pathlib import Path

import pytest

import rewards.inspect as ours
from problems.errors import LabError
from rewards.kept import close_all
from rewards.types import Verdict

if not (is_installed := importlib.util.find_spec("inspect_ai") is not None):

    def test_without_the_package_it_is_said_how_to_get_it() -> None:
        with pytest.raises(LabError, match=r"pip install 'reasonlab\[inspect\]'"):
            ours.verdict()


installed = pytest.mark.skipif(not is_installed, reason="inspect_ai is not installed: make test-formats")


def verdict(status: str, score: float | None = None) -> Verdict:
    return Verdict(status=status, score=score)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("statuses", "status", "is_scored"),
    [
        (["wrong", "correct"], "correct", True),
        (["error", "correct"], "correct", True),  # one target is met, whatever the other would have been
        (["wrong", "error"], "error", False),  # the one that could not be judged might have been met
        (["unparsed", "wrong"], "unparsed", True),
        (["error"], "error", False),
    ],
)
def test_any_of_several_targets_will_do(statuses: list[str], status: str, is_scored: bool) -> None:
    found = ours.judged([verdict(one) for one in statuses])
    assert (found.verdict.status, found.is_scored) == (status, is_scored)


@installed
def test_an_evaluation_counts_what_could_be_scored(tmp_path: Path) -> None:
    from inspect_ai import Task, eval
    from inspect_ai.dataset import MemoryDataset, Sample
    from inspect_ai.model import ModelOutput
    from inspect_ai.solver import solver

    @solver
    def written():  # no model: theirs for tests counts tokens with a file that it downloads
        async def solve(state, generate):
            state.output = ModelOutput.from_content("nobody", answers[state.sample_id])
            return state

        return solve

    answers = {
        1: "\\boxed{0.5}",
        2: "\\boxed{3}",
        3: "It is 4.",
        4: "",
        5: "\\boxed{1}",
        6: "\\boxed{7}",
        7: "<answer>3-1</answer>",
    }
    countdown = {"domain": "countdown", "checks": {"numbers": [3, 1], "target": 2}}
    samples = [
        Sample(input="1/2?", target="1/2", id=1),
        Sample(input="2+2?", target="4", id=2),
        Sample(input="2+2?", target="4", id=3),  # no marked answer
        Sample(input="2+2?", target="4", id=4),
        Sample(input="?", target="\\frac{", id=5),  # nobody can be measured by that
        Sample(input="A prime?", target=["5", "7"], id=6),
        Sample(input="2?", target="", id=7, metadata=countdown),
    ]
    task = Task(dataset=MemoryDataset(samples), solver=written(), scorer=ours.verdict(timeout_seconds=60))
    (log,) = eval(task, model="mockllm/model", log_dir=str(tmp_path), display="none")
    close_all()
    assert log.status == "success", log.error
    scores = {sample.id: sample.scores["verdict"] for sample in log.samples}
    values = {number: score.value for number, score in scores.items()}
    assert values.pop(5) != values.get(5, float("nan"))  # NaN: unscored
    assert values == {1: "C", 2: "I", 3: "I", 4: "I", 6: "C", 7: "C"}
    reasons = {number: score.reason for number, score in scores.items() if score.reason}
    assert reasons == {3: "invalid_response_format", 4: "no_response", 5: "scoring_failed"}
    assert log.results.scores[0].metrics["accuracy"].value == pytest.approx(3 / 6)  # of the six that count
    assert scores[1].answer == "0.5"


@installed
def test_what_cannot_be_used_is_said_before_anything_is_asked() -> None:
    with pytest.raises(LabError, match="no verifier is known for the domain 'poems'"):
        ours.verdict(domain="poems")
    with pytest.raises(LabError, match="policy must be one of strict, lenient"):
        ours.verdict(policy="kind")
