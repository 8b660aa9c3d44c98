"""What may be set: every setting with its bounds, how YAML and overrides become a configuration, what a dry run prints.

Imports no torch, so that `--help`, `--dry-run` and every complaint about a setting come at once. `algorithm.py` has the
settings of the update, `deepspeed.py` those of DeepSpeed; `loading.py` reads files and overrides; `arguments.py` is the
command line that all share.

May import: problems, rewards. Start with `schema.py`.
"""
