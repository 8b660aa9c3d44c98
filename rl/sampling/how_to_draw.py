"""How completions are drawn, as the sampler needs it: `sampling` of the config, with its texts turned into tokens.

how = how_to_draw(config.sampling, tokenizer)
sampler.sample(requests, how, on_sample)
"""

from dataclasses import dataclass

from rl.policy.interfaces import Tokenizer
from rl.sampling.stop_texts import StopTexts
from rl.sampling.thinking import ThinkingBudget
from rl.settings.schema import SamplingSettings


@dataclass(frozen=True, kw_only=True)
class HowToDraw:
    """All that decides which tokens are drawn, but for the weights and the random streams."""

    temperature: float  # the logits are divided by it; 0 takes the most likely token
    max_tokens: int  # of a completion, its stop token included
    min_tokens: int = 0  # of a completion; before that, stop tokens are impossible
    top_p: float = 1.0  # draw from the most likely tokens that together have this share (nucleus); 1: from all
    top_k: int = 0  # draw from so many tokens, the most likely ones; 0: from all
    stop: StopTexts | None = None  # a completion ends with the token that completes one of these texts
    thinking: ThinkingBudget | None = None  # evaluation only
    cache_tokens: int | None = None  # tokens with keys and values at one time, all rows together; None: no limit
    cuda_graphs: bool = True  # on a GPU: record a step and replay it


def how_to_draw(settings: SamplingSettings, tokenizer: Tokenizer) -> HowToDraw:
    """Return what `settings` ask for. Raises SamplingError for a thinking budget that cannot be kept, see ThinkingBudget."""
    thinking = ThinkingBudget.of(settings.thinking, tokenizer) if settings.thinking else None
    if thinking is not None:
        thinking.check_room(settings.max_completion_tokens)
    return HowToDraw(
        temperature=settings.temperature,
        max_tokens=settings.max_completion_tokens,
        min_tokens=settings.min_completion_tokens,
        top_p=settings.top_p,
        top_k=settings.top_k,
        stop=StopTexts(texts=settings.stop, tokenizer=tokenizer) if settings.stop else None,
        thinking=thinking,
        cache_tokens=settings.cache_tokens,
        cuda_graphs=settings.cuda_graphs,
    )
