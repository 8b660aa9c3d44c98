"""Procedural domains: the same item everywhere, splits that share nothing, references and solutions that hold."""

import ast
import itertools
import json
import operator
import pickle
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from problems.catalog import DOMAINS, SOURCE_MODELS, build_source, perturb, solve
from problems.domains import arithmetic, chain, countdown
from problems.domains.arithmetic import ArithmeticConfig
from problems.domains.chain import ChainConfig
from problems.domains.countdown import CountdownConfig
from problems.procedural import ProceduralSource
from problems.seeding import content_split, derive_seed
from problems.types import SPLITS, Domain, Problem, ProblemError, SourceConfig
from rewards.verifiers import verify
from rl.settings.evaluation import EvalConfig
from rl.settings.loading import ConfigError, load_config

OPERATORS: dict[type[ast.operator], Callable[[int, int], int]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.floordiv,  # countdown's own steps only divide what goes in
}


def value_of(expression: str) -> int:
    """Evaluate an expression by Python's own grammar."""

    def walk(node: ast.expr) -> int:
        if isinstance(node, ast.BinOp):
            return OPERATORS[type(node.op)](walk(node.left), walk(node.right))
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            return -walk(node.operand)
        assert isinstance(node, ast.Constant)
        assert type(node.value) is int
        return node.value

    return walk(ast.parse(expression, mode="eval").body)


def source_of(domain: Domain, seed: int = 0, **settings: Any) -> ProceduralSource:
    return ProceduralSource(domain=domain, config=domain.config(**settings), seed=seed)


def some_problems(name: str, count: int = 150) -> list[Problem]:
    source = source_of(DOMAINS[name])
    return [source.get(split, index) for split in SPLITS for index in range(count)]


FROZEN = {  # (seed 0, train, 0) and (seed 7, test, 3): a change makes all earlier runs impossible to repeat
    "chain": ["49c12e87d2d95c52", "cde47cfbbd54952e"],
    "arithmetic": ["c596470b1d1920ee", "6afa79aedbcddc3b"],
    "countdown": ["d293ab91a8554e8b", "ea8b69797db145d8"],
    "letters": ["fd4b088c4c0fb633", "1d999d024c073a5b"],
    "combinatorics": ["4a9e3e8d3f86437e", "16bc979caff2f200"],
    "derivatives": ["934bbc6aec5254ea", "09b1eefc50e10c6f"],
    "divisors": ["59ccc7a718dcfc5d", "bdd7549aa3e39d27"],
    "expansion": ["b6898212b972bb12", "d7bf7aa861a5bba4"],
    "factoring": ["3001735f2701e3a9", "f4c5305a5159412d"],
    "fractions": ["59fe2206c04b5ae5", "ba06c08634bb61a0"],
    "integrals": ["fdbab3389f55cfb1", "a6bf0e9adf2a3464"],
    "limits": ["7f08fdaaa3666cde", "c99709e5aae5dcf7"],
    "linear_equations": ["58eb711031dc7c42", "1105be03d4356410"],
    "linear_systems": ["19b77f39c2220980", "3c45908d2879df21"],
    "modular": ["dc5c91d608e628a2", "9eacc10345b5331e"],
    "number_bases": ["00aea4b421822a62", "a9bab139357991b5"],
    "primes": ["61b61ea84a9e1f2f", "8731a2fb92c2d667"],
    "quadratic_equations": ["3cc6221813deac9c", "d6ee1f0b0a0186b5"],
    "radicals": ["b01f6a698a0d2ca3", "479ae6ee16afcc61"],
    "rational_expressions": ["2add0c5967eecd76", "ef903a45edcf89b5"],
    "sequences": ["7de53c96f8df7dda", "d068ba498c5c2fad"],
    "unit_conversion": ["97ec3239a1b12f4a", "88f66389b6dd9371"],
    "copying": ["578f6eeec14d8049", "7f502d66547010b4"],
    "dates": ["d8e99a237b351344", "a5d568a2ca6bddc9"],
    "decimals": ["d753ca3f35bf1160", "ca20b79c9d17555b"],
    "dots": ["eb4e45ad99ad5865", "44567a7e7d5e77fa"],
    "knights": ["0c6b422e91755b75", "71d82d81eef4a03e"],
    "logic": ["6611bdcc2fd9e365", "3936ec0e55e70d91"],
    "mazes": ["7b89b07c93fbdef5", "a680a8f904b69e45"],
    "programs": ["66ed718f20e6611c", "164f3d6bd5e11d66"],
    "reversing": ["17ac1e038672670b", "5fd67b61ee6a8bb7"],
    "sorting": ["97b1afa7477cc98b", "f1a96c9054956f52"],
    "strings": ["be59b307ba395800", "cdeb63a40999bd5c"],
    "sudoku": ["f302bc71c46f5abe", "ee6c3475b3780a63"],
    "weekdays": ["b6a44d4a56a7f472", "397b5f5e60ec8be0"],
}


