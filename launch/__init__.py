"""The command line: `cli.py` is the table of commands, each in a small file of its own. No logic lives here.

A command reads its arguments, answers `--help` and the like at once, and only then imports what does the work. Two
commands stand where they belong and are only listed here: `bench` (bench/command.py) and `doctor` (rewards/code/doctor.py).
`demo.py` strings the others together.

May import: every other room. Start with `cli.py`.
"""
