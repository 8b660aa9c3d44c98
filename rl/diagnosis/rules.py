"""The rules: each reads the figures of a run and returns a finding or None. The first of RULES stands on top of the page.

A rule names one cause. Causes come before effects: `too_hard` and its like, which say only that nothing is paid, speak where
no cause was found. Thresholds stand in the rules, beside what they compare; where they come from is said there.
"""

import math
from collections.abc import Callable, Sequence

from rl.diagnosis.figures import NOTHING, Figures, Finding, Severity, found
from rl.diagnosis.usual import percent, rounded, size, usual_rates

Rule = Callable[[Figures], Finding | None]

_FEW_GROUPS = 8  # below, no rule speaks about shares of groups or completions
_GAP = {"fp32": 1e-2, "bf16": 0.08}  # nats a token: those of the self-check (rl/selfcheck.py)


def diagnose(figures: Figures) -> list[Finding]:
    """Return all findings, what stops learning first and otherwise in the order of the rules."""
    findings = [finding for rule in RULES if (finding := rule(figures))]
    if not any(finding.severity == "stops" for finding in findings):
        findings += [finding for rule in LAST if (finding := rule(figures))]
    return sorted(findings, key=lambda finding: finding.severity != "stops")


def not_finite(f: Figures) -> Finding | None:
    """NaN or infinity in log-probabilities, loss or gradient."""
    if f.finite is not False:
        return None
    words = "The model computes NaN or infinity: damaged weights, or numbers too large for their type."
    if f.config.model.dtype == "bf16":
        return found("not_finite", "stops", words, "model.dtype", "bf16", "fp32; if that is no better, other weights")
    return found("not_finite", "stops", words, "model.path", f.config.model.path, "weights without NaN: copy them again")


def prompt_too_long(f: Figures) -> Finding | None:
    """Prompt and completion together are longer than the model's positions; training would stop there with an error."""
    if not f.too_long or f.max_positions is None or f.longest_prompt is None:
        return None
    room = f.max_positions - f.longest_prompt
    words = (
        f"{percent(f.too_long)} of the prompts and a completion of the full length are longer than the {f.max_positions} "
        f"tokens that the model reads; the longest prompt has {f.longest_prompt}."
    )
    proposed = str(room) if room > 0 else "(no length fits: shorter problems, or a model that reads more)"
    limit = f.config.sampling.max_completion_tokens
    return found("prompt_too_long", "stops", words, "sampling.max_completion_tokens", str(limit), proposed)


def sampler_apart(f: Figures) -> Finding | None:
    """The trainer does not compute the probabilities that the completions were drawn with."""
    dtype = f.config.model.dtype
    if f.gap is None or f.gap <= _GAP[dtype]:
        return None
    words = (
        f"Sampler and trainer are {f.gap:.2g} nats a token apart on the same weights (at most {_GAP[dtype]:g} for {dtype}): "
        "importance ratios are noise, and the reward falls after some steps."
    )
    if dtype == "bf16":
        return found("sampler_apart", "stops", words, "model.dtype", "bf16", "fp32")
    return found("sampler_apart", "stops", words, "model.attention", f.config.model.attention, "eager")


def references_unreadable(f: Figures) -> Finding | None:
    """The verifier cannot use the references, so that nothing can be scored."""
    share = max(f.unreadable or 0.0, f.errors or 0.0)
    if share <= 0.01:
        return None
    why = f.unreadable_why or f.error_says
    words = f"The verifier cannot grade {percent(share)} of this: {why[:160] or 'it answers with an error'}."
    severity: Severity = "stops" if share >= 0.5 else "slows"
    if own := f.config.reward.own:
        return found("references_unreadable", severity, words, "reward", own.label, "one that judges these completions too")
    proposed = "references that `reasonlab problems check` passes, or the domain that reads them"
    return found("references_unreadable", severity, words, "problems", f.sources, proposed)


