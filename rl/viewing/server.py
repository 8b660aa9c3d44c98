"""The page and its answers on loopback, for whoever has the address.

A browser carries strangers' pages and a cluster's login node has other users, so: only 127.0.0.1 is bound; a request under a
foreign name is refused (a stranger's page whose name resolves to 127.0.0.1 comes under its own); every path begins with a
secret that the command prints; nothing can be changed, and no path of a file ever comes from a request.
"""

import hmac
import json
import re
import secrets
import sys
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from rl.viewing.answers import Answers, Known
from rl.viewing.index import MARKS, SORTS, Query

PAGE = Path(__file__).parent / "page"
_TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css"}
_OURS = ("127.0.0.1", "localhost")  # an address may be forwarded to another port, but not to another name
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
_LOOKS_EVERY_SECONDS = 1.0
_MOST_ROWS = 200
Parameters = Mapping[str, str]


class Refused(Exception):
    """A request that gets no answer: a status of HTTP and why."""

    def __init__(self, status: int, why: str):
        super().__init__(why)
        self.status = status


class Answering:
    """Counts the requests that are being answered: `with answering: ...`."""

    def __init__(self) -> None:
        self._now = 0
        self._changed = threading.Condition()

    def __enter__(self) -> None:
        with self._changed:
            self._now += 1

    def __exit__(self, *raised: object) -> None:
        with self._changed:
            self._now -= 1
            self._changed.notify_all()

    def wait_until_done(self) -> None:
        """Wait until there are none, a second at most: reading has to go on even under somebody who never stops asking."""
        with self._changed:
            self._changed.wait_for(lambda: self._now == 0, timeout=1.0)


class ViewingServer(ThreadingHTTPServer):
    """Serves some runs until it is shut down; port 0 takes a free one."""

    daemon_threads = True

    def __init__(self, answers: Answers, *, port: int = 0, follow: bool = False):
        super().__init__(("127.0.0.1", port), _Handler)
        self.answers, self.follow = answers, follow
        self.secret = secrets.token_urlsafe(12)
        self.files = page_files()
        self.answering = Answering()
        self._is_over = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def url(self) -> str:
        """The address of the page."""
        return f"http://127.0.0.1:{self.server_address[1]}/{self.secret}/"

    def _read(self) -> None:
        """Read the runs in the background; again and again where they are followed."""
        while not self._is_over.is_set():
            self.answers.read(self._goes_on)
            if not self.follow:
                return
            self._is_over.wait(_LOOKS_EVERY_SECONDS)

    def _goes_on(self) -> bool:
        """Return whether to read another file, as soon as nobody waits for an answer: threads of Python share one processor."""
        self.answering.wait_until_done()
        return not self._is_over.is_set()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a browser that went away in the middle of an answer."""
        if not isinstance(sys.exc_info()[1], ConnectionError | TimeoutError):
            super().handle_error(request, client_address)

    def server_close(self) -> None:
        """Stop reading and let go of the port."""
        self._is_over.set()
        super().server_close()
        self._reader.join()


def page_files() -> dict[str, bytes]:
    """Return the files of the page by name."""
    return {file.name: file.read_bytes() for file in sorted(PAGE.rglob("*")) if file.suffix in _TYPES}


def number(parameters: Parameters, name: str, most: int, default: int | None = None) -> int:
    """Return a parameter as a number in [0, most]."""
    text = parameters.get(name, "")
    if not text and default is not None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= 12 and int(text) <= most):
        raise Refused(400, f"{name} must be a number from 0 to {most}")
    return int(text)


def known_of(parameters: Parameters) -> list[Known]:
    """Return what the page has of each run already: `known=GENERATION.STEP,...`; a step of -1 is none."""
    text = parameters.get("known", "")
    if not text:
        return []
    if not re.fullmatch(r"[0-9]{1,9}\.(-1|[0-9]{1,12})(,[0-9]{1,9}\.(-1|[0-9]{1,12}))*", text):
        raise Refused(400, "known must be a generation and a step of each run, as in 1.200,1.-1")
    pairs = [one.split(".") for one in text.split(",")]
    return [(int(generation), int(step)) for generation, step in pairs]


def query_of(parameters: Parameters) -> Query:
    """Return the query that a request asks for."""
    mark, sort = parameters.get("mark", ""), parameters.get("sort", "step")
    if mark and mark not in MARKS:
        raise Refused(400, f"mark must be one of {', '.join(MARKS)}")
    if sort not in SORTS:
        raise Refused(400, f"sort must be one of {', '.join(SORTS)}")
    return Query(
        mark=mark,
        search=parameters.get("search", ""),
        step=number(parameters, "step", 10**12) if parameters.get("step") else None,
        problem=parameters.get("problem", ""),
        sort=sort,
        descending=parameters.get("descending") == "1",
        start=number(parameters, "start", 10**12, 0),
        count=number(parameters, "count", _MOST_ROWS, 50),
    )


def answer(server: ViewingServer, what: str, parameters: Parameters) -> object:
    """Return what a request asks for as plain data; raises Refused."""
    answers = server.answers
    most = len(answers.indices) - 1
    asked: dict[str, Callable[[], object]] = {
        "overview": lambda: {**answers.overview(known_of(parameters)), "follow": server.follow, "sample": None},
        "rows": lambda: answers.rows(number(parameters, "run", most), query_of(parameters)),
        "group": lambda: answers.group(
            number(parameters, "run", most), number(parameters, "step", 10**12), number(parameters, "row", 10**12)
        ),
        "difficulty": lambda: answers.difficulty(number(parameters, "run", most)),
        "compare": lambda: answers.compare(number(parameters, "first", most), number(parameters, "second", most)),
    }
    if what not in asked:
        raise Refused(404, "there is nothing of this name")
    found = asked[what]()
    if found is None:
        raise Refused(404, "there is no such completion any more")
    return found


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 60
    server: ViewingServer

    def do_GET(self) -> None:
        try:
            with self.server.answering:
                kind, body = self._found()
            status = 200
        except Refused as refusal:
            status, kind, body = refusal.status, "text/plain", str(refusal).encode()
        self._send(status, kind, body)

    def _found(self) -> tuple[str, bytes]:
        host = (self.headers.get("Host") or "").rpartition(":")[0] or (self.headers.get("Host") or "")
        if host not in _OURS:
            raise Refused(403, "this server answers to 127.0.0.1 and localhost only")
        address = urlsplit(self.path)
        parts = address.path.split("/")
        if len(parts) != 3 or not hmac.compare_digest(parts[1].encode(), self.server.secret.encode()):
            raise Refused(404, "the address that `reasonlab view` printed is the only one here")
        name = parts[2] or "index.html"
        if name in self.server.files:
            return f"{_TYPES[Path(name).suffix]}; charset=utf-8", self.server.files[name]
        parameters = {key: values[-1] for key, values in parse_qs(address.query, errors="replace").items()}
        return "application/json", json.dumps(answer(self.server, name, parameters), allow_nan=False).encode()

    def _send(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        headers = {
            "Content-Type": kind,
            "Content-Length": str(len(body)),
            "Content-Security-Policy": _POLICY,
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
            "Cross-Origin-Resource-Policy": "same-origin",
            "Cache-Control": "no-store",
        }
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: the terminal is the user's."""
