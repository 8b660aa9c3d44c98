"""Drawing completions from the policy: a queue of prompts in, samples out, each with a random stream of its own.

May import: rl.settings, rl.policy, rl.types. Start with `sampler.py`.
"""
