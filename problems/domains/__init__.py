"""Procedural domains, one file each, found by being here: a file defines `DOMAIN`, a `Domain` of problems/types.py.

Start with chain.py, the one of the demo. A new domain is a new file: its settings (a SourceConfig), `generate`, `solve`,
`perturb`, its levels, and the name of the verifier that judges it, where plain numbers do not do. Nothing else names it.

May import: the floor of problems (types, errors, seeding, procedural; for steps worked, formulas, lines). Start with
`chain.py`.
"""
