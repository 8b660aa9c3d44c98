"""The frame of every page that the lab writes: everything is inside it, no network, no script; light and dark, wide and narrow.

Texts come from models, problem sets and file names: `row` and `whole_page` escape what they are given, a `body` is markup.
"""

import base64
import html
import re
from collections.abc import Sequence

_STYLE = """
:root{color-scheme:light dark;--text:#1f2328;--note:#57606a;--line:#d8dee4;--ground:#fff;--shade:#f6f8fa;--mark:#0b5fd0}
@media(prefers-color-scheme:dark){
:root{--text:#e6edf3;--note:#9da7b1;--line:#3d444d;--ground:#0d1117;--shade:#21262d;--mark:#6cb0ff}}
body{font:15px/1.5 system-ui,sans-serif;max-width:1060px;margin:2rem auto;padding:0 1rem;
color:var(--text);background:var(--ground)}
h1{font-size:1.5rem;margin-bottom:.2rem}h2{font-size:1.15rem;margin-top:2rem}
img{max-width:100%;background:#fff}.wide{overflow-x:auto}table{border-collapse:collapse;font-variant-numeric:tabular-nums}
td,th{padding:.25rem .8rem;text-align:right;border-bottom:1px solid var(--line);vertical-align:top}
td:first-child,th:first-child{text-align:left}.pair{display:grid;grid-template-columns:1fr 1fr;gap:1rem;margin:.4rem 0 1.4rem}
.name{text-align:left;min-width:9rem;max-width:24rem;overflow-wrap:anywhere}li{overflow-wrap:anywhere}
.card{border:1px solid var(--line);border-radius:6px;padding:.6rem .8rem}
.card h3{font-size:.85rem;margin:0 0 .3rem;color:var(--note)}
pre{white-space:pre-wrap;overflow-wrap:anywhere;margin:.2rem 0;font-size:.85rem}
.correct{border-left:4px solid #2da44e;padding-left:.5rem}.wrong{border-left:4px solid #cf222e;padding-left:.5rem}
.note,small{color:var(--note)}code{background:var(--shade);padding:.1rem .3rem;border-radius:4px}
svg{width:11rem;height:.9rem;overflow:visible}line{stroke:var(--mark);stroke-width:2}circle{fill:var(--mark)}
@media(max-width:600px){body{margin:1rem auto;padding:0 .6rem}td,th{padding:.25rem .4rem}svg{width:7rem}
.pair{grid-template-columns:1fr}}
"""
# what a text that got past the escapes could do: nothing
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def whole_page(title: str, body: str) -> str:
    """Return a page of this title, a text, and body, which is markup."""
    head = (
        '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        f"<title>{html.escape(title)}</title><style>{_STYLE}</style>"
    )
    return (
        f'<!doctype html><html lang="en"><head>{head}</head><body><h1>{html.escape(title)}</h1>'
        f'<p class="note">reasonlab</p>{body}</body></html>'
    )


def image(picture: bytes, words: str) -> str:
    """Return a PNG as markup; `words` say what it shows."""
    return f'<img alt="{html.escape(words)}" src="data:image/png;base64,{base64.b64encode(picture).decode()}">'


def without_folders(text: str) -> str:
    """Return a text in which an absolute path is shown by its last name: a page that is sent away names nobody's home."""
    return re.sub(r"(?<![\w:/.~<])~?/(?:[\w.@+-]+/)+([\w.@+-]+)", r".../\1", text)


def row(cells: Sequence[str], tag: str = "td") -> str:
    """Return a line of a table; its cells are texts."""
    return "<tr>" + "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells) + "</tr>"
