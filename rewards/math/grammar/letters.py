r"""What a run of letters stands for where a value is expected: functions, constants, Greek letters, products, words.

`xy` is a product of two names, `sinx` is the sine of x, `FF` in front of `_{16}` a number, `twelve` one too.
"""

from rewards.math.grammar.bases import read_digits
from rewards.math.grammar.boundaries import is_word
from rewards.math.grammar.calculus import read_plain_derivative
from rewards.math.grammar.choosing import read_choice
from rewards.math.grammar.commands import read_command
from rewards.math.grammar.constructors import read_constructor
from rewards.math.grammar.cursor import Cursor
from rewards.math.grammar.derivatives import read_differential_quotient
from rewards.math.grammar.functions import read_function
from rewards.math.grammar.names import read_call
from rewards.math.grammar.spoken import is_called, read_called
from rewards.math.grammar.subscripts import read_subscripts
from rewards.math.grammar.texts import read_words
from rewards.math.grammar.tokens import Token
from rewards.math.grammar.vocabulary import ALIASES, CURRENCIES, GREEK, PACKED, is_function
from rewards.math.tree import EULER, IMAGINARY, INFINITY, PI, Node
from rewards.math.units import WORDS as UNIT_WORDS

_CONSTANTS = {
    "pi": PI, "Pi": PI, "PI": PI,
    "oo": INFINITY, "inf": INFINITY, "infty": INFINITY, "infinity": INFINITY, "Infinity": INFINITY,
}  # fmt: skip

_CHOICES_OF_NAMES = {"nCr": "binom", "nCk": "binom", "nPr": "permutations", "nPk": "permutations"}


def read_letters(cursor: Cursor) -> Node:
    """Read a run of letters, or as much of it as is one value."""
    token = cursor.now
    text = token.text
    if is_called(cursor):
        return read_called(cursor)
    if text == "d" and (derived := read_plain_derivative(cursor)):
        return derived
    if text[0] == "d" and (derivative := read_differential_quotient(cursor)):
        return derivative
    if is_function(text) and not (text in _CHOICES_OF_NAMES and cursor.ahead().sign != "("):
        cursor.advance()
        return read_function(cursor, ALIASES.get(text, text))
    if (constructed := read_constructor(cursor)) is not None:
        return constructed
    if text in _CHOICES_OF_NAMES:
        cursor.advance()
        return Node("fn", (Node("sym", (), text[0]), Node("sym", (), text[2])), _CHOICES_OF_NAMES[text])
    if text in _CONSTANTS:
        cursor.advance()
        return _CONSTANTS[text]
    if text in CURRENCIES and cursor.ahead(2 if cursor.ahead().text == "." else 1).kind == "num":
        cursor.advance()
        cursor.take(".")
        return Node("unit", (cursor.rules.power(cursor),), text)
    if text in GREEK:
        cursor.advance()
        return read_subscripts(cursor, Node("sym", (), "\\" + text))
    if text == "frac" or _is_lost_command(cursor):  # a command whose backslash was lost
        cursor.replace(token._replace(kind="cmd"))
        return read_command(cursor)
    if text.isupper() and (digits := read_digits(cursor)):
        return digits
    if is_word(cursor, token):
        if len(text) > 3 or text not in UNIT_WORDS:
            return read_words(cursor)
        cursor.split_name()  # a short unit is one only behind a number: k is a name in mg/k
    elif len(text) > 2 and (packed := PACKED.match(text)):
        parts = [part for part in packed.groups() if part]
        cursor.replace(*(Token("name", part, token.place, i == 0 and token.spaced) for i, part in enumerate(parts)))
        return read_letters(cursor)
    elif len(text) > 1 and not text.isupper():  # capitals side by side name one thing: the side AB
        cursor.split_name()
    return _read_name(cursor)


def _is_lost_command(cursor: Cursor) -> bool:
    """Tell whether it is sum_{...}, int_0^1 and the like, or `lim x->0`."""
    text, following = cursor.now.text, cursor.ahead()
    if text in ("sum", "prod", "int", "lim") and following.text == "_":
        return True
    return text == "lim" and following.kind == "name" and cursor.ahead(2).sign in ("->", "\\to")


def _read_name(cursor: Cursor) -> Node:
    """Read one name, which is a constant for e and i without a subscript."""
    if cursor.now.text in ("C", "A", "P") and (choice := read_choice(cursor)):
        return choice
    text = cursor.advance().text
    if text == "E" and cursor.at("**"):  # as sympy prints e
        return EULER
    if text == "e":
        return read_subscripts(cursor, Node("sym", (), text)) if cursor.at("_") else EULER
    if text in ("i", "I") and not cursor.at("_") and not _is_current(cursor):
        return IMAGINARY
    return read_call(cursor, read_subscripts(cursor, Node("sym", (), text)))


def _is_current(cursor: Cursor) -> bool:
    """Tell whether i or I is a function of one argument: a current I(0), or I(t) in front of an equals sign."""
    texts = [cursor.now.text, *cursor.texts_ahead(3)]
    return texts[0] == "(" and texts[2:3] == [")"] and (texts[1] == "0" or texts[3:4] == ["="])
