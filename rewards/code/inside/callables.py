"""Stand-ins for functions, iterators, generators and coroutines of the other end. Standard library only."""

import builtins
import collections.abc
import functools
import keyword
import types
from typing import Any

from rewards.code.inside.standins import ASKED, FORWARDERS, checked_name
from rewards.code.inside.typenotes import notes_of, signature_of

_TYPES: dict[str, type] = {
    kind.__name__: kind
    for kind in (
        types.FunctionType,
        types.MethodType,
        types.BuiltinFunctionType,
        functools.partial,
        type(functools.lru_cache(abs)),
    )
}
_OF_METHODS = ("__func__", "__self__")
_FRAMED = {"gi": "generator", "cr": "coroutine", "ag": "async generator"}


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

    @property
    def __class__(self) -> Any:
        return self.__dict__.get("_kind", Function)

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
    """Stands for a function of a class, where the tests look at functions: what it says of itself is asked for when it is read."""

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
    function = _shaped(proxy, shape, said["async"] is True) if shape else _shapeless(proxy, said["async"] is True)
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


def _shaped(proxy: Any, shape: Any, is_async: bool) -> Any:
    """Return a function with these parameters, for programs that look at them. Only the tests' functions tell their shape."""
    positional, named, star, stars = shape["positional"], shape["named"], shape["star"], shape["stars"]
    names = [*positional, *named, *filter(None, (star, stars))]
    if not all(type(name) is str and name.isidentifier() and not keyword.iskeyword(name) for name in names):
        return _shapeless(proxy, is_async)
    first = len(positional) - len(shape["defaults"])
    listed = [name if place < first else f"{name}=0" for place, name in enumerate(positional)]
    if shape["unnamed"]:
        listed.insert(shape["unnamed"], "/")
    listed += [f"*{star}"] if star or named else []
    listed += [f"{name}=0" if name in shape["named_defaults"] else name for name in named] + ([f"**{stars}"] if stars else [])
    given = [*positional, *([f"*{star}"] if star else []), *(f"{n}={n}" for n in named), *([f"**{stars}"] if stars else [])]
    held = "_" + max(names, key=len, default="")  # no parameter's name
    space: dict[str, Any] = {held: proxy}
    begin, call = ("async def", f"await {held}") if is_async else ("def", held)
    exec(f"{begin} function({', '.join(listed)}): return {call}({', '.join(given)})", space)  # noqa: S102
    function = space["function"]
    decode = proxy._peer.values.decode
    function.__defaults__ = tuple(map(decode, shape["defaults"])) or None
    function.__kwdefaults__ = {name: decode(node) for name, node in shape["named_defaults"].items()} or None
    function.__annotations__ = {n: None if kind == "None" else getattr(builtins, kind) for n, kind in shape["notes"].items()}
    return function


class Iterator:
    """Stands for an iterator."""

    def __init__(self, peer: Any, number: int):
        self._peer, self._number = peer, number

    def __iter__(self) -> Any:
        return self

    def __next__(self) -> Any:
        return self._peer.ask("next", self._number)

    def __contains__(self, item: Any) -> bool:
        return item in self._peer.drawn(self)  # all of them first: an endless one would have everything

    def __getattr__(self, name: str) -> Any:
        return _framed(self, name)


def _framed(self: Any, name: str) -> Any:
    """Return an attribute of a generator or coroutine that tells how far it is (`gi_running`, `cr_frame`)."""
    prefix, _, what = name.partition("_")
    if name in ("__name__", "__qualname__"):
        return self._peer.ask("get", self._number, name)
    if prefix not in _FRAMED or _PROTOCOLS[_FRAMED[prefix]] is not type(self):
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
    value = self._peer.ask("state", self._number, what)
    if what == "frame":
        return None if value is None else types.SimpleNamespace(f_lineno=value)
    return _code_of(value) if what == "code" else value


class Generator(Iterator):
    """Stands for a generator."""

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


class Coroutine(collections.abc.Coroutine):  # type: ignore[type-arg]
    """Stands for a coroutine: the other end's loop runs it to its end when it is first awaited here."""

    def __init__(self, peer: Any, number: int):
        self._peer, self._number, self._begun = peer, number, False

    def send(self, _: Any) -> Any:
        """Run it."""
        if self._begun:
            raise RuntimeError("cannot reuse already awaited coroutine")
        self._begun = True
        raise StopIteration(self._peer.ask("await", self._number))

    def throw(self, *error: Any) -> Any:
        """Raise the exception where it is awaited."""
        raise error[0]

    def close(self) -> None:
        """Forget it."""
        if not self._begun:
            self._begun = True
            self._peer.ask("close", self._number)

    def __await__(self) -> Any:
        return self

    def __iter__(self) -> Any:
        return self

    def __next__(self) -> Any:
        return self.send(None)

    def __getattr__(self, name: str) -> Any:
        return _framed(self, name)


class AsyncGenerator:
    """Stands for an asynchronous generator."""

    def __init__(self, peer: Any, number: int):
        self._peer, self._number = peer, number

    def __aiter__(self) -> Any:
        return self

    async def __anext__(self) -> Any:
        return self._peer.ask("anext", self._number)

    async def aclose(self) -> None:
        """End it."""
        self._peer.ask("aclose", self._number)

    def __getattr__(self, name: str) -> Any:
        return _framed(self, name)


FORWARDERS.append(Method)
Iterator.__name__, Generator.__name__, Coroutine.__name__ = "iterator", "generator", "coroutine"
_PROTOCOLS: dict[str, Any] = {
    "iterator": Iterator,
    "generator": Generator,
    "coroutine": Coroutine,
    "async generator": AsyncGenerator,
}


def protocol(peer: Any, body: Any) -> Any:
    """Return a stand-in for an iterator, a generator or a coroutine."""
    number, name = body
    return peer.adopt(number, _PROTOCOLS[name](peer, number))
