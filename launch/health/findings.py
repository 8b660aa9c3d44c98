"""What a check says: well, worth knowing, or a run could not work, and then what to do. As lines and as JSON."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal

Level = Literal["ok", "warning", "failure"]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One line of the doctor's."""

    level: Level
    about: str
    found: str
    to_do: str = ""

    def __str__(self) -> str:
        line = f"{self.level:<8} {self.about:<16} {self.found}"
        return f"{line}\n{'':<8} {'':<16} -> {self.to_do}" if self.to_do else line


def ok(about: str, found: str) -> Finding:
    """Return a finding that nothing is to be done about."""
    return Finding(level="ok", about=about, found=found)


def warning(about: str, found: str, to_do: str) -> Finding:
    """Return a finding with which a run works, and less well than it could."""
    return Finding(level="warning", about=about, found=found, to_do=to_do)


def failure(about: str, found: str, to_do: str) -> Finding:
    """Return a finding with which a run cannot work."""
    return Finding(level="failure", about=about, found=found, to_do=to_do)


def as_record(findings: Sequence[Finding]) -> dict[str, object]:
    """Return findings as an object of JSON."""
    return {"works": works(findings), "findings": [asdict(finding) for finding in findings]}


def works(findings: Sequence[Finding]) -> bool:
    """Whether a run can work here."""
    return all(finding.level != "failure" for finding in findings)
