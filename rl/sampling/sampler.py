"""Draws completions with the policy itself: continuous batching over a queue of (prompt, completion).

Finished rows leave and waiting ones join, within `max_rows` rows and `cache_tokens` tokens of keys and values; where the
cache runs full the youngest row goes back to the queue. The prompt of a group is computed once (rl/sampling/decoding.py). Each
completion has a random stream of its own, named by (seed, step, sampling round, problem, number in the group), so a sample
does not depend on what else is in the batch, on these limits, on the number of ranks or on a resume (up to rounding of the
logits, which may differ between batch shapes). Further requests may come while others run: they are asked for at fixed
numbers of tokens, never by the clock, so that batch shapes are the same in every run.

A row is one completion while it is being drawn. Dimension letters: B running rows, T tokens of a completion, H hidden size.
"""

from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

from rl.heartbeat import Now
from rl.policy.interfaces import CausalLM
from rl.sampling.decoding import Decoder, build_decoder
from rl.sampling.errors import SamplingError
from rl.sampling.how_to_draw import HowToDraw
from rl.sampling.picking import draw_uniforms, pick
from rl.sampling.thinking import BudgetForcing
from rl.stopping import leave_if_told
from rl.types import BoolArray, FloatArray, Indices, IntArray

# logits of one draw: on a CPU small enough to stay in the processor's cache, on a GPU those of 2,000 rows in float32 and 1 GB
_PICK_LOGITS = 2**22
_PICK_LOGITS_ON_A_GPU = 2**28
_HEADROOM = 64  # tokens a row should be able to grow by when it joins
_SPARE = 64  # tokens by which prompts that come later may be longer before a larger decoder must be made
# how often it is asked for more while a completion of full length is drawn, and the fewest tokens between two times. Often
# costs waiting for ranks and verdicts, seldom leaves places empty
_ASKED, _FEWEST_BETWEEN = 32, 2
# requests that came later join when their completions are this share of the rows, or when no more than this share is left:
# every join is a forward pass over their prompts, which takes as long as several decoding steps
_WORTH_JOINING = 1 / 8
# tokens: completions of no more end so close together that on a CPU the joins cost more than the steps they save (LOG.md), so
# there all that run end first; on a GPU, a step costs the same for few rows as for many
_SHORT_ON_A_CPU = 128


@dataclass(frozen=True, kw_only=True, eq=False)
class SampleRequest:
    """One prompt and the names of the random streams of its completions (one each)."""

    prompt_ids: IntArray  # [T_prompt]
    streams: tuple[tuple[str | int, ...], ...]


More = Callable[[], Sequence[SampleRequest] | None]  # further requests; None: no more will ever come


@dataclass(frozen=True, kw_only=True, eq=False)
class Sample:
    """One completion: `request` and `number` say whose; log-probabilities are those of the sampling distribution."""

    request: int
    number: int
    token_ids: IntArray  # [T], stop token included
    logprobs: FloatArray  # [T], nats; 0 where a token was forced
    entropies: FloatArray  # [T], nats, of the distribution each token was drawn from
    forced: BoolArray  # [T], tokens put in by budget forcing: not drawn, never to be trained on
    finish_reason: Literal["stop", "length"]
    stopped: bool  # whether the last token is a stop token; a stop sequence ends with finish_reason "stop" alone


@dataclass(frozen=True, kw_only=True)
class SampleStats:
    """What one call of `Sampler.sample` took."""

    steps: int  # forward passes of a decoding step
    peak_rows: int
    peak_cache_tokens: int  # prompts counted once a group
    restarted: int  # rows that had to leave a full cache


