"""One manner for all commands: each takes --quiet and --json, says so in docs/commands.md, and keeps its word."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support_pure import ROOT, run_python

from launch import cli
from launch.problems import ACTIONS
from problems.telling import QUIET, as_json, is_quiet, manner, remark, tell, warn

COMMANDS = [
    *(f"problems {action}" for action in ACTIONS),
    *("verifier new" if name == "verifier" else name for name in cli.COMMANDS if name != "problems"),
]
PAGE = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_takes_both_words(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["verifier"] if command == "verifier new" else command.split()
    with pytest.raises(SystemExit, match="0"):
        cli.main([*words, "--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert "--quiet no progress and no remarks on stderr" in text
    assert "--json print one JSON document and nothing else:" in text


def test_the_page_of_the_commands_has_a_row_for_each() -> None:
    table = PAGE.split("## What `--json` prints")[1]
    assert re.findall(r"^\| `([a-z -]+)` \|", table, re.MULTILINE) == COMMANDS


def test_the_words_hold_for_one_command_alone(capsys: pytest.CaptureFixture[str]) -> None:
    with manner(["run", "--quiet", "--json"]):
        assert is_quiet()
        assert as_json()
        assert os.environ[QUIET]  # what is started is quiet too
        print("a library prints this")
        remark("good to know")
        warn("not to be missed")
        tell({"value": float("nan"), "where": Path("a/b")}, lambda: print("in words"))
    assert not is_quiet()
    assert not as_json()
    remark("said again")
    tell({}, lambda: print("in words again"))
    out, err = capsys.readouterr()
    document, _, rest = out.partition("}\n")
    assert json.loads(document + "}") == {"value": None, "where": "a/b"}
    assert rest == "in words again\n"
    assert err == "a library prints this\nnot to be missed\nsaid again\n"


def test_what_children_print_and_half_a_surrogate_leave_the_document_whole() -> None:
    script = (
        "import os, subprocess, sys\n"
        "from problems.telling import manner, tell\n"
        "with manner(['--json']):\n"
        "    os.write(1, b'from C\\n')\n"
        "    subprocess.run([sys.executable, '-c', 'print(\"from a child\")'], check=True)\n"
        "    tell({'text': '\\ud83d \\u00e9'})\n"
        "print('afterwards')\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, check=True)
    document, _, rest = done.stdout.decode().partition("}\n")
    assert json.loads(document + "}") == {"text": "\ud83d é"}
    assert rest == "afterwards\n"
    assert done.stderr.decode().splitlines() == ["from C", "from a child"]


def test_of_several_ranks_one_tells(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "1")
    with manner(["--json"]):
        tell({"rank": 1})
    assert capsys.readouterr().out == ""


def test_after_an_error_there_is_no_document(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert cli.main(["compare", str(tmp_path), str(tmp_path), "--json", "--quiet"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")


@pytest.mark.parametrize(
    "arguments",
    [
        ["problems", "list"],
        ["problems", "show", "chain", "--n", "1"],
        ["problems", "export", "chain", "--n", "3", "--output", "out"],
        ["problems", "new", "my_dice"],
        ["train", "--config", str(ROOT / "configs/demo.yaml"), "--dry-run"],
        ["sft", "--settings"],
        ["launch", "--config", str(ROOT / "configs/demo.yaml"), "--dry-run"],
    ],
    ids=" ".join,
)
def test_stdout_is_one_document_and_a_quiet_command_says_nothing_else(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main([*arguments, "--quiet", "--json"]) == 0
    out, err = capfd.readouterr()
    assert json.loads(out)
    assert err == ""


def test_ranks_on_other_machines_are_quiet_too() -> None:
    from launch.nodes.travelling import travelling

    assert travelling({QUIET: "1"}) == {QUIET: "1"}


def test_a_quiet_slurm_job_is_quiet_at_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    config = str(ROOT / "configs/demo.yaml")
    assert cli.main(["launch", "--config", config, "--slurm", "--dry-run", "--quiet", "--json"]) == 0
    assert "--quiet --hostfile" in json.loads(capsys.readouterr().out)["script"]


def test_a_reader_that_has_seen_enough_ends_a_command_without_a_word() -> None:
    script = f"{sys.executable} -m launch.cli problems list --json | head -c 1"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout == "["
    assert done.stderr == ""


def test_help_loads_no_terminal_library() -> None:
    answer = run_python("-c", "import sys, problems.progress, problems.telling; print('rich' in sys.modules)")
    assert answer.stdout.strip() == "False"


def test_who_nobody_reads_any_more_ends_without_a_word_and_not_as_if_all_were_well() -> None:
    command = [sys.executable, "-u", "-m", "launch.cli", "problems", "list"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.close()
    _, errors = process.communicate()
    assert (process.returncode, errors) == (128 + signal.SIGPIPE, b"")
