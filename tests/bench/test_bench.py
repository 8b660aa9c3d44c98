import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support import reasonlab, rollout

from bench.child import short_groups
from bench.compare import markdown_table, read_results, result, summary
from bench.material import (
    SHORTEST,
    NoiseSource,
    hash_verdict,
    make_model,
    pool_of,
    run_config,
    synthetic_groups,
    tail_lengths,
    tokenizer_of_size,
)
from bench.ours import OurSide
from bench.sides import Timed, row_lengths
from bench.theirs import TrlSide, fastest, trl_tensors
from bench.work import WORKS, Work, choose_works, toy
from launch import cli
from problems.errors import LabError
from rl.groups import group_up
from rl.policy.opening import load_model, load_tokenizer
from rl.policy.prompts import render
from rl.runtime import process_group
from rl.settings.algorithm import AlgorithmSettings
from rl.types import Group
from rl.update.batch import collate, make_batch


def groups() -> tuple[Group, ...]:
    # two groups of two: rewards 1, 0 have advantages 1/2, -1/2; equal rewards have none
    members = [
        (rollout([8, 9, 10], [11, 12], [-1, -2], 1), rollout([8, 9, 10], [13], [-3], 0)),
        (rollout([14], [15, 16, 17], [-1, -1, -1], 0, 1), rollout([14], [18], [-1], 0, 1)),
    ]
    return tuple(group_up(members, AlgorithmSettings()))


def timed(seconds: float, lengths: tuple[int, ...] = (10, 30)) -> Timed:
    return Timed(seconds=seconds, sample=seconds / 4, update=seconds / 2, lengths=lengths)


MEMORY = {"ours": {"training": 100.0, "peak": 500.0}, "trl": {"training": 250.0, "peak": 600.0}}


def test_the_works_are_those_of_the_issue() -> None:
    b, c, d = WORKS["b"], WORKS["c"], WORKS["d"]
    assert (b.prompt_tokens, b.max_tokens, b.group_size) == (512, 512, 16)
    assert c.shape is not None
    assert b.shape is not None
    assert c.shape.vocabulary == d.shape.vocabulary == 151_936  # type: ignore[union-attr]
    assert (c.shape.hidden, c.shape.layers) == (b.shape.hidden, b.shape.layers)
    # 6 layers of 4 * 384 * 384 (attention) + 3 * 384 * 1024 (MLP) = 10.6 M
    body = b.shape.layers * (4 * b.shape.hidden**2 + 3 * b.shape.hidden * b.shape.intermediate)
    assert 10.0e6 < body < 11.0e6


def test_unknown_work_is_refused_with_the_list() -> None:
    with pytest.raises(LabError, match=r"no work 'x'.*a \(demo model"):
        choose_works("a,x")


@pytest.mark.skipif(torch.cuda.is_available(), reason="says what happens without CUDA")
def test_work_d_needs_cuda() -> None:
    with pytest.raises(LabError, match=r"work d .* needs CUDA"):
        choose_works("d")
    assert [work.name for work in choose_works(None)] == ["a", "b", "c"]
    assert [work.name for work in choose_works("e")] == ["e"]  # which is left out unless it is asked for


def test_tail_lengths_reach_from_8_to_the_limit_with_the_asked_mean() -> None:
    lengths = tail_lengths(32, 100, 512)
    assert min(lengths) < 12
    assert min(lengths) >= SHORTEST
    assert max(lengths) == 512
    assert 90 < np.mean(lengths) < 110
    assert np.median(lengths) < 80  # geometric: 8 + 92 ln 2 = 72
    assert lengths == tail_lengths(32, 100, 512)


def test_noise_prompts_fill_the_prompt_exactly_and_differ() -> None:
    config = run_config(toy(WORKS["b"]), Path("x/model"))
    source, tokenizer = NoiseSource(prompt_tokens=512), tokenizer_of_size(None)
    first, second = (source.get("train", i) for i in range(2))
    assert first.prompt != second.prompt
    assert first == source.get("train", 0)
    assert len(render(first, config.prompt, tokenizer)) == 512


def test_a_filled_tokenizer_has_the_asked_size_and_gives_ids_back() -> None:
    tokenizer, plain = tokenizer_of_size(5000), tokenizer_of_size(None)
    assert len(tokenizer) == 5000
    ids = [20, 4999, 300, 21]
    assert tokenizer(tokenizer.decode(ids), add_special_tokens=False).input_ids == ids
    text = plain.apply_chat_template([{"role": "user", "content": "1+1=?"}], add_generation_prompt=True, tokenize=False)
    assert tokenizer(text).input_ids == plain(text).input_ids


