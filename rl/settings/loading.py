"""Reads settings: YAML files stack, dotted overrides win, every error is reported at once with the nearest valid key.

The loader knows nothing of what the settings mean (that is rl/settings/schema.py) and imports no torch.
"""

import difflib
import re
import sys
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
    """Safe YAML that reads floats and booleans as YAML 1.2 does (`1e-6` is a number, `off` a text); no key twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        if twice := [key for position, key in enumerate(keys) if key in keys[:position]]:
            raise yaml.constructor.ConstructorError(None, None, f"the key {twice[0]!r} is given twice", node.start_mark)
        return super().construct_mapping(node, deep)


_Yaml12Loader.yaml_implicit_resolvers = {
    letter: [(tag, pattern) for tag, pattern in rules if tag not in ("tag:yaml.org,2002:float", "tag:yaml.org,2002:bool")]
    for letter, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Yaml12Loader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF")
)
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
            if not key.isdecimal() or int(key) >= len(tree):
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


def _join(prefix: str, key: object) -> str:
    return f"{prefix}.{key}" if prefix else str(key)


def _leaves(tree: Any, prefix: str = "") -> Iterator[str]:
    """Yield the dotted key of every value; a list of plain values is one value."""
    if isinstance(tree, dict) and tree:
        for key, value in tree.items():
            yield from _leaves(value, _join(prefix, key))
    elif _is_nested_list(tree):
        for position, value in enumerate(tree):
            yield from _leaves(value, _join(prefix, position))
    else:
        yield prefix


def _is_nested_list(value: Any) -> bool:
    return isinstance(value, list) and any(isinstance(item, dict | list) for item in value)


def _forget(origin: dict[str, str], key: str) -> None:
    """Forget where `key` and all below it came from: it was replaced."""
    for old in [name for name in origin if name == key or name.startswith(f"{key}.")]:
        del origin[old]


def _replaced(tree: Any, prefix: str = "") -> Iterator[str]:
    """Yield the keys that `tree` replaces whole when it is merged over another."""
    if isinstance(tree, dict) and tree:
        for key, value in tree.items():
            yield from _replaced(value, _join(prefix, key))
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


def _location(parts: Sequence[int | str], tree: Any) -> str:
    """Return the dotted key of a fault. pydantic puts the tag of a union into the path, which is no key of the user's."""
    keys: list[str] = []
    for part in parts:
        if isinstance(tree, dict) and part not in tree and part in list(tree.values()):
            continue
        keys.append(str(part))
        known = (isinstance(tree, dict) and part in tree) or (isinstance(tree, list) and part in range(len(tree)))
        tree = tree[part] if known else None
    return ".".join(keys)


def _came_from(dotted: str, origin: Mapping[str, str]) -> str | None:
    """Return where `dotted`, or the value it is a part of, came from."""
    keys = dotted.split(".")
    return next((came for n in range(len(keys), 0, -1) if (came := origin.get(".".join(keys[:n])))), None)


def _explain(model: type[BaseModel], error: ValidationError, origin: Mapping[str, str], tree: Any) -> list[str]:
    known = list(dict.fromkeys(_known_keys(model)))
    lines = []
    for fault in error.errors():
        if fault["type"] == "too_short" and fault["input"]:
            continue  # the items were given; what is wrong with them is a fault of its own
        dotted = _location(fault["loc"], tree)
        came = _came_from(dotted, origin)
        source = f" (from {came})" if came else ""
        if fault["type"] == "extra_forbidden":
            inner = next((where for key, where in origin.items() if key.startswith(f"{dotted}.")), None)
            source = source or (f" (from {inner})" if inner else "")
            lines.append(f"unknown key {dotted!r}{source}{_nearest(dotted, known)}")
        elif fault["type"] == "missing":
            lines.append(f"{dotted!r} is required and was not given")
        else:
            message = fault["msg"].removeprefix("Value error, ")
            shown = "" if isinstance(fault["input"], dict | BaseModel) else f", found {fault['input']!r}"
            lines.append((f"{dotted}: " if dotted else "") + message[0].lower() + message[1:] + shown + source)
    return lines


def load_config(model: type[C], files: Sequence[Path], overrides: Sequence[str]) -> Loaded[C]:
    """Return the configuration of `files` (later ones win) and `overrides` (they win over all).

    Raises ConfigError with every fault: unknown keys with the nearest valid one, wrong types, impossible combinations.
    """
    tree: dict[str, Any] = {}
    origin: dict[str, str] = {}
    for path in files:
        data = _read_file(path)
        tree = _merge(tree, data)
        for key in _replaced(data):
            _forget(origin, key)
        origin.update({key: str(path) for key in _leaves(data)})
    for dotted, text in split_overrides(overrides):
        value = parse_yaml(text, f"the value of {dotted}")
        _set_path(tree, dotted.split("."), value, dotted)
        _forget(origin, dotted)
        origin.update(dict.fromkeys(_leaves(value, dotted), "command line"))
    try:
        return Loaded(model.model_validate(tree), origin)
    except ValidationError as error:
        lines = _explain(model, error, origin, tree)
        hint = "" if files else "\n(no --config FILE was given; see configs/)"
        raise ConfigError(f"{len(lines)} fault(s) in the configuration:\n  " + "\n  ".join(lines) + hint) from None


class _Dumper(yaml.SafeDumper):
    """Quotes what the loader above would not read back as text."""


_Dumper.yaml_implicit_resolvers = _Yaml12Loader.yaml_implicit_resolvers


def _inline(value: Any) -> str:
    """Return a plain value, or a list of them, as YAML on one line."""
    quoted = '"' if isinstance(value, str) and not value.isprintable() else None
    text = yaml.dump(
        value, Dumper=_Dumper, default_flow_style=True, default_style=quoted, width=sys.maxsize, allow_unicode=True
    )
    return text.removesuffix("\n").removesuffix("\n...")


def _lines(tree: Any, origin: Mapping[str, str], prefix: str = "") -> Iterator[str]:
    items = enumerate(tree) if isinstance(tree, list) else tree.items()
    for key, value in items:
        dotted = _join(prefix, key)
        if (isinstance(value, dict) and value) or _is_nested_list(value):
            inner = list(_lines(value, origin, dotted))
            if isinstance(tree, list):
                yield f"- {inner[0]}"
                yield from (f"  {line}" for line in inner[1:])
            else:
                yield f"{key}:"
                yield from (f"  {line}" for line in inner)
            continue
        came = origin.get(dotted)
        start = "- " if isinstance(tree, list) else f"{key}: "
        yield start + _inline(value) + (f"  # {came}" if came else "")


def describe(loaded: Loaded[Any]) -> str:
    """Return the resolved configuration as YAML; every value that was set says where it came from."""
    return "\n".join(_lines(loaded.config.model_dump(mode="json"), loaded.origin)) + "\n"
