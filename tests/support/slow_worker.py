"""A verifier process that gives no verdict before the file that MAY_ANSWER names is there."""

import os
import sys
import time
from pathlib import Path

print(flush=True)
for _ in sys.stdin:
    while not Path(os.environ["MAY_ANSWER"]).exists():
        time.sleep(0.01)
    print('{"status": "correct"}', flush=True)
