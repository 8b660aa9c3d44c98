"""The rules: each reads the figures of a run and returns a finding or None. The first of RULES stands on top of the page.

A rule names one cause. Causes come before effects: `too_hard` and its like, which say only that nothing is paid, speak where
no cause was found. Thresholds stand in the rules, beside what they compare; where they come from is said there.
Those that read settings alone are in of_settings.py, those about what there is to compare in a group in contrast.py.
"""

import math
from collections.abc import Sequence

from rl.diagnosis.contrast import always_the_same, group_too_small, no_contrast, nothing_marked, too_easy, too_hard
from rl.diagnosis.figures import FEW_GROUPS, NOTHING, Figures, Finding, Rule, Severity, found
from rl.diagnosis.of_settings import kl_too_strong, learning_rate, penalised, warmup_too_long
from rl.diagnosis.templates import marked_setting
from rl.diagnosis.usual import percent

_HOT = 1.2  # a temperature above which trained models may write noise
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
    unreadable, errors = f.unreadable or 0.0, f.errors or 0.0
    share = max(unreadable, errors)
    if share <= 0.01:
        return None
    what = "references" if unreadable >= errors else "completions"
    why = f.unreadable_why or f.error_says
    words = f"The verifier cannot grade {percent(share)} of the {what}: {why[:160] or 'it answers with an error'}."
    severity: Severity = "stops" if share >= 0.5 else "slows"
    if own := f.config.reward.own:
        return found("references_unreadable", severity, words, "reward", own.label, "one that judges these completions too")
    proposed = "references that `reasonlab problems check` passes, or the domain that reads them"
    return found("references_unreadable", severity, words, "problems", f.sources, proposed)


def pays_for_anything(f: Figures) -> Finding | None:
    """The verifier pays for what is no answer, so that this is what will be learnt."""
    if f.bribes is None:
        return None
    of = f.bribes
    tried = [("an empty answer", of.nothing, of.nothing_pays), ("a wrong answer", of.wrong, 1.0)]
    tried.append(("the question itself", of.question, of.question_pays))
    paid = [(what, share, pays) for what, share, pays in tried if share is not None and share > 0.1]
    if not paid:
        return None
    listed = ", ".join(f"{what} on {percent(share)} of the problems" for what, share, _ in paid)
    severity: Severity = "stops"
    words = f"The verifier pays for anything: {listed}. The model will learn to write that."
    best = max(pays for _, _, pays in paid)
    if best < 0.5:  # a score by degrees, such as a likeness: a right answer still pays much more
        severity = "slows"
        words = f"The verifier pays {best:.2g} for what is no answer: {listed}. The model may learn to write that first."
    setting, present = ("reward", own.label) if (own := f.config.reward.own) else ("problems", f.sources)
    return found("pays_for_anything", severity, words, setting, present, "checks or references that a wrong answer fails")


def same_answer(f: Figures) -> Finding | None:
    """One answer is right for nearly every problem: saying it always is what will be learnt."""
    if f.same_answer is None or f.problems < FEW_GROUPS or f.same_answer < 0.9:
        return None
    words = (
        f"{percent(f.same_answer)} of the problems have the same answer, {f.same_answer_is!r}: a completion is paid whichever "
        "of them it answers, and the model will learn to say that always."
    )
    return found("same_answer", "stops", words, "problems", f.sources, "problems whose answers differ")


def stop_token(f: Figures) -> Finding | None:
    """Completions write the end of their turn and go on, because generation stops at another token."""
    stops = ", ".join(f.stop_tokens) or "nothing"
    if f.past_end is not None and f.past_end >= 0.1:
        mark = f.past_end_mark
        words = (
            f"{percent(f.past_end)} of the completions write {mark}, which ends a turn, and go on to the limit: generation "
            f"stops at {stops}. What comes after it is trained on too."
        )
    elif f.turn_end is not None and f.longer is not None and (f.cut or 0) >= 0.5 and f.longer.ended < 0.25:
        # only where more room does not help: a model may end its turns with another token than its template says
        mark = f.turn_end
        words = (
            f"The chat template ends a turn with {mark}, and generation stops at {stops}: {percent(f.cut or 0)} of the "
            f"completions do not end by themselves, and with {f.longer.how} {percent(1 - f.longer.ended)} do not either."
        )
    else:
        return None
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
    if f.longer is not None and f.longer.pays_more:
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
    setting = marked_setting(f.config.prompt)
    present = {"prompt.template": f.config.prompt.template, "prompt.system": f.config.prompt.system}.get(setting, f.sources)
    proposed = "the bare question: the chat template adds the rest"
    return found("template_doubled", f.severity, words, setting, repr(present), proposed)


