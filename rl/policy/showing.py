"""One problem as the model reads it, as text and as tokens: what `reasonlab train --show-prompt` prints.

A wrong template trains without a complaint and to no end. Seen once, it is plain: a turn that opens twice, a system message
nobody wrote, the assistant's turn that is not opened, words cut into letters, an end mark that nothing stops at.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from transformers import GenerationConfig

from problems.catalog import build_source, solve
from problems.errors import LabError
from problems.seeding import derive_seed
from problems.telling import tell
from problems.types import Problem
from rl.policy.gguf import check_gguf
from rl.policy.interfaces import TokenIds, Tokenizer
from rl.policy.opening import generation_of_gguf, listed_stop_tokens, load_tokenizer
from rl.policy.paths import place
from rl.policy.prompts import leaves_thinking_open, render
from rl.runtime import quiet_libraries
from rl.settings.model_files import is_gguf
from rl.settings.schema import ModelSettings, PromptSettings, RunConfig

_WIDTH = 110


def tell_prompt(config: RunConfig, beside: Mapping[str, object]) -> None:
    """Tell what `show_prompt` returns; as JSON with what is to stand beside it, which is told even where that fails."""
    try:
        shown = show_prompt(config)
    except LabError:
        if beside:
            tell({**beside, "prompt": None}, lambda: None)
        raise
    tell({**beside, "prompt": shown.splitlines()}, lambda: print(shown))


def show_prompt(config: RunConfig) -> str:
    """Return the picture of the first problem that a run would practise; raises LabError for what cannot be opened."""
    quiet_libraries()
    tokenizer = load_tokenizer(config.model)
    problem = build_source(config.problems, derive_seed("train", config.run.seed)).get("train", 0)
    stop_ids = listed_stop_tokens(_generation_config(config.model), tokenizer)
    return picture(problem, config.prompt, tokenizer, sorted(stop_ids))


def _generation_config(settings: ModelSettings) -> GenerationConfig | None:
    if is_gguf(settings.path):  # a generation_config.json beside the file is nothing that a run reads
        file = Path(settings.path)
        return generation_of_gguf(file, check_gguf(file))
    where, arguments = place(settings)
    try:
        return GenerationConfig.from_pretrained(where, **arguments)
    except (OSError, ValueError):  # many models have none, and then the tokenizer's end token is all there is
        return None


def picture(problem: Problem, settings: PromptSettings, tokenizer: Tokenizer, stop_ids: Sequence[int]) -> str:
    """Return a prompt as text and as tokens, what ends a completion, and a right answer as tokens."""
    ids = render(problem, settings, tokenizer)
    text = tokenizer.decode(ids, skip_special_tokens=False)
    inside = ", inside of a thought" if leaves_thinking_open(ids, tokenizer) else ""
    ends = " or ".join(_named(tokenizer, one) for one in stop_ids)
    lines = [
        f"Prompt of problem {problem.id} ({problem.source})",
        f"  rendered by {_how(settings, tokenizer)}",
        "  as text:",
        *(f"    | {line}" for line in text.split("\n")),
        f"  as {len(ids)} tokens:",
        *_wrapped(_tokens(ids, tokenizer)),
        f"  here the completion begins{inside}; it ends with {ends}; pad: {_named(tokenizer, tokenizer.pad_token_id)}",
    ]
    answer = _right_answer(problem)
    if answer is not None:
        answer_ids = tokenizer(answer, add_special_tokens=False).input_ids
        lines += [f"  a right completion, as {len(answer_ids)} tokens:", *_wrapped(_tokens(answer_ids, tokenizer))]
    return "\n".join(lines)


def _how(settings: PromptSettings, tokenizer: Tokenizer) -> str:
    if tokenizer.chat_template:
        return "the chat template of the tokenizer" + (", with prompt.system" if settings.system else ", without prompt.system")
    return "no chat template, since the tokenizer has none: plain text"


def _right_answer(problem: Problem) -> str | None:
    """Return a worked solution, step by step where there is one."""
    for style in ("steps", "direct"):
        try:
            return solve(problem, style)
        except LabError:
            continue
    return None


def _named(tokenizer: Tokenizer, token_id: int) -> str:
    return f"{tokenizer.decode([token_id], skip_special_tokens=False)} ({token_id})"


def _tokens(ids: TokenIds, tokenizer: Tokenizer) -> list[str]:
    """Return each token by its text, with what the eye would miss made visible; a part of a character by its id."""
    shown = []
    for number in map(int, ids):
        text = tokenizer.decode([number], skip_special_tokens=False)
        text = text.replace("\n", "\u23ce").replace("\t", "\u21e5").replace(" ", "\u00b7")
        shown.append(f"#{number}" if "\ufffd" in text or not text else text)
    return shown


def _wrapped(tokens: Sequence[str]) -> list[str]:
    """Return lines of tokens with a bar between them."""
    lines, line = [], ""
    for token in tokens:
        if line and len(line) + len(token) > _WIDTH:
            lines.append(f"    {line}")
            line = ""
        line += f"{token}|"
    return [*lines, f"    {line}"]