def pays_for_anything(f: Figures) -> Finding | None:
    """The verifier pays for what is no answer, so that this is what will be learnt."""
    if f.bribes is None:
        return None
    tried = {"an empty answer": f.bribes.nothing, "a wrong answer": f.bribes.wrong, "the question itself": f.bribes.question}
    paid = {what: share for what, share in tried.items() if share > 0.1}
    if not paid:
        return None
    listed = ", ".join(f"{what} on {percent(share)} of the problems" for what, share in paid.items())
    words = f"The verifier pays for anything: {listed}. The model will learn to write that."
    return found("pays_for_anything", "stops", words, "problems", f.sources, "checks or references that a wrong answer fails")


def same_answer(f: Figures) -> Finding | None:
    """One answer is right for nearly every problem: saying it always is what will be learnt."""
    if f.same_answer is None or f.problems < _FEW_GROUPS or f.same_answer < 0.9:
        return None
    words = (
        f"{percent(f.same_answer)} of the problems have the same answer, {f.same_answer_is!r}: a completion is paid whichever "
        "of them it answers, and the model will learn to say that always."
    )
    return found("same_answer", "stops", words, "problems", f.sources, "problems whose answers differ")


def stop_token(f: Figures) -> Finding | None:
    """Completions write the end of their turn and go on, because generation stops at another token."""
    marks = f.past_end_mark if (f.past_end or 0) >= 0.1 else None
    mark = marks or f.turn_end
    if mark is None or (marks is None and (f.cut or 0) < 0.5):
        return None  # a model may end its turns with another token than its template says, and stop at it
    stops = ", ".join(f.stop_tokens) or "nothing"
    words = (
        f"{percent(f.past_end or 0)} of the completions write {mark}, which ends a turn, and go on to the limit: generation "
        f"stops at {stops}. What comes after it is trained on too."
    )
    present = f"{list(f.config.sampling.stop)}"
    proposed = f"['{mark}'], or {mark} as eos_token of the tokenizer and eos_token_id of generation_config.json"
    return found("stop_token", f.severity, words, "sampling.stop", present, proposed)


def thinking_open(f: Figures) -> Finding | None:
    """The prompt opens a thought that the completions never close, so there is no answer to read."""
    if not f.opens_thinking or (f.unended_thoughts or 0) < 0.5:
        return None
    limit = f.config.sampling.max_completion_tokens
    words = (
        f"The chat template opens a thought (the prompt ends with <think>) and {percent(f.unended_thoughts or 0)} of the "
        "completions never end it: all they write counts as thinking, and no answer can be read."
    )
    if f.longer is not None and f.longer.paid > NOTHING + (f.paid or 0):
        words += f" With {f.longer.how} {percent(f.longer.paid)} are paid."
        room = str(f.longer.room(limit))
        return found("thinking_open", f.severity, words, "sampling.max_completion_tokens", str(limit), room)
    proposed = "without <think> at its end; or a cold start (reasonlab sft) that teaches </think>"
    return found("thinking_open", f.severity, words, "chat_template of the tokenizer", "ends with <think>", proposed)


def template_doubled(f: Figures) -> Finding | None:
    """The prompt holds its template twice."""
    if f.doubled is None:
        return None
    words = f"The prompt is wrapped twice: {f.doubled}. The model was never taught on such text."
    setting = "prompt.template" if f.config.prompt.template != "{prompt}" else "problems"
    present = f.config.prompt.template if setting == "prompt.template" else f.sources
    proposed = "the bare question: the chat template adds the rest"
    return found("template_doubled", f.severity, words, setting, repr(present), proposed)


def template_missing(f: Figures) -> Finding | None:
    """A model that was taught to chat is asked in plain text."""
    if f.templated is None or not (f.is_beaten_by(f.templated) or f.ends_less_than(f.templated)):
        return None
    words = (
        "The tokenizer has no chat template, but its vocabulary holds the marks of one, and asked with "
        f"{f.templated.how} {percent(f.templated.paid)} of the completions are paid and {percent(f.templated.ended)} end by "
        f"themselves, against {percent(f.paid or 0)} and {percent(1 - (f.cut or 0))}."
    )
    proposed = f"{f.templated.how}: chat_template.jinja of the model's own repository"
    return found("template_missing", f.severity, words, "chat_template of the tokenizer", "none", proposed)


