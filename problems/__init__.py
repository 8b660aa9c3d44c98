"""What is asked: problems whose answers a program can check, where they come from, and how several sources mix.

Start with types.py (a problem, a domain, a set as data), then a short domain, domains/chain.py. catalog.py is the door for
everyone else: settings choose sources by name there, `build_source` opens them, `solve` and `perturb` give a right answer
and a wrong one. In between: procedural.py makes a domain an endless source, finite.py a set of rows a finite one,
mixture.py makes one of several, and seeding.py names every random stream.

May import: nothing else of the lab, and never torch.
"""
