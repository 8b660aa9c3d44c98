"""Turns a procedural domain into a source: split by content, seeded by hash."""

from dataclasses import dataclass

from problems.seeding import content_hash, content_split, derive_rng
from problems.types import SPLITS, Domain, Problem, ProblemError, SourceConfig

_MAX_ATTEMPTS = 2000


@dataclass(frozen=True, kw_only=True)
class ProceduralSource:
    """Problems of one domain: item (seed, split, index) is the same everywhere, splits never share a problem."""

    domain: Domain
    config: SourceConfig
    seed: int

    def get(self, split: str, index: int) -> Problem:
        """Return the problem; raises ProblemError for an unknown split or settings that leave a split empty."""
        if split not in SPLITS:
            raise ProblemError(f"unknown split {split!r}: expected one of {', '.join(SPLITS)}")
        level = getattr(self.config, "level", None)  # the settings of a source have it, those of the domain alone do not
        for attempt in range(_MAX_ATTEMPTS):
            rng = derive_rng("problem", self.domain.name, self.seed, split, index, attempt)
            draft = self.domain.generate(rng, self.config)
            if content_split(draft.same_as or draft.prompt) == split:
                return Problem(
                    id=content_hash(self.domain.name, draft.prompt, draft.reference or ""),
                    domain=self.domain.name,
                    split=split,
                    prompt=draft.prompt,
                    reference=draft.reference,
                    checks=draft.checks,
                    difficulty={**draft.difficulty, **({} if level is None else {"level": level})},
                    source=f"{self.domain.name}/{self.seed}/{split}/{index}",
                )
        raise ProblemError(
            f"domain {self.domain.name!r} made no {split} problem in {_MAX_ATTEMPTS} tries: "
            f"its settings allow too few different problems ({self.config.model_dump()})"
        )
