"""Reads settings: YAML files stack, dotted overrides win, every error is reported at once with the nearest valid key.

The loader knows nothing of what the settings mean (that is rl/settings/schema.py) and imports no torch.
"""

import copy
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


@dataclass(frozen=True)
class Base:
    """Settings that stand below all files, and where they come from."""

    tree: Mapping[str, Any]
    where: str


class _Yaml12Loader(yaml.SafeLoader):
    """Safe YAML that reads floats and booleans as YAML 1.2 does (`1e-6` is a number, `off` a text); no key twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        # PyYAML lets the last of two equal keys win without a word
        keys: set[Any] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            if key.value in keys:
                raise yaml.constructor.ConstructorError(None, None, f"the key {key.value!r} is given twice", node.start_mark)
            keys.add(key.value)
        return super().construct_mapping(node, deep)


# A resolver is (tag, pattern); the first whose pattern matches a plain word says its type. They are filed by first letter.
_BOOL, _FLOAT, _INT = (f"tag:yaml.org,2002:{kind}" for kind in ("bool", "float", "int"))
_YAML12_BOOL = re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$")
_YAML12_FLOAT = re.compile(
    r"^[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$|^[-+]?\.(?:inf|Inf|INF)$|^\.(?:nan|NaN|NAN)$"
)
_Yaml12Loader.yaml_implicit_resolvers = {
    letter: [(tag, pattern) for tag, pattern in resolvers if tag not in (_FLOAT, _BOOL)]
    for letter, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Yaml12Loader.add_implicit_resolver(_BOOL, _YAML12_BOOL, list("tTfF"))
_Yaml12Loader.add_implicit_resolver(_FLOAT, _YAML12_FLOAT, list("-+0123456789."))
# the pattern of floats matches integers too, so that of integers must come first
for _resolvers in _Yaml12Loader.yaml_implicit_resolvers.values():
    _resolvers.sort(key=lambda resolver: resolver[0] != _INT)


def parse_yaml(text: str, where: str) -> Any:
    """Parse YAML text; raises ConfigError naming `where`."""
    try:
        return yaml.load(text, Loader=_Yaml12Loader)
    except yaml.YAMLError as error:
        raise ConfigError(f"{where} is not valid YAML: {error}") from None


def read_settings(path: Path) -> dict[str, Any]:
    """Return what a YAML file of settings holds, unchecked; raises ConfigError where it cannot be read."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        shipped = sorted(str(file) for file in Path("configs").glob("*.yaml"))
        nearest = difflib.get_close_matches(str(path), shipped, n=1, cutoff=0.3)
        hint = f"; did you mean {nearest[0]}?" if nearest else ""
        raise ConfigError(f"cannot read the config {path}: {error}{hint}") from None
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
    """Return `base` with what `over` says in its place; tables are merged, everything else is replaced whole."""
    if not isinstance(base, dict) or not isinstance(over, dict):
        return over
    merged = dict(base)
    for key, value in over.items():
        merged[key] = _merge(base.get(key), value)
    return merged


def _set_path(tree: Any, keys: list[str], value: Any, dotted: str) -> None:
    """Put `value` into `tree` where `keys` lead, and make the tables on the way that are not there yet."""
    *path, last = keys
    for depth, key in enumerate(path):
        position = _position(tree, key, keys[:depth], dotted)
        if isinstance(tree, dict) and not isinstance(tree.get(key), dict | list):
            tree[key] = {}
        tree = tree[position]
    tree[_position(tree, last, path, dotted)] = value


def _position(tree: Any, key: str, above: Sequence[str], dotted: str) -> Any:
    """Return what `tree`, to which the keys `above` led, is indexed with for `key`."""
    where = ".".join(above)
    if isinstance(tree, dict):
        return key
    if not isinstance(tree, list):
        raise ConfigError(f"{dotted}: {where} is a value, it has no key {key!r}")
    if not key.isdecimal() or int(key) >= len(tree):
        raise ConfigError(f"{dotted}: {where} is a list of {len(tree)}; {key!r} is not one of its positions")
    return int(key)


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
    replaced = [name for name in origin if name == key or name.startswith(f"{key}.")]
    for name in replaced:
        del origin[name]


def _replaced(tree: Any, prefix: str = "") -> Iterator[str]:
    """Yield the keys that `tree` replaces whole when it is merged over another."""
    if isinstance(tree, dict) and tree:
        for key, value in tree.items():
            yield from _replaced(value, _join(prefix, key))
    else:
        yield prefix


