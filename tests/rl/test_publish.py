"""A published model says on its card what its run's files say, and nothing of the machine that it was made on."""

import base64
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from support_pure import ROOT

from problems.errors import LabError
from rl.ancestry import stated_licence, used_source
from rl.evaluation.about import fingerprint
from rl.policy.tiny import make_tiny_model
from rl.publish import Publication, upload, without_folders, write_folder
from rl.settings.loading import describe, load_config
from rl.settings.schema import ModelSettings, RunConfig, SftConfig, TinyModelConfig
from rl.tracking.checkpoint import write_manifest
from rl.tracking.export import export
from rl.tracking.lineage import identify
from rl.tracking.run_directory import RunDirectory, json_lines

HELD_OUT = {"eval/accuracy_low": 0.1, "eval/accuracy_high": 0.9}
TINY = TinyModelConfig(hidden_size=16, intermediate_size=16, layers=1, heads=2)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a cold start and a practice of 4 steps leave, with the checkpoints of steps 2 and 4."""
    home = tmp_path_factory.mktemp("secret-place") / "runs" / "demo"
    sft = load_config(SftConfig, [ROOT / "configs" / "demo-sft.yaml"], [f"run.dir={home}", "run.name=sft"])
    begun = RunDirectory.create(home / "sft", describe(sft))
    (home / "sft" / "metrics.jsonl").write_text(json_lines([{"step": 100, "loss": 0.5}]))
    make_tiny_model(TINY, home / "sft" / "model", 0)
    begun.set_status("finished", step=100)
    rl = load_config(
        RunConfig,
        [ROOT / "configs" / "demo.yaml"],
        [f"run.dir={home}", "run.name=rl", f"model.path={home}/sft/model", "prompt.system=Think & answer."],
    )
    RunDirectory.create(home / "rl", describe(rl))
    identify(home / "rl", project="p", group="demo", name="rl")
    steps = [{"step": step, "reward": step / 10, "eval/accuracy": step / 10, **HELD_OUT} for step in range(5)]
    (home / "rl" / "metrics.jsonl").write_text(json_lines(steps))
    for step in (2, 4):
        checkpoint = home / "rl" / "checkpoints" / f"step-{step:06d}"
        make_tiny_model(TINY, checkpoint / "policy", step)
        (checkpoint / "state.json").write_text(json.dumps({"best_step": 2}))
        write_manifest(checkpoint, step=step)
    return home


def results(weights: str | None) -> dict[str, Any]:
    estimate = {"value": 0.75, "low": 0.5, "high": 0.9}
    tokens = {"mean": 12.5}
    hard = {"value": 0.1, "low": 0.05, "high": 0.2}
    return {
        "model_fingerprint": weights, "sources": [{"domain": "hub", "name": "math500"}], "problems": 10, "n": 4,
        "split": "test", "reading": "strict", "accuracy": estimate, "pass_at_k": {"1": estimate, "4": estimate},
        "majority_at_k": {}, "by_difficulty": {"level=1|x": estimate, "level=5": hard}, "reasoning_tokens": tokens,
        "truncated_rate": 0.2, "unparsed_rate": 0.0, "timeout_rate": 0.0, "error_rate": 0.0, "sampling": {"temperature": 1.0},
    }  # fmt: skip


def evaluated(directory: Path, weights: str | None) -> Path:
    directory.mkdir(parents=True)
    (directory / "results.json").write_text(json.dumps(results(weights)))
    return directory


def published(source: Path, folder: Path, **more: Any) -> tuple[dict[str, Any], str]:
    """Write a folder and return the head and the text of its card."""
    write_folder(Publication(source=source, repository="me/demo", folder=folder, **more))
    _, head, text = (folder / "README.md").read_text().split("---\n", 2)
    return yaml.safe_load(head), text


def test_the_card_tells_how_the_model_came_to_be(home: Path, tmp_path: Path) -> None:
    weights = fingerprint(ModelSettings(path=str(home / "rl" / "checkpoints" / "step-000004" / "policy")))
    evaluations = [evaluated(tmp_path / "eval", weights)]
    head, text = published(home / "rl", tmp_path / "out", evaluations=evaluations, licence="apache-2.0")
    assert head["license"] == "apache-2.0"
    assert head["model-index"][0]["results"][0]["metrics"] == [{"type": "accuracy", "name": "avg@4", "value": 0.75}]
    assert "| 1 | imitation of worked solutions" in text
    assert "| 2 | practice: 32 problems x 16 completions a step" in text
    assert text.index("| 100 |") < text.index("| 4 |")  # steps of the cold start, then of practice
    assert "| avg@4 | 0.750 (0.500 to 0.900) |" in text
    assert "| level=1\\|x |" in text  # a bar in a name ends no cell
    assert "not those of this repository" not in text
    assert "| 0 | 0.000 (0.100 to 0.900) |" in text  # held out, before the first step and
    assert "| 4 | 0.400 (0.100 to 0.900) |" in text  # after the last
    assert '{"role": "system", "content": \'Think & answer.\'}' in text
    assert "20% of the completions were cut off" in text
    assert "level=5 is the hardest: 0.100 (0.050 to 0.200)" in text
    assert "nobody else's weights" in text


def test_the_folder_is_a_model_and_says_nothing_of_this_machine(home: Path, tmp_path: Path) -> None:
    published(home / "rl", tmp_path / "out")
    names = {str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert {"README.md", "curves.png", "model.safetensors", "config.json", "tokenizer.json"} <= names
    assert {"training/1-sft.yaml", "training/2-rl.yaml"} <= names
    assert "lineage.json" not in names
    for path in (tmp_path / "out").rglob("*"):
        assert path.is_dir() or b"secret-place" not in path.read_bytes(), path
    settings = yaml.safe_load((tmp_path / "out" / "training" / "2-rl.yaml").read_text())
    assert settings["model"]["path"] == "model"
    assert settings["algorithm"]["group_size"] == 16
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.slow
def test_an_earlier_checkpoint_is_not_given_what_came_later(home: Path, tmp_path: Path) -> None:
    last = fingerprint(ModelSettings(path=str(home / "rl" / "checkpoints" / "step-000004" / "policy")))
    head, text = published(home / "rl", tmp_path / "out", best=True, evaluations=[evaluated(tmp_path / "eval", last)])
    assert "(2 steps)" in text
    assert "| 2 | 0.200 (0.100 to 0.900) |" in text
    assert "0.400" not in text
    assert "**These weights are not those of this repository**" in text  # the evaluation was of the last step's
    assert head["model-index"][0]["results"] == []
    assert (head["license"], head["license_name"]) == ("other", "unknown")


@pytest.mark.slow
def test_an_exported_model_is_traced_to_its_run(home: Path, tmp_path: Path) -> None:
    export(home / "rl" / "checkpoints" / "step-000002", tmp_path / "my-model")
    _, text = published(tmp_path / "my-model", tmp_path / "out", evaluations=[evaluated(tmp_path / "eval", None)])
    assert "(2 steps)" in text
    assert "was not checked" in text


@pytest.mark.slow
def test_a_cold_start_alone_can_be_published(home: Path, tmp_path: Path) -> None:
    head, text = published(home / "sft", tmp_path / "out")
    assert "sft" in head["tags"]
    assert "how good this model is has not been measured" in text


def test_what_cannot_be_published_is_said(home: Path, tmp_path: Path) -> None:
    def refused(**changed: Any) -> str:
        asked = {"source": home / "rl", "repository": "me/demo", "folder": tmp_path / "out", **changed}
        with pytest.raises(LabError) as caught:
            write_folder(Publication(**asked))
        assert not list(tmp_path.glob("*out*"))
        return str(caught.value)

    assert "give OWNER/NAME" in refused(repository="../demo")
    assert "holds no results.json" in refused(evaluations=[tmp_path])
    make_tiny_model(TINY, tmp_path / "somebody" / "weights", 0)
    assert "no run is known to have made" in refused(source=tmp_path / "somebody" / "weights")
    (tmp_path / "there").mkdir()
    with pytest.raises(LabError, match="exists already"):
        write_folder(Publication(source=home / "rl", repository="me/demo", folder=tmp_path / "there"))


def test_licences_are_read_and_never_guessed(tmp_path: Path) -> None:
    assert stated_licence(tmp_path) is None
    (tmp_path / "README.md").write_text("---\nlicense: mit\n---\n# A model\n")
    assert stated_licence(tmp_path) == "mit"
    for text in ("# no head\n---\nlicense: mit\n---\n", "---\n: [\n---\n", "---\nlicense: [a]\n---\n"):
        (tmp_path / "README.md").write_text(text)
        assert stated_licence(tmp_path) is None
    assert used_source({"domain": "hub", "name": "math500"}).licence == "MIT (PRM800K)"
    assert used_source({"domain": "hub", "name": "aime24"}).licence in (None, "Apache-2.0")
    own = used_source({"domain": "jsonl", "path": "/home/me/secret/mine.jsonl"})
    assert (own.name, own.licence) == ("mine.jsonl", None)
    assert used_source({"domain": "chain"}).licence == "Apache-2.0"


def test_settings_lose_the_folders_of_this_machine() -> None:
    told = {"a": "/home/me/runs/sft/model", "b": ["/x", 3], "c": {"d": "runs/sft", "e": None}}
    assert without_folders(told) == {"a": "model", "b": ["x", 3], "c": {"d": "runs/sft", "e": None}}


class _Hub(BaseHTTPRequestHandler):
    """As much of the hub's interface as a commit of small files takes; keeps what it was sent."""

    got: dict[str, bytes]
    made: list[dict[str, Any]]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/api/repos/create":
            self.made.append(json.loads(body))
            self._say({"url": "http://127.0.0.1/me/demo"})
        elif self.path == "/api/validate-yaml":
            self._say({"errors": [], "warnings": []})
        elif self.path == "/api/models/me/demo/preupload/main":
            files = [{"path": file["path"], "uploadMode": "regular"} for file in json.loads(body)["files"]]
            self._say({"files": [{**file, "shouldIgnore": False, "oid": None} for file in files]})
        else:
            assert self.path.startswith("/api/models/me/demo/commit/main")
            for line in body.splitlines():
                record = json.loads(line)
                if record["key"] == "file":
                    self.got[record["value"]["path"]] = base64.b64decode(record["value"]["content"])
            self._say({"success": True, "commitOid": "0" * 40, "commitUrl": "http://127.0.0.1/me/demo/commit/0"})

    def _say(self, answer: dict[str, Any]) -> None:
        data = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[_Hub]]:
    handler = type("Hub", (_Hub,), {"got": {}, "made": []})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
        monkeypatch.setenv("HF_TOKEN", "hf_of_a_test")
        yield handler
        server.shutdown()


def test_the_folder_is_uploaded_as_it_stands(hub: type[_Hub], tmp_path: Path) -> None:
    (tmp_path / "training").mkdir()
    written = {"README.md": b"---\nlicense: mit\n---\n", "model.safetensors": bytes(100), "training/1-rl.yaml": b"a: 1\n"}
    for name, data in written.items():
        (tmp_path / name).write_bytes(data)
    address = upload(tmp_path, "me/demo", private=True)
    assert address is not None
    assert address.endswith("/me/demo")
    assert hub.got == written
    assert (hub.made[0]["organization"], hub.made[0]["name"]) == ("me", "demo")


def test_without_a_network_the_command_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")  # nobody listens at it
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    (tmp_path / "README.md").write_text("")
    assert upload(tmp_path, "me/demo") is None
    said = capsys.readouterr().err
    assert f"hf upload me/demo {tmp_path}" in said
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert upload(tmp_path, "me/demo", private=True) is None
    assert "--private" in capsys.readouterr().err
    assert (tmp_path / "README.md").is_file()
