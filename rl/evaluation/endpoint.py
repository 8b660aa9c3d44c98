"""Answers of a model behind an OpenAI-compatible HTTP endpoint (vLLM, llama.cpp, SGLang, a vendor), with our verifiers.

One request a completion, so that each has a seed of its own, named as in process, and its own count of tokens. The server
renders the prompt: its template, and not ours, is what the model reads. Whether seeds do anything is tried out once and said;
a server that knows none makes samples that nobody can draw again (`--resume` keeps those that are written).

The key goes into one header and nowhere else: what a server says is shown without it, and no redirect takes it along.
An error or Ctrl-C is told at once; the process itself ends when the requests under way do (`timeout_seconds` at most).

Protocol: https://platform.openai.com/docs/api-reference/chat/create and .../completions/create; `reasoning_content`, `top_k`
and `min_tokens` are vLLM's (https://docs.vllm.ai, "OpenAI-Compatible Server").
"""

import http.client
import json
import os
import re
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Any

from problems.errors import LabError
from problems.seeding import derive_rng, derive_seed
from problems.telling import warn
from problems.types import Problem
from rewards.pool import VerifierPool, collect
from rl.evaluation.samples import Scored, cluster_of, scored
from rl.heartbeat import Now, doing
from rl.policy.prompts import messages, reading_of
from rl.settings.evaluation import EndpointSettings, EvalConfig
from rl.stopping import leave_if_told
from rl.tracking.run_directory import JsonDict
from rl.types import Completion

# what a server says that may answer when asked again; from 520 on it is a proxy that did not reach it (Cloudflare)
_LATER = frozenset({408, 409, 425, 429, 500, 502, 503, 504, *range(520, 530)})
_UNREADABLE = 200  # "OK", and yet no completion
_OF_ONE_PROBLEM = frozenset({_UNREADABLE, 400, 413, 422})  # others may be answered all the same, so it is named
_OF_THE_BODY = frozenset({400, 422})  # a parameter that the server does not take
_LONGEST_PAUSE_SECONDS = 60.0
_READ_BYTES = 2**16  # of what a server says when it refuses


class EndpointError(LabError):
    """An endpoint that cannot be used; the message says what it answered."""


