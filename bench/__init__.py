"""Speed and memory as ratios: ours against TRL's GRPOTrainer on the same work, turn by turn in one run.

work.py says what is done and material.py makes models and rollouts for it; ours.py and theirs.py do it; compare.py takes
turns and writes results; memory.py measures each side in a process of its own; search.py tries TRL's settings; profile.py
finds where our own time goes. gpu_check.py runs the steps of gpu_steps.py and gpu_kernels.py on a GPU, a process each.

May import: all of rl, rewards and problems. Start with `command.py`.
"""
