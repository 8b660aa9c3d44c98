"""A headless Chromium driven through its own protocol over two pipes: no package, no port.

https://chromedevtools.github.io/devtools-protocol/: messages are JSON ended by a NUL byte, in on file descriptor 3 and out on 4
of the browser (--remote-debugging-pipe).
"""

import base64
import json
import os
import select
import shutil
import subprocess
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

NAME = next((name for name in ("chromium", "chromium-browser", "google-chrome") if shutil.which(name)), None)


class Browser:
    """One page of a browser."""

    def __init__(self, to_browser: int, from_browser: int):
        self._in, self._out = to_browser, from_browser
        self._buffer = b""
        self._number = 0
        self._session: str | None = None
        self.events: deque[dict[str, Any]] = deque()
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Do something and return its result; what happens meanwhile goes to `events`."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._in, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next(60)
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                result: dict[str, Any] = answer["result"]
                return result
            self.events.append(answer)

    def _next(self, seconds: float) -> dict[str, Any]:
        deadline = time.monotonic() + seconds
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._out], [], [], max(0.0, deadline - time.monotonic()))
            assert ready, "the browser says nothing"
            data = os.read(self._out, 1 << 20)
            assert data, "the browser has ended"
            self._buffer += data
        message, _, self._buffer = self._buffer.partition(b"\0")
        answer: dict[str, Any] = json.loads(message)
        return answer

    def open(self, url: str) -> None:
        """Go to an address."""
        self.call("Page.navigate", url=url)

    def value(self, expression: str) -> Any:
        """Return what a JavaScript expression comes to, promises awaited."""
        answer = self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def wait_for(self, expression: str, seconds: float = 60) -> Any:
        """Return what an expression comes to as soon as that is true."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if found := self.value(expression):
                return found
            time.sleep(0.05)
        raise AssertionError(f"never true: {expression}; the page says: {self.value('document.body.innerText.slice(0, 2000)')}")

    def complaints(self) -> list[str]:
        """Return errors of the console and of scripts so far."""
        self.value("1")  # whatever was on its way is here now
        said = []
        for event in self.events:
            method, told = event.get("method"), event.get("params", {})
            if method == "Runtime.exceptionThrown":
                said.append(json.dumps(told["exceptionDetails"])[:500])
            elif method == "Log.entryAdded" and told["entry"]["level"] == "error":
                said.append(told["entry"]["text"])
            elif method == "Runtime.consoleAPICalled" and told["type"] == "error":
                said.append(json.dumps(told["args"])[:500])
            elif method == "Page.javascriptDialogOpening":
                said.append(f"dialog: {told['message']}")
        return said

    def requests(self) -> list[str]:
        """Return the addresses that the page has asked for."""
        return [
            event["params"]["request"]["url"] for event in self.events if event.get("method") == "Network.requestWillBeSent"
        ]

    def screenshot(self, file: Path, width: int = 1300, height: int = 1000, *, dark: bool = False) -> None:
        """Write a picture of what is to be seen."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        self.call(
            "Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        )
        time.sleep(0.5)
        file.write_bytes(base64.b64decode(self.call("Page.captureScreenshot")["data"]))


@contextmanager
def browser(home: Path) -> Iterator[Browser]:
    """Start a browser whose profile lies in `home`, and end it."""
    assert NAME is not None
    to_browser, our_in = os.pipe()
    our_out, from_browser = os.pipe()
    options = "--headless --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run --remote-debugging-pipe"
    script = f'exec {NAME} {options} --user-data-dir="$1" 3<&{to_browser} 4>&{from_browser}'
    process = subprocess.Popen(
        ["bash", "-c", script, "bash", str(home)],
        pass_fds=(to_browser, from_browser),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    os.close(to_browser)
    os.close(from_browser)
    try:
        yield Browser(our_in, our_out)
    finally:
        os.close(our_in)  # a browser whose pipe is closed ends
        os.close(our_out)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            process.wait()
