"""The genuine nvidia-ml-py over a stand-in for NVIDIA's library (tests/gpus/nvml.c), and what its answers come to."""

from __future__ import annotations

import ctypes
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pynvml
import pytest

from ansible_collections.condafleet.core.plugins.module_utils import (
    bounded_call,
    check_limits,
    checks_gpu,
    findings,
    gpu_sight,
)
from ansible_collections.condafleet.core.plugins.module_utils.gpu_probe import probe

ROOT = Path(__file__).parents[3]
FIRST, SECOND = "GPU-11111111-1111-1111-1111-111111111111", "GPU-22222222-2222-2222-2222-222222222222"
Findings = dict[tuple[str, str], dict[str, Any]]
Look = Callable[..., Findings]


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("nvml")
    source = ROOT / "tests" / "gpus" / "nvml.c"
    made = folder / "libnvidia-ml.so.1"
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror", "-o", made, source], check=True)
    return made


@pytest.fixture
def look(library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Look:
    """Findings of a node whose GPUs answer as the healthy ones do, but for the lines that are given."""

    def asked(*lines: str, declared: dict[str, Any] | None = None, limit: float = 20) -> Findings:
        state = tmp_path / "gpus"
        state.write_text((ROOT / "tests/gpus/healthy").read_text() + "\n".join(lines) + "\n")
        monkeypatch.setenv("CONDAFLEET_GPUS", str(state))
        wanted = check_limits.asked("standard", check_limits.check_declared(declared or {}), "NVIDIA H100 80GB HBM3")
        told = bounded_call.in_child(lambda: _probe(library), limit, "NVML")
        return {(one["check"], one["subject"]): one for one in checks_gpu.gpu_findings(told, wanted)}

    return asked


def _probe(library: Path) -> dict[str, Any]:
    # Else the loader would look for it among the system's own.
    pynvml.nvmlLib = ctypes.CDLL(str(library))
    return probe(pynvml)


def bad(found: Findings) -> dict[tuple[str, str], str]:
    return {key: one["verdict"] for key, one in found.items() if one["verdict"] not in ("PASS", "SKIP")}


def test_healthy_gpus_pass_every_check(look: Look) -> None:
    found = look()
    assert bad(found) == {}
    assert {check for check, _subject in found} == {*checks_gpu.JUDGES, *checks_gpu.NODE_CHECKS}


# Each line is a fault; what it is found by; and words that say why.
FAULTS = [
    ("1.remaps_pending=1", "gpu.remaps", "it is 1 rows, more than 0"),
    ("1.remaps_failure=1", "gpu.remaps", "a row could not be remapped"),
    ("1.pcie_width=8", "gpu.pcie", "the link is x8, and could be x16"),
    ("1.pstate=0", "gpu.pcie", "the link is generation 1 in performance state P0, and could be 5"),
    ("1.nvlink3=0", "gpu.nvlink", "link 3 down"),
    ("1.nvlink4_replay=7", "gpu.nvlink", "link 4: replay 7"),
    ("1.ecc_uncorrected=2", "gpu.ecc", "it is 2 errors, more than 0"),
    ("1.ecc=0", "gpu.ecc", "ECC is off"),
    ("1.reasons=0x40", "gpu.throttle", "hardware slowdown for heat"),
    ("1.persistence=0", "gpu.persistence", "it is off, not on"),
    ("1.temperature=86", "gpu.temperature", "it is 3 °C below slowdown, less than 5"),
    ("1.power_limit=500000", "gpu.power", "the power limit is 500 W, the default is 700 W"),
    ("1.clock_set=1200", "gpu.clocks", "applications are given 1200 MHz, the default is 1980 MHz"),
    ("1.recovery=4", "gpu.recovery", "a drain, and then a reset of the GPU"),
]


@pytest.mark.parametrize(("line", "check", "words"), FAULTS)
def test_a_fault_is_found_on_its_gpu_alone(look: Look, line: str, check: str, words: str) -> None:
    found = look(line)
    assert bad(found) == {(check, SECOND): "FAIL"}
    one = found[check, SECOND]
    assert words in one["reason"]
    assert one["next_step"]
    assert findings.sentence(one).startswith(f"FAIL {check} ({SECOND}): ")


def test_a_missing_gpu_is_found_where_their_number_is_declared(look: Look) -> None:
    assert bad(look("count=1")) == {}
    found = look("count=1", declared={"gpu.count": {"equal": 2}})
    assert bad(found) == {("gpu.count", "node"): "FAIL"}
    assert "it is 1 GPUs, not 2" in found["gpu.count", "node"]["reason"]


def test_what_a_gpu_does_not_support_is_no_pass(look: Look) -> None:
    found = look("1.nvlinks=0", "1.unsupported=mig")
    assert {check: found[check, SECOND]["verdict"] for check in ("gpu.mig", "gpu.nvlink")} == {
        "gpu.mig": "SKIP", "gpu.nvlink": "SKIP",
    }  # fmt: skip
    assert found["gpu.mig", FIRST]["verdict"] == "PASS"


def test_ecc_that_is_off_by_default_is_no_fault(look: Look) -> None:
    assert look("1.ecc=0", "ecc_default=0")["gpu.ecc", SECOND]["verdict"] == "SKIP"
    # Where the default is not told, as by nvidia-smi.
    untold = ("1.ecc=0", "unsupported=ecc_default")
    assert look(*untold)["gpu.ecc", SECOND]["verdict"] == "FAIL"
    assert look(*untold, "1.name=NVIDIA RTX A6000")["gpu.ecc", SECOND]["verdict"] == "SKIP"


def test_a_link_that_nobody_tells_of_is_no_pass(look: Look) -> None:
    none = ("1.pcie_width=0", "1.pcie_width_most=0", "1.pcie_generation=0", "1.pcie_generation_most=0")
    assert look(*none)["gpu.pcie", SECOND]["verdict"] == "SKIP"
    assert look("1.pcie_width=0")["gpu.pcie", SECOND]["verdict"] == "FAIL"
    assert look(*none, declared={"gpu.pcie": {"equal": "x16 gen5"}})["gpu.pcie", SECOND]["verdict"] == "FAIL"


def test_a_link_is_judged_also_where_its_replays_are_not_counted(look: Look) -> None:
    one = look("1.pcie_width=8", "unsupported=pcie_replays")["gpu.pcie", SECOND]
    assert one["verdict"] == "FAIL" and "unknown replays" in one["evidence"][0]


def test_a_driver_that_is_older_than_a_field_does_not_support_it(look: Look) -> None:
    assert look("older_than_fields=1")["gpu.recovery", SECOND]["verdict"] == "SKIP"


def test_a_link_behind_one_that_a_model_has_not_is_judged_too(look: Look) -> None:
    found = look("1.nvlink3=absent", "1.nvlink9=0")["gpu.nvlink", SECOND]
    assert (found["verdict"], found["value"]) == ("FAIL", "16 of 17 links")


def test_for_how_long_heat_slowed_a_gpu_down_is_told_in_seconds(library: Path, look: Look) -> None:
    def slowed() -> list[Any]:
        return [gpu["slowed"] for gpu in bounded_call.in_child(lambda: _probe(library), 20, "NVML")["gpus"]]

    look("1.thermal_violation=1500000000", "other_violation=7000000000")
    assert slowed() == [0.0, 1.5]
    look("1.thermal_violation=clock", "0.unsupported=thermal_violation")
    (none, before), (_none, after) = slowed(), slowed()
    assert none is None and 0 < after - before < 20


def test_a_gpu_that_nobody_gets_hold_of_is_said_so() -> None:
    gpu = {"index": 3, "errors": {"handle": "GPU is lost"}}
    one = checks_gpu.JUDGES["gpu.ecc"](gpu, check_limits.asked("standard", {})["gpu.ecc"], "GPU 3")
    assert (one["verdict"], one["reason"]) == ("ERROR", "GPU is lost")


def test_a_gpu_that_is_lost_passes_nothing(look: Look) -> None:
    found = look("1.lost=1")
    verdicts = {one["verdict"] for (check, subject), one in found.items() if subject not in ("node", FIRST)}
    assert verdicts <= {"ERROR", "SKIP"}
    assert found["gpu.ecc", "GPU 1"]["verdict"] == "ERROR"
    assert "GPU is lost" in found["gpu.ecc", "GPU 1"]["reason"]


def test_a_container_without_libcuda_hears_all_else(look: Look) -> None:
    found = look("libcuda=0")
    assert bad(found) == {("gpu.cuda", "node"): "ERROR"}
    assert "no libcuda.so.1 (" in found["gpu.cuda", "node"]["reason"]


def test_a_model_that_a_gpu_does_not_say_is_no_pass(look: Look) -> None:
    one = look("1.lost=1")["gpu.model", "node"]
    assert (one["verdict"], one["reason"]) == ("ERROR", "1 of 2 GPUs did not say")
    assert one["evidence"] == ["others: NVIDIA H100 80GB HBM3"]
    assert look("lost=1")["gpu.model", "node"]["verdict"] == "ERROR"


def test_a_lost_gpu_takes_no_limit_from_the_others() -> None:
    gpus = [{"index": 0, "name": None}, {"index": 1, "name": "NVIDIA H100 80GB HBM3"}]
    assert gpu_sight.Sight({"gpus": gpus}).model == "NVIDIA H100 80GB HBM3"
    assert gpu_sight.Sight({"gpus": [*gpus, {"index": 2, "name": "NVIDIA L4"}]}).model is None


def test_a_driver_that_hangs_is_left_behind_and_said(look: Look) -> None:
    with pytest.raises(bounded_call.NoAnswerError, match="did not answer within 1 seconds"):
        look("hang=1", limit=1)


def test_newer_gpus_tell_how_far_they_are_from_slowing_down(look: Look) -> None:
    newer = ("unsupported=slowdown", "margin=30", "slowdown_margin=-2")
    assert look(*newer)["gpu.temperature", SECOND]["value"] == 32
    hot = look(*newer, "1.margin=1")
    assert (hot["gpu.temperature", SECOND]["verdict"], hot["gpu.temperature", SECOND]["value"]) == ("FAIL", 3)
    # Neither of the two is told by older drivers of GPUs without a threshold.
    assert look("unsupported=slowdown")["gpu.temperature", SECOND]["verdict"] == "SKIP"


def test_cards_without_a_bridge_have_no_fault(look: Look) -> None:
    down = [f"nvlink{link}=0" for link in range(18)]
    card = "0.name=NVIDIA H100 PCIe", "1.name=NVIDIA H100 PCIe"
    assert look(*card, *down)["gpu.nvlink", SECOND]["verdict"] == "SKIP"
    assert look(*down)["gpu.nvlink", SECOND]["verdict"] == "FAIL"
    declared = {"gpu.nvlink": {"equal": "18 of 18 links"}}
    assert look(*card, *down, declared=declared)["gpu.nvlink", SECOND]["verdict"] == "FAIL"


def test_a_gpu_that_is_alone_may_have_nobody_to_link_to(look: Look) -> None:
    down = [f"nvlink{link}=0" for link in range(18)]
    alone = look("count=1", *down)["gpu.nvlink", FIRST]
    assert (alone["verdict"], alone["reason"]) == ("SKIP", "none of its NVLinks is up, and it is the only GPU here")
    # One that is down beside others that are up has broken.
    assert look("count=1", "nvlink3=0")["gpu.nvlink", FIRST]["verdict"] == "FAIL"
    assert (
        look("count=1", *down, declared={"gpu.nvlink": {"equal": "18 of 18 links"}})["gpu.nvlink", FIRST]["verdict"]
        == "FAIL"
    )


def test_links_whose_errors_are_counted_otherwise_are_judged_by_their_state(look: Look) -> None:
    assert look()["gpu.nvlink", SECOND]["evidence"] == []
    for code in (2, 3, 26):
        found = look(f"1.nvlink_counters={code}")["gpu.nvlink", SECOND]
        assert found["verdict"] == "PASS" and "errors were not judged" in found["evidence"][0]
    assert look("1.nvlink_counters=999")["gpu.nvlink", SECOND]["verdict"] == "ERROR"


def test_libraries_that_are_not_the_drivers_are_said(look: Look) -> None:
    with pytest.raises(bounded_call.NoAnswerError, match="LibRmVersionMismatch"):
        look("fail=18")


def test_what_could_not_be_asked_is_an_error_in_every_check() -> None:
    found = checks_gpu.could_not_ask(check_limits.asked("standard", {}), "NVML did not answer within 30 seconds")
    assert {one["verdict"] for one in found} == {"ERROR"}
    assert {one["check"] for one in found} == {*checks_gpu.JUDGES, *checks_gpu.NODE_CHECKS}


def test_a_node_without_gpus_is_skipped_unless_some_were_declared() -> None:
    asked = check_limits.asked("standard", check_limits.check_declared({"gpu.count": {"equal": 8}}))
    found = {one["check"]: one for one in checks_gpu.no_gpus(asked)}
    assert found["gpu.count"]["verdict"] == "FAIL"
    assert {one["verdict"] for name, one in found.items() if name != "gpu.count"} == {"SKIP"}
    modelled = check_limits.asked("standard", check_limits.check_declared({"gpu.model": {"equal": "NVIDIA H200"}}))
    (model,) = [one for one in checks_gpu.no_gpus(modelled) if one["check"] == "gpu.model"]
    assert model["verdict"] == "FAIL" and "it is none, not NVIDIA H200" in model["reason"]
    plain = checks_gpu.no_gpus(check_limits.asked("standard", {}))
    assert {one["verdict"] for one in plain} == {"SKIP"}


def test_each_name_that_is_asked_of_nvml_is_in_nvidia_ml_py() -> None:
    source = (ROOT / "plugins/module_utils/gpu_probe.py").read_text()
    names = set(re.findall(r"nvml\.((?:nvml|NVML)\w+)", source)) | set(re.findall(r'"(NVML_\w+)"', source))
    assert len(names) > 30
    assert [name for name in sorted(names) if not hasattr(pynvml, name)] == []
