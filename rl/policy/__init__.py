"""The model, whoever uses it: opening one, making one from nothing, its prompts, and the attention that we plan for it.

May import: rl.settings, the floor of rl. Start with `interfaces.py` (what a tokenizer and a model must be able to do), then
`opening.py`.
"""
