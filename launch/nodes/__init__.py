"""Starting a training on one machine, on many, or through Slurm, and saying truly how it ended (`reasonlab launch`).

`hosts.py` says which machines and processes there are, `commands.py` what is run on each, `agent.py` is what runs it there;
`supervisor.py` watches over one attempt, `outcome.py` judges it, `attempts.py` starts again. `travelling.py` has the
environment that goes along, `slurm.py` the job script. `docs/launch.md` is the manual. Loads no torch.

May import: rl. Start with `attempts.py`.
"""
