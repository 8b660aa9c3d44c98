"""What an answer says: text to a small bounded tree. Nothing here compares or computes.

May import: rewards.math.tree, rewards.math.units, rewards.math.vectors. Start with `parser.py`.
"""
