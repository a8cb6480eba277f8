"""What the steps of a validation left in a host's variables, as its findings, and in words."""

from __future__ import annotations

import time
from typing import Any

import pytest

from ansible_collections.condafleet.core.plugins.action.validation_verdicts import judged
from ansible_collections.condafleet.core.plugins.module_utils import findings, node_findings
from ansible_collections.condafleet.core.plugins.module_utils.check_catalog import BY_NAME, HOST_CHECKS
from ansible_collections.condafleet.core.plugins.module_utils.declare_validation import check_validation
from ansible_collections.condafleet.core.plugins.module_utils.errors import InputError
from ansible_collections.condafleet.core.plugins.module_utils.fleet_verdicts import compare

NEW, OLD = "pytorch-bbbbbbbbbbbb-1", "pytorch-aaaaaaaaaaaa-1"


def result(accuracy: float = 0.98, speed: float = 9000.0, generation: str = NEW, **more: Any) -> dict[str, Any]:
    verdict = "PASS" if accuracy >= 0.97 else "FAIL"
    bad = {"reason": "test accuracy is too low", "next_step": "compare the losses"}
    return {
        "kind": "train", "environment": "pytorch", "framework": "torch", "generation": generation, "verdict": verdict,
        "test_accuracy": accuracy, "images_per_second": speed, "least_accuracy": 0.97, "job_digest": "d",
        "versions": {"torch": "2.13"}, "device": {"kind": "cpu", "name": "cpu"}, "seconds": 20.0, "threads": 1,
        "epochs": [{"epoch": one, "loss": 0.5 / one, "accuracy": 0.9, "images_per_second": speed} for one in (1, 2)],
        **(bad if verdict == "FAIL" else {"reason": None, "next_step": None}), **more,
    }  # fmt: skip


def variables(*found: dict[str, Any], trained: list[dict[str, Any]] | None = None, **more: Any) -> dict[str, Any]:
    identity = {"node": "n", "cpu": "AMD EPYC 9654", "gpus": []}
    return {
        "__validation_checked": {"declared": check_validation({"environments": [], **more.pop("declared", {})})},
        "__validation_node": {"findings": list(found), "identity": identity},
        "__validation_trained": {"results": [{"result": one} for one in trained or []]},
        **more,
    }


def test_all_of_a_nodes_findings_are_gathered() -> None:
    disk = findings.passed(BY_NAME["speed.disk"], "node", 1000.0)
    pair = findings.passed(BY_NAME["group.pair"], "a+b", 10.0)
    known = node_findings.known_of(variables(disk, trained=[result()], __validation_grouped=[pair]))
    assert [one["check"] for one in known.node.findings] == [
        "speed.disk", "train.mnist", "env.smoke", "train.speed", "group.pair",
    ]  # fmt: skip
    assert known.node.trained["pytorch/torch"].curve == [0.5, 0.25]
    assert (known.lost, known.node.asks_curves) == (None, True)


def test_how_far_from_the_others_is_odd_is_as_declared_for_the_node() -> None:
    node = node_findings.known_of(variables(declared={"gap_percent": 15, "deviations": 6})).node
    assert (node.deviations, node.gap_percent) == (6, 15)
    unknown = node_findings.known_of({}).node
    assert (unknown.deviations, unknown.gap_percent) == (4, 10)


@pytest.mark.parametrize("more", [{"checks": {"train.*": False}}, {"level": "smoke"}])
def test_what_is_not_asked_is_neither_judged_nor_compared(more: dict[str, Any]) -> None:
    known = node_findings.known_of(variables(trained=[result()], declared=more))
    assert known.node.findings == []
    assert not known.node.asks_curves


@pytest.mark.parametrize(
    "left",
    [{}, {"__validation_node": {"skipped": True}, "__validation_trained": {"results": [{"skipped": True}]}},
     {"__validation_node": None, "__validation_grouped": None}],
)  # fmt: skip
def test_a_node_of_which_nothing_is_known_has_nothing(left: dict[str, Any]) -> None:
    known = node_findings.known_of(left)
    assert (known.node.findings, known.lost) == ([], None)
    assert judged(known, [], left)["verdict"] == "SKIP"


@pytest.mark.parametrize("how", [{"failed": True, "msg": "no room"}, {"unreachable": True, "msg": "no room"}])
def test_a_node_that_was_lost_is_no_pass(how: dict[str, Any]) -> None:
    left = {**variables(), "__validation_node": how}
    told = judged(node_findings.known_of(left), [], left)
    assert told["verdict"] == "ERROR"
    assert told["complaint"] == "ERROR: it was not looked at to the end: no room"


def test_a_node_that_went_without_a_word_is_no_pass() -> None:
    left = variables(findings.passed(BY_NAME["speed.disk"], "node", 1000.0))
    assert judged(node_findings.known_of(left), [], left)["verdict"] == "PASS"
    told = judged(node_findings.known_of(left, alive=False), [], left)
    assert told["verdict"] == "ERROR"
    assert "could not be reached any more" in told["complaint"]


