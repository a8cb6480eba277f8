"""Of four nodes that are alike the two odd ones are named, for the right reason, and no other; again and again."""

from __future__ import annotations

import re
from typing import Any

import pytest

DELAY_MS = 25.0


# A validation takes some 100 seconds where nothing else runs.
@pytest.mark.timeout(650)
@pytest.mark.parametrize("run", [1, 2])
def test_the_odd_ones_are_named_and_no_other(validate: Any, bad: Any, running: Any, run: int) -> None:
    said, hosts = validate()
    found = {name: bad(host) for name, host in hosts.items()}
    assert found["od1"] == found["od3"] == {}, said
    # The network of this one; what it computes is well.
    assert found["od2"] == {"group.pair": "FAIL"}, said
    link = of(hosts["od2"], "group.pair")
    assert link["reason"].startswith("its best of 3 pairs reaches"), said
    # What was put there is what is told: nothing goes over this link and back in less than twice its delay.
    (smallest,) = re.findall(r"the smallest all-reduce takes ([\d.]+) ms", link["reason"])
    assert float(smallest) >= 2 * DELAY_MS
    # The CPUs of that one: its quota, and what is slow by it. Its network is as the others'.
    assert found["od4"]["host.cpus"] == "FAIL", said
    few = of(hosts["od4"], "host.cpus")
    assert few["value"] == 0.15
    assert "while 3 of 4 of its kind" in few["reason"]
    assert "have 0.6 CPUs" in few["reason"]
    assert set(found["od4"]) <= {"host.cpus", "speed.matmul.fp32", "train.speed"}, said
    assert {of(host, "group.allreduce")["verdict"] for host in hosts.values()} == {"PASS"}
    assert of(hosts["od1"], "group.allreduce")["value"] > 0
    assert len(of(hosts["od1"], "group.pair")["evidence"]) == 3
    assert running() == {}


def of(host: dict[str, Any], check: str) -> dict[str, Any]:
    (found,) = [one for one in host["checks"]["findings"] if one["check"] == check]
    return dict(found)
