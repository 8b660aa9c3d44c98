"""A step of the cold start against plain torch, and against itself cut otherwise."""

from itertools import islice
from typing import Any

import numpy as np
import pytest
import torch
from architectures import FAMILIES, make
from datasets import IterableDataset
from support import imitation_settings

from rl.imitation.examples import as_row, collate, common_start, drawn_rows, examples, lay_out, targets
from rl.imitation.trainer import ImitationTrainer, Learner, trl_config
from rl.policy.opening import load_model, load_tokenizer
from rl.settings.loading import load_config
from rl.settings.schema import ModelSettings, SftConfig
from rl.update.batch import cut_micro_batches

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def parts(random_model):
    """(path, examples of one step as rows)."""
    chosen = imitation_settings(random_model)
    config = load_config(SftConfig, [], [*chosen, 'prompt.template="Reckon this: {prompt}"']).config
    stream = examples(config, load_tokenizer(ModelSettings(path=str(random_model))))
    return str(random_model), tuple(as_row(example) for example in islice(stream, 12))


def step_gradient(learner, rows, max_tokens):
    """Leave the gradient of the mean over all tokens of completions in the learner; return it, flat, and the loss."""
    learner.model.zero_grad()
    learner.refresh()
    total = sum(len(row.completion_ids) for row in rows)
    loss = 0.0
    for numbers in cut_micro_batches(rows, 1, max_tokens, "packed")[0]:
        part = [rows[i] for i in numbers]
        logprobs, _ = learner.logprobs(lay_out(part, CPU), targets(part))
        share = -logprobs.sum() / total
        share.backward()
        learner.take_gradients()
        loss += float(share)
    return torch.cat([p.grad.flatten() for p in learner.model.parameters()]), loss


def plain_gradient(path, rows):
    """The same by transformers: one padded row an example, its own attention mask, its own cross entropy."""
    model: Any = load_model(ModelSettings(path=path, attention="eager"))
    width = max(row.length for row in rows)
    ids = torch.zeros((len(rows), width), dtype=torch.long)
    labels = torch.full((len(rows), width), -100)
    mask = torch.zeros((len(rows), width), dtype=torch.long)
    for number, row in enumerate(rows):
        text = torch.from_numpy(np.concatenate([row.prompt_ids, row.completion_ids]))
        ids[number, : len(text)], mask[number, : len(text)] = text, 1
        labels[number, len(row.prompt_ids) : len(text)] = text[len(row.prompt_ids) :]
    loss = model(input_ids=ids, attention_mask=mask, labels=labels).loss
    loss.backward()
    return torch.cat([p.grad.flatten() for p in model.parameters()]), float(loss)


def distance(found, wanted):
    return float((found - wanted).norm() / wanted.norm())


@pytest.mark.parametrize("max_tokens", [100_000, 300, 1])
def test_the_gradient_of_a_step_is_that_of_cross_entropy_on_padded_rows_however_it_is_cut(parts, max_tokens):
    path, rows = parts
    learner = Learner(load_model(ModelSettings(path=path)), torch.float32)
    found, loss = step_gradient(learner, rows, max_tokens)
    wanted, plain = plain_gradient(path, rows)
    assert loss == pytest.approx(plain, rel=1e-5)
    assert distance(found, wanted) < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("family", ["gemma-2", "mamba"])
def test_the_gradient_of_a_step_on_padded_rows_is_that_of_cross_entropy(tmp_path, family):
    path = make(FAMILIES[family], tmp_path / "model")
    config = load_config(SftConfig, [], [*imitation_settings(path), "sft={row_tokens: 120, micro_batch_tokens: 300}"]).config
    tokenizer = load_tokenizer(ModelSettings(path=str(path)))
    drawn = list(islice(drawn_rows(config, tokenizer), 4))
    inputs = collate(drawn)
    rows = inputs["examples"].rows
    trainer = ImitationTrainer(
        config=config,
        dtype=torch.float32,
        model=load_model(ModelSettings(path=str(path))),
        args=trl_config(config, str(tmp_path / "trl")),
        train_dataset=IterableDataset.from_generator(lambda: iter(drawn)),
        processing_class=tokenizer,
    )
    assert trainer.layout == "padded"
    assert len(trainer.micro_batches(rows)) > 1
    tokens = sum(len(row.completion_ids) for row in rows)
    loss = float(trainer.training_step(trainer.learner, {**inputs}, tokens))
    wanted, plain = plain_gradient(str(path), rows)
    assert loss == pytest.approx(plain, rel=1e-5)
    assert distance(torch.cat([p.grad.flatten() for p in trainer.learner.model.parameters()]), wanted) < 1e-5


def test_in_bf16_it_is_near_that_and_kept_in_float32(parts):
    path, rows = parts
    learner = Learner(load_model(ModelSettings(path=path)), torch.bfloat16)
    wanted, plain = plain_gradient(path, rows)
    for max_tokens in (100_000, 300):
        found, loss = step_gradient(learner, rows, max_tokens)
        assert found.dtype == torch.float32
        assert loss == pytest.approx(plain, rel=1e-2)
        assert distance(found, wanted) < 0.05  # bf16 has 8 bits: an error of 2 ** -9 a number, through some ten products


def test_the_weights_stay_float32_and_small_updates_are_not_lost(parts):
    path, _ = parts
    learner = Learner(load_model(ModelSettings(path=path)), torch.bfloat16)
    with torch.no_grad():
        for _ in range(8):  # each is a 1024th of the weight: alone bf16 would round every one of them away
            for parameter in learner.model.parameters():
                parameter.mul_(1 + 2**-10)
    learner.refresh()
    start: Any = load_model(ModelSettings(path=path))
    computing: Any = learner.computing
    for was, used in zip(start.parameters(), computing.parameters(), strict=True):
        assert used.dtype == torch.bfloat16
        grown = was * (1 + 2**-10) ** 8
        assert torch.equal(used, grown.to(torch.bfloat16)) or distance(used.float(), grown) < 2**-8
    buffers = zip(start.named_buffers(), computing.named_buffers(), strict=True)
    assert all(torch.equal(one, other) for (_, one), (_, other) in buffers)  # frequencies of the positions, not rounded


def test_what_all_prompts_begin_with_stands_once(parts):
    _, rows = parts
    shared = common_start([row.prompt_ids for row in rows])
    # <|user|>, and "Reckon this: " with a token a character
    assert shared >= 14
    laid_out = lay_out(rows, CPU)
    # the last token of a completion is predicted and not read
    assert laid_out.input_ids.shape[1] == shared + sum(row.length - 1 - shared for row in rows)
    assert len(laid_out.positions) == sum(len(row.completion_ids) for row in rows)


@pytest.mark.parametrize(
    ("prompts", "shared"),
    [
        ([[1] * 12], 0),  # alone
        ([[1] * 12, [1] * 12], 11),  # all but the last, from which the first token is predicted
        ([[1] * 9 + [2] * 3, [1] * 12], 9),
        ([[1] * 7 + [2] * 9, [1] * 12], 0),  # too little
        ([[2] * 12, [1] * 12], 0),
        ([[1], [1]], 0),
    ],
)
def test_common_start(prompts, shared):
    assert common_start([np.array(prompt) for prompt in prompts]) == shared