def frozen_ids() -> dict[str, list[str]]:
    return {
        name: [source_of(domain, seed).get(split, index).id for seed, split, index in [(0, "train", 0), (7, "test", 3)]]
        for name, domain in DOMAINS.items()
        if name in FROZEN
    }


def test_items_are_the_same_as_ever() -> None:
    assert frozen_ids() == FROZEN


@pytest.mark.parametrize("name", DOMAINS)
def test_an_item_does_not_depend_on_the_order_of_asking(name: str) -> None:
    source = source_of(DOMAINS[name])
    forward = [source.get("train", i) for i in range(20)]
    assert [source.get("train", i) for i in reversed(range(20))] == forward[::-1]
    assert source_of(DOMAINS[name]).get("train", 5) == forward[5]


@pytest.mark.parametrize("name", DOMAINS)
def test_neighbouring_seeds_share_no_stream(name: str) -> None:
    # with seed + index, item 1 of seed 0 would be item 0 of seed 1
    first, second = source_of(DOMAINS[name], 0), source_of(DOMAINS[name], 1)
    same = sum(first.get("train", i + 1).prompt == second.get("train", i).prompt for i in range(50))
    assert same <= 2


def test_countdown_splits_share_no_problem_in_another_order() -> None:
    found: dict[str, set[tuple[object, ...]]] = {split: set() for split in SPLITS}
    settings: dict[str, Any] = {"numbers": (2, 3), "largest": 9, "max_target": 30}
    for split, index in itertools.product(SPLITS, range(400)):
        checks = source_of(countdown.DOMAIN, **settings).get(split, index).checks
        found[split].add((*sorted(checks["numbers"]), checks["target"]))
    for one, other in itertools.combinations(SPLITS, 2):
        assert not found[one] & found[other]


def test_splits_have_about_their_shares() -> None:
    shares = Counter(content_split(f"problem {i}") for i in range(10_000))
    # 8,000, 1,000 and 1,000 expected; the standard deviations are 40, 30 and 30
    assert abs(shares["train"] - 8000) < 200
    assert abs(shares["validation"] - 1000) < 150
    assert abs(shares["test"] - 1000) < 150


def test_seeds_keep_their_parts_apart() -> None:
    names: list[tuple[str | int, ...]] = [("a", 1), ("a", "1"), ("a1",), ("a", 1, ""), (1, "a"), ("a", 11), ("a", 1, 1)]
    assert len({derive_seed(*name) for name in names}) == len(names)


def test_a_perturbed_answer_is_wrong_also_where_one_and_one_make_two() -> None:
    source = source_of(countdown.DOMAIN, numbers=(2, 2), largest=2, max_target=2)
    problems = [problem for i in range(40) if (problem := _or_none(source, i)) is not None]
    assert any(problem.checks["target"] == 2 for problem in problems)
    for problem in problems:
        assert verify(problem, f"\\boxed{{{perturb(problem)}}}").status == "wrong"


def _or_none(source: ProceduralSource, index: int) -> Problem | None:
    for split in SPLITS:
        try:
            return source.get(split, index)
        except ProblemError:
            continue
    return None


def test_the_checked_style_shows_one_slip_and_mends_it() -> None:
    for problem in some_problems("chain", 30) + some_problems("arithmetic", 30):
        slips = re.findall(r"([^;>]+)=(-?\d+)\?no:([^;]+)=(-?\d+);", solve(problem, "checked"))
        assert len(slips) == 1
        asked, wrong, again, right = slips[0]
        assert asked == again
        assert wrong != right


@pytest.mark.parametrize("settings", [{}, {"operands": (1, 7), "digits": (1, 4), "parentheses": 1.0}, {"operators": "-*"}])
def test_arithmetic_agrees_with_pythons_own_evaluation(settings: dict[str, Any]) -> None:
    config = ArithmeticConfig(**settings)
    for seed in range(400):
        draft = arithmetic.generate(Random(seed), config)
        expression = draft.prompt.removesuffix("=?")
        # no leading zeros in Python's grammar, and none in ours
        assert int(draft.reference or "") == value_of(expression), expression
        numbers = re.findall(r"\d+", expression)
        assert len(numbers) == draft.difficulty["operands"]
        assert config.operands[0] <= len(numbers) <= config.operands[1]
        assert all(config.digits[0] <= len(number) <= config.digits[1] for number in numbers)
        assert set(re.findall(r"[-+*/]", expression)) <= set(config.operators)


