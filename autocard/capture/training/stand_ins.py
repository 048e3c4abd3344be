"""Optimizers and schedules that stand for others, as accelerate's and DeepSpeed's do."""

from __future__ import annotations

from typing import Any

PACKAGES = frozenset({"accelerate", "deepspeed", "transformers"})
"""Packages whose optimizers and schedules stand for others, whose class they do not show."""


def stood_for(wrapper: Any, attribute: str) -> Any:
    """Return what accelerate wrapped, or the object itself."""
    if type(wrapper).__module__.startswith("accelerate"):
        return getattr(wrapper, attribute, wrapper)
    return wrapper


def package_of(made: Any) -> str:
    """Return the top package that *made*, an object or a class, is defined in; "": unknown."""
    return str(getattr(made, "__module__", "")).partition(".")[0]
