"""The judge: finds the candidate in a completion, has it run, compares what comes back, decides. Runs nothing itself.

Start with `verifier.py` (a completion in, a Verdict out), then `styles`. Below them:

- a file for each style: `scripts` (stdin), `calls` (function), `asserts` with `plan` and `together` (assert); `checker` (a
  problem's own);
- `source` (finding Python in text), `compare` (when a value counts as the expected one), `outcome` (the kinds of end);
- `sandbox` (the host and its processes), `channel` (messages under a deadline).

May import: rewards.code's own files, rewards.types, rewards.answer, problems; never `rewards.code.inside`: what runs programs
is not loaded where verdicts are made.
"""
