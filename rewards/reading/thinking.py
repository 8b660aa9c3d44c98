"""Where thinking ends. Each family of models has marks of its own; what stands between them is no answer."""

# (what opens a thought, what closes it)
_MARKS = (
    ("<think>", "</think>"),
    ("<thinking>", "</thinking>"),
    ("<thought>", "</thought>"),
    ("<reasoning>", "</reasoning>"),
    ("[THINK]", "[/THINK]"),
    ("<|begin_of_thought|>", "<|end_of_thought|>"),
    ("<|START_THINKING|>", "<|END_THINKING|>"),
    ("<seed:think>", "</seed:think>"),
    ("\u25c1think\u25b7", "\u25c1/think\u25b7"),
    ("<|channel|>analysis", "<|channel|>final<|message|>"),
    ("<|channel>thought", "<channel|>"),
)


def after_thinking(completion: str, thinking_open: bool = False) -> str | None:
    """Return the part of `completion` that may hold the answer, or None while it is still thinking.

    `thinking_open`: the prompt ended inside of a thought, so that the completion begins there.
    """
    closed = completion.rfind("</think>")
    rest = completion if closed < 0 else completion[closed + len("</think>") :]
    if not _may_think(rest):  # what nearly every completion comes to
        return None if closed < 0 and thinking_open else rest
    end = end_of_thinking(completion)
    if end is None:
        return None if thinking_open or _opens(completion) else completion
    rest = completion[end:]
    return None if _opens(rest) else rest


def opens_thinking(prompt: str) -> bool:
    """Tell whether a prompt, as the model gets it, ends inside of a thought, so that the completion begins there."""
    return prompt.rstrip().endswith(tuple(opening for opening, _ in _MARKS))


def end_of_thinking(completion: str) -> int | None:
    """Return where the last thought that closes ends, or None where none does."""
    if not _may_think(completion):
        return None
    ends = [start + len(close) for _, close in _MARKS if (start := completion.rfind(close)) >= 0]
    return max(ends, default=None)


def _opens(text: str) -> bool:
    return _may_think(text) and any(opening in text for opening, _ in _MARKS)


def _may_think(text: str) -> bool:
    if not ("<" in text or "THINK" in text or "\u25c1" in text):
        return False
    return "hink" in text or "THINK" in text or "thought" in text or "reasoning>" in text or "channel" in text
