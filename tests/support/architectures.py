"""Tiny models of many families with random weights, and the table of what works how with each of them.

python tests/support/architectures.py    writes the table in docs/architectures.md anew
"""

import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from rl.policy.tiny import character_tokenizer

DOCS = Path(__file__).resolve().parents[2] / "docs" / "architectures.md"
BEGIN, END = "<!-- made by tests/support/architectures.py -->", "<!-- end -->"
POSITIONS = 512
_SHAPE = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": POSITIONS,
}
_EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 24}
_GPT2 = {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": POSITIONS, "resid_pdrop": 0.0, "embd_pdrop": 0.0}
_MAMBA = {"hidden_size": 32, "num_hidden_layers": 2, "state_size": 8}
_HYBRID = {"mamba_n_heads": 8, "mamba_d_head": 8, "mamba_d_state": 8, "mamba_chunk_size": 16}
_DELTA = {"linear_num_value_heads": 4, "linear_num_key_heads": 2, "linear_key_head_dim": 8, "linear_value_head_dim": 8}


@dataclass(frozen=True)
class Family:
    """One architecture, as small as it goes."""

    title: str
    model_type: str  # of transformers
    traits: str  # what the tiny model has of the family's peculiarities
    settings: dict[str, Any] = field(default_factory=dict)
    shape: dict[str, Any] = field(default_factory=lambda: _SHAPE)

    @property
    def name(self) -> str:
        return self.title.lower().replace(",", "").replace(" ", "-")


FAMILIES = {
    family.name: family
    for family in (
        Family("Qwen2", "qwen2", "biases, tied head", {"tie_word_embeddings": True}),
        Family("Qwen3", "qwen3", "norms of query and key", {"tie_word_embeddings": False}),
        Family("Llama", "llama", "biases in attention and MLP, head of its own", {"attention_bias": True, "mlp_bias": True}),
        Family("Mistral", "mistral", "a window of 20 tokens", {"sliding_window": 20}),
        Family(
            "Gemma 2", "gemma2", "windows in every other layer, soft caps of scores and logits, tied head",
            {"sliding_window": 8, "attn_logit_softcapping": 2.0, "final_logit_softcapping": 3.0, "query_pre_attn_scalar": 8},
        ),
        Family(
            "Gemma 3", "gemma3_text", "windows of 20 tokens, two rotary bases, norms of query and key, soft cap of logits",
            {"sliding_window": 20, "layer_types": ["sliding_attention", "full_attention"], "query_pre_attn_scalar": 8,
             "final_logit_softcapping": 4.0},
        ),
        Family("Phi-3", "phi3", "partial rotary positions, one matrix for query, key, value", {"partial_rotary_factor": 0.5}),
        Family("OLMo 2", "olmo2", "norms behind attention and MLP"),
        Family("SmolLM3", "smollm3", "a layer without positions", {"no_rope_layers": [1, 0]}),
        Family(
            "SmolLM3, local", "smollm3", "a layer with a window of 8 tokens, one without positions",
            {"no_rope_layers": [1, 0], "layer_types": ["sliding_attention", "full_attention"], "use_sliding_window": True,
             "sliding_window": 8},
        ),
        Family(
            "Granite", "granite", "multipliers of embedding, scores, residuals; logits divided by 4",
            {"logits_scaling": 4.0, "embedding_multiplier": 3.0, "attention_multiplier": 0.3, "residual_multiplier": 0.5},
        ),
        Family("Cohere", "cohere", "attention and MLP side by side, logits times 0.3", {"logit_scale": 0.3}),
        Family("Qwen3-MoE", "qwen3_moe", "4 experts, 2 of them a token", _EXPERTS),
        Family(
            "gpt-oss", "gpt_oss", "attention sinks, windows, experts with biases",
            {"num_local_experts": 4, "num_experts_per_tok": 2, "sliding_window": 8,
             "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0}},
        ),
        Family("GPT-NeoX", "gpt_neox", "attention and MLP side by side, a quarter rotary", {"rotary_pct": 0.25}),
        Family("GPT-2", "gpt2", "learned positions, dropout of 0", {"attn_pdrop": 0.0}, _GPT2),
        Family("GPT-2 with dropout", "gpt2", "dropout of 0.1 in attention", {"attn_pdrop": 0.1}, _GPT2),
        Family("BLOOM", "bloom", "ALiBi", {}, {"hidden_size": 32, "n_layer": 2, "n_head": 4}),
        Family("GPT", "openai-gpt", "no cache in transformers", {"attn_pdrop": 0.0}, _GPT2),
        Family("Mamba", "mamba", "states only", {}, _MAMBA),
        Family("Mamba 2", "mamba2", "states only", {"num_heads": 8, "head_dim": 8, "n_groups": 2, "chunk_size": 16}, _MAMBA),
        Family("LFM2", "lfm2", "convolutions and attention", {"layer_types": ["conv", "full_attention"]}),
        Family(
            "Jamba", "jamba", "Mamba and attention, experts",
            {"num_experts": 2, "attn_layer_period": 2, "attn_layer_offset": 1, "expert_layer_period": 2,
             "expert_layer_offset": 1, "mamba_d_state": 8},
        ),
        Family("Bamba", "bamba", "Mamba 2 and attention", {**_HYBRID, "attn_layer_indices": [1], "mamba_n_groups": 2}),
        Family(
            "Falcon-H1", "falcon_h1", "Mamba 2 beside attention in every layer, logits times 0.7",
            {**_HYBRID, "mamba_n_groups": 1, "mamba_d_ssm": 64, "lm_head_multiplier": 0.7},
        ),
        Family(
            "Qwen3-Next", "qwen3_next", "gated delta rule and attention, experts",
            {**_EXPERTS, **_DELTA, "layer_types": ["linear_attention", "full_attention"],
             "shared_expert_intermediate_size": 24},
        ),
    )
}  # fmt: skip

# tested in two cells instead of four: full in float32, adapters in bf16
FURTHER = frozenset(
    {"cohere", "gpt-oss", "gpt-2-with-dropout", "bloom", "gpt", "mamba-2", "jamba", "bamba", "falcon-h1", "qwen3-next"}
)


def make(family: Family, directory: Path) -> Path:
    """Write a model of the family and a tokenizer to `directory`."""
    from transformers import AutoConfig, AutoModelForCausalLM

    tokenizer = character_tokenizer()
    torch.manual_seed(0)
    marks = {"pad_token_id": tokenizer.pad_token_id, "eos_token_id": tokenizer.eos_token_id, "bos_token_id": None}
    settings = {**family.shape, **marks, **family.settings, "vocab_size": len(tokenizer)}
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(family.model_type, **settings), attn_implementation="eager")
    with torch.no_grad():
        for parameter in model.parameters():  # so that every norm, bias and decay is its own
            parameter.add_(0.1 * torch.randn_like(parameter))
        model.get_output_embeddings().weight.mul_(3)  # logits that differ, and caps that are felt
    model.save_pretrained(directory)
    tokenizer.save_pretrained(directory)
    return directory


def row_of_table(family: Family, directory: Path) -> str:
    """Return what opening the model at `directory` decides, as a row of the table."""
    from rl.policy.opening import load_model, lora_config
    from rl.sampling.decoding import build_decoder
    from rl.settings.schema import LoraSettings, ModelSettings
    from rl.update.engine import choose_layout

    model = load_model(ModelSettings(path=str(directory)))
    only_states = set(getattr(model.config, "layer_types", None) or ()) == {"linear_attention"}
    attention = "none" if only_states else {"reasonlab": "ours", "eager": "eager"}[model.config._attn_implementation]
    decoder = type(build_decoder(model)).__name__.removesuffix("Decoder").lower()
    without = lora_config(LoraSettings(), model).exclude_modules
    lora = f"without {', '.join(sorted(without))}" if without else "all"
    cells = (family.title, f"`{family.model_type}`", family.traits, attention, choose_layout(model, None), decoder, lora)
    return f"| {' | '.join(cells)} |"


def table(directories: dict[str, Path]) -> str:
    """Return the table over all families, whose models lie in these directories."""
    columns = ("family", "model_type", "the tiny model has", "attention", "rows of the update", "decoder", "LoRA")
    head = [f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}"]
    return "\n".join([*head, *(row_of_table(family, directories[name]) for name, family in FAMILIES.items())])


def main() -> None:
    from rl.runtime import quiet_libraries

    quiet_libraries()
    with tempfile.TemporaryDirectory() as home:
        directories = {name: make(family, Path(home) / name) for name, family in FAMILIES.items()}
        before, rest = DOCS.read_text(encoding="utf-8").split(BEGIN)
        after = rest.split(END)[1]
        DOCS.write_text(f"{before}{BEGIN}\n{table(directories)}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
