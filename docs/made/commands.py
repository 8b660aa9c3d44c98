"""The page of commands: what `reasonlab COMMAND --help` says, for every command and every action of one.

The commands are asked themselves, in this process; none of them loads torch for it.
"""

import contextlib
import io
import os
from collections.abc import Iterator, Sequence
from unittest import mock

from launch.cli import COMMANDS, main
from launch.problems import ACTIONS

_WIDTH = "100"  # argparse wraps at the terminal's, and a page has none


def commands_page() -> str:
    """Return the page."""
    sections = [_section(words, about) for words, about in _all_commands()]
    return "\n\n".join(["# Commands", _INTRO, *sections]) + "\n"


_INTRO = (
    "What `reasonlab COMMAND --help` prints. Behind the commands that read a configuration any setting may stand as "
    "`key.subkey=value`: [train](settings-train.md), [sft](settings-sft.md), [eval](settings-eval.md). The exit status is 0 "
    "for done, 1 for an error or a no, 2 for an error that you can mend, 130 for Ctrl-C, 75 for told to stop "
    "(start it again with `--resume`; 143 where there was no time to save); `launch` and "
    "`diagnose` say more ([launching](../launch.md), [diagnose](../diagnose.md))."
)


def _all_commands() -> Iterator[tuple[list[str], str]]:
    """Yield the words of every command, and what it does."""
    for name, (_, about) in COMMANDS.items():
        if name == "verifier":
            yield ["verifier", "new"], about
            continue
        yield [name], about
        if name == "problems":
            yield from (([name, action], said) for action, (_, said) in ACTIONS.items())


def _section(words: Sequence[str], about: str) -> str:
    name = " ".join(words)
    level = "###" if words[0] == "problems" and len(words) > 1 else "##"
    return f"{level} `reasonlab {name}`\n\n{_sentence(about)}\n\n```text\n{help_of(words).strip()}\n```"


def _sentence(about: str) -> str:
    return f"{about[0].upper()}{about[1:]}".rstrip(".?") + ("?" if about.endswith("?") else ".")


def help_of(words: Sequence[str]) -> str:
    """Return what a command prints for `--help`."""
    said = io.StringIO()
    with mock.patch.dict(os.environ, COLUMNS=_WIDTH), contextlib.redirect_stdout(said), contextlib.suppress(SystemExit):
        main([*words, "--help"])
    return said.getvalue()
