"""The command line: `cli.py` is the table of commands, each in a small file of its own. No logic lives here.

A command reads its arguments, answers `--help` and the like at once, and only then imports what does the work. One
command stands where it belongs and is only listed here: `bench` (bench/command.py). What runs are started with and machines
looked over by is in rooms of its own, `nodes/` and `health/`.
`demo.py` strings the others together.

May import: every other room. Start with `cli.py`.
"""
