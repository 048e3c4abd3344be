"""The function that replaces a method in a class as long as an instance has it wrapped.

Bound methods, `super()`, signatures and pickles work as before; any other change of the class
meanwhile is kept.
"""

from __future__ import annotations

import functools
import inspect
import types
import weakref
from collections.abc import Callable
from typing import Any

from autocard.card_guard.wrapped_methods import WrappedMethod, active
from autocard.errors import UnavailableError

_ABSENT = object()


_wrappers: weakref.WeakValueDictionary[int, ClassWrapper] = weakref.WeakValueDictionary()
"""Wrappers by the id of the function that is in the class."""


class ClassWrapper:
    """Replaces one method in a class as long as an instance needs it."""

    def __init__(self, cls: type, name: str) -> None:
        self._cls = cls
        self._name = name
        self._standing = vars(cls).get(name, _ABSENT)
        self._users = 0
        self._plain = _plain(cls, name)
        self._function = self._as_function(getattr(cls, name))
        self._installed: Any = None
        _wrappers[id(self._function)] = self

    @staticmethod
    def of(owner: type, name: str) -> ClassWrapper:
        """Return the wrapper in the class *owner*, or a new wrapper around the method there.

        Raises:
            UnavailableError: *name* is not a method of instances.
        """
        standing = vars(owner).get(name)
        function = standing.function if isinstance(standing, _Override) else standing
        wrapper = _wrappers.get(id(function))
        if wrapper is not None and wrapper.stands_as(function, owner):
            return wrapper
        return ClassWrapper(owner, name)

    def stands_as(self, function: Any, cls: type | None = None) -> bool:
        """Return whether *function* is this wrapper's, and the wrapper is for *cls* if given."""
        return self._function is function and cls in (None, self._cls)

    def stands_for(self, owner: Any) -> bool:
        """Return whether a call of the method on *owner* reaches this wrapper first."""
        if self._cls is not type(owner) or vars(self._cls).get(self._name) is not self._installed:
            return False
        return self._name not in _attributes(owner) or isinstance(self._installed, _Override)

    def __call__(self, owner: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Call the original method of *owner*, inside its context if it is wrapped here."""
        original = self.original(owner)
        held = active(owner, self._name)
        if held is None or held.wrapper is not self:
            return original(*args, **kwargs)
        return held.run(original, args, kwargs)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle as the plain method, since cloudpickle pickles classes of `__main__` by value."""
        return functools.partial, (self._plain,)

    def original(self, owner: Any) -> Any:
        """Return the method that a call would reach without the wrapper, bound to *owner*."""
        if self._standing is not _ABSENT:
            return self._standing.__get__(owner, type(owner))
        if isinstance(owner, self._cls):
            return getattr(super(self._cls, owner), self._name)
        # Called on the class with an object that is not an instance of it, as Python allows.
        return functools.partial(getattr(super(self._cls, self._cls), self._name), owner)

    def enter(self, owner: Any) -> None:
        """Install the wrapper in the class for *owner*.

        Raises:
            UnavailableError: attributes of the class cannot be set.
        """
        standing = vars(self._cls).get(self._name)
        wanted: Any = self._function
        if self._name in _attributes(owner) or isinstance(standing, _Override):
            wanted = (
                standing
                if isinstance(standing, _Override)
                else _Override(self._name, self._function)
            )
        if standing is not wanted:
            try:
                setattr(self._cls, self._name, wanted)
            except (TypeError, AttributeError) as exc:
                msg = f"{self._cls.__name__} does not let {self._name} be replaced"
                raise UnavailableError(msg) from exc
            if vars(self._cls).get(self._name) is not wanted:
                msg = f"{self._cls.__name__} ignores that {self._name} is replaced"
                raise UnavailableError(msg)
        self._installed = wanted
        self._users += 1

    def leave(self) -> None:
        """Restore the class's own method when the last instance is gone.

        If other code has replaced the wrapper since, the wrapper stays below that and only passes
        calls on.
        """
        self._users -= 1
        if self._users > 0 or vars(self._cls).get(self._name) is not self._installed:
            return
        try:
            if self._standing is _ABSENT:
                delattr(self._cls, self._name)
            else:
                setattr(self._cls, self._name, self._standing)
        # The class no longer allows changes: the function stays and passes calls on.
        except (TypeError, AttributeError):
            return

    def _as_function(self, plain: Callable[..., Any]) -> Callable[..., Any]:
        call = self

        @functools.wraps(plain)
        def wrapped(self: Any, /, *args: Any, **kwargs: Any) -> Any:
            return call(self, *args, **kwargs)

        return wrapped


class _Override:
    """Descriptor in a class for an instance that has its own function under the method's name.

    Python reads the instance's attributes first, unless the class has a data descriptor. Only that
    way can the function be wrapped for the instance and stay unchanged in the instance's
    `__dict__`, which copies inherit.
    """

    def __init__(self, name: str, function: Callable[..., Any]) -> None:
        self._name = name
        self.function = function

    def __get__(self, instance: Any, cls: type) -> Any:
        if instance is None:
            return self.function
        own = _attributes(instance).get(self._name, _ABSENT)
        # `super()` also comes here, and needs the class's method.
        if own is _ABSENT or inspect.getattr_static(type(instance), self._name) is not self:
            return types.MethodType(self.function, instance)
        held = active(instance, self._name)
        if held is None or held.wrapper is not _wrappers.get(id(self.function)):
            return own
        return _wrapped_override(instance, own, held)

    def __set__(self, instance: Any, value: Any) -> None:
        vars(instance)[self._name] = value

    def __delete__(self, instance: Any) -> None:
        try:
            del vars(instance)[self._name]
        except KeyError:
            raise AttributeError(self._name) from None


def _wrapped_override(
    owner: Any, own: Callable[..., Any], held: WrappedMethod
) -> Callable[..., Any]:
    """Return the instance's own function, wrapped; it keeps its owner alive like a bound method."""

    @functools.wraps(own)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        if active(owner, held.name) is not held:
            return own(*args, **kwargs)
        return held.run(own, args, kwargs)

    return wrapped if inspect.isroutine(own) else _Callable(own, wrapped)


class _Callable:
    """A callable object instead of a method: calls go to *wrapped*, all else to the object."""

    def __init__(self, own: Any, wrapped: Callable[..., Any]) -> None:
        object.__setattr__(self, "_own", own)
        object.__setattr__(self, "_wrapped", wrapped)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._wrapped(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._own, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._own, name, value)

    def __reduce__(self) -> tuple[Any, ...]:
        return _same, (self._own,)


def _same(value: Any) -> Any:
    return value


def _attributes(instance: Any) -> dict[str, Any]:
    """Return the instance's `__dict__`; empty for an instance that has only slots."""
    return getattr(instance, "__dict__", {})


def _plain(cls: type, name: str) -> Any:
    """Return the function that *cls* has or inherits as *name*.

    Raises:
        UnavailableError: there is none, or it is not a method of instances.
    """
    for base in cls.__mro__:
        if name in vars(base):
            found = vars(base)[name]
            found = found.function if isinstance(found, _Override) else found
            break
    else:
        found = None
    if not inspect.isroutine(found) or isinstance(found, staticmethod | classmethod):
        msg = f"{cls.__name__}.{name} is no method"
        raise UnavailableError(msg)
    return found


def original(owner: Any, name: str) -> Any:
    """Return the method *name* of the class of *owner*, bound to it, without a wrapper."""
    standing = inspect.getattr_static(type(owner), name)
    function = standing.function if isinstance(standing, _Override) else standing
    wrapper = _wrappers.get(id(function))
    if wrapper is not None and wrapper.stands_as(function):
        return wrapper.original(owner)
    return getattr(type(owner), name).__get__(owner, type(owner))
