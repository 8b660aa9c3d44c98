"""Rules about settings that do harm whatever is drawn: rates, the KL, the penalty for length."""

import math

from rl.diagnosis.figures import FEW_GROUPS, Figures, Finding, Severity, found
from rl.diagnosis.usual import percent, rounded, size, usual_rates


def learning_rate(f: Figures) -> Finding | None:
    """A learning rate that is far from what has worked for a model of this size."""
    if f.parameters is None:
        return None
    low, high = usual_rates(f.parameters, is_lora=f.config.model.lora is not None)
    rate = f.config.optimizer.learning_rate
    if low <= rate <= high:
        return None
    what = "LoRA on" if f.config.model.lora is not None else "all weights of"
    effect = "the weights will hardly move" if rate < low else "the policy will break within a few steps"
    far = "low" if rate < low else "high"
    words = f"A learning rate of {rate:g} is {far} for {what} {size(f.parameters)} parameters: {effect}."
    severity: Severity = "stops" if rate < low / 3 or rate > high * 3 else "slows"
    proposed = f"{rounded(math.sqrt(low * high))} (usual: {rounded(low)} to {rounded(high)})"
    return found("learning_rate", severity, words, "optimizer.learning_rate", f"{rate:g}", proposed)


def warmup_too_long(f: Figures) -> Finding | None:
    """The run ends before the learning rate has been reached."""
    warmup, steps = f.config.optimizer.warmup_steps, f.config.train.steps
    if warmup <= steps / 2 or warmup <= 10:
        return None
    words = f"The learning rate rises over {warmup} steps, and the run has {steps}."
    severity: Severity = "stops" if warmup >= 10 * steps else "slows"
    return found("warmup_too_long", severity, words, "optimizer.warmup_steps", str(warmup), str(min(10, steps // 10)))


def kl_too_strong(f: Figures) -> Finding | None:
    """The KL to the reference outweighs the reward."""
    coefficient = f.config.algorithm.kl_coef
    if coefficient <= 0.2:  # 0.04 in DeepSeekMath (arXiv 2402.03300), 0.001 in verl, 0 in TRL and DAPO
        return None
    words = f"A KL coefficient of {coefficient:g} holds the policy to its reference: it is not to change. Usual are 0 to 0.04."
    severity: Severity = "stops" if coefficient >= 1 else "slows"
    return found("kl_too_strong", severity, words, "algorithm.kl_coef", f"{coefficient:g}", "0.001")


def penalised(f: Figures) -> Finding | None:
    """The soft length penalty begins so early that it meets most completions."""
    if f.overlong is None or f.groups < FEW_GROUPS or f.overlong < 0.7 or not f.config.reward.overlong_weight:
        return None
    buffer, limit = f.config.reward.overlong_buffer_tokens, f.config.sampling.max_completion_tokens
    words = f"{percent(f.overlong)} of the completions are penalised for length: from {limit - buffer} of {limit} tokens on."
    return found("penalised", "slows", words, "reward.overlong_buffer_tokens", str(buffer), str(max(1, limit // 5)))
