"""The cold start: worked examples in packed rows, and TRL's SFTTrainer over the forward pass of the update.

May import: rl.tracking and all that it may. Start with `trainer.py`; `examples.py` says what is imitated.
"""
