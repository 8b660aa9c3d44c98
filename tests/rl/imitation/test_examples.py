"""What is imitated: rows in the order of drawing, and a stream that can be entered anywhere."""

from itertools import islice

import pytest
from support import imitation_settings

from problems.types import ProblemError
from rl.imitation.examples import collate, drawn_rows, examples, held_out_examples, held_out_source, packed_rows
from rl.policy.opening import load_tokenizer
from rl.settings.loading import load_config
from rl.settings.schema import ModelSettings, SftConfig


@pytest.fixture(scope="module")
def parts(random_model):
    chosen = imitation_settings(random_model)
    config = load_config(SftConfig, [], [*chosen, "sft={row_tokens: 80}"]).config
    return config, load_tokenizer(ModelSettings(path=str(random_model)))


def test_a_row_is_filled_until_the_next_example_does_not_fit():
    lengths = [3, 4, 5, 2, 9, 1]  # into rows of 9: 3 + 4 (5 is too many), 5 + 2, 9, 1
    stream = ([([0] * (length - 1), [1]) for length in lengths]) + [([0] * 8, [1])]
    rows = list(packed_rows(iter(stream), 9, packing=True))
    assert [[len(prompt) + 1 for prompt, _ in row] for row in rows] == [[3, 4], [5, 2], [9], [1]]
    alone = list(packed_rows(iter(stream), 9, packing=False))
    assert [len(row) for row in alone] == [1] * 6
    with pytest.raises(ProblemError, match=r"has 9 tokens and sft\.row_tokens is 8"):
        list(packed_rows(iter(stream), 8, packing=True))
    with pytest.raises(ProblemError, match=r"has 9 tokens and the model reads at most 8"):
        list(packed_rows(iter(stream), 9, packing=True, max_positions=8))


def test_rows_entered_at_the_end_of_one_go_on_with_the_next(parts):
    config, tokenizer = parts
    rows = list(islice(drawn_rows(config, tokenizer), 6))
    assert list(islice(drawn_rows(config, tokenizer, rows[2]["end"]), 3)) == rows[3:]
    drawn = [example for row in rows for example in row["examples"]]
    assert drawn == list(islice(examples(config, tokenizer), rows[-1]["end"]))


def test_each_entry_of_problems_has_its_own_styles(parts):
    config, tokenizer = parts
    two = [{"domain": "arithmetic"}, {"domain": "letters", "tasks": {"count": 1}}]
    data = config.model_dump() | {"problems": two, "styles": [{"direct": 1, "steps": 0}, {"steps": 1}]}
    mixed = SftConfig.model_validate(data | {"evaluation": {"num_problems": 40}})
    drawn = [tokenizer.decode([*prompt, *completion]) for prompt, completion in islice(examples(mixed, tokenizer), 40)]
    rows = held_out_examples(mixed, held_out_source(mixed), tokenizer)[1]
    held_out = [tokenizer.decode([*row.prompt_ids, *row.completion_ids]) for row in rows]
    for text in drawn + held_out:
        assert ("<think>" in text) == ("How many times" in text), text
    assert 10 < sum("<think>" in text for text in drawn) < 30


def test_only_completions_are_counted_and_learned(parts):
    config, tokenizer = parts
    rows = list(islice(drawn_rows(config, tokenizer), 3))
    batch = collate(rows)
    learned = [token for row in rows for _, completion in row["examples"] for token in completion]
    assert batch["labels"].tolist() == batch["shift_labels"].tolist() == learned
    assert batch["examples"].end == rows[-1]["end"]
