r"""Coverage-guided fuzzing of the math verifier with atheris (not collected by pytest; atheris is not a dependency).

    PYTHONPATH=. python tests/rewards/math/fuzz_math.py -max_total_time=3600 -max_len=400 -timeout=20

Half of the inputs are raw text, half are sentences over fragments of notation and of prose; completions are read both ways,
and what the fast stages leave open goes to the stage behind them, in its own process. An input fails when anything but a
verdict comes out, when it takes longer than LIMIT_SECONDS, or when comparing the two sides in the other order exhausts the
limit. Every 10,000 inputs the memory in use is printed, of this process and of its children: it must not grow.
"""

import resource
import sys
import time
from itertools import count

import atheris

with atheris.instrument_imports(include=["rewards.math"]):
    from rewards.math import compare_texts, grade
    from rewards.types import STATUSES, Reading

LIMIT_SECONDS = 5.0  # of CPU time for a verdict; instrumented code is nine times slower
FRAGMENTS = [
    "\\frac",
    "\\frac{",
    "}",
    "{",
    "(",
    ")",
    "[",
    "]",
    "\\{",
    "\\}",
    "|",
    "1",
    "2",
    "10",
    "0.5",
    "3.14",
    "1,234",
    "x",
    "y",
    "n",
    "i",
    "e",
    "pi",
    "\\pi",
    "\\sqrt",
    "\\sqrt[3]",
    "^",
    "_",
    "^{",
    "_{",
    "+",
    "-",
    "*",
    "/",
    "=",
    "<",
    ">",
    "\\le",
    "\\ne",
    "\\pm",
    "\\mp",
    "\\cup",
    "\\cap",
    "\\in",
    ",",
    ";",
    ":",
    "!",
    "%",
    "^\\circ",
    "\\text{",
    "cm",
    "}",
    "\\text{",
    "or",
    "}",
    "and",
    "or",
    "\\infty",
    "\\sin",
    "\\log",
    "\\ln",
    "\\log_2",
    "\\binom",
    "\\sum_{k=1}^",
    "\\prod_{k=1}^",
    "\\begin{pmatrix}",
    "\\end{pmatrix}",
    "&",
    "\\\\",
    "\\lfloor",
    "\\rfloor",
    "f(",
    "\\boxed{",
    "$",
    "\\(",
    "\\)",
    "...",
    "\\overline{",
    "9^",
    "99",
    "!!",
    "**",
    "sqrt(",
    "degrees",
    "percent",
    "km/h",
    "x=",
    "\\mathbb{R}",
    "\\setminus",
    "½",
    "²",
    "√",
    "π",
    "−",
    "####",
    "<answer>",
    "</answer>",
    "the",
    "answer",
    "is",
    "\\begin{cases}",
    "\\end{cases}",
    "\\text{if }",
    "\\text{otherwise}",
    "\\equiv",
    "\\pmod",
    "\\pmod{",
    "\\in\\mathbb{Z}",
    "2k",
    "\\text{ for all }",
    "C",
    "C_1",
    "ce^",
    "\\mathbf{i}",
    "\\hat{j}",
    "\\Omega",
    "\\text{ k}",
    "\\Gamma(",
    "\\zeta(2)",
    "\\sqrt[n]",
    "A(",
    "\\mid",
    "\\frac{dy}{dx}=",
    "\\boxed{2}",
    "或",
    "5万",
    "元",
    "答案是",
    "0.333333",
    "1.41421356",
    "\\int_0^1",
    "\\int",
    "\\,dx",
    "\\lim_{x\\to 0}",
    "\\frac{d}{dx}",
    "\\sum_{n=1}^{\\infty}",
    "\\det",
    "\\begin{vmatrix}",
    "\\end{vmatrix}",
    "^{-1}",
    "^T",
    "\\bmod",
    "\\gcd(",
    "\\bigcup_{k\\in\\mathbb{Z}}",
    "\\ldots",
    "7th",
    "(B)",
    "because",
    "at least",
    "Therefore, ",
    "所以",
    "等于",
    "Donc",
    "Antwort",
    "ответ",
    "答え",
    "उत्तर",
    "الإجابة",
    "٣٫٥",
    "५",
    "**",
    "\n",
    "Question:",
    "</think>",
    "<think>",
    ". ",
    "$5,000",
    "\\mathrm{~m}",
    "kJ/mol",
]
READINGS = [Reading(policy=policy, thinking_open=is_open) for policy in ("strict", "lenient") for is_open in (False, True)]
inputs = count(1)


def one_input(data: bytes) -> None:
    """Grade a pair made of the bytes."""
    provider = atheris.FuzzedDataProvider(data)
    texts = []
    for _ in range(2):
        if provider.ConsumeBool():
            count = provider.ConsumeIntInRange(0, 40)
            texts.append("".join(FRAGMENTS[provider.ConsumeIntInRange(0, len(FRAGMENTS) - 1)] for _ in range(count)))
        else:
            texts.append(provider.ConsumeUnicodeNoSurrogates(200))
    first, second = texts[0] or "1", texts[1] or "1"
    reading = READINGS[provider.ConsumeIntInRange(0, len(READINGS) - 1)]
    for verdict in (
        lambda: compare_texts(first, texts[1])[0],
        lambda: grade(second, texts[0], "", reading).status,
        lambda: grade(first, f"\\boxed{{{texts[1]}}}", texts[0]).status,
    ):
        started = time.process_time()
        status = verdict()
        elapsed = time.process_time() - started
        assert status in STATUSES, status
        assert elapsed < LIMIT_SECONDS, f"{elapsed:.1f} s for {texts!r}"
    if (number := next(inputs)) % 10_000 == 0:
        peaks = [resource.getrusage(who).ru_maxrss // 1024 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        print(f"{number} inputs: at most {peaks[0]} MB here, {peaks[1]} MB in a child that has ended", flush=True)


if __name__ == "__main__":
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
