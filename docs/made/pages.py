"""The pages of the site that stand in no file of docs/: the reference, and what stands at the top of the repository.

Needs pydantic and numpy, and no torch.
"""

import posixpath
import re
from pathlib import Path

from docs.made.commands import commands_page
from docs.made.functions import functions_page
from docs.made.settings import settings_pages

# of the repository's top -> its page
_AT_THE_TOP = {"README.md": "at-a-glance.md", "CONTRIBUTING.md": "contributing.md", "LOG.md": "log.md"}
_FENCE = re.compile(r"^(`{3,}).*?^\1`*$", re.MULTILINE | re.DOTALL)
_MENTION = re.compile(r"`docs/([\w-]+\.md)`|`(README|CONTRIBUTING|LOG)\.md`|(?<![\w/`])(?<!\]\()docs/([\w-]+\.md)")


def made_pages(root: Path) -> dict[str, str]:
    """Return Markdown by its place below docs/."""
    copies = {place: _from_docs((root / name).read_text(encoding="utf-8")) for name, place in _AT_THE_TOP.items()}
    return {
        **settings_pages(),
        "reference/commands.md": commands_page(),
        "reference/functions.md": functions_page(),
        **copies,
    }


def _from_docs(text: str) -> str:
    """Return a text from the top of the repository with its pictures and links as they are seen from docs/."""
    return text.replace("](docs/", "](")


def linked(markdown: str, place: str) -> str:
    """Return the text of the page at `place`, in which every mention of a page, `docs/loop.md`, is a link to it.

    Blocks of code stay as they are. A page that is mentioned and not there is a link to nothing, which `--strict` refuses.
    """
    here = posixpath.dirname(place)

    def link(mention: re.Match[str]) -> str:
        page, top, bare = mention.groups()
        target = _AT_THE_TOP[f"{top}.md"] if top else page or bare
        if target == place:
            return mention[0]
        return f"[{mention[0]}]({posixpath.relpath(target, here or '.')})"

    pieces: list[str] = []
    end = 0
    for block in _FENCE.finditer(markdown):
        pieces += [_MENTION.sub(link, markdown[end : block.start()]), block[0]]
        end = block.end()
    return "".join([*pieces, _MENTION.sub(link, markdown[end:])])
