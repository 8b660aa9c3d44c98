"""Runs untrusted Python programs and decides what they are worth.

The parties, by these names everywhere:

- judge (`judging/`): the side that decides; it holds the expected outputs and never runs anything;
- host (`inside/host.py`): the fork server in the sandbox that starts the other two;
- candidate (`inside/candidate.py`): the untrusted program and its process; nothing that it says is believed;
- examiner (`inside/examiner.py`): the sandboxed process that runs the text of assert tests, with proxies of the candidate.

What lives here: `settings` (what may be set), `codec` (values as data), `wire` (the messages), which both sides share;
`session` (the python tool) and `doctor` (`reasonlab doctor --sandbox`), which stand on the judge.

May import: its own room judging and the floor of rewards; `codec`, `wire` and all of `inside/` the standard library only, and
`judging/` never imports `inside/`: a test holds that. Start with `judging/verifier.py`, then `wire.py`.
"""
