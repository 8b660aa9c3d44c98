"""The cold start: worked examples in packed rows, and TRL's SFTTrainer over the forward pass of the update.

May import: rl.settings, rl.policy, rl.update, the floor of rl. Start with `trainer.py`; `examples.py` says what is imitated.
"""
