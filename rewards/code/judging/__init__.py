"""The judging side of the code verifier: finds the program in a completion, has it run, compares what comes back, decides.

May import: the floors of rewards and of rewards/code, never `rewards.code.inside`: what runs programs is not loaded where
verdicts are made. Start with `verifier.py`.
"""
