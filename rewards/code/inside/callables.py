"""Stand-ins for functions, iterators and generators of the other end. Standard library only."""

import functools
import types
from typing import Any

from rewards.code.inside import descriptions
from rewards.code.inside.candidate import shaped_function
from rewards.code.inside.standins import ASKED, FORWARDERS, checked_name
from rewards.code.inside.typenotes import notes_of, signature_of

_TYPES: dict[str, Any] = {
    str(kind.__name__): kind
    for kind in (
        types.FunctionType,
        types.MethodType,
        types.BuiltinFunctionType,
        functools.partial,
        type(functools.lru_cache(abs)),
    )
}
_OF_METHODS = ("__func__", "__self__")


class Function:
    """Stands for a function."""

    def __init__(self, peer: Any, said: Any):
        name = checked_name(said["name"])
        state: dict[str, Any] = {"_peer": peer, "_binds": said["binds"] is True, "__name__": name, "__module__": "solution"}
        state["_kind"] = _TYPES.get(said["type"], Function)
        state["__qualname__"] = checked_name(said["qualname"]) if said["qualname"] else name
        state["__doc__"] = said["doc"] if isinstance(said["doc"], str) else None
        self.__dict__.update(state)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function."""
        return self._peer.call(self, args, kwargs)

    def __get__(self, instance: Any, _: Any = None) -> Any:
        return types.MethodType(self, instance) if instance is not None and self._binds else self

    __class__ = property(lambda self: self.__dict__.get("_kind", Function))  # type: ignore[assignment]

    def __getattr__(self, name: str) -> Any:
        if name in ("__signature__", "__annotations__", "__code__"):
            return _ABOUT[name](self._about(name.strip("_")))
        if name == "__globals__" and self._kind is types.FunctionType:
            return {}
        if name.startswith("__") and name not in ASKED and not (name in _OF_METHODS and self._kind is types.MethodType):
            raise AttributeError(f"'function' object has no attribute {name!r}")
        return self._peer.get(self, name)

    def home(self) -> Any:
        """Return the stand-in that is known by number."""
        return self

    def _about(self, op: str) -> Any:
        return self._peer.ask(op, self._peer.homes[id(self)])

    def __setattr__(self, name: str, value: Any) -> None:
        if name.startswith("_"):
            self.__dict__[name] = value
        else:
            self._peer.ask("set", self._peer.homes[id(self)], name, [value])

    def __repr__(self) -> str:
        return f"<function {self.__qualname__}>"


class Method(Function):
    """Stands for a function of a class, where the tests look at functions: what it says of itself is asked when read."""

    def __init__(self, peer: Any, number: int, name: str):
        said = {"name": name, "qualname": name, "doc": None, "binds": True, "type": "function"}
        super().__init__(peer, said)
        del self.__dict__["__doc__"], self.__dict__["__qualname__"]
        self.__dict__.update(_of=number, _forwards=(peer, number, name))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call it."""
        return self._peer.invoke(self._of, self.__name__, args, kwargs)

    def home(self) -> Any:
        """Return the stand-in of the function itself."""
        return self._raw()

    def _raw(self) -> Any:
        if "_known" not in self.__dict__:
            self.__dict__["_known"] = self._peer.ask("raw", self._of, self.__name__)
        return self._known

    __doc__ = property(lambda self: self._raw().__doc__)  # type: ignore[assignment]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") and not (name.startswith("__") and name.endswith("__")):
            raise AttributeError(name)
        return getattr(self._raw(), name)


def _code_of(said: Any) -> Any:
    if said is None:
        raise AttributeError("'function' object has no attribute '__code__'")
    facts = {checked_name(name): fact for name, fact in said.items()}
    return types.SimpleNamespace(**{"co_filename": "solution.py", "co_firstlineno": 1, **facts})  # asyncio writes them


_ABOUT: dict[str, Any] = {"__signature__": signature_of, "__annotations__": notes_of, "__code__": _code_of}


def function(peer: Any, body: Any) -> Any:
    """Return a stand-in for a function."""
    number, said = body
    proxy = peer.adopt(number, Function(peer, said))
    return _real_function(peer, number, proxy, said) if peer.makes_real_functions else proxy


def _real_function(peer: Any, number: int, proxy: Any, said: Any) -> Any:
    """Return a function of the language in the proxy's place: where it must be one to be seen as a coroutine function."""
    shape = said.get("shape") if peer.makes_real_functions else None
    function = shaped_function(proxy, shape, said["async"] is True) if shape else _shapeless(proxy, said["async"] is True)
    function.__name__, function.__doc__ = proxy.__name__, proxy.__doc__
    function.__qualname__ = proxy.__qualname__
    peer.remote[number] = function
    peer.homes[id(function)] = number
    peer.keep_alive.append(proxy)
    return function


def _shapeless(proxy: Any, is_async: bool) -> Any:
    if is_async:

        async def function(*args: Any, **kwargs: Any) -> Any:
            return await proxy(*args, **kwargs)

    else:

        def function(*args: Any, **kwargs: Any) -> Any:  # type: ignore[misc]
            return proxy(*args, **kwargs)

    return function


class Iterator:
    """Stands for an iterator."""

    _prefix = ""

    def __init__(self, peer: Any, number: int):
        self._peer, self._number = peer, number

    def __iter__(self) -> Any:
        return self

    def __next__(self) -> Any:
        return self._peer.ask("next", self._number)

    def __contains__(self, item: Any) -> bool:
        return item in self._peer.drawn(self)  # all of them first: an endless one would have everything

    def __getattr__(self, name: str) -> Any:
        return framed(self, name)


def framed(self: Any, name: str) -> Any:
    """Return an attribute of a generator or coroutine that tells how far it is (`gi_running`, `cr_frame`)."""
    prefix, _, what = name.partition("_")
    if name in ("__name__", "__qualname__"):
        return self._peer.ask("get", self._number, name)
    if prefix != self._prefix:
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
    value = self._peer.ask("state", self._number, what)
    if what == "frame":
        return None if value is None else types.SimpleNamespace(f_lineno=value)
    return _code_of(value) if what == "code" else value


def _iterator_of(kind: type) -> type[Iterator]:
    """Return the stand-in of which `isinstance(x, map)` is true."""
    return type(kind.__name__, (Iterator,), {"__class__": property(lambda self: kind)})


ITERATORS = {kind.__name__: _iterator_of(kind) for kind in descriptions.ITERATORS}


class Generator(Iterator):
    """Stands for a generator."""

    _prefix = "gi"

    __class__ = property(lambda self: types.GeneratorType)  # type: ignore[assignment]

    def send(self, value: Any) -> Any:
        """Go on with a value."""
        return self._peer.ask("send", self._number, "", [value])

    def throw(self, error: Any, value: Any = None, *_: Any) -> Any:
        """Go on with an exception; `yield from` gives its class first."""
        if isinstance(error, type):
            error = value if isinstance(value, BaseException) else error() if value is None else error(value)
        return self._peer.throw(self, error)

    def close(self) -> None:
        """End it."""
        self._peer.ask("close", self._number)


FORWARDERS.append(Method)
Iterator.__name__, Generator.__name__ = "iterator", "generator"
