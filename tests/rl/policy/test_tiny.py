"""The model made from nothing is an ordinary Hugging Face model."""

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from rl.policy.tiny import character_tokenizer

TEXT = "<think>3*7=1;1+5=6;</think>\\boxed{6}\nWait, a {brace}"


def test_every_character_is_one_token_and_comes_back():
    tokenizer = character_tokenizer()
    ids = tokenizer(TEXT).input_ids
    # 3 marks are one token each: <think> (7 characters), </think> (8), \boxed{ (7)
    assert len(ids) == len(TEXT) - 6 - 7 - 6
    assert tokenizer.decode(ids) == TEXT


def test_saved_model_opens_with_auto_classes_and_renders_a_chat(random_model):
    tokenizer = AutoTokenizer.from_pretrained(random_model)
    model = AutoModelForCausalLM.from_pretrained(random_model)
    chat = [{"role": "user", "content": "1+1=?"}]
    prompt = tokenizer.apply_chat_template(chat, add_generation_prompt=True, tokenize=False)
    assert prompt == "<|user|>1+1=?<|assistant|>"
    whole = tokenizer.apply_chat_template([*chat, {"role": "assistant", "content": "\\boxed{2}"}], tokenize=False)
    assert whole == prompt + "\\boxed{2}<|end|>"
    ids = torch.tensor([tokenizer(prompt).input_ids])
    assert model.generate(ids, max_new_tokens=3, do_sample=False).shape == (1, ids.shape[1] + 3)


def test_the_same_seed_makes_the_same_weights(tmp_path, random_model):
    from rl.policy.tiny import make_tiny_model
    from rl.settings.schema import TinyModelConfig

    config = TinyModelConfig(hidden_size=32, intermediate_size=64, layers=2, heads=2, max_positions=128)
    make_tiny_model(config, tmp_path / "same", 0)
    make_tiny_model(config, tmp_path / "other", 1)
    old, same, other = (
        AutoModelForCausalLM.from_pretrained(path).get_input_embeddings().weight
        for path in (random_model, tmp_path / "same", tmp_path / "other")
    )
    assert torch.equal(old, same)
    assert not torch.equal(old, other)


def test_local_layers_see_a_few_tokens_and_the_others_no_positions(tmp_path):
    from rl.policy.tiny import make_tiny_model
    from rl.settings.schema import TinyModelConfig

    make_tiny_model(TinyModelConfig(hidden_size=32, layers=2, heads=2, local_layers=1, window=4), tmp_path, 0)
    model = AutoModelForCausalLM.from_pretrained(tmp_path, attn_implementation="eager")
    ids = torch.tensor([[20, 21, 22, 23, 24, 25, 26]])
    local, whole = model(ids, output_attentions=True).attentions  # [1, heads, 7, 7]
    assert [row.count_nonzero().item() for row in local[0, 0]] == [1, 2, 3, 4, 4, 4, 4]
    assert [row.count_nonzero().item() for row in whole[0, 0]] == [1, 2, 3, 4, 5, 6, 7]
    # alike tokens: without positions every one of them looks the same to the layer that sees all
    alike = model(torch.full((1, 7), 20), output_attentions=True).attentions[1]
    assert torch.allclose(alike[0, :, 6], torch.full((2, 7), 1 / 7), atol=1e-6)
