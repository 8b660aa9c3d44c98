"""The environment that goes along to other machines: what a run depends on, secrets included, nothing of this machine.

Through ssh it goes on stdin of the agent, where no list of processes shows it. DeepSpeed's pdsh launcher takes it from a file
(DS_ENV_FILE), which it reads line by line without any care; `deepspeed_env` writes lines that survive that.
"""

import re
from collections.abc import Mapping

_ALONG = re.compile(
    r"(?:NCCL|GLOO|TORCH|PYTORCH|OMP|MKL|CUDA|CUBLAS|TRITON|HF|HUGGING_FACE|WANDB|DS|DEEPSPEED|REASONLAB|TOKENIZERS|UCX|GLIBC"
    r"|MALLOC|PYTHON)_?\w*|LD_LIBRARY_PATH|LD_PRELOAD|(?:https?|no|all)_proxy|(?:HTTPS?|NO|ALL)_PROXY|LANG|LC_\w+|TZ|TMPDIR"
)
# which devices a process sees is the launcher's business
_STAYS = frozenset({"CUDA_VISIBLE_DEVICES", "DS_ENV_FILE"})


def travelling(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that other machines need."""
    return {key: value for key, value in environment.items() if _ALONG.fullmatch(key) and key not in _STAYS}


def deepspeed_env(variables: Mapping[str, str]) -> tuple[str, list[str]]:
    """Return the text of a `.deepspeed_env` and the names that it cannot carry (their values hold a line break).

    What it is made for (deepspeed 0.19.8, launcher/runner.py and multinode_runner.py): a line is split at its first "=", so
    there may be no empty line and no comment; its value is stripped, is put between double quotes where it holds anything
    unusual, and becomes a part of a shell command, in which pdsh replaces %h, %n, %u and %%.
    """
    lines, left_out = [], []
    for key, value in sorted(variables.items()):
        if "\n" in value or "\r" in value or value != value.strip():
            left_out.append(key)
            continue
        lines.append(f"{key}={in_double_quotes(value)}\n")
    return "".join(lines), left_out


def in_double_quotes(text: str) -> str:
    """Return `text` as it must stand between double quotes of a shell command that pdsh runs."""
    return re.sub(r'([\\"$`])', r"\\\1", text).replace("%", "%%")
