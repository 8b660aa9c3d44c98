"""Answers through HTTP: a real server on this machine that speaks the protocol, with the faults that servers have."""

import json
import signal
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import torch
from support import rows

from launch.eval import eval_command
from rl.evaluate import problems_at_once
from rl.evaluation.endpoint import read_reply
from rl.settings.evaluation import EvalConfig


class Server(ThreadingHTTPServer):
    """Answers sums such as 3*7+2=? by what `how` says; remembers what it was asked."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.bodies: list[dict[str, Any]] = []
        self.paths: list[str] = []
        self.keys: list[str | None] = []
        self.times: list[float] = []
        # given to the next requests, in order; None: answered as usual
        self.refusals: list[tuple[int, str | bytes, dict[str, str]] | None] = []
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
            server.times.append(time.monotonic())
            server.keys.append(self.headers.get("Authorization"))
            refusal = server.refusals.pop(0) if server.refusals else None
            number = len(server.bodies)
        time.sleep(server.how.get("seconds", 0.0))
        if number == server.how.get("interrupted_at"):
            # as Ctrl-C; to the main thread, because a signal that another one takes does not wake it
            main = threading.main_thread().ident
            assert main is not None
            signal.pthread_kill(main, signal.SIGINT)
        with server.lock:  # before it answers: who has the answer may ask again before this thread goes on
            server.at_once -= 1
        if refusal is not None:
            self.answer(*refusal)
        elif "seed" in body and number >= server.how.get("refuses_seeds_from", 10**6):
            self.answer(400, json.dumps({"error": {"message": "Unknown parameter: 'seed'."}}), {})
        else:
            self.answer(200, json.dumps(self.completion(body)), {})

    def do_GET(self) -> None:
        self.server.keys.append(self.headers.get("Authorization"))
        self.answer(404, "nothing here", {})

    def answer(self, code: int, text: str | bytes, headers: dict[str, str]) -> None:
        body = text.encode() if isinstance(text, str) else text
        if code == 0:  # a connection that breaks off
            self.close_connection = True
            return
        self.send_response(code)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def completion(self, body: dict[str, Any]) -> dict[str, Any]:
        question = body["messages"][-1]["content"] if "messages" in body else body["prompt"]
        # right by the seed, so that the same seed answers the same
        value = int(question.split("\n")[-1].split("+")[0]) + 1 + body.get("seed", len(self.server.bodies)) % 2
        said, usage = f"\\boxed{{{value}}}", {"completion_tokens": 7, "completion_tokens_details": {"reasoning_tokens": 3}}
        logprobs = self.server.how.get(
            "logprobs", {"content": [{"token": "a", "logprob": -0.25}, {"token": "b", "logprob": -0.75}]}
        )
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
    """Evaluates six problems with two samples each; returns the run directory."""
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
    server.refusals = [
        (503, "loading", {}),
        (429, "slow down", {"Retry-After": "0"}),
        (0, "", {}),
        (200, '{"cut', {}),
        (200, b'{"cut in a letter \xc3', {}),
        (524, "a proxy waited in vain", {}),
        (503, "cut as well", {"Content-Length": "500"}),
    ]
    run = evaluated("model.endpoint.retries=7")
    assert len(rows(run / "samples.jsonl")) == 12
    assert len(server.bodies) == 12 + 2 + 7


def test_a_server_that_asks_for_no_pause_is_given_one(server, evaluated):
    server.refusals = [(429, "slow down", {"Retry-After": "0"})] * 2
    evaluated("model.endpoint.first_pause_seconds=0.4")
    assert server.times[2] - server.times[0] > 0.6  # at least half of 0.4 and half of 0.8


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
    server.how = {"refuses_seeds_from": 1}
    assert len(rows(evaluated() / "samples.jsonl")) == 12
    assert "takes no seed" in capsys.readouterr().err


def test_seeds_that_are_refused_later_are_said_to_be(server, evaluated, capsys):
    server.how = {"refuses_seeds_from": 8}
    assert len(rows(evaluated() / "samples.jsonl")) == 12
    said = capsys.readouterr().err
    assert said.count("takes no seed") == 1  # though several requests were under way
    assert "Unknown parameter: 'seed'" in said


@pytest.mark.parametrize(
    ("refusal", "status", "asked"),
    [
        ((503, "host Seed is loading", {}), 0, 15),
        ((404, "no model of the name seed-oss", {}), 2, 1),
        ((400, "seed-oss takes 4096 tokens", {}), 2, 2),  # asked once more without its seed
    ],
)
def test_seeds_are_given_up_only_where_it_helps(server, evaluated, capsys, refusal, status, asked):
    server.refusals = [refusal] * asked if status else [refusal]
    evaluated(status=status)
    assert "takes no seed" not in capsys.readouterr().err
    assert len(server.bodies) == asked
    assert status or all("seed" in body for body in server.bodies)


def test_a_token_that_was_certain_counts(server, evaluated):
    server.how = {"logprobs": {"token_logprobs": [None, 0.0, -1.0]}}
    run = evaluated("model.endpoint.api=completions", "model.endpoint.logprobs=true")
    assert {row["mean_logprob"] for row in rows(run / "measured.jsonl")} == {-0.5}


def test_an_error_waits_for_no_pause(server, evaluated, capsys):
    # two tries of seeds, then four at once: three are to come again in a minute, one must not come again
    server.refusals = [None, None, *[(503, "full", {"Retry-After": "60"})] * 3, (400, "too long", {})]
    server.how = {"seconds": 0.1}
    begun = time.monotonic()
    evaluated("samples=50", status=2)
    assert time.monotonic() - begun < 50
    said = capsys.readouterr().err
    assert "too long" in said
    assert "error: problem " in said
    assert len(server.bodies) < 2 + 6 * 50  # what had not begun was called off


def test_ctrl_c_waits_for_no_pause(server, evaluated):
    server.refusals = [None, None, *[(503, "full", {"Retry-After": "60"})] * 10]
    server.how = {"interrupted_at": 5, "seconds": 0.3}  # when the main thread has begun to wait
    begun = time.monotonic()
    run = evaluated(status=130)
    assert time.monotonic() - begun < 50
    assert json.loads((run / "status.json").read_text())["status"] == "preempted"


@pytest.mark.parametrize(
    "answer",
    [
        '{"object": "list"}',
        "[]",
        "null",
        '{"choices": [], "usage": {"completion_tokens": 1}}',
        '{"choices": [{"message": {"content": "2"}}], "usage": null}',
        '{"choices": [{"message": {"content": "2"}}], "usage": {"completion_tokens": Infinity}}',
        '{"choices": [{"message": null}], "usage": {"completion_tokens": 1}}',
        '{"choices": [{"message": {"content": 2}}], "usage": {"completion_tokens": 1}}',
        '{"choices": [{"message": {"content": [{"type": "image"}]}}], "usage": {"completion_tokens": 1}}',
        '{"choices": [{"message": {"content": "2"}, "logprobs": [1]}], "usage": {"completion_tokens": 1}}',
    ],
)
def test_an_answer_that_is_none_is_told(server, evaluated, capsys, answer):
    server.refusals = [(200, answer, {})]
    evaluated(status=2)
    said = capsys.readouterr().err
    assert "no chat completion" in said
    assert "error: problem " in said
    assert len(server.bodies) == 1


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ({"content": None, "refusal": "I must not add."}, "I must not add."),
        ({"content": [{"type": "text", "text": "It is "}, {"type": "text", "text": "2"}]}, "It is 2"),
        ({"content": [{"type": "refusal", "refusal": "No."}]}, "No."),
        ({"content": None, "reasoning_content": "I add"}, "<think>I add</think>"),
        ({"content": None}, ""),
    ],
)
def test_content_may_be_missing_or_come_in_parts(message, text):
    reply = read_reply({"choices": [{"message": message}], "usage": {"completion_tokens": 1}}, "chat")
    assert reply.completion.text == text


def test_a_refusal_that_breaks_off_is_told(server, evaluated, capsys):
    server.refusals = [(400, "9\r\ncut", {"Transfer-Encoding": "chunked"})]  # three bytes of nine
    evaluated(status=2)
    said = capsys.readouterr().err
    assert "HTTP 400" in said
    assert "broke off" in said


def test_a_key_is_taken_without_the_end_of_its_line(server, evaluated, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "secret\r\n")
    evaluated()
    assert set(server.keys) == {"Bearer secret"}


def everything_told(run, capsys):
    captured = capsys.readouterr()
    return captured.err + captured.out + "".join(file.read_text() for file in run.rglob("*") if file.is_file())


@pytest.mark.parametrize("key", ["s3cret\r\nX: s3cret", "s3cret\u00e9", "s3cret\x1bX"])
def test_a_key_that_no_header_holds_is_refused_unseen(server, evaluated, monkeypatch, capsys, key):
    monkeypatch.setenv("OPENAI_API_KEY", key)
    told = everything_told(evaluated(status=2), capsys)
    assert "OPENAI_API_KEY holds no key" in told
    assert "s3cret" not in told
    assert server.bodies == []


@pytest.mark.parametrize("code", [400, 503, 200])
def test_a_key_that_the_server_says_back_is_not_shown(server, evaluated, monkeypatch, capsys, code):
    monkeypatch.setenv("OPENAI_API_KEY", 'k/"s3cret&1')
    # plain, as two kinds of JSON have it, and again and again: one of them lies where the text is cut
    text = r'k/"s3cret&1 k\/\"s3cret&1 k\u002F\"s3cret\u00261 ' * 50
    server.refusals = [(code, json.dumps({"error": text}) if code == 200 else text, {})] * 4
    told = everything_told(evaluated(status=2), capsys)
    assert "***" in told
    assert "s3c" not in told


def test_a_redirect_does_not_take_the_key_along(server, evaluated, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    server.refusals = [(302, "", {"Location": f"{server.url}/elsewhere"})]
    evaluated(status=2)
    assert server.keys == ["Bearer secret", None]


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("url=http://me:s3cret@localhost:8000/v1", "no name and password"),
        ("url=http://localhost:8000/v1?key=s3cret", "no ?"),
        ("url='http://localhost:8000/v1#s3cret'", "no #"),
        ("url=s3cret.localhost:8000/v1", "must begin with http://"),
        ("url='http://s3cret host/v1'", "without spaces"),
        ("url=http://s3cret:v1/", "[:PORT]"),
        ("url='http://'", "http://HOST"),
        ("key_variable=sk-s3cret", "name of an environment variable"),
        ("key_variable=hf_s3cret", "name of an environment variable"),
        ("key_variable=5332137", "name of an environment variable"),
    ],
)
def test_settings_that_may_hold_a_secret_are_refused_unseen(evaluated, capsys, setting, words):
    evaluated(f"model.endpoint.{setting}", status=2)
    said = capsys.readouterr().err
    assert f"model.endpoint: {setting.split('=')[0]} must " in said
    assert words in said
    assert "s3cret" not in said
    assert "5332137" not in said


def test_an_endpoint_is_asked_alike_beside_a_gpu_and_without(monkeypatch):
    rest = {"run": {"name": "e"}, "problems": [{"domain": "chain"}], "samples": 1, "sampling": {"max_rows": 512}}
    served, here = ({"path": "served", **more} for more in ({"endpoint": "http://localhost:8000/v1"}, {}))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert problems_at_once(EvalConfig.model_validate({"model": served, **rest})) == 64
    assert problems_at_once(EvalConfig.model_validate({"model": here, **rest})) == 4 * 512


def test_budget_forcing_is_refused(evaluated, capsys):
    evaluated("sampling.thinking={max_tokens: 8}", status=2)
    assert "no endpoint" in capsys.readouterr().err


def test_an_endpoint_may_abstain_too(server, evaluated):
    run = evaluated("prompt.abstention={words: '4', invitation: ''}")
    samples = rows(run / "samples.jsonl")
    expected = ["abstained" if one["extracted"] == "4" != one["reference"] else one["status"] for one in samples]
    assert [one["status"] for one in samples] == expected
    # where 4 is the right answer it stays one
    assert {one["status"] for one in samples if one["extracted"] == "4" == one["reference"]} <= {"correct"}
    results = json.loads((run / "results.json").read_text())
    assert expected.count("abstained") > 0
    assert results["coverage"]["value"] == pytest.approx(1 - expected.count("abstained") / 12)
    assert results["accuracy_when_answering"]["value"] == pytest.approx(
        expected.count("correct") / (12 - expected.count("abstained"))
    )
