"""The command line and the launchers. No logic lives here.

May import: everything below. Start with `cli.py`.
"""
