"""Wrapped methods: a method of chosen instances runs inside a context manager.

All else stays as before. The wrapper is a plain function in the class. It looks the instance up by
identity and calls the original method; other instances, copies and pickles are not in that table,
so for them it only passes the call on. The table refers to instances weakly, and the class gets its
own attribute back when its last wrapped instance is gone.
"""

from __future__ import annotations

import weakref
from typing import Any

from autocard.card_guard import wrapped_methods as registry
from autocard.card_guard.class_wrapper import ClassWrapper
from autocard.card_guard.wrapped_methods import Named, Surroundings, WrappedMethod
from autocard.errors import UnavailableError


def held_method(owner: Any, name: str) -> WrappedMethod | None:
    """Return the latest wrapping of the method *name* of *owner*; None: it is not wrapped."""
    stack = registry.stack_of(owner, name)
    return stack[-1] if stack else None


def hold(owner: Any, method: Named, keeper: Surroundings) -> WrappedMethod:
    """Run *method* of *owner* inside `keeper.around` until the wrapping is released.

    If the method was wrapped already, that wrapping is active again after the release.

    Raises:
        UnavailableError: the class does not allow its method to be replaced, or weak references to
            the instance are impossible.
    """
    try:
        weakref.ref(owner)
    except TypeError as exc:
        msg = f"{type(owner).__name__} cannot be referred to weakly"
        raise UnavailableError(msg) from exc
    with registry.changing():
        stack = registry.living(owner, method.name)
        mine = next((held for held in stack if held.keeper is keeper), None)
        wrapper = ClassWrapper.of(type(owner), method.name)
        if (
            mine is None
            or mine is not stack[-1]
            or mine.wrapper is not wrapper
            or not wrapper.stands_for(owner)
        ):
            others = [held for held in stack if held is not mine]
            wrapper.enter(owner)
            stack = [*others, WrappedMethod(owner, method, keeper, wrapper)]
            if mine is not None:
                mine.wrapper.leave()
        registry.put(owner, method.name, stack)
        return stack[-1]
