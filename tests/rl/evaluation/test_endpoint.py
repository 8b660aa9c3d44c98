"""Answers through HTTP: a real server on this machine that speaks the protocol, with the faults that servers have."""

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from support import rows

from launch.eval import eval_command


class Server(ThreadingHTTPServer):
    """Answers sums such as 3*7+2=? by what `how` says; remembers what it was asked."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.bodies: list[dict[str, Any]] = []
        self.paths: list[str] = []
        self.keys: list[str | None] = []
        self.refusals: list[tuple[int, str, dict[str, str]]] = []  # given to the next requests, in order
        self.how: dict[str, Any] = {}
        self.at_once = self.most_at_once = 0
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"


class Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments: Any) -> None:
        pass

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        server = self.server
        with server.lock:
            server.at_once += 1
            server.most_at_once = max(server.at_once, server.most_at_once)
            server.bodies.append(body)
            server.paths.append(self.path)
            server.keys.append(self.headers.get("Authorization"))
            refusal = server.refusals.pop(0) if server.refusals else None
        time.sleep(server.how.get("seconds", 0.0))
        if refusal is not None:
            self.answer(*refusal)
        elif "seed" in body and server.how.get("refuses_seeds"):
            self.answer(400, json.dumps({"error": {"message": "Unknown parameter: 'seed'."}}), {})
        else:
            self.answer(200, json.dumps(self.completion(body)), {})
        with server.lock:
            server.at_once -= 1

    def answer(self, code: int, text: str, headers: dict[str, str]) -> None:
        if code == 0:  # a connection that breaks off
            self.close_connection = True
            return
        self.send_response(code)
        for name, value in {"Content-Length": str(len(text.encode())), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(text.encode())

    def completion(self, body: dict[str, Any]) -> dict[str, Any]:
        question = body["messages"][-1]["content"] if "messages" in body else body["prompt"]
        # right by the seed, so that the same seed answers the same
        value = int(question.split("\n")[-1].split("+")[0]) + 1 + body.get("seed", len(self.server.bodies)) % 2
        said, usage = f"\\boxed{{{value}}}", {"completion_tokens": 7, "completion_tokens_details": {"reasoning_tokens": 3}}
        logprobs = {"content": [{"token": "a", "logprob": -0.25}, {"token": "b", "logprob": -0.75}]}
        choice: dict[str, Any] = {"finish_reason": "stop", "logprobs": logprobs if body.get("logprobs") else None}
        if "messages" in body:
            choice["message"] = {"role": "assistant", "content": said, "reasoning_content": "I add one."}
        else:
            choice["text"] = said
        return {"choices": [choice], "usage": usage}


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        yield server
        server.shutdown()


@pytest.fixture
def evaluated(server, tmp_path, monkeypatch):
    """Evaluates six questions with two samples each; returns the run directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WANDB_MODE", "disabled")
    lines = [json.dumps({"prompt": f"{number}+1=?", "reference": number + 1}) for number in range(6)]
    (tmp_path / "sums.jsonl").write_text("\n".join(lines))

    def run(*more, status=0):
        words = ["--model", "served", "--problems", "sums.jsonl", "--n", "2", "run.name=e", "prompt.system=Add."]
        settings = f"model.endpoint={{url: {server.url}, first_pause_seconds: 0.01, retries: 3, concurrency: 4}}"
        assert eval_command([*words, settings, *more]) == status
        return tmp_path / "runs/e"

    return run


