"""What a run leaves behind: its directory, metrics, checkpoints, reports and exported models.

May import: rl.settings, rl.policy, rl.update (a checkpoint holds the engine's state), rewards and the floor of rl.
Start with `run_directory.py`.
"""
