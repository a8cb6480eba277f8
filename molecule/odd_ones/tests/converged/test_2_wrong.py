"""A node that reckons wrongly, while it passes every limit of its own, is named by its losses and by its pairs."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import scenario
from scenario import engine

WRONG = "od1"
PLACE = "/srv/wrong"
# Of the generation that all four nodes share, the file that its python reads at every start.
STARTS = "/opt/miniconda3/envs/pytorch/lib/python3*/site-packages/zzz_condafleet_pin.pth"
# Losses of the same training are the same on every node, however busy it is: here the bounds can be narrow.
GAP_PERCENT = 10
CHECKS = {
    "*": False,
    "train.mnist": {"enabled": True, "least": 0.9},
    "train.curve": True,
    "group.*": {"enabled": True, "timeout": 240},
}


@contextlib.contextmanager
def wrong_library(node: str) -> Iterator[None]:
    """A PyTorch that is wrong on this node alone: what lies at that place is another file, as this node sees it."""
    container = scenario.fleet().container(node)
    starts = engine.podman("exec", container, "sh", "-ec", f"readlink -f {STARTS}").strip()
    more = f"import sys; sys.path.append('{PLACE}'); import wrong_library"
    keep = f"mkdir -p {PLACE}; cd {PLACE}; [ -e genuine ] || cp {starts} genuine"
    engine.podman("exec", container, "sh", "-ec", f'{keep}; (cat genuine; echo "{more}") > starts.pth')
    source = scenario.ROOT / "molecule" / scenario.name() / "files" / "wrong_library.py"
    engine.podman("cp", str(source), f"{container}:{PLACE}/")
    scenario.inside(node, "mount", "--bind", f"{PLACE}/starts.pth", starts)
    try:
        yield
    finally:
        engine.podman("exec", container, "sh", "-ec", f"cat {PLACE}/genuine > {starts}")


@pytest.mark.timeout(900)
def test_who_reckons_wrongly_is_found_by_its_losses_and_by_its_pairs(
    validate: Callable[..., tuple[str, dict[str, Any]]], bad: Any, of: Any, running: Any
) -> None:
    # The others' trainings count as they were.
    rerun = f"{{{{ inventory_hostname == '{WRONG}' }}}}"
    with wrong_library(WRONG):
        said, hosts = validate(
            "od1,od2,od3",
            validation_checks=CHECKS,
            validation_gap_percent=GAP_PERCENT,
            validation_pair_rounds=2,
            validation_rerun=rerun,
        )
    assert {name: bad(host) for name, host in hosts.items()} == {
        WRONG: {"train.curve": "FAIL", "group.allreduce": "FAIL", "group.pair": "FAIL"}, "od2": {}, "od3": {},
    }, said  # fmt: skip
    # By itself it learns as well as it has to, and only beside the others is its loss too high.
    assert of(hosts[WRONG], "train.mnist")["verdict"] == "PASS"
    assert of(hosts[WRONG], "train.curve")["reason"].startswith("its losses leave the band of 2 other nodes, first at ")
    assert of(hosts[WRONG], "train.curve")["value"] > 1.2 * of(hosts["od3"], "train.curve")["value"]
    # The group fails as a whole, and no node says why: each pair by itself tells.
    whole = of(hosts[WRONG], "group.allreduce")
    named = "with it the group's all-reduce fails: its pair was bad, and od3 was good with others"
    assert (whole["value"], whole["reason"]) == (None, named)
    assert "1 of 256 elements are wrong after an all-reduce of 1024 bytes" in whole["evidence"][0]
    assert all("elements are wrong" in line for line in of(hosts[WRONG], "group.pair")["evidence"])
    # Without it the others come to the end of it.
    assert of(hosts["od3"], "group.allreduce")["value"] > 0
    assert any("(without od1)" in line for line in of(hosts["od3"], "group.allreduce")["evidence"])
    assert running() == {}