def test_every_arithmetic_step_is_true_and_there_is_one_an_operator() -> None:
    for problem in some_problems("arithmetic"):
        steps = re.findall(r"([^;>]+)=(-?\d+);", solve(problem, "steps"))
        assert len(steps) == len(re.findall(r"[-+*]", problem.prompt))
        for left, right in steps:
            assert value_of(left) == int(right)


def test_negative_intermediate_values_keep_their_sign() -> None:
    # (3-12)*4+7: 3-12=-9; -9*4=-36; -36+7=-29.  5-(3-7)*2: 3-7=-4; -4*2=-8; 5--8=13.
    for prompt, steps, value in [
        ("(3-12)*4+7=?", "3-12=-9;-9*4=-36;-36+7=-29;", "-29"),
        ("5-(3-7)*2=?", "3-7=-4;-4*2=-8;5--8=13;", "13"),
    ]:
        problem = Problem(id="p", domain="arithmetic", split="test", prompt=prompt, reference=value, source="test")
        assert solve(problem, "steps") == f"<think>{steps}</think>\\boxed{{{value}}}"


def test_chain_facts() -> None:
    # ((((3*7)+5)*2)-4) mod 10, one digit at a time: 3*7=21 -> 1, 1+5=6, 6*2=12 -> 2, 2-4=-2 -> 8
    problem = Problem(id="p", domain="chain", split="test", prompt="3*7+5*2-4=?", reference="8", source="test")
    assert solve(problem, "steps") == "<think>3*7=1;1+5=6;6*2=2;2-4=8;</think>\\boxed{8}"
    assert solve(problem, "direct") == "\\boxed{8}"


def test_named_terms_by_hand() -> None:
    # (((3*7)+5)*2 - 4) mod 10: 1, 6, 2, 8; after z comes a
    problem = Problem(id="p", domain="chain", split="test", prompt="y3z*7a+5b*2c-4d=?", reference="8", source="test")
    assert solve(problem, "direct") == "\\boxed{8}"
    assert solve(problem, "steps") == "<think>y3;z*7=1;a+5=6;b*2=2;c-4=8;d=8</think>\\boxed{8}"
    assert re.search(r"([zabc][-+*]\d=)\d\?no:\1", solve(problem, "checked"))


def test_named_terms_have_a_name_each_and_one_for_the_end() -> None:
    draft = chain.generate(Random(3), ChainConfig(terms=(25, 25), named=True))
    names = re.findall("[a-z]", draft.prompt)
    assert len(names) == len(set(names)) == 26
    plain = chain.generate(Random(3), ChainConfig(terms=(25, 25)))
    assert re.sub("[a-z]", "", draft.prompt) == plain.prompt
    with pytest.raises(ValidationError, match="at most 25; found terms up to 26"):
        ChainConfig(terms=(3, 26), named=True)


@given(st.integers(0, 2**32), st.integers(2, 12))
def test_a_chain_is_what_reading_from_left_to_right_gives(seed: int, terms: int) -> None:
    draft = chain.generate(Random(seed), ChainConfig(terms=(terms, terms)))
    digits, operators = draft.prompt[:-2:2], draft.prompt[1:-2:2]
    nested = "(" * (terms - 1) + digits[0] + "".join(f"{o}{d})" for o, d in zip(operators, digits[1:], strict=True))
    assert len(digits) == terms == draft.difficulty["terms"]
    assert draft.reference == str(value_of(nested) % 10)


def test_a_countdown_witness_uses_each_number_once_and_reaches_the_target() -> None:
    for problem in some_problems("countdown"):
        witness, target = problem.checks["witness"], problem.checks["target"]
        assert Counter(map(int, re.findall(r"\d+", witness))) == Counter(problem.checks["numbers"])
        assert value_of(witness) == target
        assert 1 <= target <= 100
        assert target not in problem.checks["numbers"]
        assert all(1 <= number <= 20 for number in problem.checks["numbers"])
        for left, sign, right, result in problem.checks["steps"]:
            assert value_of(f"{left}{sign}{right}") == result


