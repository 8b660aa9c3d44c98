"""Reads settings: YAML files stack, dotted overrides win, every error is reported at once with the nearest valid key.

The loader knows nothing of what the settings mean (that is rl/config.py) and imports no torch.
"""

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar, get_args

import yaml
from pydantic import BaseModel, ValidationError

from problems.errors import LabError


class ConfigError(LabError):
    """Settings that cannot be used; the message lists every fault."""


C = TypeVar("C", bound=BaseModel)


@dataclass(frozen=True)
class Loaded(Generic[C]):
    """A resolved configuration and, for each dotted key that was set, where its value came from."""

    config: C
    origin: Mapping[str, str]


class _Yaml12Loader(yaml.SafeLoader):
    """Safe YAML that reads floats as YAML 1.2 does: `1e-6` is a number, not a text."""


_Yaml12Loader.yaml_implicit_resolvers = {
    letter: [(tag, pattern) for tag, pattern in rules if tag != "tag:yaml.org,2002:float"]
    for letter, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Yaml12Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$|^[-+]?\.(?:inf|Inf|INF)$|^\.(?:nan|NaN|NAN)$"),
    list("-+0123456789."),
)
# YAML 1.1 integers stay integers: their resolver is tried first only if it was added first.
_Yaml12Loader.yaml_implicit_resolvers = {
    letter: sorted(rules, key=lambda rule: rule[0] != "tag:yaml.org,2002:int")
    for letter, rules in _Yaml12Loader.yaml_implicit_resolvers.items()
}


def parse_yaml(text: str, where: str) -> Any:
    """Parse YAML text; raises ConfigError naming `where`."""
    try:
        return yaml.load(text, Loader=_Yaml12Loader)
    except yaml.YAMLError as error:
        raise ConfigError(f"{where} is not valid YAML: {error}") from None