def _known_keys(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        dotted = _join(prefix, name)
        yield dotted
        for inner in _models_in(field.annotation):
            yield from _known_keys(inner, dotted)


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models_in(argument)


def _nearest(key: str, known: Sequence[str]) -> str:
    """Return a hint at the known key that was probably meant, or nothing."""
    without_positions = re.sub(r"\.\d+(?=\.|$)", "", key)
    name = _last(without_positions)
    # in this order: the right name in the wrong place, a key that looks alike, a name that looks alike
    candidates = [other for other in known if _last(other) == name]
    if not candidates:
        candidates = difflib.get_close_matches(without_positions, known, n=1, cutoff=0.6)
    if not candidates:
        near_names = difflib.get_close_matches(name, [_last(other) for other in known], n=1, cutoff=0.75)
        candidates = [other for other in known if _last(other) in near_names]
    return f"; did you mean {candidates[0]!r}?" if candidates else ""


def _last(dotted: str) -> str:
    return dotted.rsplit(".", 1)[-1]


def _location(parts: Sequence[int | str], tree: Any) -> str:
    """Return the dotted key of a fault. pydantic puts the tag of a union into the path, which is no key of the user's."""
    keys: list[str] = []
    for part in parts:
        is_tag = isinstance(tree, dict) and part not in tree and part in list(tree.values())
        if is_tag:
            continue
        keys.append(str(part))
        is_key = isinstance(tree, dict) and part in tree
        is_position = isinstance(tree, list) and part in range(len(tree))
        tree = tree[part] if is_key or is_position else None
    return ".".join(keys)


def _came_from(dotted: str, origin: Mapping[str, str]) -> str | None:
    """Return where `dotted`, or the value it is a part of, came from."""
    keys = dotted.split(".")
    for depth in range(len(keys), 0, -1):
        source = origin.get(".".join(keys[:depth]))
        if source:
            return source
    return None


def _inside_came_from(dotted: str, origin: Mapping[str, str]) -> str | None:
    """Return where the first value below `dotted` came from."""
    for key, source in origin.items():
        if key.startswith(f"{dotted}."):
            return source
    return None


def _explain(model: type[BaseModel], error: ValidationError, origin: Mapping[str, str], tree: Any) -> list[str]:
    """Return one line a fault."""
    known = list(dict.fromkeys(_known_keys(model)))
    lines = []
    for fault in error.errors():
        if fault["type"] == "too_short" and fault["input"]:
            continue  # the items were given; what is wrong with them is a fault of its own
        dotted = _location(fault["loc"], tree)
        if fault["type"] == "missing":
            lines.append(f"{dotted!r} is required and was not given")
            continue
        source = _came_from(dotted, origin)
        if fault["type"] == "extra_forbidden":
            source = source or _inside_came_from(dotted, origin)
            lines.append(f"unknown key {dotted!r}{_in_parentheses(source)}{_nearest(dotted, known)}")
            continue
        where = f"{dotted}: " if dotted else ""
        message = fault["msg"].removeprefix("Value error, ")
        message = message[0].lower() + message[1:]
        has_value = not isinstance(fault["input"], dict | BaseModel)
        value = f", found {fault['input']!r}" if has_value else ""
        lines.append(f"{where}{message}{value}{_in_parentheses(source)}")
    return lines


def _in_parentheses(source: str | None) -> str:
    return f" (from {source})" if source else ""


def load_config(model: type[C], files: Sequence[Path], overrides: Sequence[str], base: Base | None = None) -> Loaded[C]:
    """Return the configuration of `base`, `files` (later ones win) and `overrides` (they win over all).

    Raises ConfigError with every fault: unknown keys with the nearest valid one, wrong types, impossible combinations.
    """
    tree: dict[str, Any] = {}
    origin: dict[str, str] = {}
    if base is not None:
        tree = copy.deepcopy(dict(base.tree))  # overrides are put into it
        origin = dict.fromkeys(_leaves(tree), base.where)
    for path in files:
        data = read_settings(path)
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
        listed = "\n  ".join(lines)
        raise ConfigError(f"{len(lines)} fault(s) in the configuration:\n  {listed}{hint}") from None


class _Dumper(yaml.SafeDumper):
    """Quotes what the loader above would not read back as text."""


_Dumper.yaml_implicit_resolvers = _Yaml12Loader.yaml_implicit_resolvers


def _inline(value: Any) -> str:
    """Return a plain value, or a list of them, as YAML on one line."""
    # a line break or a tab shows only between double quotes
    is_hidden = isinstance(value, str) and not value.isprintable()
    style = '"' if is_hidden else None
    text = yaml.dump(value, Dumper=_Dumper, default_flow_style=True, default_style=style, width=sys.maxsize, allow_unicode=True)
    # PyYAML ends a plain value with the mark of a document's end
    return text.removesuffix("\n").removesuffix("\n...")


def _lines(tree: Any, origin: Mapping[str, str], prefix: str = "") -> Iterator[str]:
    """Yield the lines of `tree`, without the indent of what it stands in."""
    is_list = isinstance(tree, list)
    items = enumerate(tree) if is_list else tree.items()
    for key, value in items:
        dotted = _join(prefix, key)
        is_nested = (isinstance(value, dict) and value) or _is_nested_list(value)
        if is_nested and is_list:
            first, *rest = _lines(value, origin, dotted)
            yield f"- {first}"
            yield from (f"  {line}" for line in rest)
        elif is_nested:
            yield f"{key}:"
            yield from (f"  {line}" for line in _lines(value, origin, dotted))
        else:
            start = "-" if is_list else f"{key}:"
            source = origin.get(dotted)
            comment = f"  # {source}" if source else ""
            yield f"{start} {_inline(value)}{comment}"


def describe(loaded: Loaded[Any]) -> str:
    """Return the resolved configuration as YAML; every value that was set says where it came from."""
    plain_config = loaded.config.model_dump(mode="json")
    return "\n".join(_lines(plain_config, loaded.origin)) + "\n"


def flatten(tree: Any, prefix: str = "") -> dict[str, Any]:
    """Return nested settings by dotted key."""
    if not isinstance(tree, dict):
        return {prefix: tree}
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        flat |= flatten(value, f"{prefix}.{key}" if prefix else str(key))
    return flat
