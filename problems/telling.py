"""How every command speaks: its result on stdout, in words or as one JSON document; on stderr what it does meanwhile.

    --quiet   no remarks and no progress; results, errors and warnings stay. What a command starts is quiet too, ranks on other
              machines included: it travels in the environment, as REASONLAB_QUIET
    --json    stdout is one JSON document and nothing else; whatever else is printed there, by libraries and by processes that
              are started, goes to stderr. After an error there is no document

The entry of a command (`rl/settings/arguments.py:clearly`) reads both words; its parser only says that they exist.
"""

import argparse
import json
import math
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from typing import Any, TextIO

QUIET = "REASONLAB_QUIET"  # set to anything but nothing


def is_quiet() -> bool:
    """Whether remarks and progress are unwanted."""
    return bool(os.environ.get(QUIET))


def remark(words: str) -> None:
    """Say what is good to know; to be called by one rank."""
    if not is_quiet():
        warn(words)


def warn(words: str) -> None:
    """Say what must not be missed, on stderr."""
    print(words, file=sys.stderr, flush=True)


def plain(value: Any) -> Any:
    """Return `value` with NaN and infinities as null, which JSON has no words for."""
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


class Document:
    """Where the JSON document goes: stdout as it was before everything else that is printed was sent to stderr."""

    now: "Document | None" = None

    def __init__(self) -> None:
        self._file: TextIO = sys.stdout
        self._descriptor = os.dup(1) if _is_descriptor(sys.stdout, 1) else None

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Send to stderr what the block prints, this process's children and libraries in C included."""
        before, Document.now = Document.now, self
        sys.stdout.flush()
        if self._descriptor is not None and _is_descriptor(sys.stderr, 2):
            os.dup2(2, 1)
        try:
            with redirect_stdout(sys.stderr):
                yield
        finally:
            Document.now = before
            if self._descriptor is not None:
                os.dup2(self._descriptor, 1)
                os.close(self._descriptor)

    def write(self, text: str) -> None:
        """Write a line."""
        if self._descriptor is None:
            print(text, file=self._file, flush=True)
            return
        # half a surrogate pair, which a model may write, has no UTF-8; with a backslash it is as JSON spells it
        with os.fdopen(os.dup(self._descriptor), "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text + "\n")


def _is_descriptor(file: TextIO, number: int) -> bool:
    try:
        return file.fileno() == number
    except (OSError, ValueError):  # a file that is none, as tests have it
        return False


def as_json() -> bool:
    """Whether the result is wanted as JSON, so that nobody reads words about it."""
    return Document.now is not None


def tell(result: Any, say: Callable[[], object] = lambda: None) -> None:
    """Give a command's result, once: as JSON where that is asked for, otherwise in words, by `say`.

    Of several ranks the first tells; with JSON the others say nothing.
    """
    if Document.now is None:
        say()
    elif os.environ.get("RANK", "0") == "0":
        Document.now.write(json.dumps(plain(result), indent=1, ensure_ascii=False, default=os.fspath))


@contextmanager
def manner(words: Sequence[str]) -> Iterator[None]:
    """Speak as the words of a command line ask, while the block runs."""
    before = os.environ.get(QUIET)
    if "--quiet" in words:
        os.environ[QUIET] = "1"
    try:
        if "--json" not in words:
            yield
        else:
            with Document().alone():
                yield
    finally:
        if before is None:
            os.environ.pop(QUIET, None)
        else:
            os.environ[QUIET] = before


def with_manner(parser: argparse.ArgumentParser, document: str) -> argparse.ArgumentParser:
    """Return the parser with what every command accepts. document: what `--json` prints, in words."""
    parser.allow_abbrev = False  # `manner` looks for whole words
    group = parser.add_argument_group("of every command")
    group.add_argument("--quiet", action="store_true", help="no progress and no remarks on stderr; warnings and errors stay")
    group.add_argument("--json", action="store_true", help=f"print one JSON document and nothing else: {document}")
    return parser