def _read_file(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        near = sorted(str(p) for p in Path("configs").glob("*.yaml"))
        hint = difflib.get_close_matches(str(path), near, n=1, cutoff=0.3)
        raise ConfigError(f"cannot read the config {path}: {error}" + (f"; did you mean {hint[0]}?" if hint else "")) from None
    data = parse_yaml(text, str(path))
    if not isinstance(data, dict):
        raise ConfigError(f"{path} must hold key: value pairs at the top, found {type(data).__name__}")
    return data


def split_overrides(arguments: Sequence[str]) -> list[tuple[str, str]]:
    """Read `a.b=v`, `--a.b=v` and `--a.b v`; raises ConfigError for anything else."""
    pairs: list[tuple[str, str]] = []
    waiting: str | None = None
    for argument in arguments:
        if waiting is not None:
            pairs.append((waiting, argument))
            waiting = None
        elif "=" in argument:
            key, value = argument.removeprefix("--").split("=", 1)
            pairs.append((key, value))
        elif argument.startswith("--"):
            waiting = argument.removeprefix("--")
        else:
            raise ConfigError(f"cannot read {argument!r}: overrides are written key.subkey=value")
    if waiting is not None:
        raise ConfigError(f"--{waiting} has no value: overrides are written key.subkey=value")
    return [(key.replace("-", "_"), value) for key, value in pairs]


def _merge(base: Any, over: Any) -> Any:
    if isinstance(base, dict) and isinstance(over, dict):
        return {**base, **{key: _merge(base.get(key), value) for key, value in over.items()}}
    return over


def _set_path(tree: Any, keys: list[str], value: Any, dotted: str) -> None:
    for depth, key in enumerate(keys):
        last = depth == len(keys) - 1
        if isinstance(tree, list):
            if not key.isdigit() or int(key) >= len(tree):
                raise ConfigError(
                    f"{dotted}: {'.'.join(keys[:depth])} is a list of {len(tree)}; {key!r} is not one of its positions"
                )
            position: Any = int(key)
        elif isinstance(tree, dict):
            position = key
            if not last and not isinstance(tree.get(key), dict | list):
                tree[key] = {}
        else:
            raise ConfigError(f"{dotted}: {'.'.join(keys[:depth])} is a value, it has no key {key!r}")
        if last:
            tree[position] = value
        else:
            tree = tree[position]


def _leaves(tree: Any, prefix: str = "") -> Iterator[str]:
    if isinstance(tree, dict) and tree:
        for key, value in tree.items():
            yield from _leaves(value, f"{prefix}.{key}" if prefix else str(key))
    else:
        yield prefix


def _known_keys(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        dotted = f"{prefix}.{name}" if prefix else name
        yield dotted
        for inner in _models_in(field.annotation):
            yield from _known_keys(inner, dotted)


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models_in(argument)


def _nearest(key: str, known: Sequence[str]) -> str:
    pattern = re.sub(r"\.\d+(?=\.|$)", "", key)
    last = pattern.rsplit(".", 1)[-1]
    same_name = [name for name in known if name.rsplit(".", 1)[-1] == last]
    close = difflib.get_close_matches(pattern, known, n=1, cutoff=0.6)
    by_name = difflib.get_close_matches(last, [name.rsplit(".", 1)[-1] for name in known], n=1, cutoff=0.75)
    found = same_name[:1] or close or [name for name in known if by_name and name.rsplit(".", 1)[-1] == by_name[0]][:1]
    return f"; did you mean {found[0]!r}?" if found else ""


def _explain(model: type[BaseModel], error: ValidationError, origin: Mapping[str, str]) -> list[str]:
    known = list(dict.fromkeys(_known_keys(model)))
    lines = []
    for fault in error.errors():
        # pydantic puts the tag of a discriminated union into the path; it is not a key of the user's
        location = [str(part) for part in fault["loc"] if not (isinstance(part, str) and part in _TAGS)]
        dotted = ".".join(location)
        came = origin.get(dotted)
        source = f" (from {came})" if came else ""
        if fault["type"] == "extra_forbidden":
            lines.append(f"unknown key {dotted!r}{source}{_nearest(dotted, known)}")
        elif fault["type"] == "missing":
            lines.append(f"{dotted!r} is required and was not given")
        else:
            message = fault["msg"].removeprefix("Value error, ")
            shown = "" if isinstance(fault["input"], dict | BaseModel) else f", found {fault['input']!r}"
            lines.append((f"{dotted}: " if dotted else "") + message[0].lower() + message[1:] + shown + source)
    return lines


_TAGS = frozenset({"chain", "arithmetic", "countdown", "gsm8k", "jsonl"})


def load_config(model: type[C], files: Sequence[Path], overrides: Sequence[str]) -> Loaded[C]:
    """Return the configuration of `files` (later ones win) and `overrides` (they win over all).

    Raises ConfigError with every fault: unknown keys with the nearest valid one, wrong types, impossible combinations.
    """
    tree: dict[str, Any] = {}
    origin: dict[str, str] = {}
    for path in files:
        data = _read_file(path)
        tree = _merge(tree, data)
        origin.update({key: str(path) for key in _leaves(data)})
    for dotted, text in split_overrides(overrides):
        _set_path(tree, dotted.split("."), parse_yaml(text, f"the value of {dotted}"), dotted)
        origin[dotted] = "command line"
    try:
        return Loaded(model.model_validate(tree), origin)
    except ValidationError as error:
        lines = _explain(model, error, origin)
        raise ConfigError(f"{len(lines)} fault(s) in the configuration:\n  " + "\n  ".join(lines)) from None


class _Dumper(yaml.SafeDumper):
    """One setting a line; only lists of plain values stay on theirs."""


def _represent_list(dumper: yaml.SafeDumper, value: list[Any]) -> yaml.Node:
    return dumper.represent_sequence(
        "tag:yaml.org,2002:seq", value, flow_style=not any(isinstance(v, dict | list) for v in value)
    )


_Dumper.add_representer(list, _represent_list)


def describe(loaded: Loaded[Any]) -> str:
    """Return the resolved configuration as YAML; every value that was set says where it came from."""
    origin = loaded.origin
    text = yaml.dump(
        loaded.config.model_dump(mode="json"), Dumper=_Dumper, sort_keys=False, default_flow_style=False, width=1000
    )
    stack: list[tuple[int, str]] = []
    lines = []
    for line in text.splitlines():
        match = re.match(r"^(\s*)([A-Za-z_][\w]*):", line)
        if match:
            indent = len(match[1])
            while stack and stack[-1][0] >= indent:
                stack.pop()
            stack.append((indent, match[2]))
            came = origin.get(".".join(name for _, name in stack))
            lines.append(f"{line}  # {came}" if came else line)
        else:
            lines.append(line)
    return "\n".join(lines) + "\n"
