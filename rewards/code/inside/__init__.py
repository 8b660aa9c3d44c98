"""Behind the security wall: the processes that run untrusted programs. Standard library only; never sees an expected value.

May import: rewards.code.codec, rewards.code.wire. Started by `host.py`, as a process of its own.
"""
