"""Problem sets that come as files, one file each, found by being here: a file defines `SET`, a `ProblemSet`.

Start with gsm8k.py: its settings, how one row becomes a problem, how the whole is loaded. What sets share is one folder up:
problems/rows.py reads files and the hub, problems/finite.py makes a source of the rows.

May import: problems.types, problems.seeding, problems.rows, problems.finite.
"""
