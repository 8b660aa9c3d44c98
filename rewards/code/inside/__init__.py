"""Behind the security wall: the processes that run untrusted programs.

Standard library only. Never sees an expected value, but for the text of assert tests, which only the examiner is given.
Start with `host.py`, which the judge starts as a process of its own. Then:

- the walls: `confine` (the layers), `kernel` (Linux calls), `seccomp` (system calls), `probe` (tries to get out), `scratch`;
- the candidate's process: `candidate` (styles stdin and function, the python tool), `examined` (style assert);
- the examiner's process: `examiner` (runs the tests), `remote` (the candidate as they see it).

May import: the standard library, rewards.code.codec, rewards.code.wire. Imported by nothing outside of this folder.
"""
