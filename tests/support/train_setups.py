"""Train the set-ups; print how many statements of record and card were judged, by subject, and the false ones.

Usage: train_setups.py FOLDER [PART OF A NAME]…
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import json
import os
import sys
import time
import traceback
import warnings
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))


def trained(name: str, folder: Path) -> dict[str, Any]:
    """Train one set-up; return, by subject, how many fields were judged, and the false ones."""
    import truth
    from autocard import AutoCardCallback
    from setups import SETUPS

    one = SETUPS[name]
    for needed in one.needs:
        if importlib.util.find_spec(needed) is None:
            return {"kind": one.kind, "skipped": f"{needed} is not installed"}
    watch = truth.Watch()
    watch.install()
    begun_s = time.perf_counter()
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            one.run(folder / "out", [AutoCardCallback(emissions=False)])
    except ImportError as exc:
        return {"kind": one.kind, "skipped": str(exc).split(".\n")[0]}
    except Exception as exc:  # noqa: BLE001 - one set-up that cannot be trained is told, the others are trained
        if _wants_newer_peft(exc):
            return {"kind": one.kind, "skipped": str(exc).split(".\n")[0]}
        return {
            "kind": one.kind,
            "failed": f"{type(exc).__name__}: {exc}",
            "trace": traceback.format_exc(),
        }
    finally:
        watch.remove()
    return {
        "kind": one.kind,
        "looks": watch.runs,
        "judged": {subject: len(fields) for subject, fields in watch.subjects.items() if fields},
        "false": sorted(set(watch.false)),
        "pending": sorted(set(watch.all_false) - set(watch.false)),
        "seconds": round(time.perf_counter() - begun_s, 2),
        "oracles_s": round(watch.spent_s, 2),
    }


def _wants_newer_peft(exc: Exception) -> bool:
    """Return whether transformers refuses its own adapters for the version of PEFT: 5.24 asks for 0.22 or newer."""
    return isinstance(exc, ValueError) and "PEFT" in str(exc) and "version" in str(exc)


def main(folder: Path, parts: list[str]) -> dict[str, Any]:
    """Train the set-ups whose names have one of *parts*, or all."""
    warnings.simplefilter("ignore")
    os.environ |= {"HF_HUB_CACHE": str(folder / "hub"), "HF_HUB_OFFLINE": "1", "HOME": str(folder)}
    import autocard.callback  # noqa: F401 - or there is nothing to stand around yet
    from setups import SETUPS
    from support import snippet_runs

    snippet_runs.lay_bases(folder)
    found = {}
    for number, name in enumerate(SETUPS):
        if not parts or any(part in name for part in parts):
            (folder / f"{number:02}").mkdir()
            found[name] = trained(name, folder / f"{number:02}")
            print(
                name,
                "failed" in found[name] and found[name]["failed"],
                found[name].get("false"),
                found[name].get("pending"),
                file=sys.stderr,
            )
    return found


if __name__ == "__main__":
    out = main(Path(sys.argv[1]), sys.argv[2:])
    print(json.dumps(out))
