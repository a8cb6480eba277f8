"""A node with too small a disk: nobody goes on, nothing is fetched; or the others do, where a share may be missing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import scenario

SMALL = "tg3"
ROOT = "/opt/condafleet"
# Room for what is there, and a little: less than the 80 MB that numpy needs.
LITTLE_MB = 40
Stand = Callable[[], dict[str, str]]
Provision = Callable[..., tuple[int, dict[str, Any], str]]


@pytest.fixture(scope="module", autouse=True)
def small_disk() -> None:
    """ROOT of one node moved to a file system of its own, as it is. It stays, and gets room later."""
    used = int(scenario.fleet().ssh(SMALL, f"du -sm {ROOT}").stdout.split()[0])
    scenario.fleet().ssh(SMALL, "mkdir -p /srv/small")
    scenario.inside(
        SMALL, "sh", "-ec",
        f"mount -t tmpfs -o size={used + LITTLE_MB}m,mode=755 tmpfs /srv/small; cp -a {ROOT}/. /srv/small/; "
        f"mount --bind /srv/small {ROOT}",
    )  # fmt: skip


def archives(node: str) -> str:
    """What of numpy is in a node's cache."""
    return scenario.fleet().ssh(node, f"ls -d {ROOT}/pkgs/numpy* 2>/dev/null").stdout


def test_one_node_without_room_keeps_all_from_a_first_download(stand: Stand, provision: Provision) -> None:
    before = stand()
    assert set(before.values()) == {"first"}
    # A lock that has to be made counts as a change of the host that had it made.
    locked = scenario.play("condafleet.core.lock", "--extra-vars=together_which=second")
    assert locked.returncode == 0, scenario.words(locked)
    code, report, said = provision(together_which="second")
    assert code == 1, said
    gate = report["gate"]["plan"]
    assert (gate["hosts"], gate["missing"], gate["passed"]) == (3, 1, False)
    (group,) = gate["groups"]
    assert group["nodes"] == [SMALL]
    assert f"environments_root: {ROOT} has " in group["text"]
    assert "plain needs about 80 MB (16 MB to download, 64 MB unpacked" in group["text"]
    assert "environments_may_fail: 1 of 3 nodes can't take the plan" in said
    assert "Nothing was fetched, built or switched, on any node." in said
    # It is the node that has no room that failed, not the one that said so for all.
    assert {name: host["status"] for name, host in report["hosts"].items()} == {
        "tg1": "ok",
        "tg2": "ok",
        SMALL: "failed",
    }
    assert report["hosts"][SMALL]["message"] == group["text"]
    assert stand() == before
    assert [archives(node) for node in ("tg1", "tg2", SMALL)] == ["", "", ""]


def test_check_mode_says_so_too(stand: Stand) -> None:
    done = scenario.play("condafleet.core.site", "--check", "--extra-vars=together_which=second")
    assert done.returncode == 2, scenario.words(done)
    assert "environments_may_fail: 1 of 3 nodes can't take the plan" in scenario.words(done)
    assert set(stand().values()) == {"first"}


def test_a_share_may_be_missing_and_the_others_switch(stand: Stand) -> None:
    done = scenario.play(
        "condafleet.core.site", "--extra-vars=together_which=second", "--extra-vars=environments_may_fail=0.34"
    )
    words = scenario.words(done)
    assert done.returncode == 2, words
    assert "1 of 3 nodes can't take the plan and stay as they are; a share of 0.34 may. The others go on." in words
    assert f"{SMALL}: environments_root: {ROOT} has " in words
    assert stand() == {"tg1": "second", "tg2": "second", SMALL: "first"}
    assert archives(SMALL) == ""
    # Room for what is to come: the next node fails for another reason.
    scenario.inside(SMALL, "mount", "-o", "remount,size=900m", ROOT)
