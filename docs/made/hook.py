"""What mkdocs calls while it builds the site (`hooks` in mkdocs.yml): adds the pages that are made, and links mentioned pages.

The pages themselves know nothing of mkdocs: `made_pages` is a mapping from places to Markdown, for whichever generator.
"""

import sys
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))  # mkdocs is a program of its own

from docs.made.pages import linked, made_pages  # noqa: E402


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are made."""
    for place, text in made_pages(ROOT).items():
        files.append(File.generated(config, place, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn `docs/loop.md`, as pages mention each other, into a link."""
    return linked(markdown, page.file.src_uri)
