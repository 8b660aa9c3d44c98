"""How long the page of a run takes in a headless Chromium: to open, to filter, to search; and how large it is as one file.

    python tests/support/made_runs.py DIRECTORY 200
    python tests/support/view_times.py DIRECTORY

A time ends with the frame in which the browser has drawn what was asked for. Searches include the 120 ms for which the page
waits for more typing. Times mean something on a quiet machine alone.
"""

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from browser import Browser, browser

_COMMAND = [sys.executable, "-m", "launch.cli"]
_LISTED = "document.querySelector('.list tbody tr') !== null"
_WHOLE = "document.querySelector('#rollouts > p.note').textContent.endsWith('completions')"
_WORDS = ("seven", "carry wait", "twelve and", "no such word", "check")
_FILTERS = ("wrong", "truncated", "correct", "unparsed", "")


def until_drawn(page: Browser, action: str) -> float:
    """Return the milliseconds from an action in the page until the list is made anew and drawn."""
    ended: float = page.value(
        "new Promise((done) => { const list = document.querySelector('.list'); const began = performance.now();"
        " new MutationObserver((_, watch) => { watch.disconnect();"
        " requestAnimationFrame(() => setTimeout(() => done(performance.now() - began))); }).observe(list, {childList: true});"
        f" {action} }})"
    )
    return ended


def opened_after(page: Browser, address: str, awaited: str) -> float:
    """Return the seconds from going to an address until something is true there."""
    began = time.perf_counter()
    page.open(address)
    page.wait_for(awaited)
    return time.perf_counter() - began


def asked(page: Browser) -> tuple[list[float], list[float]]:
    """Return milliseconds of filters and of searches."""
    filters = [until_drawn(page, f"document.querySelector('[data-mark=\"{mark}\"]').click();") for mark in _FILTERS]
    typed = "field.dispatchEvent(new Event('input'));"
    field = "const field = document.querySelector('input[type=search]');"
    return filters, [until_drawn(page, f"{field} field.value = '{words}'; {typed}") for words in (*_WORDS, "")]


def told(what: str, filters: list[float], searches: list[float]) -> str:
    """Return a line about one page."""
    middle, most = statistics.median, max
    return (
        f"{what}: a filter {middle(filters):.0f} ms (at most {most(filters):.0f}), "
        f"a search {middle(searches):.0f} ms (at most {most(searches):.0f})"
    )


def main() -> None:
    run = Path(sys.argv[1])
    with tempfile.TemporaryDirectory() as home, browser(Path(home)) as page:
        server = subprocess.Popen([*_COMMAND, "view", str(run)], stdout=subprocess.PIPE, text=True)
        assert server.stdout is not None
        address = next(word for line in server.stdout for word in line.split() if word.startswith("http://"))
        print(f"opened {opened_after(page, address, _LISTED):.2f} s after the address was known, its list shown", flush=True)
        began = time.perf_counter()
        page.wait_for(_WHOLE, 600)
        print(f"all is read {time.perf_counter() - began:.1f} s later", flush=True)
        print(f"opened again in {opened_after(page, address, _LISTED):.2f} s")
        print(told("from the server", *asked(page)))
        server.terminate()
        server.wait()
        file = Path(home) / "report.html"
        subprocess.run([*_COMMAND, "report", str(run), "--out", home], check=True, stdout=subprocess.DEVNULL)
        page.open("about:blank")
        seconds = opened_after(page, f"{file.as_uri()}#rollouts", _LISTED)
        print(f"one file of {file.stat().st_size / 1e6:.1f} MB opened in {seconds:.2f} s")
        print(told("from the file", *asked(page)))
        print("complaints:", page.complaints() or "none")


if __name__ == "__main__":
    main()
