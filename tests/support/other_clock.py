"""Set the clock of a Python process, for tests: `sitecustomize.py` in a directory of PYTHONPATH is imported before all else.

REASONLAB_CLOCK_SECONDS is added to what `time` says of the wall clock. Files keep the times that the kernel gives them, and
`datetime` its own.
"""

# ruff: noqa: TID251

import os
import time

_AHEAD = float(os.environ.get("REASONLAB_CLOCK_SECONDS", "0"))
_time, _gmtime, _localtime, _strftime = time.time, time.gmtime, time.localtime, time.strftime

time.time = lambda: _time() + _AHEAD
time.time_ns = lambda: int(time.time() * 1e9)
time.gmtime = lambda seconds=None: _gmtime(time.time() if seconds is None else seconds)
time.localtime = lambda seconds=None: _localtime(time.time() if seconds is None else seconds)
time.strftime = lambda form, moment=None: _strftime(form, time.localtime() if moment is None else moment)
