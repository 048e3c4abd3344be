"""A terminal for a program: a pty, and what stands on its screen at the end."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

COLUMNS = 200


def run_in_terminal(
    command: Sequence[object],
    *,
    env: Mapping[str, str],
    cwd: Path | None = None,
    timeout_s: float = 240,
) -> tuple[int, bytes]:
    """Run *command* with a terminal as its three streams; return exit status and the bytes it wrote."""
    main, other = pty.openpty()
    fcntl.ioctl(other, termios.TIOCSWINSZ, struct.pack("HHHH", 50, COLUMNS, 0, 0))
    process = subprocess.Popen(
        [str(word) for word in command],
        stdin=other,
        stdout=other,
        stderr=other,
        env=dict(env),
        cwd=cwd,
    )
    os.close(other)
    written, until_s = b"", time.monotonic() + timeout_s
    while time.monotonic() < until_s:
        if not select.select([main], [], [], 1.0)[0]:
            continue
        try:
            data = os.read(main, 65536)
        except OSError:  # the other end is closed
            break
        if not data:
            break
        written += data
    else:
        process.kill()
    os.close(main)
    return process.wait(), written


def screen(written: bytes) -> list[str]:
    """Return the lines that a terminal shows after *written*: carriage returns overwrite, colors are dropped."""
    text = re.sub(r"\x1b\[[0-9;?]*[mKhl]", "", written.decode("utf-8", "replace"))
    rows, row, column = [[]], 0, 0
    parts = re.split(r"(\x1b\[A|[\r\n])", text)
    for part in parts:
        if part == "\n":
            row, column = row + 1, 0
            while len(rows) <= row:
                rows.append([])
        elif part == "\r":
            column = 0
        elif part == "\x1b[A":
            row = max(row - 1, 0)
        else:
            line = rows[row]
            line += [" "] * (column + len(part) - len(line))
            line[column : column + len(part)] = part
            column += len(part)
    return ["".join(line).rstrip() for line in rows]
