"""Model text made fit to be looked at: signs that hide, reorder or command are shown by their names.

A right-to-left override would make an answer look like another one, an escape sequence would command the terminal. Both are
what somebody who reads completions has to see. Markup is no concern here: the page only ever sets text.
"""

import re

from rl.viewing.reading import finite

# controls but tab and line feed; soft hyphen; the marks of direction and what has no width, but for the joiners
# that Persian and emoji need; lone halves of characters
_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\U000e0000-\U000e007f]"
)


def visible(text: object) -> str:
    """Return a text in which every sign can be seen: U+202E becomes `⟦U+202E⟧`."""
    return _UNSEEN.sub(lambda sign: f"⟦U+{ord(sign[0]):04X}⟧", str(text))


def visible_tree(value: object) -> object:
    """Return JSON data with every text in it, keys included, made visible, and None for what is no number to a browser."""
    if isinstance(value, str):
        return visible(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return finite(value)
    if isinstance(value, dict):
        return {visible(key): visible_tree(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [visible_tree(item) for item in value]
    return value


def opening(text: str, characters: int = 160) -> str:
    """Return the beginning of a text on one line."""
    line = " ".join(text.split())
    return visible(line if len(line) <= characters else f"{line[:characters]} ...")