class Refusal(EndpointError):
    """An answer that asking again does not change: its HTTP status, and the words in its body."""

    def __init__(self, message: str, code: int, words: str = "") -> None:
        super().__init__(message)
        self.code, self.words = code, words


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What the endpoint said to one request."""

    completion: Completion
    reasoning_tokens: int | None
    mean_logprob: float | None


@dataclass(kw_only=True)
class Endpoint:
    """Draws and scores answers through HTTP. After an error it is done with: its threads have been told to stop."""

    config: EvalConfig
    settings: EndpointSettings
    pool: VerifierPool
    takes_seed: bool = True  # until it refuses one
    _tried: bool = field(default=False, init=False)
    _key: str = field(init=False, repr=False)
    _stopped: threading.Event = field(default_factory=threading.Event, init=False)
    _flipping: threading.Lock = field(default_factory=threading.Lock, init=False)  # around takes_seed

    def __post_init__(self) -> None:
        """Read the key; raises EndpointError where no header can hold it."""
        self._key = os.environ.get(self.settings.key_variable, "").strip()  # files of variables end their lines in CRLF
        if not (self._key.isascii() and self._key.isprintable()):  # http.client would show it in its complaint
            raise EndpointError(
                f"the environment variable {self.settings.key_variable} holds no key: there is a line break or another "
                "character in it that is not printable ASCII (it is not shown here). Set it to the key alone"
            )

    def answers(self, problems: Sequence[Problem], ended: Callable[[], None] = lambda: None) -> list[list[Scored]]:
        """Return the samples of each problem, in order, and call `ended` for each.

        Raises EndpointError where the endpoint does not answer in the end.
        """
        if not self._tried:
            self._try_seeds(problems[0])
        config = self.config
        places = [(i, k) for i in range(len(problems)) for k in range(config.samples)]
        replies, verdicts = {}, {}
        threads = ThreadPoolExecutor(self.settings.concurrency)
        try:
            waiting = {threads.submit(self._draw, problems[i], k): (i, k) for i, k in places}
            with doing("waiting for the endpoint", patience=self.settings.timeout_seconds):
                for done in _as_completed(waiting):
                    i, k = waiting[done]
                    replies[i, k] = done.result()
                    reading = reading_of(config.prompt, config.reward.reading)
                    verdicts[i, k] = self.pool.submit(problems[i], replies[i, k].completion.text, reading)
                    ended()
        except BaseException:
            self._stopped.set()  # those that pause
            raise
        finally:  # no `with`: it would wait for requests under way before an error or Ctrl-C is told
            threads.shutdown(wait=False, cancel_futures=True)
        judged = collect([verdicts[place] for place in places], config.reward.batch_timeout_seconds, leave_if_told)
        records: list[list[Scored]] = [[] for _ in problems]
        for (i, k), verdict in zip(places, judged, strict=True):
            reply, problem = replies[i, k], problems[i]
            more = {"reasoning_tokens": reply.reasoning_tokens, "mean_logprob": reply.mean_logprob}
            cluster = cluster_of(problem, config.cluster)
            records[i].append(scored(problem, k, reply.completion, verdict, cluster, **more))
        return records

    def _try_seeds(self, problem: Problem) -> None:
        """Ask one problem twice with one seed, and say what came of it."""
        self._tried = True
        first, second = self._draw(problem, 0), self._draw(problem, 0)
        is_random = self.config.sampling.temperature > 0
        if self.takes_seed and is_random and first.completion.text != second.completion.text:
            warn(f"{self.settings.url} answered one problem with one seed in two ways: nobody can draw these samples again")

    def _draw(self, problem: Problem, number: int) -> Reply:
        """Return one completion; an error that may be this problem's alone names it."""
        try:
            return self._read(self._answer(problem, number))
        except Refusal as error:
            if error.code not in _OF_ONE_PROBLEM:
                raise
            raise EndpointError(f"problem {problem.id} ({problem.source}): {error}") from None

    def _answer(self, problem: Problem, number: int) -> JsonDict:
        """Return what the server answers, asked with a seed unless it is known to take none."""
        body = self._body(problem)
        if not self.takes_seed:
            return self._ask(body)
        # as in process a stream of its own for each sample; servers take 32 bits
        seed = derive_seed("eval", self.config.run.seed, problem.id, number) % 2**31
        try:
            return self._ask({**body, "seed": seed})
        except Refusal as error:
            if error.code not in _OF_THE_BODY or "seed" not in error.words.lower():
                raise
            refused = error
        # the word alone proves nothing: it may be a model's name, or the request said back. That it works without does
        answer = self._ask(body)
        with self._flipping:
            if self.takes_seed:
                self.takes_seed = False
                warn(f"takes no seed, so nobody can draw these samples again: {refused}")
        return answer

    def _read(self, answer: Any) -> Reply:
        """Return what an answer holds; raises Refusal where it is none of the protocol's."""
        api = self.settings.api
        try:
            return read_reply(answer, api)
        except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
            why = self._shown(f"{type(error).__name__}: {error}")
            raise Refusal(
                f"{self.settings.url} answered what is no {api} completion with its usage ({why}): "
                f"{self._shown(json.dumps(answer), 300)}",
                _UNREADABLE,
            ) from None

    def _body(self, problem: Problem) -> JsonDict:
        """Return a request without its seed."""
        drawing, chat = self.config.sampling, messages(problem, self.config.prompt)
        body: JsonDict = {
            "model": self.config.model.path,
            "temperature": drawing.temperature,
            "top_p": drawing.top_p,
            self.settings.limit: drawing.max_completion_tokens,
        }
        if drawing.stop:
            body["stop"] = list(drawing.stop)
        if drawing.top_k:
            body["top_k"] = drawing.top_k
        if drawing.min_completion_tokens:
            body["min_tokens"] = drawing.min_completion_tokens
        if self.settings.api == "chat":
            return {**body, "messages": chat, **({"logprobs": True} if self.settings.logprobs else {})}
        prompt = "\n\n".join(message["content"] for message in chat)  # as prompts.py has it without a chat template
        return {**body, "prompt": prompt, **({"logprobs": 1} if self.settings.logprobs else {})}

    def _ask(self, body: JsonDict) -> JsonDict:
        """Return the answer to a request, asked again with growing pauses while the server is busy or away."""
        path = "chat/completions" if self.settings.api == "chat" else "completions"
        for attempt in range(self.settings.retries + 1):
            asked_pause = 0.0
            try:
                return self._post(path, body)
            except urllib.error.HTTPError as error:
                words = _words(error)
                said = f"HTTP {error.code}: {self._shown(words.strip())}"
                if error.code not in _LATER:
                    refusal = f"{self.settings.url} refuses: {said}{self._hint(error.code)}"
                    raise Refusal(refusal, error.code, words) from None
                asked_pause = _asked_pause(error.headers.get("Retry-After"))
            # a connection that breaks off, a server that is not up yet, a body that is cut, also within a character
            except (OSError, http.client.HTTPException, ValueError) as error:
                said = self._shown(f"{type(error).__name__}: {error}")
            # never sooner than the growing pause: a Retry-After of 0 would burn all tries at once
            pause = min(_LONGEST_PAUSE_SECONDS, max(asked_pause, self._pause(attempt)))
            if attempt < self.settings.retries and self._stopped.wait(pause):
                raise EndpointError("stopped")  # nobody hears it: another request's error ends the evaluation
        raise EndpointError(
            f"{self.settings.url} did not answer in {self.settings.retries + 1} tries; the last one: {said}. "
            "What was drawn is kept: go on with --resume when it is up"
        )

    def _pause(self, attempt: int) -> float:
        """Return seconds to wait: twice as long each time, and not the same for all that were refused together."""
        longest = min(_LONGEST_PAUSE_SECONDS, self.settings.first_pause_seconds * 2.0**attempt)
        return longest * derive_rng("pause", time.monotonic_ns()).uniform(0.5, 1.0)

    def _post(self, path: str, body: JsonDict) -> JsonDict:
        headers = {"Content-Type": "application/json"}
        url = f"{self.settings.url.rstrip('/')}/{path}"
        request = urllib.request.Request(url, json.dumps(body).encode(), headers, method="POST")
        if self._key:
            request.add_unredirected_header("Authorization", f"Bearer {self._key}")
        with urllib.request.urlopen(request, timeout=self.settings.timeout_seconds) as answer:
            read: JsonDict = json.loads(answer.read())
            return read

    def _shown(self, text: str, longest: int = 500) -> str:
        """Return what a server said, cut, with *** for the key, also as the escapes of JSON write it."""
        if self._key:  # hidden before it is cut, or a part of it would stay
            text = re.sub("".join(map(_escaped, self._key)), "***", text, flags=re.IGNORECASE)
        return text[:longest]

    def _hint(self, code: int) -> str:
        if code not in (401, 403):
            return ""
        is_set = "is set" if self._key else "is not set"
        return f" (the key is read from the environment variable {self.settings.key_variable}, which {is_set})"


