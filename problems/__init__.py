"""What is asked: problem records, procedural domains, public sets and mixtures. Knows nothing of torch.

May import: nothing of the lab but its own rooms. Start with `types.py` (the records), then `catalog.py` (every domain by name).
"""
