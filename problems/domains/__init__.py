"""Procedural domains, one file each, found by being here: a file defines `DOMAIN` (see problems/types.py).

May import: the floor of problems (types, errors, seeding, procedural). Start with `chain.py`.
"""
