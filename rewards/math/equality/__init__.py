"""Whether two trees say the same: numbers, expressions, sets, families, matrices, quantities. Nothing here reads text.

May import: rewards.math.tree, rewards.math.units, rewards.math.vectors. Start with `compare.py`.
"""