@pytest.mark.parametrize(
    ("config", "settings"),
    [
        (ChainConfig, {"terms": (1, 3)}),  # one digit leaves nothing to do
        (ChainConfig, {"terms": (5, 3)}),
        (ArithmeticConfig, {"operands": (0, 2)}),
        (ArithmeticConfig, {"digits": (0, 1)}),
        (ArithmeticConfig, {"digits": (3, 2)}),
        (ArithmeticConfig, {"operators": "+/"}),
        (CountdownConfig, {"numbers": (1, 3)}),
        (CountdownConfig, {"numbers": (4, 3)}),
        (ChainConfig, {"weight": 0}),
        (ChainConfig, {"weight": float("inf")}),
    ],
)
def test_settings_that_make_no_problem_are_refused(config: type[SourceConfig], settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        config(**settings)


def test_settings_that_leave_a_split_empty_say_so() -> None:
    # two numbers up to 2 and targets up to 2: 1+1=2 and 2/2=1 are all there is, too few for three splits
    prompts = ["Use 1,1 to make 2.", "Use 2,2 to make 1."]
    empty = next(split for split in SPLITS if split not in {content_split(prompt) for prompt in prompts})
    source = source_of(countdown.DOMAIN, numbers=(2, 2), largest=2, max_target=2)
    with pytest.raises(ProblemError, match=rf"'countdown' made no {empty} problem .* too few different problems"):
        source.get(empty, 0)


def test_a_target_out_of_reach_is_an_error_and_not_an_endless_search() -> None:
    config = CountdownConfig(numbers=(2, 2), largest=10**9, max_target=2)
    with pytest.raises(ProblemError, match="raise max_target"):
        countdown.generate(Random(0), config)


def test_an_unknown_split_names_the_known_ones() -> None:
    with pytest.raises(ProblemError, match="unknown split 'dev': expected one of train, validation, test"):
        source_of(chain.DOMAIN).get("dev", 0)


def test_an_unknown_style_names_the_known_ones() -> None:
    with pytest.raises(ProblemError, match="'poem': expected one of direct, steps, checked"):
        solve(some_problems("chain", 1)[0], "poem")


@pytest.mark.parametrize("domain", DOMAINS)
def test_a_problem_from_a_file_that_the_domain_cannot_work_out_is_an_error_in_words(domain: str) -> None:
    given = Problem(
        id="p", domain=domain, split="train", prompt="What is two plus 3?", reference="5", checks={"x": 1}, source="my.jsonl:4"
    )
    assert solve(given, "direct") == "\\boxed{5}"
    with pytest.raises(ProblemError):
        solve(given, "steps")


@pytest.mark.parametrize("name", DOMAINS)
def test_the_settings_of_a_source_survive_pickling(name: str) -> None:
    config = SOURCE_MODELS[name].model_validate({"domain": name, "weight": 2})
    again = pickle.loads(pickle.dumps(config))
    assert again == config
    assert type(again) is SOURCE_MODELS[name]


def test_sources_of_one_configuration_draw_from_streams_of_their_own() -> None:
    config = EvalConfig.model_validate(
        {"run": {"name": "x"}, "model": {"path": "m"}, "problems": [{"domain": "chain"}, {"domain": "chain"}]}
    )
    prompts = [build_source(config.problems, 0).get("train", i).prompt for i in range(100)]
    assert len(set(prompts)) > 95  # two equal streams would give each problem twice


def test_a_level_gives_settings_that_those_beside_it_override() -> None:
    def config(**settings: Any) -> SourceConfig:
        return SOURCE_MODELS["chain"].model_validate({"domain": "chain", **settings})

    levels = chain.DOMAIN.levels
    assert config(level=1).model_dump() == config(**levels[0]).model_dump() | {"level": 1}
    assert config(level=3, terms=(5, 5)).model_dump() == config(terms=(5, 5)).model_dump() | {"level": 3}
    resolved = config(level=2)
    assert config(**resolved.model_dump(exclude={"domain"})) == resolved  # what a run writes down reads the same
    assert config().model_dump() == config(**ChainConfig().model_dump()).model_dump()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"domain": "chain", "level": 5}, r"level: input should be 1, 2, 3 or 4, found 5"),
        ({"domain": "chain", "level": "hard"}, r"level: input should be 1, 2, 3 or 4, found 'hard'"),
    ],
)
def test_an_unknown_level_names_the_known_ones(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_config(EvalConfig, [], ["run.name=a", "model.path=m", f"problems=[{json.dumps(settings)}]"])


def test_problems_of_a_level_say_so_in_their_difficulty() -> None:
    configs: list[Any] = [SOURCE_MODELS["chain"].model_validate({"domain": "chain", **level}) for level in ({}, {"level": 2})]
    without, at_level = (build_source([config], 0).get("train", 0).difficulty for config in configs)
    assert at_level == {"terms": at_level["terms"], "level": 2}
    assert "level" not in without


class HighRise(ChainConfig):
    """Settings that take the name of a level."""

    level: int = 3


def test_a_domain_with_levels_has_no_setting_of_that_name() -> None:
    with pytest.raises(ProblemError, match="no setting of its own can be called level"):
        replace(chain.DOMAIN, config=HighRise, levels=[{"level": 4}])


def test_a_level_with_a_setting_that_the_domain_has_not_is_refused() -> None:
    with pytest.raises(ValidationError, match="term"):
        replace(chain.DOMAIN, levels=[{"term": (2, 3)}])
