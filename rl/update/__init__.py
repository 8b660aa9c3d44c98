"""One optimizer step: groups to rows, rows to micro-batches, log-probabilities, the loss, DeepSpeed.

May import: rl.settings, rl.policy, the floor of rl. Start with `step.py`.
"""
