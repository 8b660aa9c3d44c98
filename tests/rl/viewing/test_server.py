"""The server answers its own page and nobody else, and a request never names a file."""

import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from made_runs import write_made_run

from rl.viewing.answers import Answers
from rl.viewing.runs import runs_at
from rl.viewing.server import ViewingServer


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ViewingServer]:
    run = write_made_run(tmp_path_factory.mktemp("runs") / "rl", 2, problems=2, size=2, tokens=4)
    made = ViewingServer(Answers(runs_at([run])))
    thread = threading.Thread(target=made.serve_forever)
    thread.start()
    yield made
    made.shutdown()
    made.server_close()
    thread.join()


def asked(server: ViewingServer, path: str, host: str | None = None, method: str = "GET") -> tuple[int, bytes, dict[str, str]]:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_address[1], timeout=20)
    connection.request(method, path, headers={} if host is None else {"Host": host})
    response = connection.getresponse()
    found = response.status, response.read(), dict(response.getheaders())
    connection.close()
    return found


def test_it_is_bound_to_loopback(server: ViewingServer) -> None:
    assert server.server_address[0] == "127.0.0.1"
    assert server.socket.family == socket.AF_INET


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:9000"])  # a port may be forwarded
def test_it_answers_under_its_own_name(server: ViewingServer, host: str) -> None:
    status, body, headers = asked(server, f"/{server.secret}/", host)
    assert status == 200
    assert b'src="main.js"' in body
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'; script-src 'self';" in policy
    assert "unsafe" not in policy
    assert headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "evil.example:8642", "[::1]", "", "0.0.0.0:80"])
def test_a_foreign_name_is_refused(server: ViewingServer, host: str) -> None:
    status, body, _ = asked(server, f"/{server.secret}/overview", host)
    assert status == 403
    assert b"rl" not in body


@pytest.mark.parametrize(
    "path",
    [
        "/", "/overview", "/wrong/overview", "/{secret}", "/{secret}/../../etc/passwd", "/{secret}/..%2f..%2fetc%2fpasswd",
        "/{secret}/%2e%2e/server.py", "/{secret}//etc/passwd", "/{secret}/uplot/LICENSE", "/{secret}/config.yaml",
        "/{secret}/rollouts/step-000001.jsonl.gz", "/{secret}/tsconfig.json", "/{secret}/main.js/", "/{secret}/\x00",
    ],
)  # fmt: skip
def test_there_is_nothing_but_the_page_and_its_answers(server: ViewingServer, path: str) -> None:
    assert asked(server, quote(path.format(secret=server.secret), safe="/%"))[0] == 404


@pytest.mark.parametrize(
    ("question", "status"),
    [
        ("overview", 200), ("rows?run=0", 200), ("rows?run=0&search=%ff%00", 200), ("group?run=0&step=1&row=0", 200),
        ("difficulty?run=0", 200), ("compare?first=0&second=0", 200), ("rows?run=1", 400), ("rows?run=-1", 400), ("rows", 400),
        ("rows?run=0&mark=nice", 400), ("rows?run=0&sort=__class__", 400), ("rows?run=0&count=1000000", 400),
        ("rows?run=0&start=99999999999999999999", 400), ("rows?run=0&step=1.5", 400), ("group?run=0&step=1", 400),
        ("group?run=0&step=9&row=0", 404), ("group?run=0&step=1&row=99", 404), ("rows?run=%D9%A1", 400),
        ("overview?known=1.2", 200), ("overview?known=7.-1,1.5", 200), ("overview?known=1", 400), ("overview?known=1.2,", 400),
    ],
)  # fmt: skip
def test_a_question_is_answered_or_refused_in_words(server: ViewingServer, question: str, status: int) -> None:
    server.answers.read()
    found, body, headers = asked(server, f"/{server.secret}/{question}")
    assert (found, headers["Content-Type"].split(";")[0]) == (status, "application/json" if status == 200 else "text/plain")
    if status == 200:
        json.loads(body)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_nothing_can_be_changed(server: ViewingServer, method: str) -> None:
    assert asked(server, f"/{server.secret}/overview", method=method)[0] == 501


def test_a_followed_run_is_read_as_it_grows(tmp_path: Path) -> None:
    run = write_made_run(tmp_path / "rl", 2, problems=1, size=2, tokens=4)
    late = run / "rollouts/step-000002.jsonl.gz"
    content = late.read_bytes()
    late.unlink()
    server = ViewingServer(Answers(runs_at([run])), follow=True)
    try:
        late.write_bytes(content)
        for _ in range(600):
            if [part.step for part in server.answers.indices[0].parts] == [1, 2]:
                break
            time.sleep(0.1)
        assert [part.step for part in server.answers.indices[0].parts] == [1, 2]
    finally:
        server.server_close()
