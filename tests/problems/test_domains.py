"""Every procedural domain at every level, found by being there: one property after another, all on the same items.

A level is sampled once: 1,000 items of training and a few of the other splits, so that what is new costs a fraction of a
second a level. What a domain's answers mean is another matter (test_domain_answers.py and each domain's own tests).
"""

import json
import re
from collections import Counter

from support_domains import EVERY_LEVEL, ITEMS, VERIFIED, WITHOUT_LEVELS, at_every_level, draw, sample, some
from support_pure import run_python

from problems.catalog import DOMAINS, perturb, solve
from problems.types import SPLITS, STYLES, boxed
from rewards.verifiers import verify

FORMULA = re.compile(r"(?=.*\d)(?!-?[\d.]+$).*[-+*/^=\\(].*")  # a plain number may be one of those to choose from


def test_every_domain_has_levels_that_differ() -> None:
    for name, domain in DOMAINS.items():
        if name in WITHOUT_LEVELS and not domain.levels:
            continue
        assert len(domain.levels) >= 3, name
        assert len({str(domain.config(**level)) for level in domain.levels}) == len(domain.levels), name


@at_every_level
def test_a_thousand_items_take_less_than_five_seconds_of_cpu(name: str, level: int) -> None:
    # 0.03 to 0.3 s on a core of 2023
    assert sample(name, level).cpu_seconds < 5


def ids() -> list[str]:
    """Return the first items of every level and split, as a run would see them."""
    return [item.id for name, level in EVERY_LEVEL for split in SPLITS for item in draw(name, level, split, 2, seed=3)]


def test_items_are_the_same_in_another_process_with_another_hash_seed() -> None:
    script = (
        "import json, sys; sys.path[:0] = ['tests/problems', 'tests/support']\n"
        "from test_domains import ids\nprint(json.dumps(ids()))"
    )
    assert json.loads(run_python("-c", script, PYTHONHASHSEED="12345").stdout) == ids()


@at_every_level
def test_splits_share_no_problem(name: str, level: int) -> None:
    of_split = sample(name, level).of_split
    prompts = [{item.prompt for item in of_split[split]} for split in SPLITS]
    assert all(item.split == split for split in SPLITS for item in of_split[split])
    assert len(set().union(*prompts)) == sum(map(len, prompts))


@at_every_level
def test_references_pay_in_every_style_and_spoilt_ones_do_not(name: str, level: int) -> None:
    for place, item in enumerate(some(name, level)):
        text = solve(item, STYLES[place % len(STYLES)])
        verdict = verify(item, text)
        assert verdict.status == "correct", (text, verdict)
        spoilt = boxed(perturb(item))
        verdict = verify(item, spoilt)
        assert verdict.status == "wrong", (item.prompt, item.reference, spoilt, verdict)


@at_every_level
def test_styles_differ_in_what_they_show(name: str, level: int) -> None:
    for item in some(name, level)[:5]:
        direct, steps, checked = (solve(item, style) for style in STYLES)
        assert "<think>" not in direct
        assert steps.startswith("<think>")
        assert steps.endswith(f"</think>{direct}")
        assert checked.endswith(direct)
        assert solve(item, "checked") == checked


def test_checked_solutions_show_a_slip() -> None:
    for name, level in EVERY_LEVEL:
        differ = sum(solve(item, "checked") != solve(item, "steps") for item in some(name, level))
        assert differ > VERIFIED / 2, (name, level)  # a search that happens to succeed at once has nothing to show


@at_every_level
def test_the_commonest_answer_is_right_in_less_than_a_fifth(name: str, level: int) -> None:
    answers = Counter(solve(item, "direct") for item in sample(name, level).train)
    ((answer, count),) = answers.most_common(1)
    assert count < ITEMS / 5, (answer, count)


@at_every_level
def test_a_formula_of_the_question_is_not_its_answer(name: str, level: int) -> None:
    # to a verifier that knows algebra x^2+5x+6 is (x+2)(x+3): a question after its factors must ask for something else
    for item in some(name, level)[:5]:
        for word in {word.strip(".,:?") for word in item.prompt.split()}:
            if FORMULA.fullmatch(word):
                assert verify(item, boxed(word)).status != "correct", (item.prompt, word)
