"""Problem sets that come as files: GSM8K, programming sets, and JSONL of one's own.

May import: problems.types, problems.seeding.
"""
