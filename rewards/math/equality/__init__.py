"""Whether two trees say the same: numbers, expressions, sets, families, matrices, quantities. Nothing here reads text.

May import: rewards.math.tree, rewards.math.units, rewards.math.vectors. Start with `compare.py`: it brings both sides into
their normal form, and the pair of their kinds says which file compares them. A file imports from lines below its own, and
from files behind it on its line:

    families                                            what may be renamed: bound names, arbitrary constants
    cosets                                              unions of progressions over all integers
    compare                                             the dispatch by kinds
    sets, times                                         unions and set builders; times of day
    items                                               sets, lists, sequences, matrices, ratios
    relations, cases, listed, quantities                equations and inequalities, cases, {n in Z | ...}, units
    integers, named                                     sets of integers; values by name
    realsets, emptiness, inequalities, intervals        sets of real numbers
    normal, definitions, labels, parts                  what the files above share
    linear, proportional, integer_sets, progressions    lines; a constant factor; integers by membership; ellipses
    derivatives                                         x' and dx/dt in one notation
    expressions                                         equal values of expressions: exactly, then by numbers
    matrices, decimals, steps, points, digits           values at points, to how many digits
    algebraic, balls, turns, numeric, formal, exact     how values are found
    rules                                               what decided

An object is compared by its parts with `compare.equal`, which comes as the argument `equal` (`parts.Equal`), because
`compare.py` imports the files that need it.
"""
