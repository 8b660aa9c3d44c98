"""Public problem sets by name: where each lies on the Hugging Face hub and what its columns mean. Data, and nothing else.

problems/sets/hub.py reads this table; `reasonlab problems list` prints it. What is written here was looked up on 2026-11-26 in
the data sets' cards and in public code that pins them, from a machine that reaches no hub: nothing was loaded from there. A
revision stands where public code pins it in full; None where only its first seven digits were seen. Sizes are rows before
anything is left out, rounded where they end in three zeros. A licence is that of the data set's card; the problems of AIME and
AMC are the Mathematical Association of America's, whatever a card says.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

# How the reference is got from its column: as it is; the last \boxed{} of it; what follows "####"; the letter of a choice
Extract = Literal["text", "box", "hashes", "letter"]
RowFormat = Literal["columns", "gsm8k", "humaneval", "mbpp", "mbpp-plus", "apps", "livecodebench"]


@dataclass(frozen=True, kw_only=True)
class PublicSet:
    """A set of the hub.

    `subsets` are configurations of it that are read one after another. `splits` maps our splits to those of the hub; where
    `files` is given instead, our split -> files of the repository (what has only a loading script is read so, since `datasets`
    4 runs none). `domain` is that of its problems, by which the verifier is found. With the format "columns", `columns` maps
    `prompt`, `reference`, `solution`, `numbers`, `target` and `choices` to column names (a dot reaches inside of a column);
    anything more is a difficulty that results are grouped by. `wrapped` is text in front of and behind a question that the
    set put there. `evaluation`: its problems measure models, and practising on them is refused. `numbered` gives the first and
    last `task_id` of each split, for files that hold them all.
    """

    hub: str
    revision: str | None
    licence: str
    sizes: Mapping[str, int]
    domain: str = "math"
    format: RowFormat = "columns"
    columns: Mapping[str, str] = field(default_factory=dict)
    extract: Extract = "text"
    subsets: tuple[str, ...] = ()
    splits: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    wrapped: tuple[str, str] | None = None
    evaluation: bool = False
    numbered: Mapping[str, tuple[int, int]] = field(default_factory=dict)


_ANSWERED = {"prompt": "problem", "reference": "answer"}
_SOLVED = {**_ANSWERED, "solution": "solution"}
_ASKED = {"prompt": "question", "reference": "answer"}
_MATH_SUBJECTS = (
    "algebra",
    "counting_and_probability",
    "geometry",
    "intermediate_algebra",
    "number_theory",
    "prealgebra",
    "precalculus",
)

PUBLIC_SETS: dict[str, PublicSet] = {
    # -- mathematics, with problems for practice
    "gsm8k": PublicSet(
        hub="openai/gsm8k",
        revision="740312add88f781978c0658806c59bc2815b9866",
        licence="MIT",
        sizes={"train": 7473, "test": 1319},
        subsets=("main",),
        splits={"train": "train", "test": "test"},
        domain="gsm8k",
        format="gsm8k",
    ),
    "math": PublicSet(  # its test split contains MATH-500
        hub="EleutherAI/hendrycks_math",
        revision="21a5633873b6a120296cce3e2df9d5550074f4a3",
        licence="MIT",
        sizes={"train": 7500, "test": 5000},
        subsets=_MATH_SUBJECTS,
        splits={"train": "train", "test": "test"},
        columns={
            "prompt": "problem",
            "reference": "solution",
            "solution": "solution",
            "level": "level",
            "subject": "type",
        },
        extract="box",
    ),
    "dapo-math-17k": PublicSet(
        # BytedTsinghua-SIA/DAPO-Math-17k (Apache-2.0) repeats each problem about a hundred times; this copy has each once. That
        # its prompts still carry the set's own wording was not verified: it is taken off where it is there.
        hub="open-r1/DAPO-Math-17k-Processed",
        revision="31dd309567e3da778038cc87d868b6097a3ccf68",
        licence="Apache-2.0 (original)",
        sizes={"train": 17_000},
        subsets=("all",),
        splits={"train": "train"},
        columns={"prompt": "prompt", "reference": "reward_model.ground_truth"},
        wrapped=("is the answer to the problem.\n\n", "\n\nRemember to put your answer on its own line after"),
    ),
    "deepscaler": PublicSet(  # a handful of answers are empty, more are wrong (discussions 3 and 4 of the hub)
        hub="agentica-org/DeepScaleR-Preview-Dataset",
        revision="b6ae8c60f5c1f2b594e2140b91c49c9ad0949e29",
        licence="MIT",
        sizes={"train": 40_315},
        splits={"train": "train"},
        columns=_SOLVED,
    ),
    "big-math": PublicSet(  # gated: its terms have to be accepted on the hub first; thousands of duplicates (discussion 8)
        hub="SynthLabsAI/Big-Math-RL-Verified",
        revision="c75d2f117cddfecb6bd08756e61e508e59732b21",
        licence="Apache-2.0",
        sizes={"train": 251_000},
        splits={"train": "train"},
        columns={**_ANSWERED, "from": "source"},
    ),
    "openr1-math": PublicSet(  # the default configuration; "extended" has 131,000 more
        hub="open-r1/OpenR1-Math-220k",
        revision="e4e141ec9dea9f8326f4d347be56105859b2bd68",
        licence="Apache-2.0",
        sizes={"train": 93_733},
        subsets=("default",),
        splits={"train": "train"},
        columns={**_SOLVED, "subject": "problem_type", "question": "question_type"},
    ),
    "countdown-3to4": PublicSet(  # TinyZero holds its last 1,024 rows back; here one row in 20 is, by its content
        hub="Jiayi-Pan/Countdown-Tasks-3to4",
        revision="408f70d177020686d34a56bba5952feb45aaaee4",
        licence="none stated",
        sizes={"train": 490_000},
        splits={"train": "train"},
        domain="countdown",
        columns={"numbers": "nums", "target": "target"},
    ),
    # -- mathematics, for evaluation
    "math500": PublicSet(
        hub="HuggingFaceH4/MATH-500",
        revision="6e4ed1a2a79af7d8630a6b768ec859cb5af4d3be",
        licence="MIT (PRM800K)",
        sizes={"test": 500},
        splits={"test": "test"},
        columns={**_SOLVED, "level": "level", "subject": "subject"},
        evaluation=True,
    ),
    "aime2024": PublicSet(  # its only split is called train, and is none
        hub="HuggingFaceH4/aime_2024",
        revision="2fe88a2f1091d5048c0f36abc874fb997b3dd99a",
        licence="none stated",
        sizes={"test": 30},
        splits={"test": "train"},
        columns=_SOLVED,
        evaluation=True,
    ),
    "aime2025": PublicSet(
        hub="math-ai/aime25",
        revision="563bb8404243c5f09de6ec262f2db674fe5bce9b",
        licence="Apache-2.0",
        sizes={"test": 30},
        splits={"test": "test"},
        columns=_ANSWERED,
        evaluation=True,
    ),
    "amc": PublicSet(  # AMC 12 of 2022 and 2023; answers are floats, 142.0
        hub="AI-MO/aimo-validation-amc",
        revision="69d78a4a2c840e82d69af6bc742bda09005f6316",
        licence="Apache-2.0",
        sizes={"test": 83},
        splits={"test": "train"},
        columns=_ANSWERED,
        evaluation=True,
    ),
    "amc23": PublicSet(
        hub="math-ai/amc23",
        revision="80815d37005feb82cd7f8fbc6901d5d3eff43057",
        licence="none stated",
        sizes={"test": 40},
        splits={"test": "test"},
        columns=_ASKED,
        evaluation=True,
    ),
    "olympiadbench": PublicSet(
        # open-ended, text only, English; final_answer is a list of one text. Its column `error`, how far an answer may be off,
        # is not read: a number has to be equal. The revision that the card's branch has now was not seen in full.
        hub="Hothan/OlympiadBench",
        revision=None,
        licence="Apache-2.0",
        sizes={"test": 674},
        subsets=("OE_TO_maths_en_COMP",),
        splits={"test": "train"},
        columns={
            "prompt": "question",
            "reference": "final_answer",
            "solution": "solution",
            "context": "context",
            "subject": "subfield",
            "kind": "answer_type",
        },
        evaluation=True,
    ),
    "minerva": PublicSet(  # revision ee46ddc, not seen in full
        hub="math-ai/minervamath",
        revision=None,
        licence="none stated",
        sizes={"test": 272},
        splits={"test": "test"},
        columns=_ASKED,
        evaluation=True,
    ),
    # -- programs
    "humaneval": PublicSet(
        hub="openai/openai_humaneval",
        revision="7dce6050a7d6d172f3cc5c32aa97f52fa1a2e544",
        licence="MIT",
        sizes={"test": 164},
        splits={"test": "test"},
        domain="code",
        format="humaneval",
        evaluation=True,
    ),
    "humaneval-plus": PublicSet(
        hub="evalplus/humanevalplus",
        revision="d32357cf319e50e9c8d8dab5ea876c72b0fd321b",
        licence="Apache-2.0",
        sizes={"test": 164},
        splits={"test": "test"},
        domain="code",
        format="humaneval",
        evaluation=True,
    ),
    "mbpp": PublicSet(  # no pinned revision was found
        hub="google-research-datasets/mbpp",
        revision=None,
        licence="CC-BY-4.0",
        sizes={"train": 374, "validation": 90, "test": 500},
        subsets=("full",),
        splits={"train": "train", "validation": "validation", "test": "test"},
        numbered={"train": (601, 974), "validation": (511, 600), "test": (11, 510)},
        domain="code",
        format="mbpp",
    ),
    "mbpp-sanitized": PublicSet(
        hub="google-research-datasets/mbpp",
        revision=None,
        licence="CC-BY-4.0",
        sizes={"train": 120, "validation": 43, "test": 257},
        subsets=("sanitized",),
        splits={"train": "train", "validation": "validation", "test": "test"},
        numbered={"train": (601, 974), "validation": (511, 600), "test": (11, 510)},
        domain="code",
        format="mbpp",
    ),
    "mbpp-plus": PublicSet(
        hub="evalplus/mbppplus",
        revision="b2d74c91837c3f2a20c1299ae98133cbe7cfa077",
        licence="Apache-2.0",
        sizes={"test": 378},
        splits={"test": "test"},
        domain="code",
        format="mbpp-plus",
        evaluation=True,
    ),
    "apps": PublicSet(  # main has JSON lines beside a loading script; no pinned revision was found
        hub="codeparrot/apps",
        revision=None,
        licence="MIT",
        sizes={"train": 5000, "test": 5000},
        files={"train": "train.jsonl", "test": "test.jsonl"},
        domain="code",
        format="apps",
    ),
    "taco": PublicSet(  # that these files are on main is from public code that reads them so; no pinned revision was found
        hub="BAAI/TACO",
        revision=None,
        licence="Apache-2.0",
        sizes={"train": 25_443, "test": 1000},
        files={"train": "ALL/train-*.parquet", "test": "ALL/test-*.parquet"},
        domain="code",
        format="apps",
    ),
    "livecodebench": PublicSet(
        # the parquet copy of livecodebench/code_generation_lite, which is a loading script; several GB, for its private tests.
        # `subset: release_v5` and so on choose another release.
        hub="lighteval/code_generation_lite",
        revision=None,
        licence="CC (unversioned)",
        sizes={"test": 1055},
        subsets=("release_v6",),
        splits={"test": "test"},
        domain="code",
        format="livecodebench",
        evaluation=True,
    ),
    # -- choices
    "mmlu": PublicSet(
        hub="cais/mmlu",
        revision="c30699e8356da336a370243923dbaf21066bb9fe",
        licence="MIT",
        sizes={"validation": 1531, "test": 14_042},
        subsets=("all",),
        splits={"validation": "validation", "test": "test"},
        domain="choice",
        columns={**_ASKED, "choices": "choices", "subject": "subject"},
        extract="letter",
        evaluation=True,
    ),
    "mmlu-pro": PublicSet(  # up to ten choices
        hub="TIGER-Lab/MMLU-Pro",
        revision="b189ec765aa7ed75c8acfea42df31fdae71f97be",
        licence="MIT",
        sizes={"validation": 70, "test": 12_032},
        splits={"validation": "validation", "test": "test"},
        domain="choice",
        columns={**_ASKED, "choices": "options", "subject": "category"},
        extract="letter",
        evaluation=True,
    ),
}