def template_unknown(f: Figures) -> Finding | None:
    """A model that was never taught the chat template is asked with it."""
    if f.plain is None or not f.is_beaten_by(f.plain):
        return None
    if f.longer is not None and f.longer.paid >= f.plain.paid:
        return None  # with the template they are longer, and more room is all they need
    words = (
        f"The model does not know the chat template of its tokenizer: asked in plain text {percent(f.plain.paid)} of the "
        f"completions are paid and {percent(f.plain.ended)} end by themselves, against {percent(f.paid or 0)} and "
        f"{percent(1 - (f.cut or 0))} with the template."
    )
    return found(
        "template_unknown", f.severity, words, "chat_template of the tokenizer", "set", "none: remove it from the model"
    )


def temperature_high(f: Figures) -> Finding | None:
    """So hot that the model writes noise; at temperature 1 it does not, or it reads prompts too well to be noise itself."""
    heat = f.config.sampling.temperature
    if heat <= 1.2:
        return None
    words = f"At temperature {heat:g} {percent(f.paid or 0)} of the completions are paid, "
    if f.cooler is not None and f.cooler.paid >= 1.5 * (f.paid or 0) + NOTHING:
        words += f"at temperature 1 {percent(f.cooler.paid)}"
    elif f.cooler is None and f.is_unpaid and f.draws_at_random and f.reads_prompts:
        words += "of a model that expects prompts well (there was no time to try temperature 1)"
    else:
        return None
    words += f": the heat turns answers into noise (entropy {f.entropy or 0:.2f} nats a token)."
    return found("temperature_high", f.severity, words, "sampling.temperature", f"{heat:g}", "1.0")


def noise(f: Figures) -> Finding | None:
    """The model draws almost at random: untrained weights, or another model's tokenizer."""
    if f.vocabulary is None or f.entropy is None or not f.is_unpaid or not (f.draws_at_random or f.reads_prompts is False):
        return None
    chance = math.log(f.vocabulary)
    random = f"draws almost at random ({f.entropy:.2f} of {chance:.2f} nats a token)"
    what = random if f.draws_at_random else "reads prompts as noise"
    if f.prompt_logprob is not None:
        what += f", and expects prompts with {f.prompt_logprob:.1f} nats a token (chance: {-chance:.1f})"
    words = f"The model {what}: its weights are untrained, or the tokenizer belongs to another model."
    proposed = "a trained model with its own tokenizer; reasonlab sft first"
    return found("noise", "stops", words, "model.path", f.config.model.path, proposed)


def limit_too_short(f: Figures) -> Finding | None:
    """The limit cuts completions off before they answer (trl#5697: 97 % of them at the default of 256 tokens)."""
    if f.cut is None or f.groups < _FEW_GROUPS or f.cut < 0.4 or f.goes_past_end:
        return None
    if (f.loops or 0) >= 0.6 * f.cut:
        return None  # see `loops`
    limit = f.config.sampling.max_completion_tokens
    words = f"{percent(f.cut)} of the completions are cut off at {limit} tokens, before they end."
    if f.longer is not None:
        if f.longer.ended < 0.25 and f.longer.paid <= (f.paid or 0) + NOTHING:
            return None  # more room would not help: see `never_ends`
        words += (
            f" With {f.longer.how} {percent(f.longer.ended)} ended by themselves, half of all by {f.longer.tokens_median:.0f} "
            f"tokens, and {percent(f.longer.paid)} were paid."
        )
    if f.config.algorithm.mask_truncated:
        words += " With algorithm.mask_truncated they are left out of the loss besides."
    is_masked = f.config.algorithm.mask_truncated and f.cut >= 0.9
    severity: Severity = "stops" if is_masked else f.severity
    proposed = str(f.longer.room(limit) if f.longer else 4 * limit)
    return found("limit_too_short", severity, words, "sampling.max_completion_tokens", str(limit), proposed)


