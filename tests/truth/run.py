"""Oracles of the run: steps, legs, times."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from truth.common import Said, Truth, near


def run_of(known: dict[str, Any], true: Truth) -> Iterator[Said]:
    run, state = known["run"], true.state
    yield "run.global_step", run["global_step"], run["global_step"] == state.global_step
    yield "run.max_steps", run["max_steps"], run["max_steps"] == state.max_steps
    done = state.global_step >= state.max_steps
    yield (
        "run.status",
        run["status"],
        (run["status"] == "finished") is done and run["status"] != "interrupted",
    )
    # After a resume with another batch size the Trainer divides all steps by those of an epoch of
    # now.
    sizes = {json.dumps(leg["batch"]) for leg in known["legs"]}
    if run["epochs"] is not None and state.epoch is not None and len(sizes) < 2:
        yield "run.epochs", run["epochs"], bool(near(run["epochs"], state.epoch, share=1e-3))


def legs_of(known: dict[str, Any], true: Truth) -> Iterator[Said]:
    if not known["legs"]:
        return
    last = known["legs"][-1]
    yield "legs[-1].step_end", last["step_end"], last["step_end"] == true.state.global_step
    if not getattr(true.args, "auto_find_batch_size", False):
        yield "legs[-1].step_begin", last["step_begin"], last["step_begin"] == true.step_begin
        seconds = last["wall_clock_s"]
        within = true.at_least_s - 0.01 <= seconds <= true.at_most_s + 0.01
        yield "legs[-1].wall_clock_s", f"{seconds} in {true.at_least_s, true.at_most_s}", within
    walls = [leg["wall_clock_s"] for leg in known["legs"]]
    total = known["time"]["wall_clock_s"]
    if total is not None and None not in walls:
        yield "time.wall_clock_s", total, bool(near(total, sum(walls)))
    # A step that was done twice is time that was spent twice, and a gap between two legs is none.
    ends = [(leg["step_begin"], leg["step_end"]) for leg in known["legs"]]
    yield (
        "legs[].step_end",
        ends,
        all(begin <= end for begin, end in ends if None not in (begin, end)),
    )
