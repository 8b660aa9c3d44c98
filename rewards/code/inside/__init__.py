"""Behind the security wall: the processes that run untrusted programs. Standard library only; never sees an expected value.

May import: rewards.code.codec, rewards.code.wire. Runs as processes of its own. Start with `host.py`, which starts the others.
"""
