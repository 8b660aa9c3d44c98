"""What devices this machine has, without torch."""

from pathlib import Path

_DEVICES = Path("/dev")  # where NVIDIA's driver puts nvidia0, nvidia1, ...


def nvidia_devices() -> list[str]:
    """Return the names of the GPUs that the driver shows."""
    return sorted(path.name for path in _DEVICES.glob("nvidia[0-9]*"))
