"""Makes problems/words.txt from plain texts of books: `python tests/support/word_list.py BOOK.txt ... > problems/words.txt`.

A word is in the list that stands in at least three of the books in small letters (so it is no name), without an apostrophe or
a hyphen, and has 4 to 12 letters. Of the forms of one word only the shortest is kept ("whale", not "whales"), so that a split
by word is a split by what is spelled. What stands above Project Gutenberg's start mark and below its end mark does not count.

The 25 books: Emma, Persuasion, Pride and Prejudice and Sense and Sensibility (Austen), Alice's Adventures in Wonderland
(Carroll), A Tale of Two Cities and Great Expectations (Dickens), On the Origin of Species (Darwin, 1st edition), The Adventures
of Sherlock Holmes (Doyle), Moby-Dick (Melville), Walden (Thoreau), The Parent's Assistant (Edgeworth), Stories to Tell to
Children (Bryant), The Ball and the Cross, The Man Who Was Thursday and The Wisdom of Father Brown (Chesterton), Paradise Lost
(Milton), Leaves of Grass (Whitman), The Picture of Dorian Gray (Wilde), The Scarlet Letter (Hawthorne), Little Women (Alcott),
Frankenstein (Shelley), Dracula (Stoker), The Phantom of the Opera (Leroux, translated by Teixeira de Mattos), Twenty Thousand
Leagues under the Sea (Verne, translated by Mercier).
"""

import re
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

FEWEST_BOOKS, FEWEST_LETTERS, MOST_LETTERS = 3, 4, 12
_GUTENBERG = re.compile(r"\*\*\* ?(?:START|END) OF TH[^*\n]*\*\*\*")
_WORD = re.compile(r"(?<![\w'\u2019-])[a-z]+(?![\w'\u2019-])")
_ENDINGS = ("s", "es", "d", "ed", "ing", "ly", "er", "r", "est", "st", "ness", "less", "ful", "fully", "th", "eth", "t")
_SHORTEST_STEM = 3
_LEFT_OUT = frozenset({"negro"})  # ordinary to these authors, not to a reader of today


def words_of(text: str) -> set[str]:
    """Return the words of one book, of any length."""
    parts = _GUTENBERG.split(text)
    body = parts[1] if len(parts) > 1 else text
    return set(_WORD.findall(body.replace("_", " ")))  # _so_ Project Gutenberg writes italics


def stems(word: str) -> set[str]:
    """Return what `word` may be a form of, itself included: run of running, chase of chasing, carry of carries."""
    found = {word}
    for ending in _ENDINGS:
        stem = word.removesuffix(ending)
        if stem == word or len(stem) < _SHORTEST_STEM:
            continue
        found |= {stem, stem + "e"}
        if stem[-1] == stem[-2]:
            found.add(stem[:-1])
        if stem.endswith("i"):
            found.add(stem[:-1] + "y")
    return found


def word_list(books: Iterable[str]) -> list[str]:
    """Return the words that enough of the books share, sorted, one form of each."""
    spread = Counter(word for text in books for word in words_of(text))
    shared = (word for word, count in spread.items() if count >= FEWEST_BOOKS and len(word) >= _SHORTEST_STEM)
    taken: set[str] = set()
    kept = []
    for word in sorted(shared, key=lambda word: (len(word), word)):
        if not taken & stems(word):
            kept.append(word)
        taken |= stems(word)
    return sorted(word for word in kept if FEWEST_LETTERS <= len(word) <= MOST_LETTERS and word not in _LEFT_OUT)


if __name__ == "__main__":
    print(*word_list(Path(name).read_text(encoding="utf-8") for name in sys.argv[1:]), sep="\n")
