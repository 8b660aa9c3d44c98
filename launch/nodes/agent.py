"""What starts the ranks of one machine, there, and ends them: `python -m launch.nodes.agent COMMAND ...`.

It reads from stdin, which ssh carries: first a line of JSON, the environment to add; then a number a line, the signal to send
to all of them. The end of stdin means that nobody watches over them any more (the front process was killed, the connection is
gone), and they are told to stop: ranks that nobody will end hold their GPUs for an hour of a collective's time-out.

The command gets a session of its own, so that a signal to its process group reaches the launcher, the ranks and their
helpers. It exits with the command's status, 128 + N where signal N ended it. Standard library only.

Left out: an agent that is itself killed tells its ranks nothing.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from types import FrameType
from typing import NoReturn

PATIENCE_SECONDS = 90.0  # from being told to stop to being killed; DeepSpeed's launcher gives each rank up to 30


class Group:
    """The command and all that it started."""

    def __init__(self, command: Sequence[str], added: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            command, env={**os.environ, **added}, stdin=subprocess.DEVNULL, start_new_session=True
        )  # its own session: a group whose number is the process's
        self._end: threading.Timer | None = None

    def tell(self, number: int) -> None:
        """Send a signal to all of it; what has not ended in time is killed."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)
        if self._end is None:
            self._end = threading.Timer(PATIENCE_SECONDS, self.tell, [signal.SIGKILL])
            self._end.daemon = True
            self._end.start()

    def listen(self) -> None:
        """Pass on what stdin says, until it ends."""
        for line in iter(sys.stdin.readline, ""):
            if line.strip().isdecimal():
                self.tell(int(line))
        self.tell(signal.SIGTERM)

    def finish(self) -> int:
        """Wait for the command and return its exit status; whatever it left behind is killed."""
        status = self.process.wait()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        return status if status >= 0 else 128 - status


def main(command: Sequence[str]) -> NoReturn:
    """Run a command as described above."""
    added = json.loads(sys.stdin.readline().strip() or "{}")
    group = Group(command, added)

    def pass_on(number: int, frame: FrameType | None) -> None:
        group.tell(number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, pass_on)
    threading.Thread(target=group.listen, daemon=True).start()
    status = group.finish()
    sys.stdout.flush()
    os._exit(status)  # the thread may sit in a read that never ends, and the interpreter would wait for its lock


if __name__ == "__main__":
    main(sys.argv[1:])
