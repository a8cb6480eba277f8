"""Nodes beside each other: the odd ones are named, for the right reason, and no others."""

from __future__ import annotations

import math
import time
from typing import Any

import pytest

from ansible_collections.condafleet.core.plugins.module_utils import findings
from ansible_collections.condafleet.core.plugins.module_utils.check_catalog import BY_NAME, CHECKS
from ansible_collections.condafleet.core.plugins.module_utils.check_limits import Limit
from ansible_collections.condafleet.core.plugins.module_utils.fleet_nodes import STEPS, Fleet, Node, Training
from ansible_collections.condafleet.core.plugins.module_utils.fleet_verdicts import compare, merged

H100, A100 = "NVIDIA H100 80GB HBM3", "NVIDIA A100-SXM4-80GB"
CPU = "AMD EPYC 9654"


def node(
    *found: dict[str, Any], gpus: dict[str, str] | None = None, cpu: str = CPU, group: str = "fleet", **trained: Any
) -> Node:
    known = [{"uuid": uuid, "name": name} for uuid, name in (gpus or {}).items()]
    trainings = {one.subject: one for one in trained.values()}
    return Node(found, {"cpu": cpu, "gpus": known}, trainings, group)


def value(check: str, number: Any, subject: str = "node") -> dict[str, Any]:
    return findings.passed(BY_NAME[check], subject, number, evidence=["measured"])


def fleet(values: list[Any], check: str = "speed.disk", **more: Any) -> dict[str, Node]:
    return {f"n{number}": node(value(check, one), **more) for number, one in enumerate(values)}


def of(found: Fleet, host: str) -> dict[str, Any]:
    (one,) = found.changed[host]
    return one


def bad(found: Fleet) -> list[str]:
    return [host for host, changed in found.changed.items() if any(one["verdict"] == "FAIL" for one in changed)]


EVEN = [1000.0, 1010.0, 990.0, 1005.0, 995.0, 1003.0]


def test_a_slow_node_fails_with_the_band_the_median_and_how_many_others() -> None:
    found = compare(fleet([*EVEN, 500.0]), 4, 10)
    assert bad(found) == ["n6"]
    one = of(found, "n6")
    assert one["reason"].startswith("it is 500 MB/s, less than 900 (median of 7: 1000, ")
    assert one["limit"] == {"least": 900.0, "source": one["limit"]["source"]}
    assert one["evidence"] == ["measured", f"fleet: median 1000, band 900 to 1100, of 7 {CPU} (6 others)"]
    assert one["next_step"] == STEPS["speed."]
    assert {host for host, changed in found.changed.items() if changed} == {"n6"}


def test_each_kind_is_held_to_what_is_declared_for_it() -> None:
    """Also where the host that a play asks first is of another group, with other limits."""
    strict, wide = (
        {f"{group}{host}": one._replace(gap_percent=gap) for host, one in fleet([*EVEN, 850.0], group=group).items()}
        for group, gap in (("a", 10.0), ("b", 20.0))
    )
    assert bad(compare({**strict, **wide})) == bad(compare({**wide, **strict})) == ["an6"]
    # Among nodes of one kind, all may what one may.
    assert bad(compare({**wide, "bn0": wide["bn0"]._replace(gap_percent=5.0, deviations=1.0)})) == []
    assert bad(compare({host: one._replace(gap_percent=5.0) for host, one in wide.items()})) == ["bn6"]
    assert bad(compare(strict, 4, 20)) == []


def test_the_fleets_figures_are_told() -> None:
    (row,) = compare(fleet([*EVEN, 500.0]), 4, 10).figures
    assert {key: row[key] for key in ("check", "kind", "subject", "unit", "count", "median", "odd")} == {
        "check": "speed.disk", "kind": CPU, "subject": None, "unit": "MB/s", "count": 7, "median": 1000.0, "odd": 1,
    }  # fmt: skip
    assert (row["low"], row["high"], row["common"]) == (900.0, 1100.0, None)


def test_better_than_the_others_is_no_fault() -> None:
    assert bad(compare(fleet([*EVEN, 2000.0]), 4, 10)) == []


@pytest.mark.parametrize("values", [[1000.0, 10.0], [1000.0]])
def test_a_fleet_that_is_too_small_to_judge_says_so(values: list[float]) -> None:
    found = compare(fleet(values), 4, 10)
    one = of(found, "n0")
    assert (one["verdict"], one["reason"]) == ("PASS", None)
    assert one["evidence"][-1] == (
        f"fleet: not judged, {len(values)} of {CPU}, and 3 are needed to say which is odd"
    )  # fmt: skip
    assert found.figures == []


def test_of_two_halves_neither_is_odd_and_that_is_said() -> None:
    found = compare(fleet([100.0] * 2 + [50.0] * 2), 4, 10)
    assert bad(found) == []
    assert "fleet: not judged, 4 of 4 stand apart" in of(found, "n0")["evidence"][-1]
    found = compare(fleet([100.0] * 4 + [50.0] * 4), 4, 10)
    assert bad(found) == []
    assert "fleet: not judged, the 8 are so unlike each other" in of(found, "n0")["evidence"][-1]


