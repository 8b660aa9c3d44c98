"""What the candidate may do with objects of the tests: read and set attributes of their instances, and call what it was given.

Standard library only.
"""

from typing import Any

from rewards.code.inside.descriptions import SPECIAL, is_function, is_own, iterator_kind

_RECORDS = ("configure_mock", "reset_mock", "attach_mock", "mock_add_spec", "mock_calls", "method_calls", "call_args_list")


def may(op: str, value: Any, name: Any, args: list[Any]) -> bool:
    """Return whether the candidate may do this: only to instances of the tests' own classes, and to no method of theirs."""
    if op == "get" and name == "__dict__":
        return is_own(type(value))
    if op == "lacks":
        return isinstance(value, dict) and hasattr(type(value), "__missing__") and is_own(type(value))
    if op in ("signature", "annotations"):
        return isinstance(value, type) and is_own(value)
    if type(name) is not str or (name.startswith("__") and name not in SPECIAL):
        return False
    if name == "__init__" or _is_record(value, name):
        return False
    if op in ("isinstance", "issubclass"):
        return isinstance(value, type)
    if op in ("copy", "dir"):
        return is_own(type(value))
    if op in ("method", "property"):
        return isinstance(value, type) and bool(args) and isinstance(args[0], value)
    if op == "get":
        return not isinstance(value, type) and iterator_kind(value) is None and not is_function(value)
    is_mock = _is_mock(value)  # whose record of calls is what tests look at
    if op not in ("set", "del", "put", "drop") or is_mock or isinstance(value, type) or is_function(value):
        return False
    return not callable(getattr(type(value), name, None)) and not callable(
        vars(value).get(name) if hasattr(value, "__dict__") else None
    )


def _is_mock(value: Any) -> bool:
    kind = value if isinstance(value, type) else type(value)
    return any(base.__module__ == "unittest.mock" for base in type.mro(kind))


def _is_record(value: Any, name: str) -> bool:
    """Return whether a name of a mock leads to what the tests look at afterwards."""
    return (name in _RECORDS or name.startswith("assert")) and _is_mock(value)