def test_a_chat_is_asked_scored_and_written_down(server, evaluated, monkeypatch):
    monkeypatch.setenv("MY_KEY", "secret")
    server.how = {"seconds": 0.05}
    run = evaluated("model.endpoint.key_variable=MY_KEY", "model.endpoint.logprobs=true", "sampling.top_p=0.9")
    samples = rows(run / "samples.jsonl")
    assert [sample["problem_id"] for sample in samples[::2]] == [sample["problem_id"] for sample in samples[1::2]]
    assert samples[0]["completion"].startswith("<think>I add one.</think>\\boxed{")
    # seeds are even or odd: what is right follows from them, and both kinds occur
    results = json.loads((run / "results.json").read_text())
    statuses = [sample["status"] for sample in samples]
    assert 0 < statuses.count("correct") < 12
    assert results["accuracy"]["value"] == statuses.count("correct") / 12
    assert results["reasoning_tokens"]["mean"] == 3
    assert results["completion_tokens"]["mean"] == 7
    assert rows(run / "measured.jsonl")[0]["mean_logprob"] == -0.5
    assert "likeliest" in results["best_of_k"]
    assert results["endpoint"] == {"url": server.url, "api": "chat"}
    assert results["template_hash"] is None
    body = server.bodies[-1]
    assert body["messages"][0] == {"role": "system", "content": "Add."}
    assert (body["model"], body["top_p"], body["max_tokens"], body["temperature"]) == ("served", 0.9, 256, 1.0)
    assert len({body["seed"] for body in server.bodies}) == 12  # a seed a sample; one was asked twice
    assert len(server.bodies) == 14
    assert set(server.keys) == {"Bearer secret"}
    assert "secret" not in "".join(file.read_text() for file in run.rglob("*") if file.is_file())
    assert 1 < server.most_at_once <= 4


def test_the_same_seed_gives_the_same_samples_and_a_resume_asks_nothing(server, evaluated):
    first = (evaluated() / "samples.jsonl").read_bytes()
    asked = len(server.bodies)
    evaluated("--resume")
    assert len(server.bodies) == asked
    assert (evaluated("run.name=f").parent / "f/samples.jsonl").read_bytes() == first


def test_plain_completions_are_asked_for_where_one_wants_them(server, evaluated):
    run = evaluated("model.endpoint.api=completions")
    assert set(server.paths) == {"/v1/completions"}
    assert server.bodies[0]["prompt"] == "Add.\n\n0+1=?"
    assert rows(run / "samples.jsonl")[0]["completion"].startswith("\\boxed{")


def test_a_busy_server_is_asked_again(server, evaluated):
    server.refusals = [(503, "loading", {}), (429, "slow down", {"Retry-After": "0"}), (0, "", {}), (200, '{"cut', {})]
    run = evaluated("model.endpoint.retries=4")
    assert len(rows(run / "samples.jsonl")) == 12
    assert len(server.bodies) == 12 + 2 + 4


def test_a_server_that_stays_away_stops_the_evaluation_in_words(server, evaluated, capsys):
    server.refusals = [(503, "still loading", {})] * 8
    evaluated(status=2)
    said = capsys.readouterr().err
    assert "did not answer in 4 tries" in said
    assert "still loading" in said
    assert "--resume" in said
    server.refusals = []
    assert len(rows(evaluated("--resume") / "samples.jsonl")) == 12


def test_a_refusal_is_told_at_once(server, evaluated, capsys):
    server.refusals = [(401, '{"error": "no such key"}', {})]
    evaluated(status=2)
    said = capsys.readouterr().err
    assert "HTTP 401" in said
    assert "no such key" in said
    assert "OPENAI_API_KEY" in said
    assert len(server.bodies) == 1


def test_a_server_without_seeds_is_said_to_be_one(server, evaluated, capsys):
    server.how = {"refuses_seeds": True}
    assert len(rows(evaluated() / "samples.jsonl")) == 12
    assert "takes no seed" in capsys.readouterr().err


def test_an_answer_that_is_none_is_told(server, evaluated, capsys):
    server.refusals = [(200, '{"object": "list"}', {})]
    evaluated(status=2)
    assert "no chat completion" in capsys.readouterr().err


def test_budget_forcing_is_refused(evaluated, capsys):
    evaluated("sampling.thinking={max_tokens: 8}", status=2)
    assert "no endpoint" in capsys.readouterr().err
