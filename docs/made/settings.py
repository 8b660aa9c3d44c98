"""Pages that list every setting of `reasonlab train`, `sft` and `eval`, from the pydantic models themselves.

    run.seed | int, 0 or more | 0 | names every random stream of the run

A group of settings is a table of its own; a group that may be left out, and the entries of a list, are told apart by words. The
settings of the sources of problems, which an entry of `problems` may have, are a page of their own.
Imports no torch.
"""

import html
from collections.abc import Iterator
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeGuard, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Len, Lt, MinLen
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from problems.catalog import SOURCE_MODELS
from problems.types import SourceConfig
from rl.settings.evaluation import EvalConfig
from rl.settings.schema import RunConfig, SftConfig

_PAGES: dict[str, tuple[type[BaseModel], str]] = {
    "train": (RunConfig, "Practice. `algorithm` is explained in [losses](../losses.md), the step in [the loop](../loop.md)."),
    "sft": (SftConfig, "The cold start: imitation of worked solutions."),
    "eval": (EvalConfig, "What the numbers mean is in [evaluation](../evaluation.md)."),
}
_HEAD = "| setting | type | default | what it is |\n|---|---|---|---|"


_IN_WORDS: dict[Any, str] = {str: "text", bool: "true or false", int: "whole number", float: "number", Any: "anything"}


def settings_pages() -> dict[str, str]:
    """Return the pages by their place below docs/."""
    pages = {f"reference/settings-{name}.md": _page(name, model, about) for name, (model, about) in _PAGES.items()}
    return {**pages, "reference/settings-problems.md": _page_of_sources()}


def _page(command: str, model: type[BaseModel], about: str) -> str:
    intro = (
        f"# Settings of `reasonlab {command}`\n\n{about} A setting stands in the YAML file of `--config`, or behind the "
        f"command as `key.subkey=value`, which wins. `reasonlab {command} --settings` prints this list, `--dry-run` what a run "
        "would use."
    )
    groups = [_table(name, group, note) for name, group, note in groups_of(model)]
    return "\n\n".join([intro, *groups]) + "\n"


def _page_of_sources() -> str:
    """Return the page of what an entry of `problems` may say: what all may, then each domain and set."""
    intro = (
        "# Settings of an entry of `problems`\n\n`problems` is a list of sources: "
        "`problems: [{domain: chain, terms: [4, 8]}]`. A file of your own is `{python: my_dice.py}` with the settings that it "
        "defines ([your own](../own-problems.md)). Domains with levels ([domains](../domains.md)) take `level: 1` in place of "
        "their settings."
    )
    shared = "\n".join([_HEAD, *(_row(name, field) for name, field in SourceConfig.model_fields.items())])
    parts = [intro, "## Every source", shared]
    for name, model in sorted(SOURCE_MODELS.items()):
        own = {
            key: field for key, field in model.model_fields.items() if key not in SourceConfig.model_fields and key != "domain"
        }
        rows = [_row(key, field) for key, field in own.items()]
        parts += [f"## `{name}`", "\n".join([_HEAD, *rows]) if rows else "Nothing but the above."]
    return "\n\n".join(parts) + "\n"


def groups_of(model: type[BaseModel], prefix: str = "", note: str = "") -> Iterator[tuple[str, type[BaseModel], str]]:
    """Yield (dotted name, model, what is to be said of it) of `model` and of every group of settings inside of it."""
    yield prefix, model, note
    for name, field in model.model_fields.items():
        dotted = f"{prefix}.{name}" if prefix else name
        inner = field.annotation
        if _is_group(inner):
            yield from groups_of(inner, dotted)
            continue
        for one in _groups_inside(inner):
            yield from groups_of(one, dotted, _how_it_is_written(inner))


def _is_group(annotation: Any) -> TypeGuard[type[BaseModel]]:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _groups_inside(annotation: Any) -> Iterator[type[BaseModel]]:
    """Yield the groups that a field may hold besides other things; sources of problems have pages of their own."""
    for part in get_args(annotation):
        if _is_group(part) and not issubclass(part, SourceConfig):
            yield part
        elif get_origin(part) is not Literal:
            yield from _groups_inside(part)


