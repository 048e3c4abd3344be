"""Jinja templates → text, in the sandbox; a user's own template in a process with limits.

One rule: time, memory and size are bounded. Nothing in the interpreter can stop
`{{ 'a' * 10**9 }}`: only the operating system can.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from autocard import commands, files

try:
    import resource
except ImportError:  # not on Windows
    resource = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from jinja2 import Environment

PLACEHOLDER = "[More Information Needed]"

LARGEST = 4 * 1024 * 1024
"""Characters that a template may produce."""
MEMORY_BYTES = 1024**3
"""Limit of the process that renders, the interpreter included."""
CPU_S = 3
"""Seconds of CPU time; the shipped forms take milliseconds."""
WALL_S = 10.0
"""Seconds in all: a busy machine takes longer."""
_SHOWN = 300
"""Characters of Jinja's error messages."""

_CHILD = (
    "import json, sys; order = json.load(sys.stdin); sys.path[:] = order.pop('path'); "
    "from autocard.card.form.rendering import answer; answer(**order)"
)


class RenderError(ValueError):
    """A template that cannot be rendered.

    Attributes:
        line: line of a mistake in its syntax; 0: it is none.
    """

    def __init__(self, problem: str, line: int = 0) -> None:
        """Keep *problem*, which is the message."""
        super().__init__(problem[:_SHOWN])
        self.line = line


def shipped(text: str, variables: Mapping[str, str]) -> str:
    """Render the shipped template *text* with *variables*.

    Raises:
        RenderError: it cannot be rendered.
    """
    return _render(text, variables, strict=True)


def own(text: str, variables: Mapping[str, str]) -> str:
    """Render a user's template *text* with *variables*, within the limits.

    Raises:
        RenderError: it cannot be rendered, or needs too much time, memory or text.
    """
    return _own(text, tuple(sorted(variables.items())))


@lru_cache(maxsize=4)
def _own(text: str, variables: tuple[tuple[str, str], ...]) -> str:
    path = [str(Path(entry).absolute()) for entry in sys.path]
    order = json.dumps({"path": path, "text": text, "variables": dict(variables)})
    command = [sys.executable, "-I", "-c", _CHILD]
    try:
        done = commands.run(command, WALL_S, data=order.encode())
    except subprocess.TimeoutExpired as exc:
        problem = f"it takes longer than {WALL_S:g} s"
        raise RenderError(problem) from exc
    except OSError as exc:
        problem = f"no process can be started for it ({exc.strerror})"
        raise RenderError(problem) from exc
    try:
        found = json.loads(done.out)
    except ValueError as exc:
        problem = f"it takes longer than {CPU_S} s or more memory than {MEMORY_BYTES >> 20} MiB"
        raise RenderError(problem) from exc
    if "problem" in found:
        raise RenderError(found["problem"], found["line"])
    return str(found["text"])


def answer(text: str, variables: Mapping[str, str]) -> None:
    """Print the rendered text, or the problem, as JSON, in the limited process."""
    _limit()
    try:
        found = {"text": _render(text, variables, strict=False)}
    except RenderError as exc:
        found = {"problem": str(exc), "line": exc.line}  # type: ignore[dict-item]
    sys.stdout.write(json.dumps(found))


def _limit() -> None:
    """Limit this process, where the operating system can."""
    if resource is None:
        return
    limits = {
        resource.RLIMIT_CPU: CPU_S,
        resource.RLIMIT_AS: MEMORY_BYTES,
        resource.RLIMIT_CORE: 0,
    }
    for limit, value in limits.items():
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(limit, (value, value))


def _environment(*, strict: bool) -> Environment:
    from jinja2 import StrictUndefined, Undefined  # noqa: PLC0415 - only where there is a template to render
    from jinja2.sandbox import ImmutableSandboxedEnvironment  # noqa: PLC0415

    class Asked(Undefined):
        """A variable without a value, or a part of one: shows the placeholder, and is false."""

        __slots__ = ()

        def __str__(self) -> str:
            return PLACEHOLDER

        def __getattr__(self, name: str) -> Asked:
            if name.startswith("__"):
                raise AttributeError(name)
            return self

    undefined = StrictUndefined if strict else Asked
    return ImmutableSandboxedEnvironment(
        undefined=undefined, keep_trailing_newline=True, autoescape=False
    )


def _render(text: str, variables: Mapping[str, str], *, strict: bool) -> str:
    from jinja2 import TemplateError, TemplateSyntaxError  # noqa: PLC0415

    try:
        return files.whole(
            _joined(_environment(strict=strict).from_string(text).generate(dict(variables)))
        )
    except RenderError:
        raise
    except TemplateSyntaxError as exc:
        raise RenderError(exc.message or "wrong syntax", exc.lineno) from exc
    except (
        TemplateError,
        ArithmeticError,
        AttributeError,
        LookupError,
        MemoryError,
        RecursionError,
        TypeError,
        ValueError,
    ) as exc:
        problem = f"{type(exc).__name__}: {exc}" if str(exc) else type(exc).__name__
        raise RenderError(problem) from exc


def _joined(pieces: Iterable[str]) -> str:
    found = []
    size = 0
    for piece in pieces:
        found.append(piece)
        size += len(piece)
        if size > LARGEST:
            problem = f"it makes more than {LARGEST} characters"
            raise RenderError(problem)
    return "".join(found)
