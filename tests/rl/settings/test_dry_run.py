"""What `--dry-run` says of the work: shapes and memory by hand."""

import json
from pathlib import Path
from typing import Any

import pytest

from problems.errors import LabError
from rl import devices
from rl.settings.dry_run import GIB, KNOWN, describe_work, memory_estimate, model_shape
from rl.settings.model_files import ModelShape
from rl.settings.schema import LOGIT_BUFFER_ELEMENTS, LOGIT_BUFFER_ELEMENTS_CUDA, RunConfig

SMALL = ModelShape(layers=2, hidden=8, intermediate=16, vocabulary=32, heads=2, kv_heads=1, head_dim=4, tied=True)


def config(**sections: Any) -> RunConfig:
    data = {"run": {"name": "a"}, "model": {"path": "m"}, "problems": [{"domain": "chain"}]}
    return RunConfig.model_validate({**data, **sections})


def test_the_weights_of_a_small_model_by_hand() -> None:
    # attention: q and o 8 x 8 each, k and v 8 x 4 each: 192; mlp 3 x 8 x 16 = 384; two layers 1,152; embeddings 32 x 8 = 256
    assert SMALL.parameters == 1408
    # adapters of rank 3, (in + out) a layer: q 16, o 16, k 12, v 12, gate, up and down 24 each: 128; x 3 x 2 layers
    assert SMALL.lora_parameters(3) == 768
    # fused for decoding: query, key and value 8 x 16, gate and up 8 x 32, in two layers
    assert SMALL.fused_parameters(merged=False) == 2 * (128 + 256)
    # with adapters also the attention's output 8 x 8 and down 16 x 8
    assert SMALL.fused_parameters(merged=True) == 2 * (128 + 256 + 64 + 128)
    # keys and values, 2 layers, 1 head of 4, 2 bytes, 10 tokens
    assert SMALL.cache_bytes(10, 2) == 2 * 2 * 4 * 2 * 10


@pytest.mark.parametrize(
    ("name", "published"),
    # counts of the published weights; norms and biases are left out of ours
    [("Qwen/Qwen2.5-0.5B", 494_032_768), ("Qwen/Qwen2.5-1.5B", 1_543_714_304), ("Qwen/Qwen2.5-7B", 7_615_616_512)],
)
def test_the_known_shapes_have_the_published_number_of_weights(name: str, published: int) -> None:
    assert KNOWN[name].parameters == pytest.approx(published, rel=1e-3)
    assert model_shape(f"{name}-Instruct") == KNOWN[name]


def test_memory_by_hand() -> None:
    sections = {
        "train": {"micro_batch_tokens": 100},
        "sampling": {"max_completion_tokens": 20, "max_rows": 4},
        "algorithm": {"num_problems": 4, "group_size": 4, "kl_coef": 0.1},
    }
    parts = {name: value * GIB for name, value in memory_estimate(config(**sections), SMALL, 1, on_gpu=False).items()}
    assert parts["weights"] == pytest.approx(1408 * 4)  # fp32
    assert parts["reference policy"] == pytest.approx(1408 * 4)
    assert parts["gradients"] == pytest.approx(1408 * 4)
    assert parts["optimizer"] == pytest.approx(1408 * 8)  # two moments of fp32
    assert parts["logits of a buffer"] == pytest.approx(2 * 100 * 32 * 4)
    # 4 rows of 20 tokens; a token has 2 x 2 layers x 1 head x 4 numbers of 4 bytes = 64 bytes
    assert parts["KV cache while sampling, at full length"] == pytest.approx(4 * 20 * 64)


@pytest.mark.parametrize(
    ("stage", "shares"),
    # weights, gradients, optimizer of a rank of four, in parts of what one rank alone needs
    [(0, (1, 1, 1)), (1, (1, 1, 0.25)), (2, (1, 0.25, 0.25)), (3, (0.25, 0.25, 0.25))],
)
def test_zero_shards_what_its_stage_says(stage: int, shares: tuple[float, ...]) -> None:
    names = ("weights", "gradients", "optimizer")
    alone = memory_estimate(config(deepspeed={"stage": 0}), SMALL, 1, on_gpu=False)
    sharded = memory_estimate(config(deepspeed={"stage": stage}), SMALL, 4, on_gpu=False)
    assert [sharded[name] / alone[name] for name in names] == pytest.approx(list(shares))


