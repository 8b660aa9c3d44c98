"""Levels of a domain in a configuration: `{domain: chain, level: 2}`, beside which a setting that is given wins."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, create_model, model_validator

from problems.types import Domain, ProblemSet, SourceConfig


def settings_model(record: Domain[Any] | ProblemSet[Any], module: str, **keys: Any) -> type[SourceConfig]:
    """Return the settings of a source: those of `record`, the fields `keys`, and `level` for a domain that has some.

    `module` is where the model will stand, for pickle; its name there is `<name>_source`.
    """
    name = f"{record.name}_source"
    levels = record.levels if isinstance(record, Domain) else ()
    if not levels:
        return create_model(name, __base__=record.config, __module__=module, **keys)
    numbers: Any = Literal[tuple(range(1, len(levels) + 1))]
    keys["level"] = (numbers | None, Field(default=None, description="how hard, 1 the easiest; settings given beside it win"))

    def with_level(cls: type[SourceConfig], settings: Any) -> Any:
        level: Any = settings.get("level") if isinstance(settings, Mapping) else None
        if level not in range(1, len(levels) + 1):
            return settings  # none, or one that its field refuses in words
        return {**levels[level - 1], **settings}

    validators: Any = {"with_level": model_validator(mode="before")(with_level)}
    return create_model(name, __base__=record.config, __module__=module, __validators__=validators, **keys)
