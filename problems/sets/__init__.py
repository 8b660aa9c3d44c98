"""Problem sets that come as files: GSM8K, programming sets, and JSONL of one's own.

May import: the floor of problems (types, errors, seeding, procedural). Start with `hub.py`.
"""
