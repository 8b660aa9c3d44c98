"""A verifier process that takes two seconds for every verdict."""

import sys
import time

print(flush=True)
for _ in sys.stdin:
    time.sleep(2)
    print('{"status": "correct"}', flush=True)
