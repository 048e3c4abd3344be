"""A thread of the training program goes on while hostile input is read: nothing holds the interpreter for 2 seconds.

Inputs are made from a seed. Each class runs in a process that is ended when it overruns;
`python -m support.heartbeat` takes more of them.
"""

from __future__ import annotations

import re

import pytest

from support import heartbeat

SEED = 20_261_127


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", heartbeat.KINDS)
def test_no_input_holds_up_other_threads(kind):
    assert heartbeat.search(kind, SEED, 24) == []


def test_the_search_sees_what_holds_the_interpreter():
    assert heartbeat.pause_s(lambda: re.match(r"(a+)+$", "a" * 24 + "b")) > 0.3
