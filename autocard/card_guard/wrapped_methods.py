"""Which methods of which instances are wrapped, and what they run inside of.

Several may wrap the same method of an instance: the latest acts, and the one before it when that
lets go.
"""

from __future__ import annotations

import inspect
import weakref
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any, Protocol

from autocard.weak_identity import WeakIdentityMap


class Named(Protocol):
    """What describes a method."""

    @property
    def name(self) -> str:
        """Of the attribute."""


class Surroundings(Protocol):
    """What acts before and after a wrapped method."""

    def wanted(self) -> bool:
        """Return whether it still acts; if not, the method is let go."""

    def around(self, method: Any, call: Mapping[str, Any]) -> AbstractContextManager[None]:
        """Return the context that the method runs in; *call*: its arguments by name."""


class Place(Protocol):
    """What stands in the class for the method."""

    def leave(self) -> None:
        """Note that one instance fewer needs it."""


class WrappedMethod:
    """One wrapped method of one instance."""

    def __init__(self, owner: Any, method: Named, keeper: Surroundings, wrapper: Place) -> None:
        self.owner = weakref.ref(owner)
        self.method = method
        self.wrapper = wrapper
        self._keeper = weakref.ref(keeper)
        self._acting: Surroundings | None = keeper

    @property
    def name(self) -> str:
        """Of the method."""
        return self.method.name

    @property
    def keeper(self) -> Any:
        """What the method runs inside of; None: it is gone. It is kept alive while it is the latest for the method."""
        return self._keeper()

    def act(self, *, acts: bool) -> None:
        """Note whether it is the latest for its method."""
        self._acting = self._keeper() if acts else None

    def run(
        self, original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """Call *original*, which is bound to the instance, in the context that was chosen for it."""
        keeper = self._keeper()
        if keeper is None:
            return original(*args, **kwargs)
        call = arguments(getattr(type(self.owner()), self.name), args, kwargs)
        with keeper.around(self.method, call):
            return original(*args, **kwargs)

    def release(self) -> None:
        """Let the method go; one that wrapped it before acts again."""
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
"""Instance → method's name → who wraps it, the latest last."""


def changing() -> AbstractContextManager[Any]:
    """Return what must be entered to look and change in one go."""
    return _held.lock()


def stack_of(owner: Any, name: str) -> list[WrappedMethod]:
    """Return who wraps the method *name* of *owner*, the latest last."""
    methods = _held.get(owner)
    return [] if methods is None else methods.get(name, [])


def put(owner: Any, name: str, stack: list[WrappedMethod]) -> None:
    """Set who wraps the method *name* of *owner*; the last acts."""
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
    """Return who wraps the method *name* of *owner*, after letting go of those whose keeper is gone."""
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
    """Return who acts around the method *name* of *owner*; None: it is not wrapped."""
    for held in reversed(stack_of(owner, name)):
        keeper = held.keeper
        if keeper is not None and keeper.wanted():
            return held
        held.release()
    return None


def arguments(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> dict[str, Any]:
    """Return name → value of what *function*, whose first parameter is the instance, is called with besides that."""
    try:
        bound = inspect.signature(function).bind_partial(None, *args, **kwargs)
    except (TypeError, ValueError):
        return dict(kwargs)
    return dict(list(bound.arguments.items())[1:])