def _escaped(character: str) -> str:
    r"""Return a pattern of an ASCII character and of its escapes, also escaped again: `/`, `\/`, `\u002f`, `\\/`."""
    return rf"\\{{0,3}}(?:{re.escape(character)}|u00{ord(character):02x})"


def _words(error: urllib.error.HTTPError) -> str:
    """Return the body of a refusal, of which the connection may not have brought all."""
    try:
        with error:
            return error.read(_READ_BYTES).decode(errors="replace")
    except (OSError, http.client.HTTPException) as broken:
        return f"(what it said broke off: {type(broken).__name__})"


def _asked_pause(header: str | None) -> float:
    """Return the seconds that a server asks to wait; it may also name a date, which is not read."""
    return float(header) if header is not None and header.strip().isdecimal() else 0.0


def read_reply(answer: Any, api: str) -> Reply:
    """Return what an answer holds; raises KeyError, ValueError and their like where it is none of the protocol's."""
    if not answer["choices"]:
        raise ValueError("`choices` is empty")
    choice, usage = answer["choices"][0], answer["usage"]
    details = usage.get("completion_tokens_details") or {}
    return Reply(
        completion=Completion(
            text=_said(choice["message"]) if api == "chat" else _text(choice["text"]),
            finish_reason="length" if choice.get("finish_reason") == "length" else "stop",
            num_tokens=int(usage["completion_tokens"]),
        ),
        reasoning_tokens=details.get("reasoning_tokens"),
        mean_logprob=_mean_logprob(choice.get("logprobs") or {}),
    )


def _as_completed(waiting: Iterable[Future[Reply]]) -> Iterator[Future[Reply]]:
    """Yield answers as they come; left where the run is told to stop."""
    pending = set(waiting)
    while pending:
        done, pending = wait(pending, timeout=1.0, return_when=FIRST_COMPLETED)
        leave_if_told()
        Now.marks += len(done)
        yield from done


def _said(message: JsonDict) -> str:
    """Return the text of a chat's message: content, in parts or whole, or a refusal; its reasoning in front."""
    content = message.get("content") or message.get("refusal") or ""
    if isinstance(content, list):
        content = "".join(_text(part.get("text", part.get("refusal"))) for part in content)
    thought = message.get("reasoning_content") or message.get("reasoning")
    return f"<think>{_text(thought)}</think>{_text(content)}" if thought else _text(content)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{type(value).__name__} where a text is due")
    return value


def _mean_logprob(logprobs: JsonDict) -> float | None:
    """Return the mean over tokens: `content` of a chat, `token_logprobs` of a completion."""
    content = logprobs.get("content")
    listed = [one["logprob"] for one in content] if content else logprobs.get("token_logprobs") or []
    values = [one for one in listed if one is not None]  # 0.0 is a token that was certain
    return round(sum(values) / len(values), 6) if values else None
