"""Three kinds of machine without a network: training does not wait for one, and no grid is made up."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import pytest

from support import SUPPORT

SCRIPT = SUPPORT / "offline.py"
NOWHERE = "192.0.2.1"
"""An address that is given to nobody (RFC 5737)."""


def own_network(tmp_path):
    """Return the command that gives a process a network without anything in it, and names that nobody knows."""
    names = tmp_path / "resolv.conf"
    names.write_text("nameserver 127.0.0.1\n", encoding="ascii")
    inside = f'ip link set lo up && mount --bind {names} /etc/resolv.conf && exec "$@"'
    command = ["unshare", "-rmn", "sh", "-c", inside, "sh"]
    if (
        not all(map(shutil.which, ("unshare", "ip")))
        or subprocess.run([*command, "true"], check=False).returncode
    ):
        pytest.skip("needs the right to make a network namespace (unshare -rmn)")
    return command


def black_hole(tmp_path):
    """Return the command that gives a process a name server which never answers."""
    names = tmp_path / "resolv.conf"
    names.write_text(f"nameserver {NOWHERE}\noptions timeout:20 attempts:2\n", encoding="ascii")
    inside = f'mount --bind {names} /etc/resolv.conf && exec "$@"'
    command = ["unshare", "-rm", "sh", "-c", inside, "sh"]
    if not shutil.which("unshare") or subprocess.run([*command, "true"], check=False).returncode:
        pytest.skip("needs the right to make a mount namespace (unshare -rm)")
    return command


@pytest.mark.slow
@pytest.mark.parametrize("way", ["no interface", "no names", "proxies that lead nowhere"])
def test_without_a_network_training_does_not_wait_and_no_grid_is_made_up(way, tmp_path):
    env, command, serves = dict(os.environ), [], "nothing"
    if way == "no interface":
        command, serves = own_network(tmp_path), "names"
    elif way == "no names":
        command = black_hole(tmp_path)
    else:
        env |= {
            f"{scheme}_proxy": f"http://{NOWHERE}:9"
            for scheme in ("http", "https", "HTTP", "HTTPS", "all")
        }
    folder = tmp_path / "out"

    done = subprocess.run(
        [*command, sys.executable, "-W", "ignore", str(SCRIPT), str(folder), serves],
        env=env,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    # CodeCarbon itself waits 4 to 23 seconds here. Ours does not wait at the begin, and 2 s are
    # promised for the end.
    assert told["waited"] == {"begin": 0}
    assert told["held_s"]["end"] < 5 * 2
    assert (told["asked"], told["reached"]) == ([], [])
    known = json.loads((folder / "autocard.json").read_text())
    assert known["energy"]["total_kwh"] > 0
    assert known["emissions"]["co2eq_g"] is None
    assert known["emissions"]["intensity_g_per_kwh"] is None
    assert "place" in known["missing"]["emissions.co2eq_g"]
    told = (folder / "README.md").read_text() + json.dumps(known)
    assert not any(word in told for word in ("Canada", "CAN", "Quebec"))
