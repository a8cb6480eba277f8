"""Of four nodes that are alike the two odd ones are named, for the right reason, and no other; again and again."""

from __future__ import annotations

from typing import Any

import pytest


# A validation takes some 100 seconds where nothing else runs.
@pytest.mark.timeout(450)
@pytest.mark.parametrize("run", [1, 2])
def test_the_odd_ones_are_named_and_no_other(validate: Any, bad: Any, running: Any, run: int) -> None:
    said, hosts = validate()
    found = {name: bad(host) for name, host in hosts.items()}
    assert found["od1"] == found["od3"] == {}, said
    # The network of this one; what it computes is well.
    assert found["od2"] == {"group.pair": "FAIL"}, said
    assert "its best of 3 pairs reaches" in said
    # The CPUs of that one: its quota, and what is slow by it. Its network is as the others'.
    assert found["od4"]["host.cpus"] == "FAIL", said
    assert set(found["od4"]) <= {"host.cpus", "speed.matmul.fp32", "train.speed"}, said
    together = {
        one["check"]: one for one in hosts["od1"]["checks"]["findings"] if one["check"].startswith("group.")
    }  # fmt: skip
    assert together["group.allreduce"]["verdict"] == "PASS"
    assert together["group.allreduce"]["value"] > 0
    assert len(together["group.pair"]["evidence"]) == 3
    assert running() == {}
