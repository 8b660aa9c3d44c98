"""Text in, Verdict out: verifiers, the pool of killable workers, and how a verdict becomes a reward. No torch.

May import: its own rooms, and problems. Start with `types.py` (Verdict, Reward), then `verifiers.py` (one for each
domain) and `pool.py` (who calls them).
"""