def template_missing(f: Figures) -> Finding | None:
    """A model that was taught to chat is asked in plain text."""
    of = f.templated
    if of is None or not (of.beats or of.is_read_more or f.ends_less_than(of)):
        return None
    words = (
        "The tokenizer has no chat template, but its vocabulary holds the marks of one, and asked with "
        f"{of.how} {percent(of.paid)} of the completions are paid, {percent(of.read)} hold an answer that can be read and "
        f"{percent(of.ended)} end by themselves, against {percent(of.paid_before)}, {percent(of.read_before)} and "
        f"{percent(1 - (f.cut or 0))}."
    )
    proposed = f"{of.how}: chat_template.jinja of the model's own repository"
    return found("template_missing", f.severity, words, "chat_template of the tokenizer", "none", proposed)


def template_unknown(f: Figures) -> Finding | None:
    """A model that was never taught the chat template is asked with it."""
    if f.plain is None or not f.plain.beats:
        return None
    if f.longer is not None and f.longer.paid >= f.plain.paid:
        return None  # with the template they are longer, and more room is all they need
    words = (
        f"The model does not know the chat template of its tokenizer: asked in plain text {percent(f.plain.paid)} of the "
        f"completions are paid and {percent(f.plain.ended)} end by themselves, against {percent(f.plain.paid_before)} and "
        f"{percent(1 - (f.cut or 0))} with the template."
    )
    return found(
        "template_unknown", f.severity, words, "chat_template of the tokenizer", "set", "none: remove it from the model"
    )


def temperature_high(f: Figures) -> Finding | None:
    """So hot that the model writes noise; at temperature 1 it does not, or it reads prompts too well to be noise itself."""
    heat = f.config.sampling.temperature
    if heat <= _HOT:
        return None
    known = (
        "too few completions end to know what is paid" if f.paid is None else f"{percent(f.paid)} of the completions are paid"
    )
    words = f"At temperature {heat:g} {known}, "
    if f.cooler is not None and f.cooler.paid >= 1.5 * f.cooler.paid_before + NOTHING and f.cooler.pays_more:
        words += f"at temperature 1 {percent(f.cooler.paid)}"
    elif f.cooler is not None and f.cooler.entropy is not None and _is_heat(f, f.cooler.entropy):
        words += f"and they are drawn almost at random; at temperature 1 {percent(f.cooler.paid)} are paid, and they are not"
    elif f.cooler is None and f.may_be_unpaid and f.draws_at_random and f.reads_prompts is not False:
        of = "a model that expects prompts well" if f.reads_prompts else "what may be a sound model"
        words += f"and they are drawn almost at random, from {of} (temperature 1 was not tried)"
    else:
        return None
    words += f": the heat turns answers into noise (entropy {f.entropy or 0:.2f} nats a token)."
    return found("temperature_high", f.severity, words, "sampling.temperature", f"{heat:g}", "1.0")


def _is_heat(f: Figures, cooler: float) -> bool:
    """Whether completions are drawn at random that are not so at temperature 1, where the entropy is `cooler`."""
    return f.is_unpaid and f.draws_at_random and not f.is_random(cooler)


def noise(f: Figures) -> Finding | None:
    """The model draws almost at random: untrained weights, or another model's tokenizer."""
    if f.vocabulary is None or f.entropy is None or not f.may_be_unpaid or not (f.draws_at_random or f.reads_prompts is False):
        return None
    if _heat_may_be_why(f):
        return None
    chance = math.log(f.vocabulary)
    random = f"draws almost at random ({f.entropy:.2f} of {chance:.2f} nats a token)"
    what = random if f.draws_at_random else "reads prompts as noise"
    if f.prompt_logprob is not None:
        what += f", and expects prompts with {f.prompt_logprob:.1f} nats a token (by chance {-chance:.1f})"
    words = f"The model {what}: its weights are untrained, or the tokenizer belongs to another model."
    proposed = "a trained model with its own tokenizer; reasonlab sft first"
    return found("noise", "stops", words, "model.path", f.config.model.path, proposed)