def test_hash_reward_pays_about_half() -> None:
    paid = sum(hash_verdict(str(i)).status == "correct" for i in range(1000))
    assert 440 < paid < 560  # 500 +- 16 is one standard deviation


def test_stop_token_has_about_the_aimed_probability_everywhere(tmp_path: Path) -> None:
    work = toy(WORKS["b"])
    assert work.mean_tokens == 12
    config = run_config(work, make_model(work, tmp_path))
    model: Any = load_model(config.model)
    tokenizer: Any = load_tokenizer(config.model)
    torch.manual_seed(0)
    with torch.no_grad():
        logits = model(torch.randint(8, len(tokenizer), (4, 40))).logits
    stop = torch.softmax(logits, -1)[..., tokenizer.eos_token_id]
    assert 0.7 / 12 < stop.mean() < 1.4 / 12
    assert stop.std() < 0.5 / 12


def test_both_sides_update_on_the_same_tokens_and_advantages() -> None:
    made = groups()
    batch = make_batch(made, AlgorithmSettings(), 8)
    ours = {(tuple(row.prompt_ids), tuple(row.completion_ids), float(row.advantages[0])) for row in batch.rows}
    theirs = trl_tensors(made, pad_id=0)
    rows = set()
    for i, advantage in enumerate(theirs["advantages"].tolist()):
        prompt = theirs["prompt_ids"][i][theirs["prompt_mask"][i].bool()]
        completion = theirs["completion_ids"][i][theirs["completion_mask"][i].bool()]
        if advantage:
            rows.add((tuple(prompt.tolist()), tuple(completion.tolist()), advantage))
    assert ours == rows == {((8, 9, 10), (11, 12), 0.5), ((8, 9, 10), (13,), -0.5)}
    assert theirs["num_items_in_batch"] == batch.num_loss_tokens == 2 + 1 + 3 + 1
    assert theirs["prompt_ids"].tolist()[2] == [0, 0, 14]  # prompts are padded left, completions right
    assert theirs["completion_ids"].tolist()[1] == [13, 0, 0]
    assert collate(batch.rows, 0, torch.device("cpu"), "shared").targets.tolist() == [11, 12, 13]


def test_synthetic_rollouts_have_contrast_everywhere_and_the_models_own_logprobs(tmp_path: Path) -> None:
    work = toy(WORKS["c"])
    config = run_config(work, make_model(work, tmp_path))
    model: Any = load_model(config.model)
    tokenizer: Any = load_tokenizer(config.model)
    made = synthetic_groups(work, model, tokenizer, config)
    assert all(abs(advantage) == 0.5 for group in made for advantage in group.advantages)
    one = made[1].rollouts[2]
    ids = torch.tensor([[*one.prompt_ids, *one.completion_ids]])
    with torch.no_grad():
        logprobs = torch.log_softmax(model(ids).logits[0], -1)
    start = len(one.prompt_ids)
    expected = [logprobs[start - 1 + t, token].item() for t, token in enumerate(one.completion_ids)]
    np.testing.assert_allclose(one.sampling_logprobs, expected, atol=1e-4)


def test_ratios_are_of_medians_and_pairs() -> None:
    pairs = [(timed(1.0), timed(4.0)), (timed(2.0), timed(10.0)), (timed(4.0), timed(12.0))]
    made = result("step", WORKS["b"], pairs, "seconds", MEMORY)
    assert made["ratio_median"] == 10 / 2
    assert (made["ratio_min"], made["ratio_max"]) == (3.0, 5.0)
    assert made["memory_ratio"] == 2.5
    assert made["memory_ratio_whole_process"] == 1.2
    assert {"bench", "work", "ours", "trl", "machine", "versions", "settings"} <= set(made)
    assert made["ours"]["lengths"] == {"completions": 6, "mean": 20, "median": 20, "min": 10, "max": 30, "below_8": 0}
    assert result("sample", WORKS["b"], pairs, "sample", MEMORY)["ours"]["seconds"] == [0.25, 0.5, 1.0]


def test_tokens_per_second_counts_all_repetitions() -> None:
    made = summary([timed(1.0, (10,)), timed(3.0, (30,))], "seconds")
    assert made["tokens_per_second"] == 40 / 4


