"""The learning: sampling, advantages, loss, engine, the loop, evaluation and reports."""
