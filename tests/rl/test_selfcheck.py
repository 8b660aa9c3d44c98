"""The start-up checks: sound engines pass and are left as they were, spoilt ones are named."""

import json
from importlib.metadata import version

import pytest
from support import forked_ranks

pytestmark = pytest.mark.slow
STAGES = [f"{stage}-{dtype}" for dtype in ("fp32", "bf16") for stage in range(4)]


@pytest.fixture(scope="module", params=[1, 2], ids=["1 rank", "2 ranks"])
def found(request, random_model, tmp_path_factory):
    """What the checks said on this number of ranks."""
    output = tmp_path_factory.mktemp("checks")
    for done in forked_ranks(request.param, "selfcheck_worker", output, random_model, cwd=output):
        assert done.returncode == 0, done.stderr[-3000:]
    return json.loads((output / "found.json").read_text())


@pytest.mark.parametrize("stage", STAGES)
def test_a_sound_engine_passes_and_training_goes_on_as_if_unchecked(found, stage):
    assert found[stage]["sound"] is None
    assert found[stage]["checked"] == found[stage]["unchecked"]


@pytest.mark.parametrize("name", ["zero2.json", "zero3.json", "zero2-offload.json", "zero3-offload.json"])
def test_every_deepspeed_config_of_ours_passes_offload_included(found, name):
    assert found[name]["sound"] is None


@pytest.mark.parametrize("stage", STAGES)
def test_a_doubled_loss_is_caught_at_every_stage(found, stage):
    message = found[stage]["doubled"]
    assert "scaled by 2" in message or "scaled by 1.99" in message
    assert f"DeepSpeed {version('deepspeed')}, ZeRO {stage[0]}" in message
    assert "DeepSpeed#7718" in message
    assert "DeepSpeed#7837" in message
    assert "train.self_check=false" in message


def test_lost_micro_batches_and_a_wrong_division_are_caught(found):
    assert "every update would be scaled by" in found["1-fp32"]["forgetful"]
    assert "every update would be scaled by" in found["2-fp32"]["forgetful"]
    # the reported norm is right; only what reaches the optimizer is 65536 = 2 ** 16 times too small
    assert "the norm of the clipped gradient that reaches the optimizer" in found["0-bf16"]["divided"]
    assert "scaled by 1.5" in found["0-bf16"]["divided"]  # 1 / 65536 = 1.526e-05


@pytest.mark.parametrize("stage", [0, 3])
def test_log_probabilities_of_other_weights_or_another_temperature_are_caught(found, stage):
    assert "the sampler's log-probabilities" in found[f"{stage}-fp32"]["sampler"]
    assert "the trainer's log-probabilities" in found[f"{stage}-fp32"]["trainer"]
    assert "model.attention=eager" in found[f"{stage}-fp32"]["sampler"]
    assert "it would draw with old weights" in found[f"{stage}-fp32"]["old"]