def test_table_is_ordered_by_work_with_the_whole_step_first(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="no results"):
        read_results(tmp_path)
    for bench, name in (("update", "b"), ("step", "b"), ("step", "a")):
        made = result(bench, WORKS[name], [(timed(1.0), timed(6.0))], "seconds", MEMORY)
        (tmp_path / f"{bench}-{name}.json").write_text(json.dumps(made))
    table = markdown_table(read_results(tmp_path)).splitlines()
    assert [line[:12].rstrip() for line in table[2:5]] == ["| a | step |", "| b | step |", "| b | update"]
    assert "**6.0** (6.0 to 6.0)" in table[2]


def test_warm_up_rollouts_are_short_and_keep_their_advantages() -> None:
    short = short_groups(groups())
    assert row_lengths(short) == (2, 1, 3, 1)
    assert [g.advantages.tolist() for g in short] == [[0.5, -0.5], [0.0, 0.0]]


@pytest.mark.slow
@pytest.mark.parametrize("work", [toy(WORKS["c"]), toy(WORKS["d"])], ids=["qwen3", "qwen2"])
def test_both_sides_sample_update_and_step(work: Work, tmp_path: Path) -> None:
    model = make_model(work, tmp_path)
    with process_group(), pool_of(work, run_config(work, model)) as pool:
        ours = OurSide(work, model, pool)
        ours.groups = synthetic_groups(work, ours.engine.policy, ours.tokenizer, ours.config)
        threads = torch.get_num_threads()
        theirs = TrlSide(work, model, ours.groups, fastest("step", work))
        assert theirs.trainer.model_wrapped is theirs.trainer.model, "DDP would be a handicap for TRL"
        assert torch.get_num_threads() == threads
        for side in (ours, theirs):
            before = next(p for p in _weights(side).parameters() if p.dim() > 1).detach().clone()
            assert len(side.sample().lengths) == work.rows
            assert torch.equal(before, next(p for p in _weights(side).parameters() if p.dim() > 1))
            side.update()
            assert not torch.equal(before, next(p for p in _weights(side).parameters() if p.dim() > 1)), side
            step = side.step()
            assert len(step.lengths) == work.rows
            assert step.sample is not None
            assert step.update is not None
            assert 0 < step.sample < step.sample + step.update <= step.seconds
        assert not isinstance(theirs.trainer.model_wrapped, torch.nn.parallel.DistributedDataParallel)
        theirs.close()


def _weights(side: OurSide | TrlSide) -> torch.nn.Module:
    return side.engine.policy if isinstance(side, OurSide) else side.trainer.model  # type: ignore[no-any-return]


def test_an_error_inside_trl_is_raised_and_does_not_hang(tmp_path: Path) -> None:
    work = toy(WORKS["b"])
    model = make_model(work, tmp_path)
    side = TrlSide(work, model, groups(), {})
    side.trainer.reward_funcs = [lambda **_: 1 / 0]
    with pytest.raises(ZeroDivisionError):
        side.step()
    side.close()


def test_help_and_errors_of_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        cli.main(["bench", "--help"])
    assert "reasonlab bench step --work a" in capsys.readouterr().out
    assert cli.main(["bench", "update", "--work", "z"]) == 2
    assert "no work 'z'" in capsys.readouterr().err


@pytest.mark.slow
def test_the_whole_benchmark_at_toy_size_writes_every_result(tmp_path: Path) -> None:
    done = reasonlab("bench", "--toy", "--work", "d", "--repetitions", 2, "--threads", 1, "--out", "results", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = read_results(tmp_path / "results")
    assert [(r["work"], r["bench"]) for r in found] == [("d", b) for b in ("step", "sample", "update")]
    for r in found:
        assert len(r["ours"]["seconds"]) == len(r["trl"]["seconds"]) == 2
        assert r["ratio_min"] <= r["ratio_max"]
        assert r["memory_ratio"] > 0
        assert r["ours"]["memory_mib"]["peak"] > r["ours"]["memory_mib"]["imports"]
        assert r["versions"]["trl"].startswith("1.")
        assert r["ours"]["lengths"]["completions"] == 2 * 2 * 4  # repetitions x problems x group
    update = next(r for r in found if r["bench"] == "update")
    assert update["ours"]["lengths"] == update["trl"]["lengths"]
    assert "times TRL's rate" in done.stdout


@pytest.mark.slow
def test_the_profile_names_stages_and_floor(tmp_path: Path) -> None:
    done = reasonlab("bench", "profile", "--toy", "--threads", 1, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for word in ("GFLOP/s", "GB/s", "prefill", "backward", "optimizer", "LM head"):
        assert word in done.stdout