def _heat_may_be_why(f: Figures) -> bool:
    """Whether draws at random may be the temperature's doing, not that of the weights."""
    if f.config.sampling.temperature <= _HOT or f.reads_prompts is False:
        return False
    return f.cooler is None or not f.is_random(f.cooler.entropy)


def limit_too_short(f: Figures) -> Finding | None:
    """The limit cuts completions off before they answer (trl#5697: 97 % of them at the default of 256 tokens)."""
    if f.cut is None or f.groups < FEW_GROUPS or f.cut < 0.4 or f.goes_past_end:
        return None
    if (f.loops or 0) >= 0.6 * f.cut:
        return None  # see `loops`
    limit = f.config.sampling.max_completion_tokens
    words = f"{percent(f.cut)} of the completions are cut off at {limit} tokens, before they end."
    if f.longer is not None:
        if f.longer.ended < 0.25 and not f.longer.pays_more:
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
    if f.loops is None or f.groups < FEW_GROUPS or f.loops < 0.4 or f.goes_past_end:
        return None
    heat = f.config.sampling.temperature
    words = f"{percent(f.loops)} of the completions end in the same few words over and over."
    if heat < 0.7:
        return found("loops", f.severity, words, "sampling.temperature", f"{heat:g}", "1.0")
    proposed = "a model that writes: look at the completion below; a cold start (reasonlab sft)"
    return found("loops", f.severity, words, "model.path", f.config.model.path, proposed)


def never_ends(f: Figures) -> Finding | None:
    """Completions do not end, however much room they are given."""
    if f.cut is None or f.groups < FEW_GROUPS or f.cut < 0.9 or f.longer is None or f.longer.ended >= 0.25:
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
    if f.unread_right is None or f.paid is None or f.groups < FEW_GROUPS or f.unread_right < max(0.05, 0.5 * f.paid):
        return None
    words = (
        f"{percent(f.unread_right)} of the completions are right and not paid, since nothing marks their answer "
        f"({percent(f.paid)} are paid): the prompt does not ask for \\boxed{{}}, or the model does not heed it."
    )
    if "boxed" in f"{f.config.prompt.template}{f.config.prompt.system}":
        return found(
            "answers_unread", f.severity, words, "reward.reading", f.config.reward.reading, "lenient, or a cold start first"
        )
    proposed = '"{prompt}\\nPut your final answer within \\\\boxed{}."; or reward.reading=lenient'
    return found("answers_unread", f.severity, words, "prompt.template", repr(f.config.prompt.template), proposed)


def verdicts_time_out(f: Figures) -> Finding | None:
    """Verdicts that do not come in time teach nothing, right or not."""
    if f.groups < FEW_GROUPS:
        return None
    reward = f.config.reward
    timeouts, late = f.timeouts or 0.0, f.late or 0.0
    severity: Severity = "stops" if max(timeouts, late) > 0.9 else f.severity
    if timeouts >= 0.1:
        limit = reward.timeout_seconds
        words = f"{percent(timeouts)} of the verdicts took longer than {limit:g} s and are paid nothing, right or not."
        return found("verdicts_time_out", severity, words, "reward.timeout_seconds", f"{limit:g}", f"{max(5.0, 4 * limit):g}")
    if late >= 0.1:
        words = (
            f"{percent(late)} of the verdicts were not out {reward.batch_timeout_seconds:g} s after the last completion "
            "(reward.batch_timeout_seconds): what they would pay is lost."
        )
        present = str(reward.workers)
        return found("verdicts_time_out", severity, words, "reward.workers", present, f"{2 * reward.workers}, or more time")
    return None


RULES: Sequence[Rule] = (
    not_finite, prompt_too_long, sampler_apart, references_unreadable, pays_for_anything, same_answer,
    template_doubled, template_missing, template_unknown, stop_token, thinking_open, temperature_high, noise,
    loops, limit_too_short, never_ends, answers_unread, verdicts_time_out, always_the_same,
    learning_rate, warmup_too_long, kl_too_strong, group_too_small, penalised,
)  # fmt: skip
LAST: Sequence[Rule] = (nothing_marked, too_hard, too_easy, no_contrast)  # effects: where no cause was found
