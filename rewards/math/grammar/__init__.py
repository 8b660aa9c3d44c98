r"""What an answer says: text to a small bounded tree. Nothing here compares or computes. Start with `parser.py`.

    text       clean.py (one spelling), tokens.py (pieces), vocabulary.py (the words of the grammar)
    cursor     cursor.py (the place and the bounds), boundaries.py (where a value begins and ends)
    values     affixes.py < brackets.py < literals.py, names.py < functions.py < environments.py, texts.py < commands.py
               < letters.py < atoms.py
    formulas   powers.py < measures.py, products.py < sums.py < statements.py < parser.py
    whole      systems.py (rows behind a brace), quantifiers.py (tails: "for all x"), conditions.py ("1 if n is even"),
               integers.py ("all odd n"), phrases.py (times, sets of reals in words), words.py (answers that are no formula)

A rule is a function `read_x(cursor)` that takes an x from the cursor and returns its tree; it imports only rules before it.
May import: rewards.math.tree, rewards.math.units, rewards.math.vectors.
"""
