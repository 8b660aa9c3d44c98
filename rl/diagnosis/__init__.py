"""Whether a run can learn, and if not, why: figures that are measured, and rules that read them.

May import: rl/tracking and what it may import. Start with `rules.py`; rl/diagnose.py measures before a run,
`watch.py` during one.
"""