def loops(f: Figures) -> Finding | None:
    """Completions fall into saying the same over and over."""
    if f.loops is None or f.groups < _FEW_GROUPS or f.loops < 0.4 or f.goes_past_end:
        return None
    heat = f.config.sampling.temperature
    words = f"{percent(f.loops)} of the completions end in the same few words over and over."
    if heat < 0.7:
        return found("loops", f.severity, words, "sampling.temperature", f"{heat:g}", "1.0")
    proposed = "a model that writes: look at the completion below; a cold start (reasonlab sft)"
    return found("loops", f.severity, words, "model.path", f.config.model.path, proposed)


def never_ends(f: Figures) -> Finding | None:
    """Completions do not end, however much room they are given."""
    if f.cut is None or f.groups < _FEW_GROUPS or f.cut < 0.9 or f.longer is None or f.longer.ended >= 0.25:
        return None
    if f.goes_past_end:
        return None
    stops = ", ".join(f.stop_tokens) or "nothing"
    words = (
        f"{percent(f.cut)} of the completions do not end by themselves, and with {f.longer.how} {percent(1 - f.longer.ended)} "
        f"do not either: the model does not write {stops}, at which generation stops."
    )
    proposed = "a text that ends an answer, such as ['\\n\\n']; or a cold start (reasonlab sft) that teaches the end"
    return found("never_ends", f.severity, words, "sampling.stop", f"{list(f.config.sampling.stop)}", proposed)


def answers_unread(f: Figures) -> Finding | None:
    """Right answers that are not paid, because they are not marked as the strict reading wants it."""
    if f.unread_right is None or f.groups < _FEW_GROUPS or f.unread_right < max(0.05, 0.5 * (f.paid or 0)):
        return None
    words = (
        f"{percent(f.unread_right)} of the completions are right and not paid, since nothing marks their answer "
        f"({percent(f.paid or 0)} are paid): the prompt does not ask for \\boxed{{}}, or the model does not heed it."
    )
    if "boxed" in f"{f.config.prompt.template}{f.config.prompt.system}":
        return found(
            "answers_unread", f.severity, words, "reward.reading", f.config.reward.reading, "lenient, or a cold start first"
        )
    proposed = '"{prompt}\\nPut your final answer within \\\\boxed{}."; or reward.reading=lenient'
    return found("answers_unread", f.severity, words, "prompt.template", repr(f.config.prompt.template), proposed)


def verdicts_time_out(f: Figures) -> Finding | None:
    """Verdicts that do not come in time score 0, right or not."""
    if f.timeouts is None or f.groups < _FEW_GROUPS or f.timeouts < 0.1:
        return None
    limit = f.config.reward.timeout_seconds
    words = f"{percent(f.timeouts)} of the verdicts did not come in time and score nothing, right or not."
    severity: Severity = "stops" if f.timeouts > 0.9 else f.severity
    return found("verdicts_time_out", severity, words, "reward.timeout_seconds", f"{limit:g}", f"{max(5.0, 4 * limit):g}")


def always_the_same(f: Figures) -> Finding | None:
    """The completions of a group are nearly all the same text, so there is nothing to compare."""
    if f.distinct is None or f.contrast is None or f.groups < _FEW_GROUPS:
        return None
    size = f.completions / f.groups  # as many as were drawn: on a slow machine fewer than a group of the run
    if f.contrast > 0.1 or f.distinct > max(1.5 / size, 0.2):
        return None
    heat = f.config.sampling.temperature
    words = f"The {size:.0f} completions of a group are nearly all the same text ({f.distinct * size:.1f} different ones)."
    if heat < 0.8:
        return found("always_the_same", "stops", words, "sampling.temperature", f"{heat:g}", "1.0")
    words += " The policy is certain of what it writes."
    present = f"{f.config.algorithm.entropy_coef:g}"
    return found("always_the_same", "stops", words, "algorithm.entropy_coef", present, "0.001, or harder problems")


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
    words = f"{rate:g} is {'low' if rate < low else 'high'} for {what} {size(f.parameters)} parameters: {effect}."
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


