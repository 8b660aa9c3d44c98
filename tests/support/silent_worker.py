"""A verifier process that says it is ready and then never reads: a request longer than the pipe must not block the pool."""

import sys
import time

print(flush=True)
time.sleep(600)
sys.exit()
