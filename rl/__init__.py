"""The learning: sampling, advantages, loss, engine, the loop, evaluation and reports.

What one runs stands here, on top of the rooms: settings <- policy <- sampling and update <- tracking. May import: problems and
rewards. Start with `train.py`, the loop; `types.py` holds the records that flow through it.
"""

import os

# OpenMP threads that spin while they wait make a step 25 times slower as soon as another process wants a core; short
# spins cost a tenth on a quiet machine (LOG.md, 2026-11-21). Read when torch is first loaded, so it must stand here.
os.environ.setdefault("GOMP_SPINCOUNT", "2000")
