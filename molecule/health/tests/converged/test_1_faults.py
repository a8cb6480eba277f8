"""Each row of faults.yml: what is wrong is found by its check, where it is, with its words, and all else is fine."""

from __future__ import annotations

import contextlib
import re
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

import conftest as health


def name_of(row: dict[str, Any]) -> str:
    return re.sub(r"\W+", "-", f"{row['check']} {row['fault']}")[:80]


def bad(found: health.Findings) -> dict[tuple[str, str], str]:
    return {key: one["verdict"] for key, one in found.items() if one["verdict"] in ("FAIL", "ERROR")}


def test_a_healthy_node_passes_everything(validate: health.Validate) -> None:
    on = {"gpu.dcgm": {"enabled": True}}
    found, _said = validate(validation_checks=on, validation_mounts=[{"path": "/dev/shm", "writable": True}])
    assert bad(found) == {}
    passed = {check for (check, _subject), one in found.items() if one["verdict"] == "PASS"}
    assert {check for check, _subject in found} - passed == {"host.memlock"}
    # What is switched off stands in no record.
    assert {"gpu.remaps", "gpu.dcgm", "gpu.xid", "host.mounts", "host.driver", "host.shm"} <= passed


def test_a_healthy_environment_passes_everything(validate: health.Validate) -> None:
    names = ["train.mnist", "train.speed", "train.transformer", "serve.export"]
    names += [f"speed.{name}" for name in ("matmul.fp32", "matmul.bf16", "memory", "loading", "disk")]
    on = {name: {"enabled": True} for name in names}
    found, _said = validate("he-torch", validation_checks=on, validation_epochs=1, validation_least_accuracy=0.8)
    assert bad(found) == {}
    assert {check for (check, _subject), one in found.items() if one["verdict"] == "PASS"} >= set(names)


@pytest.mark.parametrize("row", health.TABLE["faults"], ids=name_of)
def test_a_fault_is_found(validate: health.Validate, row: dict[str, Any]) -> None:
    node = row.get("node", "he-gpu")
    variables = dict(row.get("variables", {}))
    with contextlib.ExitStack() as undo:
        if "gpus" in row:
            health.set_gpus(row["gpus"])
            undo.callback(health.set_gpus, [])
        if "log" in row:
            health.set_log([*health.QUIET, *row["log"]] if row["log"] else [])
            undo.callback(health.set_log, health.QUIET)
        if "undoes" in row:
            undo.callback(health.scenario.inside, node, "sh", "-c", row["undoes"])
        if "does" in row:
            health.scenario.inside(node, "sh", "-ec", row["does"])
        if "inside" in row:
            health.run_inside(node, row["inside"])
        if "dead" in row:
            undo.enter_context(health.dead_mount(node, row["dead"]))
        if "library" in row:
            undo.enter_context(health.wrong_library(node, row["library"]))
        if "data" in row:
            variables["validation_data"] = health.wrong_data(node, row["data"])
        if "slow" in row:
            found, _said = validate(node, **variables)
            # Half of what is measured while nothing is wrong: this machine's own limit.
            least = float(found[row["check"], row.get("subject", "node")]["value"]) / 2
            checks = {**variables["validation_checks"], row["check"]: {"enabled": True, "least": least}}
            variables["validation_checks"] = checks
            row = {**row, "limits": {"cpus": row["slow"]}}
        for what, amount in row.get("limits", {}).items():
            undo.callback(health.limit, node, what, None)
            health.limit(node, what, amount)
        found, said = validate(node, row["verdict"] in ("FAIL", "ERROR"), **variables)
    subject = health.SECOND if row.get("subject") == "SECOND" else row.get("subject", "node")
    one = found[row["check"], subject]
    assert one["verdict"] == row["verdict"], one
    if row["verdict"] == "PASS":
        assert row["words"] in " ".join(one["evidence"]), one
        assert bad(found) == {}
        return
    assert row["words"] in one["reason"], one
    assert one["next_step"]
    # Whoever runs the role reads it, too.
    assert f"{row['verdict']} {row['check']}" in said or row.get("also") == "EACH", said
    others = {key[0]: verdict for key, verdict in bad(found).items() if key != (row["check"], subject)}
    if row.get("also") == "EACH":
        assert {check for check in others if not check.startswith("gpu.")} == set(row.get("besides", []))
        assert set(others.values()) == {"ERROR"}
    else:
        assert others == row.get("also", {})
