"""What is asked: problem records, procedural domains, public sets and mixtures. Knows nothing of torch."""
