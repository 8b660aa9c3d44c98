r"""Matrices, determinants, systems and definitions by cases: what stands between \begin and \end.

`\begin{pmatrix}1&2\\3&4\end{pmatrix}` is Node("mat", (1, 2, 3, 4), 2); the value is the number of columns.
"""

from rewards.math.grammar.boundaries import is_word
from rewards.math.grammar.cursor import Cursor
from rewards.math.grammar.tokens import tokenize
from rewards.math.grammar.vocabulary import CASE_WORDS, OTHERWISE_WORDS
from rewards.math.tree import OTHERWISE, Node

MAX_DETERMINANT = 4  # expanded by its first row: 4! products
_MATRICES = frozenset(("matrix", "pmatrix", "bmatrix", "Bmatrix", "vmatrix", "Vmatrix", "smallmatrix", "array"))
_VERBS_AND_ARTICLES = frozenset(("is", "are", "a", "an"))


def read_environment(cursor: Cursor) -> Node:
    r"""Read an environment behind its \begin."""
    name = _read_name(cursor).rstrip("*")
    if name != "cases" and name not in _MATRICES:
        raise cursor.unreadable(f"an unknown environment {name}")
    if name == "array" and cursor.at("{"):
        _read_name(cursor)  # the alignment of its columns
    outer = cursor.enter()
    by_cases = name == "cases" or (name == "array" and _has_case_words(cursor))
    if by_cases:
        _split_words(cursor)
    rows = _read_rows(cursor, by_cases)
    _read_name(cursor)
    cursor.leave(outer)
    if by_cases:
        return _cases(rows)
    if not rows or len({len(row) for row in rows}) != 1:
        raise cursor.unreadable("rows of different lengths")
    if name == "vmatrix" and len(rows) == len(rows[0]) <= MAX_DETERMINANT:
        return _determinant(rows)
    matrix = Node("mat", tuple(cell for row in rows for cell in row), len(rows[0]))
    return Node("fn", (matrix,), "det") if name == "vmatrix" else matrix


def _read_name(cursor: Cursor) -> str:
    """Take {name} and return the name."""
    cursor.expect("{")
    name = ""
    while not cursor.take("}"):
        if cursor.now.kind == "end":
            raise cursor.unreadable("an environment that does not close")
        name += cursor.advance().text
    return name


def _read_rows(cursor: Cursor, by_cases: bool) -> list[list[Node]]:
    r"""Read the rows and take \end; rows without cells are left out."""
    rows: list[list[Node]] = [[]]
    while not cursor.take("\\end"):
        if cursor.take("&") or (by_cases and cursor.take(",")):
            continue
        if cursor.take("\\\\", "\\cr", "\\hline"):
            if rows[-1]:
                rows.append([])
            continue
        if cursor.now.kind == "end":
            raise cursor.unreadable("a matrix that does not close")
        behind_value = by_cases and bool(rows[-1])
        rows[-1].append(_read_condition(cursor) if behind_value else cursor.rules.statement(cursor))
    return rows if rows[-1] else rows[:-1]


def _determinant(rows: list[list[Node]]) -> Node:
    if len(rows) == 1:
        return rows[0][0]
    terms = []
    for column, entry in enumerate(rows[0]):
        minor = _determinant([row[:column] + row[column + 1 :] for row in rows[1:]])
        term = Node("mul", (entry, minor))
        terms.append(Node("neg", (term,)) if column % 2 else term)
    return Node("add", tuple(terms))


def _cases(rows: list[list[Node]]) -> Node:
    """Return a definition by cases, or a list where the rows are the equations of a system."""
    if all(len(row) == 2 and row[0].op != "rel" for row in rows):
        return Node("cases", tuple(Node("seq", tuple(row), "()") for row in rows))
    return Node("list", tuple(row[0] if len(row) == 1 else Node("seq", tuple(row), "()") for row in rows), ",")


def _has_case_words(cursor: Cursor) -> bool:
    """Tell whether "if" or "otherwise" stands in an array, which is then a definition by cases."""
    words = CASE_WORDS | OTHERWISE_WORDS
    for token in cursor.tokens[cursor.index :]:
        if (token.kind, token.text) == ("cmd", "end"):
            return False
        if token.kind in ("text", "name") and words.intersection(token.text.lower().split()):
            return True
    return False


def _split_words(cursor: Cursor) -> None:
    r"""Turn \text{...} up to the end of the environment into tokens, and "if" and its like into the separator of columns.

    "otherwise" is a condition by itself: the separator is put in front of it.
    """
    index = cursor.index
    tokens = cursor.tokens
    while (token := tokens[index]).kind != "end" and (token.kind, token.text) != ("cmd", "end"):
        if token.kind == "text":
            tokens[index : index + 1] = tokenize(token.text.strip(" ,;."))[:-1]
            continue  # what was in the text is looked at next
        if token.kind == "name" and token.text.lower() in CASE_WORDS:
            tokens[index] = token._replace(kind="op", text="&")
        elif token.kind == "name" and token.text.lower() in OTHERWISE_WORDS:
            tokens.insert(index, token._replace(kind="op", text="&"))
            index += 1
        index += 1


def _read_condition(cursor: Cursor) -> Node:
    """Read what stands behind a value: a statement or several joined by "or", "n is odd", or "otherwise"."""
    if cursor.now.kind == "name" and cursor.now.text.lower() in OTHERWISE_WORDS:
        cursor.advance()
        return OTHERWISE
    if cursor.now.kind == cursor.ahead().kind == "name" and is_word(cursor, cursor.ahead()):
        return _read_property(cursor)
    if (congruence := _read_congruence(cursor)) is not None:
        return congruence
    node = cursor.rules.statement(cursor)
    while cursor.now.kind == "name" and cursor.now.text == "or":
        cursor.advance()
        node = Node("or", (node, cursor.rules.statement(cursor)))
    return node


def _read_congruence(cursor: Cursor) -> Node | None:
    r"""Read `n \equiv 1 \pmod 2` of plain numbers; None where it is something else."""
    name, sign, rest = cursor.now, cursor.ahead(), cursor.ahead(2)
    if name.kind != "name" or len(name.text) != 1 or sign.text != "equiv" or rest.node is None:
        return None
    index = cursor.index + 3
    texts = [token.text for token in cursor.tokens[index : index + 4]]
    while texts and texts[0] in ("pmod", "bmod", "mod", "(", "{"):
        texts.pop(0)
        index += 1
    modulus = cursor.tokens[min(index, len(cursor.tokens) - 1)].node
    if modulus is None or index == cursor.index + 3 or modulus.op != "num" or rest.node.op != "num" or modulus.value < 1:
        return None
    cursor.index = index + 1
    while cursor.take("}", ")"):
        pass
    residue = Node("num", (), rest.node.value % modulus.value)
    return Node("is", (Node("sym", (), name.text), modulus, residue), "congruent")


def _read_property(cursor: Cursor) -> Node:
    """Read a name and the words said of it: "n is odd"."""
    subject = Node("sym", (), cursor.advance().text)
    words: list[str] = []
    while cursor.now.kind == "name":
        words.append(cursor.advance().text.lower())
    return Node("is", (subject,), " ".join(word for word in words if word not in _VERBS_AND_ARTICLES))
