"""One optimizer step: groups to rows, rows to micro-batches, log-probabilities, the loss, DeepSpeed.

May import: rl.settings, rl.policy, rl.types. Start with `step.py`.
"""
