"""Which code is a library's, and which is the run's own."""

from __future__ import annotations

from typing import Any

LIBRARIES = frozenset(
    {
        "transformers",
        "trl",
        "sentence_transformers",
        "peft",
        "accelerate",
        "liger_kernel",
        "unsloth",
        "unsloth_zoo",
    }
)
"""Packages whose code is not the run's own."""


def of_library(made: Any) -> bool:
    """Return whether *made* is, or is an object of, a class or function of a library."""
    made = getattr(made, "func", made)  # of functools.partial
    module = getattr(made, "__module__", None) or type(made).__module__
    return package_of(module) in LIBRARIES


def package_of(module: Any) -> str:
    """Return the package of the module named *module*.

    Unsloth writes modules of its own at run time.
    """
    package = str(module).partition(".")[0]
    return "unsloth" if package.startswith(("Unsloth", "unsloth_")) else package
