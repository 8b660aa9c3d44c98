"""Does what a page of docs/ tells its reader to do: writes its files, runs its commands."""

import re
import runpy
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from launch import cli

# a file's name stands in the paragraph above its block; a console block holds commands, a text block is only read
_BLOCK = re.compile(r"(?:`(?P<file>[\w.-]+)`:\n\n)?^```(?P<kind>\w+)\n(?P<text>.*?)^```", re.DOTALL | re.MULTILINE)
# `reasonlab diagnose` says 1 for a run that cannot learn, as none can whose cold start was cut short, 3 where it cannot know
_MAY_END_WITH = {"diagnose": (0, 1, 3)}


def follow_page(page: str, folder: Path, less: Mapping[str, Sequence[str]]) -> int:
    """Follow a page in `folder`, the working directory, and return how many commands were run.

    `less` has the arguments that make a command of the lab short, by its name.
    """
    count = 0
    for block in _BLOCK.finditer(page):
        if block["kind"] == "text":
            continue
        if block["kind"] == "console":
            commands = block["text"].splitlines()
            for command in commands:
                _run(command, less)
            count += len(commands)
        else:
            assert block["file"], f"nothing says which file this is: {block['text'][:60]}"
            (folder / block["file"]).write_text(block["text"])
    return count


def _run(command: str, less: Mapping[str, Sequence[str]]) -> None:
    program, *arguments = shlex.split(command)
    if program == "reasonlab":
        name = arguments[0]
        assert cli.main([*arguments, *less.get(name, ())]) in _MAY_END_WITH.get(name, (0,)), command
    elif program == "python":
        (file,) = arguments
        runpy.run_path(file)
    else:
        assert program == "pytest"
        assert pytest.main(["-p", "no:cacheprovider", *arguments]) == 0, command