def test_what_a_sick_driver_spoils_is_said_once() -> None:
    names = [check.name for check in HOST_CHECKS][:5]
    step = "reboot it"
    found = [findings.unknown(BY_NAME[name], "node", "NVML hangs", step) for name in names]
    found.append(findings.failed(BY_NAME["gpu.ecc"], "GPU-1", 2, "2 errors", "drain it"))
    assert node_findings.complaints(found) == [
        "FAIL gpu.ecc (GPU-1): 2 errors. Next: drain it.",
        f"ERROR {', '.join(names[:3])} and 2 more: NVML hangs. Next: reboot it.",
    ]
    gpus = [findings.failed(BY_NAME["gpu.ecc"], f"GPU-{one}", 2, "bad", "drain it") for one in range(8)]
    assert node_findings.complaints(gpus[:2]) == ["FAIL gpu.ecc (GPU-0 and GPU-1): bad. Next: drain it."]
    assert node_findings.complaints(gpus) == ["FAIL gpu.ecc (8 of them): bad. Next: drain it."]


def test_a_message_is_some_sentences_and_says_how_many_more() -> None:
    text = node_findings.complaint("FAIL", [f"Sentence {one}." for one in range(60)])
    assert text == "Sentence 0. Sentence 1. Sentence 2. Sentence 3. And 56 more: see the report, or " \
        "ROOT/validation/node.json on the node."  # fmt: skip
    assert node_findings.complaint("PASS", []) is None


def test_the_former_generation_tells_software_from_hardware() -> None:
    left = variables(trained=[result(0.5)], __validation_former={"missing": {}},
                     __validation_former_trained={"results": [{"result": result(0.98, generation=OLD)}]})  # fmt: skip
    known = node_findings.known_of(left)
    told = judged(known, compare({"n": known.node}, 4, 10).changed["n"], left)
    assert told["verdict"] == "FAIL"
    assert f"the former generation {OLD} passes here: it follows the software" in told["complaint"]


def test_a_hooks_unknown_field_is_refused() -> None:
    with pytest.raises(InputError, match=r"\{node\}.* Next: correct \{node\}"):
        check_validation({"environments": [], "hook": ["drain", "{node}"]})
    command = ["drain", "{host}", "{checks}", "${X}", "{}"]
    assert check_validation({"environments": [], "hook": command})["hook"] == command


def test_five_hundred_nodes_of_sixty_findings_are_judged_in_seconds() -> None:
    names = [check for check in BY_NAME.values() if check.scope in ("node", "gpu")]
    hosts = {}
    for number in range(500):
        own = [findings.passed(check, "node", 100.0 + (number * 7 + index) % 5) for index, check in enumerate(names)]
        own += [
            findings.skipped(BY_NAME["gpu.dcgm"], f"GPU-{index}", "no", "nothing") for index in range(60 - len(own))
        ]
        hosts[f"n{number}"] = variables(*own, trained=[result()])
    hosts["n7"]["__validation_node"]["findings"][-40] = findings.passed(BY_NAME["speed.disk"], "node", 5.0)
    began = time.perf_counter()
    known = {name: node_findings.known_of(one) for name, one in hosts.items()}
    fleet = compare({name: one.node for name, one in known.items()}, 4, 10)
    verdicts = {name: judged(one, fleet.changed[name], hosts[name]) for name, one in known.items()}
    took = time.perf_counter() - began
    assert [name for name, one in verdicts.items() if one["verdict"] == "FAIL"] == ["n7"]
    assert took < 3, took


DISK = findings.passed(BY_NAME["speed.disk"], "node", 1000.0)


@pytest.mark.parametrize(
    "told",
    [
        {"findings": [{"check": "speed.disk"}]},
        {"findings": ["PASS"]},
        {"findings": "PASS"},
        {"findings": [{**DISK, "verdict": "GREAT"}]},
        {"findings": [{**DISK, "check": "--option=/of/a/hook", "verdict": "FAIL", "reason": "r", "next_step": "n"}]},
        {"findings": [{**DISK, "verdict": "FAIL"}]},
        {"findings": [{**DISK, "subject": 5}]},
        {"findings": [{**DISK, "limit": "none"}]},
        {"findings": [{**DISK, "evidence": None}]},
        {"findings": [{**DISK, "seconds": float("nan")}]},
        {"findings": [DISK], "identity": {"gpus": ["GPU-1"]}},
    ],
)
def test_a_node_that_answers_nonsense_is_an_error_of_its_own(told: dict[str, Any]) -> None:
    """It takes no verdict from the others, and no word of its into a command."""
    nodes = {name: variables({**DISK}) for name in ("n1", "n2", "n3", "odd")}
    nodes["odd"]["__validation_node"].update(told)
    known = {name: node_findings.known_of(one) for name, one in nodes.items()}
    fleet = compare({name: one.node for name, one in known.items()}, 4.0, 10.0)
    verdicts = {name: judged(one, fleet.changed[name], nodes[name]) for name, one in known.items()}
    assert {name: one["verdict"] for name, one in verdicts.items()} == {
        "n1": "PASS", "n2": "PASS", "n3": "PASS", "odd": "ERROR",
    }  # fmt: skip
    assert verdicts["odd"]["bad"] == []
    assert node_findings.record(known["odd"], verdicts["odd"], "run", "end")["verdict"] == "ERROR"


@pytest.mark.parametrize("learnt", ["text", ["text"], [{"check": "speed.disk"}]])
def test_what_a_node_remembers_counts_as_far_as_it_can_be_read(learnt: Any) -> None:
    odd = variables(DISK)
    odd["__validation_node"]["learnt"] = learnt
    known = node_findings.known_of(odd)
    assert (known.node.learnt, known.lost) == ([], None)
