"""Answers of a model behind an OpenAI-compatible HTTP endpoint (vLLM, llama.cpp, SGLang, a vendor), with our verifiers.

One request a completion, so that each has a seed of its own, named as in process, and its own count of tokens. The server
renders the prompt: its template, and not ours, is what the model reads. Whether seeds do anything is tried out once and said;
a server that knows none makes samples that nobody can draw again (`--resume` keeps those that are written).

Protocol: https://platform.openai.com/docs/api-reference/chat/create and .../completions/create; `reasoning_content`, `top_k`
and `min_tokens` are vLLM's (https://docs.vllm.ai, "OpenAI-Compatible Server").
"""

import http.client
import json
import os
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from typing import Any

from problems.errors import LabError
from problems.seeding import derive_rng, derive_seed
from problems.types import Problem
from rewards.pool import VerifierPool, collect
from rewards.types import Reading
from rl.evaluation.samples import Scored, cluster_of, scored
from rl.policy.prompts import messages
from rl.settings.evaluation import EndpointSettings, EvalConfig
from rl.tracking.run_directory import JsonDict
from rl.types import Completion

_LATER = frozenset({408, 409, 425, 429, 500, 502, 503, 504})  # what a server says that may answer when asked again
_LONGEST_PAUSE_SECONDS = 60.0


class EndpointError(LabError):
    """An endpoint that cannot be used; the message says what it answered."""


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What the endpoint said to one request."""

    completion: Completion
    reasoning_tokens: int | None
    mean_logprob: float | None


@dataclass(kw_only=True)
class Endpoint:
    """Draws and scores answers through HTTP."""

    config: EvalConfig
    settings: EndpointSettings
    pool: VerifierPool
    takes_seed: bool = True  # until it refuses one
    _tried: bool = field(default=False, init=False)

    def answers(self, problems: Sequence[Problem]) -> list[list[Scored]]:
        """Return the samples of each problem, in order. Raises EndpointError where the endpoint does not answer in the end."""
        if not self._tried:
            self._try_seeds(problems[0])
        config = self.config
        places = [(i, k) for i in range(len(problems)) for k in range(config.samples)]
        replies, verdicts = {}, {}
        with ThreadPoolExecutor(self.settings.concurrency) as threads:
            waiting = {threads.submit(self._draw, problems[i], k): (i, k) for i, k in places}
            try:
                for done in as_completed(waiting):
                    i, k = waiting[done]
                    replies[i, k] = done.result()
                    reading = Reading(policy=config.reward.reading)
                    verdicts[i, k] = self.pool.submit(problems[i], replies[i, k].completion.text, reading)
            except BaseException:
                threads.shutdown(wait=False, cancel_futures=True)  # the rest would be asked in vain
                raise
        judged = collect([verdicts[place] for place in places], config.reward.batch_timeout_seconds)
        records: list[list[Scored]] = [[] for _ in problems]
        for (i, k), verdict in zip(places, judged, strict=True):
            reply, problem = replies[i, k], problems[i]
            more = {"reasoning_tokens": reply.reasoning_tokens, "mean_logprob": reply.mean_logprob}
            cluster = cluster_of(problem, config.cluster)
            records[i].append(scored(problem, k, reply.completion, verdict, cluster, **more))
        return records

    def _try_seeds(self, problem: Problem) -> None:
        """Ask one question twice with one seed, and say what came of it."""
        self._tried = True
        first, second = self._draw(problem, 0), self._draw(problem, 0)
        if not self.takes_seed:
            print(f"{self.settings.url} takes no seed: nobody can draw these samples again", file=sys.stderr)
        elif self.config.sampling.temperature > 0 and first.completion.text != second.completion.text:
            print(
                f"{self.settings.url} answered one question with one seed in two ways: nobody can draw these samples again",
                file=sys.stderr,
            )

    def _draw(self, problem: Problem, number: int) -> Reply:
        """Return one completion."""
        body = self._body(problem)
        if self.takes_seed:
            # as in process a stream of its own for each sample; servers take 32 bits
            body["seed"] = derive_seed("eval", self.config.run.seed, problem.id, number) % 2**31
        try:
            answer = self._ask(body)
        except EndpointError as error:
            if "seed" not in body or "seed" not in str(error).lower():
                raise
            self.takes_seed = False
            answer = self._ask({key: value for key, value in body.items() if key != "seed"})
        return read_reply(answer, self.settings)

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
            try:
                return self._post(path, body)
            except urllib.error.HTTPError as error:
                said = f"HTTP {error.code}: {error.read(2000).decode(errors='replace').strip()[:500]}"
                if error.code not in _LATER:
                    raise EndpointError(f"{self.settings.url} refuses: {said}{_hint(error.code, self.settings)}") from None
                pause = _asked_pause(error.headers.get("Retry-After"))
            # a connection that breaks off, a body that is cut, a server that is not up yet
            except (OSError, http.client.HTTPException, json.JSONDecodeError) as error:
                said, pause = f"{type(error).__name__}: {error}", None
            if attempt < self.settings.retries:
                time.sleep(self._pause(attempt) if pause is None else min(pause, _LONGEST_PAUSE_SECONDS))
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
        if key := os.environ.get(self.settings.key_variable):
            headers["Authorization"] = f"Bearer {key}"
        url = f"{self.settings.url.rstrip('/')}/{path}"
        request = urllib.request.Request(url, json.dumps(body).encode(), headers, method="POST")
        with urllib.request.urlopen(request, timeout=self.settings.timeout_seconds) as answer:
            read: JsonDict = json.loads(answer.read())
            return read


def _asked_pause(header: str | None) -> float | None:
    """Return the seconds that a server asks to wait; it may also name a date, which is not read."""
    return float(header) if header is not None and header.strip().isdecimal() else None


def _hint(code: int, settings: EndpointSettings) -> str:
    if code in (401, 403):
        is_set = "is set" if os.environ.get(settings.key_variable) else "is not set"
        return f" (the key is read from the environment variable {settings.key_variable}, which {is_set})"
    return ""


def read_reply(answer: Any, settings: EndpointSettings) -> Reply:
    """Return what an answer holds; raises EndpointError where it is none of the protocol's."""
    try:
        choice, usage = answer["choices"][0], answer["usage"]
        tokens = int(usage["completion_tokens"])
        if settings.api == "chat":
            thought = choice["message"].get("reasoning_content") or choice["message"].get("reasoning")
            said = choice["message"].get("content") or ""
            text = f"<think>{thought}</think>{said}" if thought else said
        else:
            text = choice["text"]
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        raise EndpointError(
            f"{settings.url} answered what is no {settings.api} completion with its usage ({type(error).__name__}: {error}): "
            f"{json.dumps(answer)[:300]}"
        ) from None
    details = usage.get("completion_tokens_details") or {}
    return Reply(
        completion=Completion(
            text=text, finish_reason="length" if choice.get("finish_reason") == "length" else "stop", num_tokens=tokens
        ),
        reasoning_tokens=details.get("reasoning_tokens"),
        mean_logprob=_mean_logprob(choice.get("logprobs") or {}),
    )


def _mean_logprob(logprobs: JsonDict) -> float | None:
    """Return the mean over tokens: `content` of a chat, `token_logprobs` of a completion."""
    content = logprobs.get("content")
    values = [one["logprob"] for one in content] if content else [one for one in logprobs.get("token_logprobs") or [] if one]
    return round(sum(values) / len(values), 6) if values else None