def test_what_failed_by_its_own_limit_is_not_compared_and_pulls_nobody() -> None:
    limit = Limit(least=100, source="site")
    failed = findings.judged(BY_NAME["speed.disk"], "node", 5.0, limit, "replace it")
    nodes = {**fleet(EVEN), "bad": node(failed)}
    found = compare(nodes, 4, 10)
    assert found.changed["bad"] == []
    assert found.figures[0]["count"] == 6


def test_gpus_are_compared_within_their_model_each_by_its_uuid() -> None:
    nodes = {}
    for number in range(4):
        kinds = {f"GPU-{number}-{gpu}": H100 if number < 2 else A100 for gpu in range(4)}
        found = [value("speed.memory", 2900.0 if number < 2 else 1600.0, uuid) for uuid in kinds]
        nodes[f"n{number}"] = node(*found, gpus=kinds)
    assert bad(compare(nodes, 4, 10)) == []
    slow = value("speed.memory", 1600.0, "GPU-1-2")
    nodes["n1"] = nodes["n1"]._replace(findings=[*nodes["n1"].findings[:2], slow, nodes["n1"].findings[3]])
    found = compare(nodes, 4, 10)
    assert bad(found) == ["n1"]
    assert of(found, "n1")["subject"] == "GPU-1-2"
    assert f"of 8 {H100} (7 others)" in of(found, "n1")["evidence"][-1]


def test_nodes_of_other_cpus_or_of_another_group_are_others() -> None:
    small = {f"s{number}": node(value("host.cpus", 8), cpu="Xeon") for number in range(3)}
    assert bad(compare({**fleet([192] * 5, "host.cpus"), **small}, 4, 10)) == []
    same_cpu = {f"s{number}": node(value("host.cpus", 8)) for number in range(2)}
    assert bad(compare({**fleet([192] * 5, "host.cpus"), **same_cpu}, 4, 10)) == ["s0", "s1"]
    grouped = {name: one._replace(group="login") for name, one in same_cpu.items()}
    assert bad(compare({**fleet([192] * 5, "host.cpus"), **grouped}, 4, 10)) == []


def test_a_node_that_has_lost_a_gpu_is_still_of_its_kind() -> None:
    nodes = fleet([1000.0, 1000.0, 1000.0, 1000.0, 500.0])
    last = list(nodes)[-1]
    gpus = [{"uuid": "GPU-a", "name": "NVIDIA H200"}, {"uuid": "GPU-b", "name": "NVIDIA H200"}]
    lost = [gpus[0], {"uuid": None, "name": None}]
    for host in nodes:
        identity = {**nodes[host].identity, "gpus": lost if host == last else gpus}
        nodes[host] = nodes[host]._replace(identity=identity)
    assert bad(compare(nodes)) == [last]


def test_what_all_should_share_is_judged_by_the_majority() -> None:
    found = compare(fleet(["570.86", "570.86", "570.86", "550.54"], "gpu.driver"), 4, 10)
    assert bad(found) == ["n3"]
    one = of(found, "n3")
    assert one["reason"] == f"it is 550.54, while 3 of 4 of its kind ({CPU}) have 570.86"
    assert one["limit"] == {"equal": "570.86", "source": "what 3 of 4 have"}
    assert found.figures[0]["common"] == "570.86"


def test_without_a_majority_nobody_is_odd_and_that_is_said() -> None:
    found = compare(fleet(["1", "2", "3"], "gpu.driver"), 4, 10)
    assert bad(found) == []
    assert "no value is that of more than half (3 values of 3)" in of(found, "n0")["evidence"][-1]


def test_a_node_whose_gpus_are_gone_is_held_against_those_that_have_theirs() -> None:
    """By its model it would stand among no others; without a driver it is no GPU node at all."""
    nodes = {
        f"n{number}": node(value("gpu.count", 8), gpus={f"GPU-{number}-{gpu}": H100 for gpu in range(8)})
        for number in range(4)
    }
    nodes["gone"] = node(value("gpu.count", 0))
    login = findings.skipped(BY_NAME["gpu.count"], "node", "there is no NVIDIA driver here", "nothing")
    nodes.update({f"login{number}": node(login) for number in range(9)})
    assert bad(compare(nodes, 4, 10)) == ["gone"]


def test_one_memory_module_of_thirty_two_is_missed() -> None:
    found = compare(fleet([1007.6, 1007.5, 1007.6, 1007.4, 976.1], "host.memory"), 4, 10)
    assert bad(found) == ["n4"]


