"""The last stage of the math verifier: sympy, in a process of its own that can be killed.

What the fast stages leave undecided (integrals, limits, infinite sums, matrices, solution sets, curves) goes there as a tree
and becomes sympy objects by constructor; no text is ever parsed or evaluated. `stage.py` says what is asked and what the
answer means, `client.py` keeps the process, `worker.py` is what runs in it; only it and what it imports know sympy.

May import: the floor of rewards/math, equality, the floor of rewards. Start with `stage.py`, then `compare.py`.
"""