@dataclass(frozen=True, kw_only=True, eq=False)
class Sampler:
    """Samples from `model` on its device; adapters are allowed."""

    model: CausalLM
    pad_id: int
    stop_ids: frozenset[int]
    max_rows: int  # completions that run at one time
    short_on_a_cpu: int = _SHORT_ON_A_CPU  # tokens

    @torch.no_grad()
    def sample(
        self, requests: Sequence[SampleRequest], how: HowToDraw, on_sample: Callable[[Sample], None], more: More | None = None
    ) -> SampleStats:
        """Draw every completion of `requests`; each is handed to `on_sample` as soon as it is finished.

        `more` is asked for further requests, numbered on, every few tokens (short completions on a CPU: never while some
        run) and when there is nothing left to draw. Raises SamplingError when the cache cannot hold one row.
        """
        training = self.model.training
        self.model.eval()
        try:
            return _Run(self, requests, how, more).finish(on_sample)
        finally:
            self.model.train(training)


class _Rows:
    """What is known of the running rows, each array by row; only the first `count` rows are in use."""

    def __init__(self, capacity: int, max_tokens: int):
        self.count = 0
        self.request = np.zeros(capacity, dtype=np.int64)
        self.number = np.zeros(capacity, dtype=np.int64)
        self.joined = np.zeros(capacity, dtype=np.int64)  # running number: the youngest row has the highest
        self.length = np.zeros(capacity, dtype=np.int64)  # tokens drawn so far
        self.tokens = np.zeros((capacity, max_tokens), dtype=np.int32)
        self.logprobs = np.zeros((capacity, max_tokens), dtype=np.float32)
        self.entropies = np.zeros((capacity, max_tokens), dtype=np.float32)
        self.forced = np.zeros((capacity, max_tokens), dtype=np.bool_)
        self.uniforms = np.zeros((capacity, max_tokens), dtype=np.float32)

    @property
    def capacity(self) -> int:
        """The most rows there can be."""
        return len(self.length)

    def start(self, request: int, number: int, joined: int, uniforms: FloatArray) -> None:
        """Put a new row behind the others."""
        row = self.count
        self.count += 1
        self.request[row], self.number[row], self.joined[row] = request, number, joined
        self.length[row] = 0
        self.uniforms[row], self.forced[row] = uniforms, False

    def append(self, ids: IntArray, logprobs: FloatArray, entropies: FloatArray, forced: BoolArray | None) -> None:
        """Give each row its next token, all arrays [B]; None: no token was forced."""
        every, place = np.arange(self.count), self.length[: self.count]
        self.tokens[every, place] = ids
        self.logprobs[every, place], self.entropies[every, place] = logprobs, entropies
        if forced is not None:
            self.forced[every, place] = forced
        self.length[: self.count] += 1

    def written(self, row: int) -> IntArray:
        """Return the tokens [T] of a row so far."""
        return self.tokens[row, : self.length[row]]

    def behind_forced(self, row: int) -> IntArray:
        """Return the tokens [T'] of a row behind the last one that was put in."""
        forced = np.flatnonzero(self.forced[row, : self.length[row]])
        return self.written(row)[forced[-1] + 1 if len(forced) else 0 :]

    def sample(self, row: int, *, stopped: bool, finished: bool) -> Sample:
        """Return a row that has ended as a sample."""
        length = int(self.length[row])
        return Sample(
            request=int(self.request[row]),
            number=int(self.number[row]),
            token_ids=self.tokens[row, :length].copy(),
            logprobs=self.logprobs[row, :length].copy(),
            entropies=self.entropies[row, :length].copy(),
            forced=self.forced[row, :length].copy(),
            finish_reason="stop" if finished else "length",
            stopped=stopped,
        )

    def move(self, source: Indices, target: Indices, count: int) -> None:
        """Put the rows `source` in the place of the rows `target`, then keep the first `count`."""
        for values in vars(self).values():
            if isinstance(values, np.ndarray):
                values[target] = values[source]
        self.count = count