def test_lora_trains_only_its_adapters_and_needs_no_second_model() -> None:
    lora = {"model": {"path": "m", "lora": {"r": 3}}, "algorithm": {"kl_coef": 0.1}}
    parts = {name: value * GIB for name, value in memory_estimate(config(**lora), SMALL, 1, on_gpu=False).items()}
    assert parts["gradients"] == pytest.approx(768 * 4)
    assert parts["weights"] == pytest.approx((1408 + 768) * 4)
    assert parts["reference policy"] == 0


def test_a_dry_run_says_how_the_work_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "4")
    algorithm = {"num_problems": 8, "group_size": 4, "max_sampling_rounds": 3}
    text = describe_work(config(algorithm=algorithm, train={"steps": 10}, model={"path": "Qwen/Qwen2.5-0.5B"}))
    assert "a step: 8 problems x 4 completions = 32 rollouts over 4 ranks (2 problems, 8 rollouts each)" in text
    assert "a run: 10 steps, at least 80 problems, at most 240" in text
    assert "model: 0.494 B parameters" in text
    once = describe_work(config(algorithm={**algorithm, "dynamic_sampling": False}, train={"steps": 10}))
    assert "at least 80 problems, at most 80" in once
    assert "memory: unknown, m has no config.json" in once


def test_ranks_that_cannot_share_the_work_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "3")
    with pytest.raises(LabError, match="use 30 or 33 problems"):
        describe_work(config())


@pytest.mark.parametrize("ranks", ["0", "-1", "two", ""])
def test_a_number_of_ranks_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch, ranks: str) -> None:
    monkeypatch.setenv("WORLD_SIZE", ranks)
    with pytest.raises(LabError, match="WORLD_SIZE must be a number of ranks"):
        describe_work(config())


def test_the_shape_of_a_local_model_is_read_from_its_config(tmp_path: Path) -> None:
    data = {"num_hidden_layers": 2, "hidden_size": 8, "intermediate_size": 16, "vocab_size": 32, "num_attention_heads": 2}
    file = tmp_path / "config.json"
    file.write_text(json.dumps({**data, "num_key_value_heads": 1, "tie_word_embeddings": True}))
    assert model_shape(str(tmp_path)) == SMALL
    file.write_text(json.dumps({"n_layer": 2}))  # GPT-2 has other names
    assert model_shape(str(tmp_path)) is None
    file.write_text("{")
    with pytest.raises(LabError, match=r"cannot read .*config\.json"):
        model_shape(str(tmp_path))


def test_what_the_backward_pass_needs_grows_with_the_width_of_the_mlp() -> None:
    train = {"train": {"micro_batch_tokens": 100}}
    kept = {name: value * GIB for name, value in memory_estimate(config(**train), SMALL, 1, on_gpu=False).items()}
    # 100 tokens, 2 layers, 10 arrays of 8 and 4 of 16, in numbers of 4 bytes
    assert kept["activations of a micro-batch"] == pytest.approx(100 * 2 * (10 * 8 + 4 * 16) * 4)
    checkpointed = config(**train, model={"path": "m", "gradient_checkpointing": True})
    parts = {name: value * GIB for name, value in memory_estimate(checkpointed, SMALL, 1, on_gpu=False).items()}
    # 2 arrays of 8 in each of 2 layers, and one layer as above, computed again
    assert parts["activations of a micro-batch"] == pytest.approx(100 * (2 * 2 * 8 + 10 * 8 + 4 * 16) * 4)
    fused = {"path": "m", "dtype": "bf16"}
    found = memory_estimate(config(**train, model=fused), SMALL, 1, on_gpu=True)
    parts = {name: value * GIB for name, value in found.items()}
    assert parts["activations of a micro-batch"] == pytest.approx(100 * 2 * (6 * 8 + 3 * 16) * 2)
    assert parts["logits of a buffer"] == pytest.approx(100 * 32 * (4 + 2))  # in float32, and their gradient in bf16
    plain = {**fused, "fused_kernels": False}
    for model, on_gpu in ((plain, True), (fused, False)):  # a CPU has no fused kernels
        found = memory_estimate(config(**train, model=model), SMALL, 1, on_gpu=on_gpu)
        parts = {name: value * GIB for name, value in found.items()}
        assert parts["activations of a micro-batch"] == pytest.approx(100 * 2 * (10 * 8 + 4 * 16) * 2)
        assert parts["logits of a buffer"] == pytest.approx(2 * 100 * 32 * 4)  # both buffers in float32