def _how_it_is_written(annotation: Any) -> str:
    """Return in words how a group that is not simply there is given."""
    origins = {get_origin(part) for part in get_args(annotation)} | {get_origin(annotation)}
    if dict in origins:
        return "Of each entry, by its name."
    if tuple in origins:
        return "One group, or a list of them."
    return "Off unless it is given; what is left out then has these defaults."


def _table(dotted: str, model: type[BaseModel], note: str) -> str:
    """Return the section of one group: its settings that are no groups themselves."""
    rows = [_row(f"{dotted}.{name}" if dotted else name, field) for name, field in model.model_fields.items()]
    table = "\n".join([_HEAD, *filter(None, rows)])
    about = " ".join((model.__doc__ or "").split())
    title = f"## `{dotted}`" if dotted else "## At the top"
    return "\n\n".join(part for part in (title, about if dotted else "", note, table) if part)


def _row(dotted: str, field: FieldInfo) -> str:
    if _is_group(field.annotation):
        return ""
    about = html.escape(field.description or "", quote=False)  # `<think>` would be a tag
    cells = (f"`{dotted}`", _type(field), _default(field), about)
    return f"| {' | '.join(_in_a_cell(cell) for cell in cells)} |"


def _in_a_cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _type(field: FieldInfo) -> str:
    """Return the type of a field in words, with its bounds."""
    return ", ".join(filter(None, [_words(field.annotation), _bounds(field.metadata)]))


def _words(annotation: Any) -> str:
    """Return an annotation as a reader of YAML would say it."""
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return " or ".join(f"`{choice}`" for choice in parts)
    if origin is Annotated:
        inner, *metadata = parts
        if _names_sources(annotation):
            return "source"
        bounds = [bound for one in metadata for bound in (one.metadata if isinstance(one, FieldInfo) else [one])]
        return ", ".join(filter(None, [_words(inner), _bounds(bounds)]))
    if origin in (Union, UnionType):
        return " or ".join(_words(part) for part in parts if part is not NoneType)
    if origin is tuple and parts[-1] is Ellipsis:
        return f"list of {_words(parts[0])}"
    if origin is tuple:
        return f"[{'; '.join(_words(part) for part in parts)}]"
    if origin is dict:
        return f"names with {_words(parts[1])}"
    if _is_group(annotation):
        return "settings below"
    return _IN_WORDS.get(annotation, getattr(annotation, "__name__", str(annotation)).lower())


def _names_sources(annotation: Any) -> bool:
    """Tell whether an annotation is that of a source of problems, a union of all that there are."""
    return "SourceConfig" in {base.__name__ for part in get_args(get_args(annotation)[0]) for base in _bases(part)}


def _bases(part: Any) -> list[type]:
    if isinstance(part, type):
        return list(part.__mro__)
    return [base for inner in get_args(part) for base in _bases(inner)]


def _bounds(metadata: list[Any]) -> str:
    """Return the bounds that pydantic keeps beside a type, in words."""
    words = []
    for bound in metadata:
        match bound:
            case Ge(ge=least):
                words.append(f"{least} or more")
            case Gt(gt=least):
                words.append(f"above {least}")
            case Le(le=most):
                words.append(f"{most} or less")
            case Lt(lt=most):
                words.append(f"below {most}")
            case MinLen(min_length=1) | Len(min_length=1):
                words.append("not empty")
    return ", ".join(words)


def _default(field: FieldInfo) -> str:
    """Return a default as it would be written in YAML; a group's is what it is made of."""
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if value is None:
        return "none"
    return "empty" if value == "" else f"`{_as_yaml(value)}`"


def _as_yaml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(_as_yaml, value))}]"
    if isinstance(value, BaseModel):
        return _as_yaml(value.model_dump())
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key}: {_as_yaml(one)}' for key, one in value.items())}}}"
    return str(value)
