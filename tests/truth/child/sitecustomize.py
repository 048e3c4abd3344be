"""Watches the trainings of a Python that a test has started (see truth/children.py); any other is left alone."""

import functools
import importlib.abc
import importlib.util
import os
import sys
from pathlib import Path

WATCHED = "autocard.callback"


def watch_from_the_first_callback_on(cls):
    """Let the first callback that is made bring the oracles: a process without one imports nothing of theirs.

    Not the first training that begins: what their import takes would be missing in the energy of
    that training.
    """
    theirs = cls.__init__

    @functools.wraps(theirs)
    def init(callback, *arguments, **named):
        cls.__init__ = theirs
        # behind all that the program itself imports
        sys.path.append(str(Path(__file__).resolve().parents[2]))
        from truth import children

        children.watch()
        theirs(callback, *arguments, **named)

    cls.__init__ = init


class Finder(importlib.abc.MetaPathFinder):
    """Lets the callback's module be found as ever, and watches the process once it is loaded."""

    def find_spec(self, name, path, target=None):
        if name != WATCHED:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        load = spec.loader.exec_module

        def exec_module(module):
            load(module)
            watch_from_the_first_callback_on(module.AutoCardCallback)

        spec.loader.exec_module = exec_module
        return spec


if os.environ.get("TRUTH_FINDINGS"):
    sys.meta_path.insert(0, Finder())
