"""Accuracy against thinking: what each budget leaves of a completion, what the curve is made of, and its picture."""

import json
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from support import rows

from launch.eval import eval_command
from rewards.pool import VerifierPool
from rl import evaluate
from rl.evaluation.budgets import curves_of, write_thinking
from rl.exchange import share
from rl.policy.tiny import END, character_tokenizer
from rl.settings.evaluation import EvalConfig
from rl.settings.loading import load_config

PROBLEMS, SAMPLES, LONGEST = 6, 4, 24
BUDGETS = (0, 3, 20)
# at one of these a completion of a random model ends, after eight tokens on average; no mark has a capital letter
ENDINGS = [*"ABCDEFGHIJKL"]
ASKED = [f"num_problems={PROBLEMS}", f"samples={SAMPLES}", f"sampling.max_completion_tokens={LONGEST}",
         f"sampling.stop={json.dumps(ENDINGS)}", "sampling.thinking.answer='\\boxed{'"]  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def _one_pool():
    """One verifier process for all of these evaluations: to start one takes longer than they do."""
    with VerifierPool(1) as pool, pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluate, "open_pool", lambda config: nullcontext(pool))
        yield


def evaluated(model: Path, home: Path, *more: str, budgets: str = "20,0,3", status: int = 0) -> Path:
    """Evaluate in this process with budgets; return the run directory."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        patch.setenv("WANDB_MODE", "disabled")
        words = ["--model", str(model), "--problems", "chain", "--budgets", budgets, *ASKED, "run.name=e", *more]
        assert eval_command(words) == status
    return home / "runs" / "e"


@pytest.fixture(scope="module")
def run(random_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return evaluated(random_model, tmp_path_factory.mktemp("budgets"))


def tokens_of(directory: Path) -> list[list[int]]:
    """Return each completion as token ids, an end mark left out."""
    tokenizer = character_tokenizer()
    return [tokenizer(row["completion"]).input_ids for row in rows(directory / "samples.jsonl")]


@pytest.mark.parametrize("budget", BUDGETS)
def test_each_budget_is_kept_to_the_token_and_what_ends_in_time_is_as_without_one(run, budget):
    closing = character_tokenizer()("</think>\\boxed{").input_ids
    free = tokens_of(run / "no-budget")
    cut = tokens_of(run / f"budget-{budget}")
    assert len(free) == len(cut) == PROBLEMS * SAMPLES
    written = rows(run / "no-budget" / "samples.jsonl"), rows(run / f"budget-{budget}" / "samples.jsonl")
    kinds = set()
    for without, with_one, ids, forced in zip(*written, free, cut, strict=True):
        ended = closing[0] in ids[:budget] or (without["finish_reason"] == "stop" and len(ids) <= budget)
        kinds.add(ended)
        if ended:
            assert with_one["completion"] == without["completion"]
        else:
            assert forced[: budget + 2] == ids[:budget] + closing
        by_itself = with_one["finish_reason"] == "stop" and not with_one["completion"].endswith(tuple(ENDINGS))
        assert with_one["num_tokens"] == len(forced) + by_itself  # forced tokens and the end mark are paid for
    # nothing ends at once, all that is written ends within 20 tokens: then it is plain sampling
    assert kinds == {0: {False}, 3: {True, False}, 20: {True}}[budget]


def test_the_curve_holds_tokens_spent_and_accuracy_at_each_budget_and_of_votes(run):
    found = json.loads((run / "thinking.json").read_text())
    assert found["waits"] == 0
    (curve,) = found["curves"]
    assert curve["set"] == "chain"
    assert [point["budget"] for point in curve["sequential"]] == [0, 3, 20, None]
    for point in curve["sequential"]:
        name = "no-budget" if point["budget"] is None else f"budget-{point['budget']}"
        spent = [row["num_tokens"] for row in rows(run / name / "samples.jsonl")]
        assert point["tokens"] == pytest.approx(sum(spent) / (PROBLEMS * SAMPLES))
        assert point["accuracy"] == json.loads((run / name / "results.json").read_text())["accuracy"]
    one = curve["sequential"][-1]["tokens"]
    assert [(point["votes"], point["tokens"]) for point in curve["parallel"]] == [(1, one), (2, 2 * one), (4, 4 * one)]
    assert (run / "thinking.png").read_bytes().startswith(b"\x89PNG")
    assert "<td>budget 3</td>" in (run / "thinking.html").read_text()


def test_a_curve_that_was_broken_off_is_resumed_and_ends_with_the_same_bytes(run, random_model, tmp_path, monkeypatch):
    answers = evaluate.InProcess.answers
    calls: list[str] = []

    def counting(self: Any, problems: Any, most: int) -> Any:
        if len(calls) >= most:
            raise KeyboardInterrupt
        calls.append(self.config.run.name)
        return answers(self, problems)

    monkeypatch.setattr(evaluate.InProcess, "answers", lambda self, problems, *told: counting(self, problems, 2))
    cut = evaluated(random_model, tmp_path, status=130)
    assert calls == ["e/budget-0", "e/budget-3"]
    assert not (cut / "thinking.json").exists()
    monkeypatch.setattr(evaluate.InProcess, "answers", lambda self, problems, *told: counting(self, problems, 9))
    evaluated(random_model, tmp_path, "--resume")
    assert calls[2:] == ["e/budget-20", "e/no-budget"]
    for name in ("budget-0", "budget-3", "budget-20", "no-budget"):
        assert (cut / name / "samples.jsonl").read_bytes() == (run / name / "samples.jsonl").read_bytes()
    assert (cut / "thinking.json").read_bytes() == (run / "thinking.json").read_bytes()


@pytest.mark.slow
def test_shares_of_two_ranks_and_few_rows_give_the_same_completions(run, random_model, tmp_path, monkeypatch):
    answers = evaluate.InProcess.answers

    def in_two_shares(self: Any, problems: Any, *told: Any) -> Any:
        dealt: list[Any] = []
        for number in (1, 0):
            monkeypatch.setattr("rl.exchange.rank", lambda number=number: number)
            monkeypatch.setattr("rl.exchange.world_size", lambda: 2)
            dealt.insert(0, answers(self, share(problems)))
        monkeypatch.setattr("rl.exchange.rank", lambda: 0)
        monkeypatch.setattr("rl.exchange.world_size", lambda: 1)
        return [dealt[i % 2][i // 2] for i in range(len(problems))]

    monkeypatch.setattr(evaluate.InProcess, "answers", in_two_shares)
    other = evaluated(random_model, tmp_path, "sampling.max_rows=3", "sampling.cache_tokens=60", budgets="3")
    assert (other / "budget-3/samples.jsonl").read_bytes() == (run / "budget-3/samples.jsonl").read_bytes()


def test_wait_makes_a_model_think_on_until_its_budget(run, random_model, tmp_path):
    # an end of thinking that comes often, so that there is something to put off
    more = ["--wait", "2", "sampling.stop=[]", "sampling.thinking.end=' '", "sampling.thinking.wait='?no:'"]
    waiting = evaluated(random_model, tmp_path, *more, "sampling.temperature=0.9", budgets="20")
    found = [row["completion"] for row in rows(waiting / "budget-20" / "samples.jsonl")]
    assert max(text.count("?no:") for text in found) in (1, 2)
    assert not any(END in text for text in found)  # a stop token within the budget was put off too
    free = [row["completion"] for row in rows(waiting / "no-budget" / "samples.jsonl")]
    for text, without in zip(found, free, strict=True):
        before, wait, _ = text.partition("?no:")
        assert without.startswith(before) or not wait
    about = json.loads((waiting / "budget-20" / "about.json").read_text())
    assert about["sampling"]["thinking"] == {"max_tokens": 20, "end": " ", "answer": "\\boxed{", "wait": "?no:", "waits": 2}
    assert json.loads((waiting / "thinking.json").read_text())["waits"] == 2


@pytest.mark.parametrize(
    ("budgets", "more", "said"),
    [
        ("4,8,4", [], "budgets names one twice: 4, 8, 4"),
        ("8,x", [], "budgets.1"),
        ("-1", [], "budgets.0"),
        ("8", ["sampling.thinking.max_tokens=4"], "give budgets or sampling.thinking.max_tokens"),
        ("8", ["model.endpoint=http://localhost:1/v1"], "budgets would put tokens into a completion"),
        ("8", ["sampling.thinking={end: '', answer: ''}"], "end and answer are both empty"),
        ("8,22", [], "a thinking budget of 22 tokens, and 2 that end the thinking, leave no room"),
    ],
)
def test_budgets_that_cannot_be_asked_for_are_refused_before_anything_is_written(
    random_model, tmp_path, capsys, budgets, more, said
):
    evaluated(random_model, tmp_path, *more, budgets=budgets, status=2)
    assert said in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "runs").exists()


def made(budget: int | None, tokens: float, votes: int = 1) -> dict[str, Any]:
    """What an evaluation finds, as far as the curve reads it."""
    estimate = {"value": 0.5, "low": 0.25, "high": 0.75, "problems": 9, "clusters": 9}
    return {
        "model": "some/model",
        "sources": [{"domain": "chain"}],
        "sampling": {"thinking": None if budget is None else {"max_tokens": budget}},
        "completion_tokens": {"mean": tokens},
        "accuracy": estimate,
        "truncated_rate": 0.0,
        "majority_at_k": {str(k): estimate for k in range(1, votes + 1)},
    }


def test_models_and_sets_have_a_curve_each_and_names_are_only_names(tmp_path):
    found = {
        tmp_path / model / name / directory: made(budget, 10.0, votes=2)
        for model in ("$a_b$", "<b>")
        for name in ("one", "two", "three")
        for directory, budget in (("budget-8", 8), ("no-budget", None))
    }
    words = ["run.name=<i>", "model.path=m", "budgets=[8]", "sampling.thinking.waits=2",
             "sets={one: {problems: [{domain: chain}]}}"]  # fmt: skip
    write_thinking(tmp_path, found, load_config(EvalConfig, [], words).config)
    written = json.loads((tmp_path / "thinking.json").read_text())
    assert written["waits"] == 2
    assert [(curve["model"], curve["set"]) for curve in written["curves"]] == [
        ("$a_b$", "one"), ("$a_b$", "two"), ("$a_b$", "three"), ("<b>", "one"), ("<b>", "two"), ("<b>", "three"),
    ]  # fmt: skip
    page = (tmp_path / "thinking.html").read_text()
    assert "<td>&lt;b&gt;</td>" in page
    assert "<b>" not in page
    assert "<i>" not in page


def test_one_model_on_one_set_is_named_by_what_was_asked():
    top = Path("runs/e")
    (alone,) = curves_of(top, {top / "budget-8": made(8, 5.0), top / "no-budget": made(None, 9.0)}, has_sets=False)
    assert (alone["model"], alone["set"], alone["directory"]) == ("some/model", "chain", ".")
    assert [(point["budget"], point["tokens"]) for point in alone["sequential"]] == [(8, 5.0), (None, 9.0)]
