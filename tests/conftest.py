"""Property tests are the same on every machine: no clock decides, no chance, no memory of earlier runs."""

from hypothesis import settings

settings.register_profile("lab", deadline=None, derandomize=True, database=None)
settings.load_profile("lab")
