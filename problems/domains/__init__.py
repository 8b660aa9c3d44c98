"""Procedural domains, one file each, found by being here: a file defines `DOMAIN` (see problems/types.py).

May import: problems.types.
"""
