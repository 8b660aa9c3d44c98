"""The real model of `make test-real`; tests that need it skip where it has not been fetched."""

import os
import tempfile
from functools import cache
from pathlib import Path

from support_pure import fetched_model

from rl.policy.opening import plain_model
from rl.settings.schema import ModelSettings


@cache
def real_model() -> Path:
    """Return the directory of the model: $REASONLAB_REAL_MODEL, or made of what `reasonlab fetch smollm2-135m` left."""
    own = os.environ.get("REASONLAB_REAL_MODEL")
    path = Path(own) if own else fetched_model()
    return Path(plain_model(ModelSettings(path=str(path)), Path(tempfile.mkdtemp(prefix="reasonlab-real-"))).path)
