"""Measure the import of `AutoCardCallback` beyond `import transformers.trainer_callback`.

Prints milliseconds (median of fresh interpreters, the two in turn) and their ratio to transformers'
own import. The aim is at most 50 ms.
"""

from __future__ import annotations

import statistics
import subprocess
import sys

ROUNDS = 7
PROGRAM = """
import time
begin = time.perf_counter()
import transformers.trainer_callback
between = time.perf_counter()
from autocard import AutoCardCallback
print(between - begin, time.perf_counter() - between)
"""


def main() -> None:
    """Measure and print."""
    pairs = []
    for _ in range(ROUNDS):
        out = subprocess.run(
            [sys.executable, "-c", PROGRAM], check=True, capture_output=True, text=True
        ).stdout
        pairs.append([float(part) for part in out.split()])
    theirs, ours = (statistics.median(column) for column in zip(*pairs, strict=True))
    print(f"transformers.trainer_callback  {1000 * theirs:8.1f} ms")
    print(f"autocard on top                {1000 * ours:8.1f} ms   ratio {ours / theirs:.4f}")


if __name__ == "__main__":
    main()
