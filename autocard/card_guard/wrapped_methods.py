"""Which methods of which instances are wrapped, and in which context they run.

A method of an instance may be wrapped several times: the latest wrapping is active, and after its
release the previous.
"""

from __future__ import annotations

import inspect
import weakref
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any, Protocol

from autocard.weak_identity import WeakIdentityMap


class Named(Protocol):
    """Description of a method."""

    @property
    def name(self) -> str:
        """Name of the attribute."""


class Surroundings(Protocol):
    """Provides the context of a wrapped method."""

    def wanted(self) -> bool:
        """Return whether the method must stay wrapped; if not, it is released."""

    def around(self, method: Any, call: Mapping[str, Any]) -> AbstractContextManager[None]:
        """Return the context that the method runs in; *call*: its arguments by name."""


class Place(Protocol):
    """The wrapper in the class."""

    def leave(self) -> None:
        """Note that an instance no longer needs it."""


class WrappedMethod:
    """A wrapped method of an instance."""

    def __init__(self, owner: Any, method: Named, keeper: Surroundings, wrapper: Place) -> None:
        self.owner = weakref.ref(owner)
        self.method = method
        self.wrapper = wrapper
        self._keeper = weakref.ref(keeper)
        self._acting: Surroundings | None = keeper

    @property
    def name(self) -> str:
        """Name of the method."""
        return self.method.name

    @property
    def keeper(self) -> Any:
        """Provides the method's context; None: it is gone. Kept alive while it is the latest."""
        return self._keeper()

    def act(self, *, acts: bool) -> None:
        """Set whether this wrapping is the latest of its method."""
        self._acting = self._keeper() if acts else None

    def run(
        self, original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """Call *original*, which is bound to the instance, in the keeper's context."""
        keeper = self._keeper()
        if keeper is None:
            return original(*args, **kwargs)
        call = arguments(getattr(type(self.owner()), self.name), args, kwargs)
        with keeper.around(self.method, call):
            return original(*args, **kwargs)

    def release(self) -> None:
        """Release the method; the wrapping before this is active again."""
        owner = self.owner()
        with _held.lock():
            stack = living(owner, self.name)
            if self in stack:
                put(owner, self.name, [held for held in stack if held is not self])
                self.wrapper.leave()


def _leave_all(methods: dict[str, list[WrappedMethod]]) -> None:
    for stack in methods.values():
        for held in stack:
            held.wrapper.leave()


_held: WeakIdentityMap[dict[str, list[WrappedMethod]]] = WeakIdentityMap(_leave_all)
"""Instance → method's name → its wrappings, the latest last."""


def changing() -> AbstractContextManager[Any]:
    """Return the context to enter for reading and changing in a single step."""
    return _held.lock()


def stack_of(owner: Any, name: str) -> list[WrappedMethod]:
    """Return the wrappings of the method *name* of *owner*, the latest last."""
    methods = _held.get(owner)
    return [] if methods is None else methods.get(name, [])


def put(owner: Any, name: str, stack: list[WrappedMethod]) -> None:
    """Set the wrappings of the method *name* of *owner*; the last is active."""
    methods = _held.get(owner)
    if methods is None:
        methods = {}
        _held.set(owner, methods)
    for held in stack:
        held.act(acts=held is stack[-1])
    methods[name] = stack
    if not stack:
        del methods[name]
    if not methods:
        _held.pop(owner)


def living(owner: Any, name: str) -> list[WrappedMethod]:
    """Return the wrappings of *owner*'s method *name* after releasing those without a keeper."""
    stack = stack_of(owner, name)
    gone = [held for held in stack if held.keeper is None]
    if not gone:
        return stack
    stack = [held for held in stack if held not in gone]
    put(owner, name, stack)
    for held in gone:
        held.wrapper.leave()
    return stack


def active(owner: Any, name: str) -> WrappedMethod | None:
    """Return the active wrapping of the method *name* of *owner*; None: it is not wrapped."""
    for held in reversed(stack_of(owner, name)):
        keeper = held.keeper
        if keeper is not None and keeper.wanted():
            return held
        held.release()
    return None


def arguments(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> dict[str, Any]:
    """Return name → value of the arguments of *function*, without the instance it is called on."""
    try:
        bound = inspect.signature(function).bind_partial(None, *args, **kwargs)
    except (TypeError, ValueError):
        return dict(kwargs)
    return dict(list(bound.arguments.items())[1:])
