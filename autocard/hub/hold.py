"""Around one method of one instance: what was there before is called as it was, and the keeper looks before and after.

One rule: for everybody else nothing has changed. What the method returns or raises, the caller gets; a copy or a
pickle of the instance has the plain method; the keeper does not keep the instance alive.
"""

from __future__ import annotations

import functools
import inspect
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from autocard.hub import hosts

if TYPE_CHECKING:
    from autocard.hub.hosts import Method
    from autocard.hub.keeper import Keeper

_ABSENT = object()


class Held:
    """Stands in an instance's `__dict__` in the place of its method."""

    def __init__(self, owner: Any, method: Method, keeper: Keeper) -> None:
        self._owner = weakref.ref(owner)
        # `make_trainer().save_model()`: the trainer has no other reference while its method is called. The cycle is the
        # garbage collector's; a model's memory is not left to it.
        self._trainer = owner if hosts.is_trainer(owner) else None
        self._method = method
        self._keeper = keeper
        self._before = vars(owner).get(method.name, _ABSENT)
        plain = getattr(type(owner), method.name) if self._before is _ABSENT else self._before
        functools.update_wrapper(self, plain, updated=())
        self.__signature__ = inspect.signature(self._original())

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the method, and put the card right behind it."""
        original = self._original()
        call = hosts.arguments(self._owner(), self._method.name, args, kwargs)
        with self._keeper.around(self._method, call):
            return original(*args, **kwargs)

    def _original(self) -> Callable[..., Any]:
        if self._before is not _ABSENT:
            return self._before  # type: ignore[no-any-return] # somebody's own override
        owner = self._owner()
        method: Callable[..., Any] = getattr(type(owner), self._method.name)
        return functools.partial(method, owner)

    def __reduce__(self) -> tuple[Any, ...]:
        """In a copy or a pickle there is the plain method again: those need not know autocard."""
        if self._before is not _ABSENT:
            return _same, (self._before,)
        owner = self._owner()
        return functools.partial, (getattr(type(owner), self._method.name), owner)

    @property
    def name(self) -> str:
        """Of the method."""
        return self._method.name

    @property
    def keeper(self) -> Keeper:
        """Whose it is."""
        return self._keeper

    def release(self) -> None:
        """Put back what was there."""
        owner = self._owner()
        if owner is None or vars(owner).get(self._method.name) is not self:
            return
        if self._before is _ABSENT:
            del vars(owner)[self._method.name]
        else:
            vars(owner)[self._method.name] = self._before


def _same(value: Any) -> Any:
    return value


def hold(owner: Any, method: Method, keeper: Keeper) -> Held:
    """Put *keeper* around a method of *owner*; one that another run of ours put there is replaced."""
    standing = vars(owner).get(method.name)
    if isinstance(standing, Held):
        if standing.keeper is keeper:
            return standing
        standing.release()
    held = Held(owner, method, keeper)
    # Not through the instance's own `__setattr__`: a model's looks for parameters and modules in what it is given.
    vars(owner)[method.name] = held
    return held