def group_too_small(f: Figures) -> Finding | None:
    """Groups so small that most show no contrast where larger ones would."""
    size = f.config.algorithm.group_size
    if size >= 4 or f.contrast is None or f.paid is None or f.groups < _FEW_GROUPS or f.contrast >= 0.5:
        return None
    if not NOTHING < f.paid < 0.98:
        return None
    words = (
        f"With {size} completions a group only {percent(f.contrast)} of the groups have contrast; {percent(f.paid)} are paid."
    )
    return found("group_too_small", "slows", words, "algorithm.group_size", str(size), "8")


def penalised(f: Figures) -> Finding | None:
    """The soft length penalty begins so early that it meets most completions."""
    if f.overlong is None or f.groups < _FEW_GROUPS or f.overlong < 0.7 or not f.config.reward.overlong_weight:
        return None
    buffer, limit = f.config.reward.overlong_buffer_tokens, f.config.sampling.max_completion_tokens
    words = f"{percent(f.overlong)} of the completions are penalised for length: from {limit - buffer} of {limit} tokens on."
    return found("penalised", "slows", words, "reward.overlong_buffer_tokens", str(buffer), str(max(1, limit // 5)))


def nothing_marked(f: Figures) -> Finding | None:
    """No completion marks an answer, right or wrong."""
    if f.unparsed is None or f.unparsed < 0.8 or not f.is_unpaid or f.groups < _FEW_GROUPS:
        return None
    words = f"In {percent(f.unparsed)} of the completions no answer can be read: the model does not mark one."
    if "boxed" in f"{f.config.prompt.template}{f.config.prompt.system}":
        present = f.config.model.path
        return found(
            "nothing_marked", "stops", words, "model.path", present, "a cold start (reasonlab sft) that teaches the form"
        )
    proposed = '"{prompt}\\nPut your final answer within \\\\boxed{}."; or a cold start (reasonlab sft)'
    return found("nothing_marked", "stops", words, "prompt.template", repr(f.config.prompt.template), proposed)


def too_hard(f: Figures) -> Finding | None:
    """In nearly no group is anything paid."""
    if f.all_unpaid is None or f.groups < _FEW_GROUPS or f.all_unpaid < 0.9:
        return None
    words = (
        f"In {percent(f.all_unpaid)} of the groups no completion is paid: without contrast there is no gradient. The problems "
        "are too hard for this model."
    )
    return found(
        "too_hard", "stops", words, "problems", f.sources, "easier ones to begin with, or a cold start (reasonlab sft)"
    )


def too_easy(f: Figures) -> Finding | None:
    """In nearly every group everything is paid."""
    if f.all_paid is None or f.groups < _FEW_GROUPS or f.all_paid < 0.9:
        return None
    words = f"In {percent(f.all_paid)} of the groups every completion is paid alike: there is nothing left to learn here."
    return found("too_easy", "stops", words, "problems", f.sources, "harder ones")


RULES: Sequence[Rule] = (
    not_finite, prompt_too_long, sampler_apart, references_unreadable, pays_for_anything, same_answer,
    template_doubled, template_missing, template_unknown, stop_token, thinking_open, temperature_high, noise,
    loops, limit_too_short, never_ends, answers_unread, verdicts_time_out, always_the_same,
    learning_rate, warmup_too_long, kl_too_strong, group_too_small, penalised,
)  # fmt: skip
LAST: Sequence[Rule] = (nothing_marked, too_hard, too_easy)  # effects: where no cause was found