def test_the_sites_own_word_goes_before_what_most_have() -> None:
    """A canary with a driver of its own is no odd one."""
    site = Limit(equal="580.10", source="validation_checks")
    canary = findings.passed(BY_NAME["gpu.driver"], "node", "580.10", site)
    found = compare({**fleet(["570.86"] * 5, "gpu.driver"), "canary": node(canary)}, 4, 10)
    assert bad(found) == []
    assert found.figures[0]["count"] == 5


def test_pairs_are_left_to_who_seeks_the_culprit() -> None:
    nodes = {f"n{number}": node(value("group.pair", 10.0, f"n{number}+x")) for number in range(6)}
    nodes["x"] = node(value("group.pair", 1.0, "x+y"))
    assert bad(compare(nodes, 4, 10)) == []


@pytest.mark.parametrize("nothing", [None, True, math.nan, "fast", [1, 2]])
def test_what_is_no_figure_is_compared_with_none(nothing: Any) -> None:
    found = compare({**fleet(EVEN), "odd": node(value("speed.disk", nothing))}, 4, 10)
    assert found.changed["odd"] == []
    assert found.figures[0]["count"] == len(EVEN)


def training(*losses: float, alike: str = "torch 2.13 cpu") -> Training:
    return Training("pytorch/torch", alike, losses)


def trained(curves: list[tuple[float, ...]], **more: Any) -> dict[str, Node]:
    return {f"n{number}": node(one=training(*curve, **more)) for number, curve in enumerate(curves)}


def test_a_curve_that_leaves_the_band_is_a_finding() -> None:
    found = compare(trained([(0.5, 0.25), (0.51, 0.25), (0.5, 0.26), (0.5, 0.25), (0.5, 0.6)]), 4, 10)
    assert bad(found) == ["n4"]
    one = of(found, "n4")
    assert (one["check"], one["subject"], one["value"]) == ("train.curve", "pytorch/torch", 0.6)
    assert "leave the band of 4 other nodes, first at epoch 2: 0.6" in one["reason"]
    assert of(found, "n0")["verdict"] == "PASS"


def test_a_curve_of_other_versions_is_another_one() -> None:
    nodes = trained([(0.5,), (0.5,), (0.5,), (0.5,)])
    nodes["new"] = node(one=training(0.9, alike="torch 2.14 cpu"))
    found = compare(nodes, 4, 10)
    assert bad(found) == []
    one = of(found, "new")
    assert one["verdict"] == "SKIP"
    assert "no other node did the same training" in one["reason"]


def test_a_loss_that_is_no_number_fails_in_the_smallest_fleet() -> None:
    found = compare(trained([(0.5, math.nan)]), 4, 10)
    assert of(found, "n0")["reason"] == "the loss of epoch 2 is no finite number"
    assert of(found, "n0")["verdict"] == "FAIL"


def test_curves_that_nobody_asked_for_are_not_compared() -> None:
    nodes = {name: one._replace(asks_curves=False) for name, one in trained([(0.5,)] * 4 + [(0.9,)]).items()}
    assert all(changed == [] for changed in compare(nodes, 4, 10).changed.values())


def test_a_training_is_as_fast_as_the_same_training_elsewhere() -> None:
    speed = {f"n{n}": node(value("train.speed", 9000.0, "pytorch/torch"), one=training(0.5)) for n in range(4)}
    speed["slow"] = node(value("train.speed", 3000.0, "pytorch/torch"), one=training(0.5))
    assert bad(compare(speed, 4, 10)) == ["slow"]
    speed["slow"] = node(value("train.speed", 3000.0, "pytorch/torch"), one=training(0.5, alike="another job"))
    assert bad(compare(speed, 4, 10)) == []


def test_merged_findings_stand_where_a_nodes_own_stood() -> None:
    own = [value("speed.disk", 1.0), value("host.cpus", 8)]
    changed = [{**own[1], "verdict": "FAIL"}, value("train.curve", 0.5, "e/f")]
    assert [(one["check"], one["verdict"]) for one in merged(own, changed)] == [
        ("speed.disk", "PASS"), ("host.cpus", "FAIL"), ("train.curve", "PASS"),
    ]  # fmt: skip


def test_every_check_that_the_fleet_judges_has_a_next_step() -> None:
    for check in CHECKS:
        if check.fleet and check.scope != "group":
            assert any(check.name.startswith(prefix) for prefix in STEPS), check.name


def test_five_hundred_nodes_take_seconds() -> None:
    names = [check for check in CHECKS if check.name.startswith("speed.") and check.scope == "gpu"][:8]
    nodes = {}
    for host in range(500):
        gpus = {f"GPU-{host}-{gpu}": H100 for gpu in range(8)}
        own = [value(check.name, 100.0 + (host * 7 + n) % 5, uuid) for n, check in enumerate(names) for uuid in gpus]
        nodes[f"n{host}"] = node(*own, gpus=gpus, one=training(0.5, 0.3, 0.2))
    began = time.perf_counter()
    found = compare(nodes, 4, 10)
    took = time.perf_counter() - began
    assert len([row for row in found.figures if row["epoch"] is None]) == len(names)
    assert took < 3
