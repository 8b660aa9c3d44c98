"""What may be set: every setting with its bounds, how YAML and overrides become a configuration, what a dry run prints.

Imports no torch, so that `--help`, `--dry-run` and every complaint about a setting come at once. May import: problems, rewards.
Start with `schema.py` (the update is set in `algorithm.py`, DeepSpeed in `deepspeed.py`); `loading.py` reads files and
overrides; `arguments.py` is the command line that every command shares.
"""
