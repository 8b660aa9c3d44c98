"""What sampling refuses."""

from problems.errors import LabError


class SamplingError(LabError):
    """Limits or settings under which nothing can be sampled; the message says what to change."""
