"""Of four nodes that are alike the two odd ones are named, for the right reason, and no other."""

from __future__ import annotations

import os
import re
from typing import Any

import pytest

DELAY_MS = 25.0


@pytest.mark.timeout(900)
def test_the_odd_ones_are_named_and_no_other(validate: Any, bad: Any, of: Any, running: Any) -> None:
    said, hosts = validate()
    # The network of the one, and the CPUs of the other: what each computes is well, and so is the other's network.
    assert {name: bad(host) for name, host in hosts.items()} == {
        "od1": {}, "od2": {"group.pair": "FAIL"}, "od3": {}, "od4": {"host.cpus": "FAIL"},
    }, said  # fmt: skip
    link = of(hosts["od2"], "group.pair")
    assert link["reason"].startswith("its best of 3 pairs reaches"), said
    # What was put there is what is told: nothing goes over this link and back in less than twice its delay.
    (smallest,) = re.findall(r"the smallest all-reduce takes ([\d.]+) ms", link["reason"])
    assert float(smallest) >= 2 * DELAY_MS
    few, cpus = of(hosts["od4"], "host.cpus"), len(os.sched_getaffinity(0))
    assert few["value"] == 0.3
    assert "while 3 of 4 of its kind" in few["reason"]
    assert f"have {cpus} CPUs" in few["reason"]
    # What it reckons is as right as what the others do.
    assert {of(host, "train.curve")["verdict"] for host in hosts.values()} == {"PASS"}
    assert {of(host, "group.allreduce")["verdict"] for host in hosts.values()} == {"PASS"}
    assert of(hosts["od1"], "group.allreduce")["value"] > 0
    assert len(of(hosts["od1"], "group.pair")["evidence"]) == 3
    assert running() == {}


@pytest.mark.timeout(300)
def test_an_odd_one_that_is_looked_at_alone_is_named_by_what_the_fleet_has_shown(
    validate: Any, bad: Any, of: Any
) -> None:
    said, hosts = validate("od4", validation_checks={"*": False, "host.cpus": True})
    assert bad(hosts["od4"]) == {"host.cpus": "FAIL"}, said
    assert "showed at" in of(hosts["od4"], "host.cpus")["evidence"][-1]
    assert "only 1 are looked at now" in of(hosts["od4"], "host.cpus")["evidence"][-1]
