"""Sudoku of 4 x 4 and 9 x 9 with exactly one solution, which can be found without guessing.

Cells are emptied one by one, and only where the digit could at once be put back: no other digit fits there, or the digit fits
nowhere else in its row, column or box. So the puzzle needs no search, neither here nor by who solves it, and has one solution.
The full grids come from a few that a search filled, with digits, rows, columns, bands and sides changed about.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import product
from random import Random
from typing import Literal, NamedTuple

from pydantic import Field, model_validator

from problems.lines import Step, read_back, swapped, written
from problems.seeding import derive_rng
from problems.types import Domain, Draft, PositiveRange, Problem, ProblemError, SourceConfig

_GRIDS = 40  # full grids of a size before they are changed about
_EMPTY = "."
_PROMPT = re.compile(
    r"Fill in this sudoku: every row, column and \dx\d box holds each of 1 to [49] once\. "
    r"Give the rows from top to bottom, separated by commas\.\n([1-9.]+(?:\n[1-9.]+)*)"
)

Bits = list[int]  # for each cell, row by row: bit d-1 for digit d, 0 where it is empty


class SudokuConfig(SourceConfig):
    """Settings of `sudoku`."""

    size: Literal[4, 9] = Field(default=9, description="rows, columns and digits")
    empty: PositiveRange = Field(
        default=(20, 40), description="fewest and most empty cells, or fewer where one more needs guessing"
    )

    @model_validator(mode="after")
    def _leaves_something(self) -> "SudokuConfig":
        if self.empty[1] >= self.size**2:
            raise ValueError(f"empty must leave a cell of the {self.size**2} filled, found {self.empty}")
        return self


class _Shape(NamedTuple):
    """The cells of a size, numbered row by row: for each cell its row, column and box, and the cells of each of the three."""

    row: Sequence[int]
    column: Sequence[int]
    box: Sequence[int]
    units: Sequence[Sequence[int]]  # rows, then columns, then boxes


@lru_cache(maxsize=2)
def _shape(size: int) -> _Shape:
    side, cells = round(size**0.5), range(size**2)
    row = [cell // size for cell in cells]
    column = [cell % size for cell in cells]
    box = [row[cell] // side * side + column[cell] // side for cell in cells]
    units = [[cell for cell in cells if place[cell] == number] for place in (row, column, box) for number in range(size)]
    return _Shape(row, column, box, units)


class _Board:
    """A grid that is filled and emptied, with the digits that each row, column and box holds."""

    def __init__(self, size: int, cells: Sequence[int]):
        self.size, self.shape, self.every = size, _shape(size), (1 << size) - 1
        self.cells: Bits = [0] * size**2
        self.rows, self.columns, self.boxes = [0] * size, [0] * size, [0] * size
        for cell, bit in enumerate(cells):
            if bit:
                self.turn(cell, bit)

    def turn(self, cell: int, bit: int) -> None:
        """Put a digit into an empty cell, or take it out again."""
        row, column, box, _ = self.shape
        self.cells[cell] ^= bit
        self.rows[row[cell]] ^= bit
        self.columns[column[cell]] ^= bit
        self.boxes[box[cell]] ^= bit

    def fits(self, cell: int) -> int:
        """Return the digits that the row, column and box of a cell lack."""
        row, column, box, _ = self.shape
        return self.every ^ (self.rows[row[cell]] | self.columns[column[cell]] | self.boxes[box[cell]])

    def unit_without_other_place(self, cell: int, bit: int) -> int | None:
        """Return the number of a row, column or box of an empty cell in which a digit fits nowhere else, or None."""
        row, column, box, units = self.shape
        for unit in (row[cell], self.size + column[cell], 2 * self.size + box[cell]):
            if not any(self.cells[other] == 0 and other != cell and self.fits(other) & bit for other in units[unit]):
                return unit
        return None


@lru_cache(maxsize=2 * _GRIDS)
def _grid(size: int, number: int) -> Sequence[int]:
    """Return a full grid, the same everywhere, found by filling the cell with the fewest choices first."""
    rng, board = derive_rng("sudoku", size, number), _Board(size, [])

    def fill() -> bool:
        empty = [cell for cell, bit in enumerate(board.cells) if not bit]
        if not empty:
            return True
        cell = min(empty, key=lambda one: board.fits(one).bit_count())
        bits = [1 << digit for digit in range(size) if board.fits(cell) >> digit & 1]
        for bit in rng.sample(bits, len(bits)):
            board.turn(cell, bit)
            if fill():
                return True
            board.turn(cell, bit)
        return False

    fill()
    return tuple(board.cells)


def _lines(rng: Random, size: int) -> list[int]:
    """Return an order of the rows, or columns, in which those of a band stay together."""
    side = round(size**0.5)
    bands = rng.sample(range(side), side)
    return [band * side + line for band in bands for line in rng.sample(range(side), side)]


def _changed_about(rng: Random, size: int) -> Bits:
    """Return a full grid: one of the few with its digits, rows, columns and sides changed about."""
    grid, digits = _grid(size, rng.randrange(_GRIDS)), rng.sample(range(size), size)
    bits = {1 << old: 1 << new for old, new in enumerate(digits)}
    rows, columns = _lines(rng, size), _lines(rng, size)
    down, across = (size, 1) if rng.random() < 0.5 else (1, size)
    return [bits[grid[row * down + column * across]] for row in rows for column in columns]


def generate(rng: Random, config: SudokuConfig) -> Draft:
    """Draw a full grid and empty cells of it while no guessing is needed."""
    size, full = config.size, _changed_about(rng, config.size)
    board, wanted, emptied = _Board(size, full), rng.randint(*config.empty), 0
    for cell in rng.sample(range(size**2), size**2):
        bit = full[cell]
        board.turn(cell, bit)
        if board.fits(cell) == bit or board.unit_without_other_place(cell, bit) is not None:
            emptied += 1
            if emptied == wanted:
                break
        else:
            board.turn(cell, bit)
    side, rows = round(size**0.5), _rows(board.cells, size)
    return Draft(
        prompt=f"Fill in this sudoku: every row, column and {side}x{side} box holds each of 1 to {size} once. "
        "Give the rows from top to bottom, separated by commas.\n" + "\n".join(rows),
        same_as=same_as("".join(rows), size),
        reference=",".join(_rows(full, size)),
        difficulty={"size": size, "empty": emptied},
    )


def _rows(cells: Sequence[int], size: int) -> list[str]:
    digits = "".join(str(bit.bit_length()) if bit else _EMPTY for bit in cells)
    return [digits[start : start + size] for start in range(0, size**2, size)]


_ORDERS = [  # of the four rows, or columns, in which those of a band stay together
    [*(2 * band + line for line in first), *(2 * (1 - band) + line for line in second)]
    for band in (0, 1)
    for first in ((0, 1), (1, 0))
    for second in ((0, 1), (1, 0))
]


def same_as(digits: str, size: int) -> str:
    """Return what puzzles have in common that differ only in the order of rows, columns and bands, in sides, and in digits.

    Of 4 x 4 it is the first of all of them. Of 9 x 9 these are 3 million times as many, so it is how many digits are given
    in the row and column, the box and of the digit of each that is given: different puzzles may have the same, and only share
    a split then.
    """
    if size == 4:
        sides = [digits, "".join(digits[column::4] for column in range(4))]
        orders = product(sides, _ORDERS, _ORDERS)
        return min(
            _renamed("".join(side[4 * row + column] for row in rows for column in columns)) for side, rows, columns in orders
        )
    row, column, box, _ = _shape(size)
    given = [
        (f"r{row[cell]}", f"c{column[cell]}", f"b{box[cell]}", digit) for cell, digit in enumerate(digits) if digit != _EMPTY
    ]
    counts = Counter(name for names in given for name in names)
    return str(sorted([*sorted([counts[r], counts[c]]), counts[b], counts[digit]] for r, c, b, digit in given))


def _renamed(digits: str) -> str:
    """Return a grid with its digits named in the order in which they occur."""
    names = dict.fromkeys(digits.replace(_EMPTY, ""))
    return digits.translate({ord(digit): str(place) for place, digit in enumerate(names, start=1)})


def _found(board: _Board) -> Iterator[tuple[int, int, int | None]]:
    """Fill the board; yield (cell, bit, unit) for each cell in turn, unit None where nothing else fits in the cell itself.

    A cell in which only one digit fits is taken first. Stops where neither way helps: then it needs guessing.
    """
    while empty := [cell for cell, bit in enumerate(board.cells) if not bit]:
        only = [(cell, fit, None) for cell in empty if (fit := board.fits(cell)).bit_count() == 1]
        hidden = (
            (cell, bit, unit)
            for cell in empty
            for bit in (1 << digit for digit in range(board.size))
            if board.fits(cell) & bit and (unit := board.unit_without_other_place(cell, bit)) is not None
        )
        next_one = only[0] if only else next(hidden, None)
        if next_one is None:
            return
        board.turn(next_one[0], next_one[1])
        yield next_one


def _digits(bits: int) -> str:
    return " ".join(str(digit + 1) for digit in range(bits.bit_length()) if bits >> digit & 1)


def solve(problem: Problem, style: str, rng: Random) -> str:
    """Fill in cell by cell, each with what leaves no choice there."""
    given = read_back(_PROMPT, problem, "sudoku")[1].split("\n")
    size = len(given)
    if size not in (4, 9) or any(len(row) != size for row in given) or int(max("".join(given).replace(_EMPTY, "0"))) > size:
        raise ProblemError(f"problem {problem.id} ({problem.source}) is no grid of 4 x 4 or 9 x 9")
    board = _Board(size, [0 if cell == _EMPTY else 1 << int(cell) - 1 for row in given for cell in row])
    steps = [_step(board, cell, bit, unit) for cell, bit, unit in _found(board)]
    if 0 in board.cells:
        raise ProblemError(f"problem {problem.id} ({problem.source}) needs guessing, or has no solution")
    return written(style, steps, ",".join(_rows(board.cells, size)), rng)


def _step(board: _Board, cell: int, bit: int, unit: int | None) -> Step:
    """Return what is written about a cell that has just been filled."""
    size, (row, column, box, _) = board.size, board.shape
    digit, place = bit.bit_length(), f"row {row[cell] + 1} column {column[cell] + 1}: "
    slip = str(digit % size + 1)
    if unit is not None:
        kind = ("row", "column", "box")[unit // size]
        return Step(f"{place}nowhere else in {kind} {unit % size + 1} fits ", str(digit), slip)
    taken = (
        _digits(bits ^ bit) or "nothing"
        for bits in (board.rows[row[cell]], board.columns[column[cell]], board.boxes[box[cell]])
    )
    return Step("{}row has {}, column {}, box {}, so ".format(place, *taken), str(digit), slip)


def perturb(problem: Problem, rng: Random) -> str:
    """Return the grid with two neighbours of a row changed about."""
    rows = (problem.reference or "").split(",")
    number = rng.randrange(len(rows))
    rows[number] = "".join(swapped(rows[number], rng))
    return ",".join(rows)


DOMAIN = Domain(
    name="sudoku",
    config=SudokuConfig,
    generate=generate,
    solve=solve,
    perturb=perturb,
    verifier="exact",
    levels=[
        {"size": 4, "empty": (3, 6)},
        {"size": 4, "empty": (8, 11)},
        {"size": 9, "empty": (15, 30)},
        {"size": 9, "empty": (35, 50)},
    ],
)