def test_the_plan_names_the_device_it_is_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(devices, "_DEVICES", tmp_path)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    large = config(model={"path": "Qwen/Qwen2.5-0.5B", "dtype": "bf16"}, train={"micro_batch_tokens": 100_000})

    def logits() -> float:
        (line,) = [line for line in describe_work(large).splitlines() if "logits of a buffer" in line]
        return float(line.split()[0])

    (tmp_path / "nvidiactl").touch()  # the driver's, no device
    assert "estimated for a CPU" in describe_work(large)
    # two buffers of LOGIT_BUFFER_ELEMENTS in float32
    assert logits() == pytest.approx(2 * 4 * LOGIT_BUFFER_ELEMENTS / GIB, abs=1e-3)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")  # planned on a laptop
    assert "estimated for a GPU" in describe_work(large)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    (tmp_path / "nvidia0").touch()
    assert "estimated for a GPU" in describe_work(large)
    # one in float32 and one in bf16
    assert logits() == pytest.approx((4 + 2) * LOGIT_BUFFER_ELEMENTS_CUDA / GIB, abs=1e-3)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert "estimated for a CPU" in describe_work(large)


@pytest.mark.parametrize(
    ("dtype", "said"),
    # 7,615,283,200 weights without norms and biases, of 2 and 4 bytes
    [("bf16", "14.185 GiB of a machine's memory, once"), ("fp32", "28.369 GiB of a machine's memory for each of its ranks")],
)
def test_opening_a_model_takes_its_files_once_unless_they_are_converted(dtype: str, said: str) -> None:
    text = describe_work(config(model={"path": "Qwen/Qwen2.5-7B", "dtype": dtype}))
    assert said in text


def test_the_shape_of_a_gguf_file_is_its_models(tmp_path: Path) -> None:
    pytest.importorskip("gguf")
    from gguf_files import FEED_FORWARD, HEADS, HIDDEN, LAYERS, VOCABULARY, write_gguf

    weights = write_gguf(tmp_path / "tiny.gguf")
    shape = model_shape(str(tmp_path / "tiny.gguf"))
    assert shape == ModelShape(
        layers=LAYERS, hidden=HIDDEN, intermediate=FEED_FORWARD, vocabulary=VOCABULARY, heads=HEADS, kv_heads=HEADS,
        head_dim=HIDDEN // HEADS, tied=True,
    )  # fmt: skip
    assert shape.parameters == sum(array.size for array in weights.values() if array.ndim == 2)  # norms are left out
    (tmp_path / "cut.gguf").write_bytes((tmp_path / "tiny.gguf").read_bytes()[:9000])
    assert model_shape(str(tmp_path / "cut.gguf")) is None


@pytest.mark.parametrize(
    ("reward", "words"),
    [
        # (0.25 + 0.5) / (1 + 0.5)
        (
            {"abstained": 0.25, "wrong": -0.5},
            'pays 1, "I don\'t know" 0.25, wrong -0.5: answering pays above a chance of 0.5 of',
        ),
        (
            {"abstained": 0.3, "format_weight": 0.5},
            'pays 1 + 0.5, "I don\'t know" 0.3, wrong 0: answering pays above a chance of 0.2',
        ),
        ({}, "answering always pays; raise reward.abstained"),
    ],
)
def test_a_dry_run_says_from_what_confidence_on_answering_pays(reward: dict[str, float], words: str) -> None:
    assert words in describe_work(config(prompt={"abstention": {}}, reward=reward))
    assert "abstaining" not in describe_work(config())


def test_rules_of_abstaining_that_do_not_fit_the_rest_are_refused() -> None:
    for reward in ({"abstained": 0.3}, {"wrong": -0.5}):
        with pytest.raises(ValueError, match="need a prompt that allows to abstain"):
            config(reward=reward)
    with pytest.raises(ValueError, match=r"maxrl needs rewards of at least 0, and reward\.wrong makes them negative"):
        config(prompt={"abstention": {}}, reward={"wrong": -0.5}, algorithm={"advantage": "maxrl"})
