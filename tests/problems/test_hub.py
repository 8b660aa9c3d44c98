"""Public sets by name: rows of the columns that the hub has become problems whose references prove themselves."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support_pure import public_data

from problems.catalog import DOMAINS, perturb, solve, verifier_name
from problems.domains.countdown import countdown_prompt
from problems.public import PUBLIC_SETS
from problems.rows import read_rows
from problems.sets.hub import HubConfig, _from_hub, last_box, load_hub
from problems.types import SPLITS, ProblemError, boxed
from rewards.verifiers import VERIFIERS, verify
from rl.settings.arguments import source_setting
from rl.settings.evaluation import EvalConfig
from rl.settings.loading import load_config

ADD = "def add(a, b):\n    return a + b\n"
MBPP = {"task_id": 601, "text": "Add.", "code": ADD, "test_list": ["assert add(1, 2) == 3"], "test_setup_code": ""}
IN_OUT = json.dumps({"inputs": ["1 2\n"], "outputs": ["3\n"]})
APPS = {"question": "Add.", "solutions": json.dumps(["print(3)"]), "input_output": IN_OUT, "starter_code": ""}
HUMANEVAL = {
    "task_id": "HumanEval/0",
    "prompt": 'def add(a, b):\n    """Add."""\n',
    "canonical_solution": "    return a + b\n",
    "test": "def check(candidate):\n    assert candidate(1, 2) == 3\n",
    "entry_point": "add",
}
SOLVED = {"problem": "What is $1+1$?", "solution": "It is $\\boxed{2}$.", "answer": "2"}
# One row of each set, written by us in its columns, and the reference that it has to give
ROWS: dict[str, tuple[dict[str, Any], str | None]] = {
    "gsm8k": ({"question": "1+1?", "answer": "<<1+1=2>>2\n#### 2"}, "2"),
    "math": (
        {"problem": "Half?", "level": "Level 1", "type": "Algebra", "solution": "\\boxed{3}, no: \\boxed{\\frac{1}{2}}."},
        "\\frac{1}{2}",
    ),
    "dapo-math-17k": (
        {
            "prompt": "Solve ... is the answer to the problem.\n\n1+1?\n\nRemember to put your answer on its own line after",
            "reward_model": {"ground_truth": "2", "style": "rule"},
            "solution": "2",
        },
        "2",
    ),
    "deepscaler": (SOLVED, "2"),
    "big-math": ({**SOLVED, "source": "orca", "domain": ["Algebra"], "llama8b_solve_rate": 0.5}, "2"),
    "openr1-math": ({**SOLVED, "problem_type": "Algebra", "question_type": "math-word-problem"}, "2"),
    "countdown-3to4": ({"nums": [44, 19, 35], "target": 98}, None),
    "math500": ({**SOLVED, "subject": "Algebra", "level": 2, "unique_id": "test/1"}, "2"),
    "aime2024": ({**SOLVED, "id": 60, "url": "", "year": "2024"}, "2"),
    "aime2025": ({"problem": "1+1?", "answer": "2", "id": "0"}, "2"),
    "amc": ({"id": 0, "problem": "1+1?", "answer": 142.0, "url": ""}, "142"),
    "amc23": ({"question": "1+1?", "answer": "27.0", "url": ""}, "27.0"),
    "olympiadbench": (
        {
            "question": "Find $x$.",
            "solution": ["So it is 2."],
            "final_answer": ["$\\frac{1}{2}$"],
            "context": "Let $2x=1$.",
            "subfield": "Algebra",
            "answer_type": "Numerical",
        },
        "$\\frac{1}{2}$",
    ),
    "minerva": ({"question": "1+1?", "answer": "2"}, "2"),
    "humaneval": (HUMANEVAL, None),
    "humaneval-plus": (HUMANEVAL, None),
    "mbpp": (MBPP, None),
    "mbpp-sanitized": (
        {"task_id": 601, "prompt": "Add.", "code": ADD, "test_imports": [], "test_list": MBPP["test_list"]},
        None,
    ),
    "mbpp-plus": (
        {
            **{"task_id": 2, "prompt": "Add.", "code": ADD, "test_imports": [], "test_list": MBPP["test_list"]},
            "test": "for given, wanted in [([1, 2], 3), ([2, 2], 4)]:\n    assert add(*given) == wanted\n",
        },
        None,
    ),
    "apps": (APPS, None),
    "taco": (APPS, None),
    "livecodebench": (
        {
            **{"question_content": "Add.", "starter_code": "", "private_test_cases": "[]", "metadata": "{}"},
            "public_test_cases": json.dumps([{"input": "1 2", "output": "3", "testtype": "stdin"}]),
        },
        None,
    ),
    "mmlu": ({"question": "Capital of France?", "subject": "s", "choices": ["Lyon", "Paris"], "answer": 1}, "B"),
    "mmlu-pro": ({"question": "Capital?", "options": ["Lyon", "Paris", "Rome"], "answer": "C", "category": "s"}, "C"),
}


def written(folder: Path, row: dict[str, Any], name: str = "rows.jsonl") -> Path:
    file = folder / name
    file.write_text(json.dumps(row) + "\n", encoding="utf-8")
    return file


@pytest.mark.parametrize("name", PUBLIC_SETS)
def test_a_row_of_every_set_becomes_a_problem_that_proves_itself(name: str, tmp_path: Path) -> None:
    row, reference = ROWS[name]
    source = load_hub(HubConfig(name=name, path=str(written(tmp_path, row)), allow_training=True), 0)
    (problem,) = {one.source.split(" ")[0]: one for split in SPLITS for one in source.splits[split]}.values()
    assert problem.reference == reference
    assert verifier_name(problem.domain) in VERIFIERS
    if problem.domain == "code":  # programs are run by tests/rewards/code and `problems check`
        assert problem.checks["tests"]
        return
    assert verify(problem, solve(problem, "direct")).status == "correct"
    assert verify(problem, boxed(perturb(problem))).status != "correct"


def test_prompts_are_what_a_model_should_read(tmp_path: Path) -> None:
    def prompt(name: str) -> str:
        source = load_hub(HubConfig(name=name, path=str(written(tmp_path, ROWS[name][0])), allow_training=True), 0)
        return next(one for split in SPLITS for one in source.splits[split]).prompt

    assert prompt("dapo-math-17k") == "1+1?"
    assert prompt("olympiadbench") == "Let $2x=1$.\n\nFind $x$."
    assert prompt("countdown-3to4") == countdown_prompt([44, 19, 35], 98)
    assert prompt("mmlu") == "Capital of France?\n\nA. Lyon\nB. Paris\n\nAnswer with the letter of one of them."


def test_the_table_is_sound() -> None:
    assert set(ROWS) == set(PUBLIC_SETS)
    for name, one in PUBLIC_SETS.items():
        assert name not in DOMAINS
        assert one.revision is None or re.fullmatch("[0-9a-f]{40}", one.revision), name
        assert set(one.splits or one.files) == set(one.sizes) <= set(SPLITS), name
        assert not (one.evaluation and "train" in one.splits), name


def test_an_evaluation_set_gives_all_to_every_split_but_training(tmp_path: Path) -> None:
    path = str(written(tmp_path, ROWS["math500"][0]))
    source = load_hub(HubConfig(name="math500", path=path), 0)
    assert [source.size(split) for split in SPLITS] == [0, 1, 1]
    with pytest.raises(ProblemError, match=r"math500 is for evaluation: .* set allow_training: true"):
        source.get("train", 0)
    allowed = load_hub(HubConfig(name="math500", path=path, allow_training=True), 0)
    assert allowed.get("train", 0).prompt == allowed.get("test", 0).prompt


def test_a_file_is_of_the_split_that_its_name_says_or_by_its_numbers(tmp_path: Path) -> None:
    rows = [{**MBPP, "task_id": number, "text": f"Add {number}."} for number in (5, 11, 511, 601, 974)]
    file = tmp_path / "mbpp.json"
    file.write_text(json.dumps(rows))
    sizes = [load_hub(HubConfig(name="mbpp", path=str(file)), 0).size(split) for split in SPLITS]
    assert sizes == [2, 1, 1]  # the prompt split, 1 to 10, is none of ours
    named = written(tmp_path, ROWS["math"][0], "math_test.jsonl")
    assert [load_hub(HubConfig(name="math", path=str(named)), 0).size(split) for split in SPLITS] == [0, 0, 1]


def test_any_columns_by_mapping(tmp_path: Path) -> None:
    row = {"q": [{"role": "system", "content": "x"}, {"role": "user", "content": "1+1?"}], "meta": {"gt": 2.0, "hard": 3}}
    columns = {"prompt": "q", "reference": "meta.gt", "level": "meta.hard"}
    config = HubConfig(name="own", path=str(written(tmp_path, row)), columns=columns, verifier="word_problem")
    problem = load_hub(config, 0).get("test", 0)
    assert (problem.prompt, problem.reference, problem.domain) == ("1+1?", "2", "word_problem")
    assert problem.difficulty == {"level": 3}
    for wrong, message in (
        ({"columns": {**columns, "prompt": "question"}}, "missing column question; found q, meta"),
        ({"columns": None}, "no set of `reasonlab problems list`"),
        ({"columns": {"prompt": "q"}}, "needs a `reference` column"),
        ({"path": "none.jsonl"}, "no problem file or folder at none.jsonl"),
    ):
        with pytest.raises(ProblemError, match=message):
            load_hub(config.model_copy(update=wrong), 0)


def test_an_empty_answer_stays_to_be_found(tmp_path: Path) -> None:
    source = load_hub(HubConfig(name="deepscaler", path=str(written(tmp_path, {"problem": "1+1?", "answer": None}))), 0)
    problem = next(one for split in SPLITS for one in source.splits[split])
    assert problem.reference == ""
    assert verify(problem, "\\boxed{2}").status == "error"


@pytest.mark.parametrize(
    ("text", "held"),
    [
        ("\\boxed{1} then \\boxed{\\frac{1}{2}}", "\\frac{1}{2}"),
        ("\\fbox{2}.", "2"),
        ("\\boxed{9}. So $x$ is $\\boxed{-2}$ and $\\boxed{1}$.", "-2, 1"),
        ("so \\boxed 5.", "5"),
        ("\\boxed{\\{1, 2\\}}", "\\{1, 2\\}"),
        ("\\boxed{1", None),
        ("nothing", None),
    ],
)
def test_the_last_box_of_a_solution(text: str, held: str | None) -> None:
    assert last_box(text) == held


def test_what_a_command_line_names() -> None:
    assert source_setting("math500") == '{domain: hub, name: "math500"}'
    assert source_setting("math500:a/b.jsonl") == '{domain: hub, name: "math500", path: "a/b.jsonl"}'
    assert source_setting("gsm8k:data") == '{domain: "gsm8k", path: "data"}'
    config = load_config(EvalConfig, [], ["model.path=m", "run.name=a", f"problems=[{source_setting('aime2024')}]"]).config
    assert config.problems[0].domain == "hub"


def test_several_configurations_of_a_data_set_are_read_through_datasets(tmp_path: Path) -> None:
    pytest.importorskip("datasets")
    for subset in ("algebra", "geometry"):
        for split in ("train", "test"):
            (tmp_path / subset).mkdir(exist_ok=True)
            written(tmp_path / subset, {**ROWS["math"][0], "problem": f"{subset} {split}"}, f"{split}.jsonl")
    lines = "".join(
        f"- config_name: {subset}\n  data_files:\n"
        + "".join(f"  - split: {split}\n    path: {subset}/{split}.jsonl\n" for split in ("train", "test"))
        for subset in ("algebra", "geometry")
    )
    (tmp_path / "README.md").write_text(f"---\nconfigs:\n{lines}---\n")
    listed = replace(PUBLIC_SETS["math"], hub=str(tmp_path), revision=None, subsets=("algebra", "geometry"))
    raw = _from_hub(HubConfig(name="math"), listed)
    assert [row["problem"] for row in raw["test"][1]] == ["algebra test", "geometry test"]
    assert len(raw["train"][1]) == 2
    with pytest.raises(ProblemError, match="it has train, test: say `splits"):
        _from_hub(HubConfig(name="math", splits={"test": "dev"}), listed)
    with pytest.raises(ProblemError, match="splits: dev: they are called train, validation, test here"):
        _from_hub(HubConfig(name="math", splits={"dev": "test"}), listed)


DOWNLOADED = [
    ("gsm8k", "gsm8k/test.jsonl"),
    ("math", "math/test.jsonl"),
    ("math500", "math500/math500_test.jsonl"),
    ("deepscaler", "math-train/math_train.json"),
    ("deepscaler", "aime/aime_1983_2023.json"),
    ("aime2024", "aime/aime2024.json"),
    ("aime2025", "aime2025/aime_2025.jsonl"),
    ("countdown-3to4", "countdown/test.jsonl"),
    ("humaneval", "humaneval/HumanEval.jsonl.gz"),
    ("mbpp", "mbpp/mbpp.jsonl"),
    ("mbpp-sanitized", "mbpp/sanitized-mbpp.json"),
    ("mbpp-plus", "mbpp-plus/MbppPlus-v0.1.0.jsonl"),
]


@pytest.mark.parametrize(("name", "file"), DOWNLOADED, ids=[file for _, file in DOWNLOADED])
def test_sets_as_downloaded(name: str, file: str, tmp_path: Path) -> None:
    folder, _, file_name = file.partition("/")
    whole = public_data(folder) / file_name
    head = read_rows(whole)[10:40]  # the whole sets go through `problems check`: docs/problem-sets.md
    part = tmp_path / whole.name.removesuffix(".gz").replace(".jsonl", ".json")
    part.write_text(json.dumps(head))
    source = load_hub(HubConfig(name=name, path=str(part)), 0)
    problems = {one.source: one for split in SPLITS for one in source.splits[split]}.values()
    assert len(problems) == len(head)
    for problem in [one for one in problems if one.domain != "code"]:
        assert verify(problem, solve(problem, "direct")).status == "correct", problem.source
        assert verify(problem, boxed(perturb(problem))).status != "correct", problem.source
