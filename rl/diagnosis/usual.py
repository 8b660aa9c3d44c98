"""Which learning rates are usual for a model of a size, and how numbers are written in findings."""

import math


def usual_rates(parameters: int, *, is_lora: bool) -> tuple[float, float]:
    """Return the lowest and the highest learning rate that have been seen to work, for a model of so many parameters.

    All weights: 1e-6 at 7 B and above (DAPO, arXiv 2503.14476, section 4.1; verl's and TRL's default), 1e-4 at 0.34 M (the
    demo), 2e-5 at 135 M (LOG.md): about 1e-6 * sqrt(7e9 / N), a factor of 15 either way. LoRA: ten times as much, whatever the
    rank (LoRA Without Regret, thinkingmachines.ai/blog/lora), and up to 1e-3; from 2e-6, which runs on 7 B models use.
    """
    centre = 1e-6 * math.sqrt(7e9 / max(parameters, 1))
    if is_lora:
        return max(2e-6, centre / 2), max(1e-3, centre * 150)
    return min(centre / 15, 5e-7) if parameters > 1e8 else centre / 15, centre * 15


def percent(share: float) -> str:
    """Return a share in words: `97 %`."""
    return f"{100 * share:.0f} %"


def size(parameters: int) -> str:
    """Return a number of parameters in words: `135 M`, `7.6 B`."""
    return f"{parameters / 1e9:.1f} B" if parameters >= 1e9 else f"{parameters / 1e6:.3g} M"


def rounded(rate: float) -> str:
    """Return a learning rate to one digit: `2e-5`."""
    return f"{rate:.0e}".replace("e-0", "e-")
