"""Draws completions with the policy itself: continuous batching over a queue of (prompt, completion).

Finished rows leave and waiting ones join, within `max_rows` rows and `cache_tokens` tokens of keys and values; where the
cache runs full the youngest row goes back to the queue. The prompt of a group is computed once (rl/sampling/decoding.py). Each
completion has a random stream of its own, named by (seed, step, problem, number in the group), so a sample does not depend
on what else is in the batch, on these limits, on the number of ranks or on a resume (up to rounding of the logits, which may
differ between batch shapes).
"""

from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch

from problems.errors import LabError
from problems.seeding import derive_seed
from rl.sampling.decoding import Indices, build_decoder
from rl.settings.schema import SamplingSettings
from rl.types import FloatArray, IntArray

_PICK_LOGITS = 2**22  # logits of one draw: small enough to stay in the processor's cache
_HEADROOM = 64  # tokens a row should be able to grow by when it joins


class SamplingError(LabError):
    """Limits or settings under which nothing can be sampled; the message says what to change."""


@dataclass(frozen=True, kw_only=True, eq=False)
class SampleRequest:
    """One prompt and the names of the random streams of its completions (one each)."""

    prompt_ids: IntArray
    streams: tuple[tuple[str | int, ...], ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class Sample:
    """One completion: `request` and `number` say whose; log-probabilities are those of the sampling distribution."""

    request: int
    number: int
    token_ids: IntArray  # [T], stop token included
    logprobs: FloatArray  # [T], nats
    entropies: FloatArray  # [T], nats, of the distribution each token was drawn from
    forced: np.ndarray[Any, np.dtype[np.bool_]]  # [T], tokens put in by budget forcing: not drawn, never to be trained on
    finish_reason: Literal["stop", "length"]
    stopped: bool  # whether the last token is a stop token; a stop sequence ends with finish_reason "stop" alone


@dataclass(frozen=True, kw_only=True)
class ThinkingBudget:
    """Budget forcing (s1, arXiv 2501.19393, section 3.1), as token ids; evaluation only."""

    max_tokens: int  # tokens before the end of thinking is forced
    end_ids: tuple[int, ...]  # the end of thinking; where it is to be suppressed, its first token is
    wait_ids: tuple[int, ...] = ()  # put in its place
    waits: int = 0  # how often


def drawing(settings: SamplingSettings, tokenizer: Any) -> dict[str, Any]:
    """Return the arguments of `Sampler.sample` that `settings` ask for."""
    thinking = settings.thinking
    return {
        "temperature": settings.temperature,
        "top_p": settings.top_p,
        "top_k": settings.top_k,
        "min_tokens": settings.min_completion_tokens,
        "max_tokens": settings.max_completion_tokens,
        "stop": settings.stop,
        "tokenizer": tokenizer,
        "cache_tokens": settings.cache_tokens,
        "thinking": None
        if thinking is None
        else ThinkingBudget(
            max_tokens=thinking.max_tokens,
            end_ids=tuple(tokenizer(thinking.end, add_special_tokens=False).input_ids),
            wait_ids=tuple(tokenizer(thinking.wait, add_special_tokens=False).input_ids),
            waits=thinking.waits,
        ),
    }


@dataclass(frozen=True, kw_only=True)
class SampleStats:
    """What one call of `Sampler.sample` took."""

    steps: int  # forward passes of a decoding step
    peak_rows: int
    peak_cache_tokens: int  # prompts counted once a group
    restarted: int  # rows that had to leave a full cache


def draw_uniforms(stream: tuple[str | int, ...], count: int) -> FloatArray:
    """Return `count` numbers in [0, 1) of the stream with this name; a longer draw begins with a shorter one."""
    generator = np.random.Generator(np.random.Philox(key=derive_seed("sample", *stream)))
    return generator.random(count, dtype=np.float32)


def pick(
    logits: torch.Tensor, uniforms: torch.Tensor, temperature: float, top_p: float = 1.0, top_k: int = 0
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Sample one token a row by inverting the distribution function; `logits` [n, V] are overwritten.

    Uniforms [n] -> ids, log-probabilities and the distribution's entropies [n], in nats. Temperature 0 takes the most likely
    token. With top_k > 0 (the k most likely) or top_p < 1 (nucleus, arXiv 1904.09751) they are those of the cut distribution.
    """
    scores = logits.float()
    if temperature not in (0, 1):
        scores.div_(temperature)
    if top_k or top_p < 1:
        _cut(scores, top_p, top_k)
    scores.sub_(scores.amax(-1, keepdim=True)).clamp_min_(-1e4)  # exp is 0 there, and 0 * -1e4 too
    weights = scores.exp()
    if temperature == 0:
        ids = scores.argmax(-1)
    total = weights.sum(-1)
    entropies = total.log() - torch.linalg.vecdot(weights, scores) / total
    if temperature != 0:
        cumulative = torch.cumsum(weights, -1, out=weights)
        whole = cumulative[:, -1]
        target = torch.minimum(uniforms * whole, torch.nextafter(whole, torch.zeros_like(whole)))
        ids = torch.searchsorted(cumulative, target[:, None], right=True)[:, 0]
    return ids, scores.gather(-1, ids[:, None])[:, 0] - total.log(), entropies


def _cut(scores: torch.Tensor, top_p: float, top_k: int) -> None:
    """Leave the `top_k` highest scores, and of these the smallest set whose share reaches `top_p`."""
    if 0 < top_k < scores.shape[-1]:
        order = scores.topk(top_k, -1).indices
        scores.masked_fill_(torch.ones_like(scores, dtype=torch.bool).scatter_(-1, order, False), -torch.inf)
    if top_p < 1:
        ordered, order = torch.softmax(scores, -1).sort(-1, descending=True)
        before = ordered.cumsum(-1) - ordered
        scores.masked_fill_(torch.zeros_like(scores, dtype=torch.bool).scatter_(-1, order, before >= top_p), -torch.inf)


@dataclass(frozen=True, kw_only=True)
class _Draw:
    """How to draw, see `Sampler.sample`."""

    temperature: float
    top_p: float
    top_k: int
    min_tokens: int
    max_tokens: int
    stop: tuple[str, ...]
    tokenizer: Any
    thinking: ThinkingBudget | None
    cache_tokens: int | None


@dataclass(kw_only=True, eq=False)
class _Thinking:
    """Where one row stands with its thinking budget."""

    open: bool = True
    waits: int = 0
    queue: deque[int] = field(default_factory=deque)


class _Rows:
    """What is known of the running rows, each array by row; only the first `count` rows are in use."""

    def __init__(self, capacity: int, max_tokens: int):
        self.count = 0
        self.request = np.zeros(capacity, dtype=np.int64)
        self.number = np.zeros(capacity, dtype=np.int64)
        self.joined = np.zeros(capacity, dtype=np.int64)  # running number: the youngest row has the highest
        self.length = np.zeros(capacity, dtype=np.int64)
        self.tokens = np.zeros((capacity, max_tokens), dtype=np.int32)
        self.logprobs = np.zeros((capacity, max_tokens), dtype=np.float32)
        self.entropies = np.zeros((capacity, max_tokens), dtype=np.float32)
        self.forced = np.zeros((capacity, max_tokens), dtype=np.bool_)
        self.uniforms = np.zeros((capacity, max_tokens), dtype=np.float32)
        self.thinking = np.full(capacity, None, dtype=object)

    def start(self, request: int, number: int, joined: int, uniforms: FloatArray) -> None:
        """Put a new row behind the others."""
        row, self.count = self.count, self.count + 1
        self.request[row], self.number[row], self.joined[row], self.length[row] = request, number, joined, 0
        self.uniforms[row], self.forced[row], self.thinking[row] = uniforms, False, _Thinking()

    def move(self, source: Indices, target: Indices, count: int) -> None:
        """Put the rows `source` in the place of the rows `target`, then keep the first `count`."""
        for values in vars(self).values():
            if isinstance(values, np.ndarray):
                values[target] = values[source]
        self.count = count


@dataclass(frozen=True, kw_only=True, eq=False)
class Sampler:
    """Samples from `model` (a causal LM of transformers, adapters allowed) on its device."""

    model: Any
    pad_id: int
    stop_ids: frozenset[int]
    max_rows: int

    @torch.no_grad()
    def sample(
        self,
        requests: Sequence[SampleRequest],
        *,
        temperature: float,
        max_tokens: int,
        top_p: float = 1.0,
        top_k: int = 0,
        min_tokens: int = 0,
        stop: Sequence[str] = (),
        tokenizer: Any = None,
        thinking: ThinkingBudget | None = None,
        cache_tokens: int | None = None,
        on_sample: Callable[[Sample], None],
    ) -> SampleStats:
        """Draw every completion of `requests`; each is handed to `on_sample` as soon as it is finished.

        Stop tokens are impossible before `min_tokens`. A completion ends with the token that completes one of the texts
        `stop`, read by `tokenizer`. At most `cache_tokens` tokens have keys and values at one
        time. Raises SamplingError when the cache cannot hold one row or the settings do not go together.
        """
        draw = _Draw(
            temperature=temperature,
            top_p=top_p,
            top_k=top_k,
            min_tokens=min_tokens,
            max_tokens=max_tokens,
            stop=tuple(stop),
            tokenizer=tokenizer,
            thinking=thinking,
            cache_tokens=cache_tokens,
        )
        self._check(requests, draw)
        training = self.model.training
        self.model.eval()
        try:
            return _Run(self, requests, draw).finish(on_sample)
        finally:
            self.model.train(training)

    def _check(self, requests: Sequence[SampleRequest], draw: _Draw) -> None:
        needed = max((len(request.prompt_ids) for request in requests), default=0) + draw.max_tokens
        if draw.cache_tokens is not None and needed > draw.cache_tokens:
            raise SamplingError(
                f"sampling.cache_tokens is {draw.cache_tokens}, and the longest prompt with a completion of {draw.max_tokens} "
                f"tokens needs {needed}: raise cache_tokens or lower max_completion_tokens"
            )
        if draw.stop and draw.tokenizer is None:
            raise SamplingError("stop sequences were given without a tokenizer to read completions with: pass `tokenizer`")
        budget = draw.thinking
        if budget is not None and budget.waits and len(budget.end_ids) != 1:
            raise SamplingError(
                f"the end of thinking has {len(budget.end_ids)} tokens {budget.end_ids}; it can be suppressed only where it is "
                "one token: set waits to 0"
            )


class _Run:
    """One call of `Sampler.sample`."""

    def __init__(self, sampler: Sampler, requests: Sequence[SampleRequest], draw: _Draw):
        self.sampler, self.requests, self.draw = sampler, requests, draw
        self.decoder = build_decoder(sampler.model)
        self.vocabulary = sampler.model.config.get_text_config().vocab_size
        self.prompts = [request.prompt_ids for request in requests]
        self.queue = deque((i, k) for i, request in enumerate(requests) for k in range(len(request.streams)))
        self.rows = _Rows(min(sampler.max_rows, len(self.queue)), draw.max_tokens)
        self.running: Counter[int] = Counter()  # rows of each request; its prompt is in the cache as long as there are any
        self.prompt_tokens = 0  # in the cache
        self.stop_ids = np.asarray(sorted(sampler.stop_ids), dtype=np.int64)
        self.steps = self.peak_rows = self.peak_tokens = self.restarted = self.joined = 0

    def finish(self, on_sample: Callable[[Sample], None]) -> SampleStats:
        """Run until the queue is empty and every row has ended."""
        states = torch.empty(0)
        while self.queue or self.rows.count:
            joining = self._admit()
            if joining:
                first = self.decoder.join(joining, self.prompts)
                states = torch.cat([states, first]) if len(states) else first
            ids = self._extend(states)
            stopped, at_text, full = self._ends(ids)
            ended = stopped | at_text | full
            self.peak_rows = max(self.peak_rows, self.rows.count)
            for row in np.flatnonzero(ended).tolist():
                on_sample(self._sample(row, bool(stopped[row]), bool(stopped[row] | at_text[row])))
            kept = self._leave(ended | self._evicted(ended))
            states = self.decoder.step(torch.from_numpy(ids[kept])) if len(kept) else torch.empty(0)
            self.steps += bool(len(kept))
        return SampleStats(
            steps=self.steps, peak_rows=self.peak_rows, peak_cache_tokens=self.peak_tokens, restarted=self.restarted
        )

    def _admit(self) -> list[int]:
        """Take rows from the queue while there is room; return the request of each."""
        rows = self.rows
        joining: list[int] = []
        if rows.count and not self.decoder.joins:
            return joining
        headroom = min(_HEADROOM, self.draw.max_tokens)
        used = self.prompt_tokens + int(rows.length[: rows.count].sum()) + rows.count * headroom
        while self.queue and rows.count < len(rows.length):
            request, number = self.queue[0]
            prompt = 0 if self.running[request] else len(self.prompts[request])
            used += prompt + headroom
            if self.draw.cache_tokens is not None and rows.count and used > self.draw.cache_tokens:
                break
            self.queue.popleft()
            self.prompt_tokens += prompt
            self.running[request] += 1
            stream = self.requests[request].streams[number]
            rows.start(request, number, self.joined, draw_uniforms(stream, self.draw.max_tokens))
            self.joined += 1
            joining.append(request)
        return joining

    def _extend(self, states: torch.Tensor) -> IntArray:
        """Draw the next token of every row; return them [B]."""
        rows, count = self.rows, self.rows.count
        every, length = np.arange(count), rows.length[:count]
        uniforms = torch.from_numpy(rows.uniforms[every, length]).to(states.device)
        at_once = max(1, _PICK_LOGITS // self.vocabulary)
        parts = [self._pick(states[i : i + at_once], uniforms[i : i + at_once], i) for i in range(0, count, at_once)]
        ids, logprobs, entropies = (torch.cat(part).numpy(force=True) for part in zip(*parts, strict=True))
        rows.logprobs[every, length], rows.entropies[every, length] = logprobs, entropies
        if self.draw.thinking is not None:
            for row in range(count):
                ids[row], forced = self._think(row, int(ids[row]), self.draw.thinking)
                if forced:
                    rows.forced[row, length[row]], rows.logprobs[row, length[row]] = True, 0
        rows.tokens[every, length] = ids
        rows.length[:count] += 1
        return ids

    def _pick(self, states: torch.Tensor, uniforms: torch.Tensor, first: int) -> tuple[torch.Tensor, ...]:
        """Draw one token for each of the rows from `first` on."""
        logits, draw = self.decoder.logits(states), self.draw
        young = np.flatnonzero(self.rows.length[first : first + len(states)] < draw.min_tokens)
        if len(young):
            logits[torch.from_numpy(young)[:, None], torch.from_numpy(self.stop_ids)] = -torch.inf
        return pick(logits, uniforms, draw.temperature, draw.top_p, draw.top_k)

    def _think(self, row: int, drawn: int, budget: ThinkingBudget) -> tuple[int, bool]:
        """Return the token that comes after all, and whether it was forced."""
        state, length = self.rows.thinking[row], int(self.rows.length[row])
        if state.queue:
            return state.queue.popleft(), True
        if not state.open:
            return drawn, False
        if length >= budget.max_tokens:
            state.open = False
            state.queue.extend(budget.end_ids[1:])
            return budget.end_ids[0], True
        if state.waits < budget.waits and (drawn == budget.end_ids[0] or drawn in self.sampler.stop_ids):
            state.waits += 1
            state.queue.extend(budget.wait_ids[1:])
            return budget.wait_ids[0], True
        written = [*self.rows.tokens[row, max(0, length + 1 - len(budget.end_ids)) : length], drawn]
        state.open = tuple(written) != budget.end_ids
        return drawn, False

    def _ends(self, ids: IntArray) -> tuple[Any, Any, Any]:
        """Return which rows [B] end with a stop token, with a stop sequence, and at the length limit."""
        rows, count = self.rows, self.rows.count
        last = np.arange(count), rows.length[:count] - 1
        stopped = np.isin(ids, self.stop_ids) & ~rows.forced[last]
        at_text = np.zeros(count, dtype=np.bool_)
        if self.draw.stop:
            # every token but a special one has at least one byte: these are enough to hold the longest text and one more
            window = max(len(text.encode()) for text in self.draw.stop) + 1
            tails = [rows.tokens[row, max(0, rows.length[row] - window) : rows.length[row]] for row in range(count)]
            texts = self.draw.tokenizer.batch_decode(tails, skip_special_tokens=False)
            at_text = np.asarray([any(stop in text for stop in self.draw.stop) for text in texts])
        return stopped, at_text, rows.length[:count] >= self.draw.max_tokens

    def _sample(self, row: int, stopped: bool, finished: bool) -> Sample:
        rows, written = self.rows, slice(0, int(self.rows.length[row]))
        return Sample(
            request=int(rows.request[row]),
            number=int(rows.number[row]),
            token_ids=rows.tokens[row, written].copy(),
            logprobs=rows.logprobs[row, written].copy(),
            entropies=rows.entropies[row, written].copy(),
            forced=rows.forced[row, written].copy(),
            finish_reason="stop" if finished else "length",
            stopped=stopped,
        )

    def _evicted(self, ended: Any) -> Any:
        """Return which rows [B] must leave for the others to grow by a token: the youngest, which go back to the queue."""
        rows, evicted = self.rows, np.zeros(self.rows.count, dtype=np.bool_)
        staying = np.flatnonzero(~ended)
        lengths = rows.length[staying]
        prompts = Counter(rows.request[staying].tolist())
        used = int(lengths.sum()) + sum(len(self.prompts[request]) for request in prompts)
        limit = self.draw.cache_tokens or used
        for place in np.argsort(-rows.joined[staying]) if used > limit else ():
            if used <= limit:
                break
            row = staying[place]
            request = int(rows.request[row])
            prompts[request] -= 1
            used -= int(rows.length[row]) + (0 if prompts[request] else len(self.prompts[request]))
            evicted[row] = True
            self.queue.appendleft((request, int(rows.number[row])))
            self.restarted += 1
        self.peak_tokens = max(self.peak_tokens, used)
        return evicted

    def _leave(self, leaving: Any) -> Indices:
        """Let rows go; return which row [B'] now stands in each place."""
        count, rows = self.rows.count - int(leaving.sum()), self.rows
        kept = np.arange(rows.count)
        if count == rows.count:
            return kept
        for request in rows.request[: rows.count][leaving].tolist():
            self.running[request] -= 1
        closing = [request for request in set(rows.request[: rows.count][leaving].tolist()) if not self.running[request]]
        source = count + np.flatnonzero(~leaving[count:])
        target = np.flatnonzero(leaving[:count])
        kept[target] = source
        rows.move(source, target, count)
        self.decoder.move(source, target, count)
        for request in closing:
            self.prompt_tokens -= len(self.prompts[request])
            self.decoder.close(request)
        return kept[:count]
