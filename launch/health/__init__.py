"""Whether a machine, or those of a hostfile, can do a run, each line with what to do about it (`reasonlab doctor`).

`findings.py` has what a check says, `machine.py` the checks of this machine, `services.py` those of what it reaches, `reach.py`
those of other hosts, for which `allreduce.py` is run on every rank.

May import: launch/nodes and the rooms below. Start with `findings.py`.
"""
