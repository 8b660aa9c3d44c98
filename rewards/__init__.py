"""Text in, Verdict out: verifiers, the pool of killable workers, and how a verdict becomes a reward. No torch."""