class _Run:
    """One call of `Sampler.sample`."""

    def __init__(self, sampler: Sampler, requests: Sequence[SampleRequest], how: HowToDraw, more: More | None):
        self.sampler, self.how, self.more = sampler, how, more
        vocabulary = sampler.model.config.get_text_config().vocab_size
        place = next(iter(sampler.model.parameters())).device.type
        self.rows_at_once = max(1, (_PICK_LOGITS if place == "cpu" else _PICK_LOGITS_ON_A_GPU) // vocabulary)
        self.requests: list[SampleRequest] = []
        self.prompts: list[IntArray] = []  # by request
        self.queue: deque[tuple[int, int]] = deque()  # request and number of each completion that waits
        self._take_in(requests)
        while self.more is not None and not self.queue:
            self._ask()
        self.first_requests = len(self.requests)  # those that come later take the places of others
        self.rows = _Rows(min(sampler.max_rows, len(self.queue)), how.max_tokens)
        if self.queue:  # else nothing will come, and to make a decoder is to lay all weights out
            self.decoder = self._open_decoder()
        self.running: Counter[int] = Counter()  # rows of each request; its prompt is in the cache as long as there are any
        self.prompt_tokens = 0  # in the cache
        self.stop_ids = np.asarray(sorted(sampler.stop_ids), dtype=np.int64)
        self.forcing = BudgetForcing(how.thinking, sampler.stop_ids) if how.thinking else None  # None in training
        is_short = place == "cpu" and how.max_tokens <= sampler.short_on_a_cpu
        self.ask_every = None if is_short else max(_FEWEST_BETWEEN, how.max_tokens // _ASKED)  # tokens; None: when none runs
        self.drawn = 0  # tokens of a row that was there from the start
        self.steps = self.peak_rows = self.peak_tokens = self.restarted = self.joined = 0

    def finish(self, on_sample: Callable[[Sample], None]) -> SampleStats:
        """Run until every row has ended and no more are to come."""
        states = torch.empty(0)  # [B, H], from which the next token of each row is predicted
        while self._has_work():
            joining = self._admit()
            if joining:
                first = self.decoder.join(joining, self.prompts)
                states = torch.cat([states, first]) if len(states) else first
            ids = self._extend(states)
            self.drawn += 1
            Now.marks += 1
            if self.more is None:  # else ranks leave together, when they ask for more
                leave_if_told()
            ended = self._hand_over(on_sample)
            staying = self._leave(ended | self._evicted(ended))
            if len(staying):
                states = self.decoder.step(torch.from_numpy(ids[staying]))
                self.steps += 1
            else:
                states = torch.empty(0)
        return SampleStats(
            steps=self.steps, peak_rows=self.peak_rows, peak_cache_tokens=self.peak_tokens, restarted=self.restarted
        )

    def _open_decoder(self) -> Decoder:
        """Return a decoder with room for the longest request so far, and somewhat longer ones where more may come."""
        longest = max((len(prompt) for prompt in self.prompts), default=0) + self.how.max_tokens
        self.room = longest if self.more is None else longest + _SPARE  # tokens of a row
        rows = max(1, self.rows.capacity)
        return build_decoder(self.sampler.model, rows, self.room, recorded=self.how.cuda_graphs)

    def _ask(self) -> None:
        """Queue what further requests there are."""
        assert self.more is not None
        further = self.more()
        if further is None:
            self.more = None
        else:
            self._take_in(further)

    def _take_in(self, requests: Sequence[SampleRequest]) -> None:
        """Queue `requests`; raises SamplingError when the cache cannot hold a row of one of them."""
        needed = max((len(request.prompt_ids) for request in requests), default=0) + self.how.max_tokens
        if self.how.cache_tokens is not None and needed > self.how.cache_tokens:
            raise SamplingError(
                f"sampling.cache_tokens is {self.how.cache_tokens}, and the longest prompt with a completion of "
                f"{self.how.max_tokens} tokens needs {needed}: raise cache_tokens or lower max_completion_tokens"
            )
        for request in requests:
            self.queue.extend((len(self.requests), number) for number in range(len(request.streams)))
            self.requests.append(request)
            self.prompts.append(request.prompt_ids)

    def _has_work(self) -> bool:
        """Whether there is a row to draw; asks for more where that is due, and again while there is none."""
        is_due = self.ask_every is not None and self.drawn % self.ask_every == 0 and self.drawn > 0
        while self.more is not None and (is_due or not (self.queue or self.rows.count)):
            self._ask()
            is_due = False
        return bool(self.queue or self.rows.count)

    def _admit(self) -> list[int]:
        """Take rows from the queue while there is room; return the request of each."""
        rows = self.rows
        joining: list[int] = []
        if (rows.count and not self.decoder.joins) or self._waits_for_others():
            return joining
        headroom = min(_HEADROOM, self.how.max_tokens)
        used = self.prompt_tokens + int(rows.length[: rows.count].sum()) + rows.count * headroom
        while self.queue and rows.count < rows.capacity:
            request, number = self.queue[0]
            if len(self.prompts[request]) + self.how.max_tokens > self.room:
                if rows.count:
                    break
                del self.decoder  # first: there may not be room for two
                self.decoder = self._open_decoder()
            prompt = 0 if self.running[request] else len(self.prompts[request])
            used += prompt + headroom
            # a lone row may always join: `Sampler.sample` has made sure that the cache can hold it to its end
            if self.how.cache_tokens is not None and rows.count and used > self.how.cache_tokens:
                break
            self.queue.popleft()
            self.prompt_tokens += prompt
            self.running[request] += 1
            stream = self.requests[request].streams[number]
            rows.start(request, number, self.joined, draw_uniforms(stream, self.how.max_tokens))
            self.joined += 1
            joining.append(request)
        self.peak_rows = max(self.peak_rows, rows.count)
        return joining

    def _waits_for_others(self) -> bool:
        """Whether the next request came later, and too few completions wait to be worth a forward pass over their prompts."""
        if self.more is None or not self.queue:
            return False
        request, worth = self.queue[0][0], _WORTH_JOINING * self.rows.capacity
        needs_its_prompt = request >= self.first_requests and not self.running[request]
        return needs_its_prompt and len(self.queue) < worth < self.rows.count

    def _extend(self, states: torch.Tensor) -> IntArray:
        """Draw the next token of every row from its state [B, H]; return them [B]."""
        ids, logprobs, entropies = self._draw(states)
        if not np.isfinite(logprobs).all():
            raise SamplingError(self._not_numbers(int(np.flatnonzero(~np.isfinite(logprobs))[0])))
        forced = None
        if self.forcing is not None:  # the one place where a rule may overrule what was drawn
            forced = self._overrule(self.forcing, ids)
            logprobs[forced] = 0
        self.rows.append(ids, logprobs, entropies, forced)
        return ids

    def _not_numbers(self, row: int) -> str:
        """Return what to say where the logits of a row are no numbers."""
        request, number = int(self.rows.request[row]), int(self.rows.number[row])
        stream = "/".join(map(str, self.requests[request].streams[number]))
        broken = [name for name, weights in self.sampler.model.named_parameters() if not weights.isfinite().all()]
        why = "its weights are finite, so they have grown until sums overflow"
        if broken:
            why = f"{len(broken)} of its weights are not finite themselves, the first is {broken[0]}"
        return (
            "the model's logits are not numbers (NaN or infinite), so no token can be drawn (first met in completion "
            f"{stream}, token {self.rows.length[row]}): {why}; its weights have diverged or are damaged; go on from an earlier "
            "checkpoint with a smaller optimizer.learning_rate, or open another model"
        )

    def _draw(self, states: torch.Tensor) -> tuple[IntArray, FloatArray, FloatArray]:
        """Return drawn tokens, their log-probabilities and the entropies [B], in nats; of few rows at a time."""
        rows, how = self.rows, self.how
        every, place = np.arange(rows.count), rows.length[: rows.count]
        uniforms = torch.from_numpy(rows.uniforms[every, place]).to(states.device)  # [B]
        parts = []
        for first in range(0, rows.count, self.rows_at_once):
            part = slice(first, first + self.rows_at_once)
            logits = self.decoder.logits(states[part])  # [n, V]
            self._forbid_stops(logits, first)
            parts.append(pick(logits, uniforms[part], how.temperature, how.top_p, how.top_k))
        ids, logprobs, entropies = (torch.cat(column) for column in zip(*parts, strict=True))
        if ids.device.type == "cpu":
            return ids.numpy(), logprobs.numpy(), entropies.numpy()
        together = torch.stack([ids.double(), logprobs.double(), entropies.double()]).cpu().numpy()  # one wait instead of three
        return together[0].astype(np.int64), together[1].astype(np.float32), together[2].astype(np.float32)

    def _forbid_stops(self, logits: torch.Tensor, first: int) -> None:
        """Make stop tokens impossible for the rows from `first` on that are too short to end; logits [n, V]."""
        young = np.flatnonzero(self.rows.length[first : first + len(logits)] < self.how.min_tokens)
        if len(young):
            logits[torch.from_numpy(young)[:, None], torch.from_numpy(self.stop_ids)] = -torch.inf

    def _overrule(self, forcing: BudgetForcing, ids: IntArray) -> BoolArray:
        """Put forced tokens in the place of drawn ones, in `ids` [B] itself; return where [B]."""
        rows = self.rows
        forced = np.zeros(rows.count, dtype=np.bool_)
        for row in range(rows.count):
            name = int(rows.request[row]), int(rows.number[row])
            token = forcing.token_instead(name, rows.written(row), int(ids[row]))
            if token is not None:
                ids[row], forced[row] = token, True
        return forced

    def _hand_over(self, on_sample: Callable[[Sample], None]) -> BoolArray:
        """Hand every row that has ended to `on_sample`; return which [B] they are."""
        rows, count = self.rows, self.rows.count
        every, last = np.arange(count), rows.length[:count] - 1
        # a stop token or text that was put in does not end a completion: budget forcing may wait with one, or ask for an answer
        stopped = np.isin(rows.tokens[every, last], self.stop_ids) & ~rows.forced[every, last]
        finished = stopped
        if self.how.stop is not None:
            finished = stopped | self.how.stop.complete([rows.behind_forced(row) for row in range(count)])
        full = rows.length[:count] >= self.how.max_tokens
        ended: BoolArray = finished | full
        for row in np.flatnonzero(ended).tolist():
            on_sample(rows.sample(row, stopped=bool(stopped[row]), finished=bool(finished[row])))
        return ended

    def _evicted(self, ended: BoolArray) -> BoolArray:
        """Return which rows [B] must leave for the others to grow by a token: the youngest, which go back to the queue."""
        rows = self.rows
        evicted = np.zeros(rows.count, dtype=np.bool_)
        staying = np.flatnonzero(~ended)
        members = Counter(rows.request[staying].tolist())  # of each request that stays: its prompt counts once
        used = int(rows.length[staying].sum()) + sum(len(self.prompts[request]) for request in members)
        limit = self.how.cache_tokens
        if limit is not None and used > limit:
            for row in staying[np.argsort(-rows.joined[staying])].tolist():
                if used <= limit:
                    break
                request, number = int(rows.request[row]), int(rows.number[row])
                members[request] -= 1
                used -= int(rows.length[row]) + (0 if members[request] else len(self.prompts[request]))
                evicted[row] = True
                self.queue.appendleft((request, number))
                self.restarted += 1
        self.peak_tokens = max(self.peak_tokens, used)
        return evicted

    def _leave(self, leaving: BoolArray) -> Indices:
        """Let rows go; return which row [B'] now stands in each place."""
        rows = self.rows
        stands = np.arange(rows.count)
        count = rows.count - int(leaving.sum())
        if count == rows.count:
            return stands
        requests = rows.request[: rows.count][leaving].tolist()
        self.running.subtract(requests)
        # the last rows move into the places of those that go, so that the rows in use stay the first ones
        source = count + np.flatnonzero(~leaving[count:])
        target = np.flatnonzero(leaving[:count])
        stands[target] = source
        rows.move(source, target, count)
        self.decoder.move(source, target, count)
        for request in set(requests):
            if not self.running[request]:
                self.prompt_tokens -= len(self.prompts[request])
                self.decoder.close(request)
        return stands[:count]
