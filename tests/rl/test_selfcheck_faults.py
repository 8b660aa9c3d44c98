"""The start-up self-check tells rounding from faults: no false alarm over seeds, and every injected fault is caught."""

import numpy as np
import pytest
import torch
from faults import UPDATE_FAULTS
from self_checks import look, settings_of
from support import fork

from rl import selfcheck
from rl.judging import Apart, compare, plain_torch
from rl.policy.opening import load_model, load_tokenizer, save_policy
from rl.policy.tiny import make_tiny_model
from rl.runtime import process_group
from rl.selfcheck import text_rows
from rl.settings.schema import TinyModelConfig
from rl.update.batch import uniform_row
from rl.update.engine import Engine

SIZES = TinyModelConfig(hidden_size=32, intermediate_size=64, layers=2, heads=2, max_positions=512)
# what the message of a fault must name
WORDS = {
    "doubled": "times plain torch's",
    "halved": "times plain torch's",
    "never cleared": "times plain torch's",
    "trainer's temperature": "the trainer's log-probabilities",
}


@pytest.fixture
def sharp_model(tmp_path):
    """Make a tiny model with seed `seed` whose predictions are as decided as those of a trained one: its weights are large."""

    def made(seed: int):
        make_tiny_model(SIZES, tmp_path / "drawn", seed)
        settings = settings_of(str(tmp_path / "drawn"), "fp32", 0, "full").model
        model = load_model(settings, trainable=False)
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.mul_(4)
        save_policy(model, load_tokenizer(settings), tmp_path / "sharp", merge=False)
        return str(tmp_path / "sharp")

    return made


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["bf16", "fp32"])
def test_no_false_alarm_over_seeds_and_every_fault_of_the_update_is_caught(dtype, sharp_model):
    with process_group():
        for seed in range(10):
            faults = list(UPDATE_FAULTS) if seed < 3 else []
            said, numbers = look(settings_of(sharp_model(seed), dtype, 1, "full"), faults)
            assert said.pop("sound") is None, (seed, numbers)
            assert [name for name in faults if said[name] is None] == [], (seed, numbers)
            assert all(words in (said[name] or "") for name, words in WORDS.items() if name in said)


@pytest.mark.slow
def test_two_ranks_pass_and_catch_every_fault_with_adapters_too(random_model, tmp_path):
    done = fork("self_checks", "--model", random_model, "--stage", "1", "3", "--ranks", "2", cwd=tmp_path).completed()
    assert done.returncode == 0, done.stdout + done.stderr
    assert "8 of 8 combinations are as they should be" in done.stdout


def test_the_judge_computes_every_row_as_if_it_were_alone(random_model):
    config = settings_of(str(random_model), "fp32", 0, "full")
    random = np.random.default_rng(0).integers(8, 100, 600, np.int32)
    unknown = [uniform_row(random[:7], random[7 : 9 + n], np.zeros(2 + n, np.float32)) for n in range(3)]  # not in the loss
    rows = [*text_rows(random, max_positions=128), *unknown]
    with process_group():
        found = plain_torch(Engine(load_model(config.model), config), rows, config, torch.float32)
    model = load_model(config.model)
    loss = torch.zeros(())
    for row, logprobs in zip(rows, found.logprobs, strict=True):
        ids = torch.as_tensor(np.concatenate([row.prompt_ids, row.completion_ids]), dtype=torch.long)
        start = len(row.prompt_ids)
        alone = torch.log_softmax(model(input_ids=ids[None], use_cache=False).logits[0, start - 1 : -1], -1)
        alone = alone.gather(-1, ids[start:, None])[:, 0]
        assert np.abs(logprobs - alone.detach().numpy()).max() < 1e-5
        loss = loss - row.weights[0] * row.advantages[0] * alone.sum()
    loss.backward()
    gradients = {name: parameter.grad for name, parameter in model.named_parameters() if parameter.grad is not None}
    apart = compare(gradients.items(), found.gradient)
    assert apart.distance < 1e-5


def test_rows_are_cut_from_the_text_in_its_order_and_begin_again_at_its_end():
    text = torch.arange(100).numpy()
    rows = text_rows(text)
    read = [token for row in rows[:2] for token in (*(row.prompt_ids if row is rows[0] else ()), *row.completion_ids)]
    assert read == list(range(16))
    assert [len(row.completion_ids) for row in rows] == [5, 8, 7, 6, 32, 33, 34, 65, 301, 97]
    assert rows[-2].completion_ids[0] == (rows[-2].prompt_ids[-1] + 1) % 100
    for positions in (16, 32, 33, 64):  # 16 is the fewest that a tiny model may have
        rows = text_rows(text, max_positions=positions)
        assert max(row.length for row in rows) == positions
        assert min(len(row.completion_ids) for row in rows) == 5


def test_a_gradient_is_measured_by_its_component_along_the_true_one_and_its_distance():
    truth = {"a": torch.tensor([3.0, 0.0]), "b": torch.tensor([4.0])}
    found = {"a": torch.tensor([3.0, 2.5]), "b": torch.tensor([4.0])}
    assert compare(found.items(), truth) == Apart(scale=1.0, distance=0.5, norm=31.25**0.5)
    doubled = {name: 2 * part for name, part in truth.items()}
    assert compare(doubled.items(), truth) == Apart(scale=2.0, distance=1.0, norm=10.0)


def test_a_gradient_twice_as_far_from_the_truth_as_plain_bf16_passes_and_a_farther_one_does_not(random_model):
    config = settings_of(str(random_model), "bf16", 0, "full")
    plain = Apart(scale=1.0, distance=0.1, norm=1.0)
    selfcheck._check_direction(config, Apart(scale=0.9, distance=0.2, norm=1.0), plain)
    with pytest.raises(selfcheck.SelfCheckFailed, match=r"24.00% of its length away.*plain bf16 torch's is 10.00% away"):
        selfcheck._check_direction(config, Apart(scale=0.9, distance=0.24, norm=1.0), plain)
    with pytest.raises(selfcheck.SelfCheckFailed, match="scaled by nan"):
        selfcheck._check_direction(config, Apart(scale=float("nan"), distance=0.0, norm=1.0), plain)
