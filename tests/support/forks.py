"""Commands of the lab as forks of one process that has loaded the libraries: their imports take eight seconds of CPU each.

A fork is a process like any other: its own environment, directory and output, an exit status, and it can be killed. What it
does not show is what only a new interpreter does: that a command imports what it needs, and that nothing depends on the hash
seed, which all forks share. Where that matters a test compares a fork with a process of its own (`support.reasonlab`).

Run as a program this file is the process that is forked: a request a line on stdin, an answer a line on stdout.
"""

import atexit
import gc
import importlib
import json
import os
import runpy
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

SUPPORT = Path(__file__).resolve().parent
ROOT = SUPPORT.parents[1]
HANGS_SECONDS = 900.0  # nothing takes so long, however busy the machine is
# `rl` comes before torch, for what it sets in the environment; the commands themselves are run anew by every fork
LOADED = (
    "rl", "torch", "transformers.models.llama.modeling_llama", "deepspeed.runtime.zero.stage3", "trl.trainer.sft_trainer",
    "peft", "rl.start", "rl.evaluate", "rl.sft", "rl.train", "launch.cli",
)  # fmt: skip


# -- the process that is forked


def become(module: str, arguments: list[str], cwd: str, environment: dict[str, str], output: Sequence[str]) -> None:
    """Do in this process what `python -m MODULE ARGUMENTS` does."""
    for number, file in enumerate((os.devnull, *output)):
        opened = os.open(file, os.O_RDWR | os.O_CREAT | os.O_APPEND)
        os.dup2(opened, number)
        os.close(opened)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    sys.path.insert(0, cwd)
    sys.argv = [module, *arguments]
    renew_threads()
    sys.modules.pop(module, None)  # it is run as __main__, and whoever imports it by its name gets another, as ever
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def renew_threads() -> None:
    """Have torch make its pool of threads anew, as it does once in every fork, while there is one thread to ask for it.

    Two at once, as transformers' loading of weights is, can find none ("Invalid thread pool!", torch 2.13).
    """
    import torch

    torch.set_num_threads(torch.get_num_threads())


def serve() -> None:
    """Answer requests until stdin ends. Forks return too, so that their interpreters are torn down as any other."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no answer
    for name in LOADED:
        importlib.import_module(name)
    gc.freeze()  # what has been imported need not be searched by every fork
    for line in sys.stdin:
        request = json.loads(line)
        if "status_of" in request:
            found, status = os.waitpid(request["status_of"], os.WNOHANG)
            answer = os.waitstatus_to_exitcode(status) if found else None
        else:
            answer = os.fork()
            if answer == 0:
                answers.close()
                become(**request)
                return
        print(json.dumps(answer), file=answers, flush=True)


# -- the tests' side


class Fork:
    """A command that was started; the calls are those of subprocess.Popen."""

    def __init__(self, module: str, arguments: Sequence[Any], cwd: Path, environment: dict[str, str]) -> None:
        self.args = [module, *map(str, arguments)]
        self.returncode: int | None = None
        self._files = [tempfile.NamedTemporaryFile(prefix=f"{kind}-") for kind in ("stdout", "stderr")]  # noqa: SIM115
        request = {"module": module, "arguments": self.args[1:], "cwd": str(cwd), "environment": environment}
        self.pid = _ask({**request, "output": [file.name for file in self._files]})

    def poll(self) -> int | None:
        """Return its exit status, negative where a signal ended it; None: it is still there."""
        if self.returncode is None:
            self.returncode = _ask({"status_of": self.pid})
        return self.returncode

    def send_signal(self, number: signal.Signals) -> None:
        """Send it a signal, if it is still there."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def wait(self, timeout: float = HANGS_SECONDS) -> int:
        """Return its exit status once it has one; after `timeout` seconds it is killed."""
        deadline = time.monotonic() + timeout
        while (status := self.poll()) is None:
            if time.monotonic() > deadline:
                os.kill(self.pid, signal.SIGKILL)
                raise subprocess.TimeoutExpired(self.args, timeout, *self._said())
            time.sleep(0.01)
        return status

    def completed(self, timeout: float = HANGS_SECONDS) -> "subprocess.CompletedProcess[str]":
        """Wait for its end and return what it printed as well."""
        return subprocess.CompletedProcess(self.args, self.wait(timeout), *self._said())

    def _said(self) -> tuple[str, str]:
        out, err = (Path(file.name).read_text() for file in self._files)
        return out, err


@cache
def _server() -> "subprocess.Popen[str]":
    from support import environment

    path = os.pathsep.join([str(ROOT), str(SUPPORT)])
    process = subprocess.Popen(
        [sys.executable, __file__],
        cwd=ROOT,
        env=environment(PYTHONPATH=path),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    atexit.register(process.communicate)  # closes its stdin and waits: it ends
    return process


def _ask(request: dict[str, Any]) -> Any:
    server = _server()
    assert server.stdin is not None
    assert server.stdout is not None
    server.stdin.write(json.dumps(request) + "\n")
    server.stdin.flush()
    answer = server.stdout.readline()
    assert answer, f"the process that is forked ended with {server.wait()}"
    return json.loads(answer)


if __name__ == "__main__":
    serve()
