"""Drawing completions from the policy: a queue of prompts in, samples out, each with a random stream of its own.

May import: rl.settings, rl.policy, the floor of rl. Start with `sampler.py` (the loop); `how_to_draw.py` says what is set,
`picking.py` draws one token, `decoding.py` chooses what computes a step, `thinking.py` is for evaluation only.
"""
