"""Runs untrusted Python programs and decides what they are worth.

Two sides that share only `codec` (a closed data format) and `frames` (length-prefixed messages):

- the judging side (`verifier`, `styles`, `compare`, `executor`) holds the expected outputs and decides;
- the sandbox side (`host`, `confine`, `guest`, `tester`) runs in processes of its own, imports nothing but the standard
  library, and never sees an expected output, except for the text of assert tests, which runs in a process (`tester`) that the
  candidate cannot reach.

May import: its own room judging, never `rewards.code.inside`, and the floor of rewards. Start with `judging/verifier.py`.
"""
