"""What becomes of sampled answers: records, measures with intervals, tables, comparison of two evaluations.

May import: rl/tracking and what it may import. Start with `samples.py`, then `measures.py`; rl/evaluate.py draws the samples.
"""
