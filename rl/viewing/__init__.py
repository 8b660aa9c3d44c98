"""Looking at runs: what the model wrote, why it was paid that, how the curves went; in a browser, a file or a terminal.

May import: rl/diagnosis, rl/evaluation and what they may import; a run is only read here, and the trainer knows nothing of
it. Start with `answers.py`, which lists everything that can be asked of a run; `page/` holds the browser's side.
"""
