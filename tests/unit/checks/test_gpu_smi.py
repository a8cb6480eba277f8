"""nvidia-smi in place of NVML: the same data, of the stand-in tests/gpus/nvidia-smi, whose answers are synthetic.

Which elements nvidia-smi has was read in recorded answers of `nvidia-smi -q -x` at influxdata/telegraf b272631,
plugins/inputs/nvidia_smi/testdata; the parser was also run over all twelve of them by hand. They are not kept here.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.condafleet.core.plugins.module_utils import check_limits, checks_gpu, gpu_smi, validation_gpu
from ansible_collections.condafleet.core.plugins.module_utils.bounded_call import NoAnswerError

ROOT = Path(__file__).parents[3]
HEALTHY = (ROOT / "tests/gpus/healthy").read_text()
SECOND = "GPU-22222222-2222-2222-2222-222222222222"

# Each element that is asked for, by the recorded answers that have it: A10G (driver 515.105.01), A100 (535.54.03),
# GeForce RTX 3060 (570.124.04), RTX 4000 Ada (595.84), Tesla T4 (515.105.01), Quadro P2000 (525.125.06), GTX 1070
# (418.56, without a figure).
A10G, A100, RTX3060, ADA, T4, P2000 = "515.105.01 A10G", "535.54.03", "570.124.04", "595.84", "515.105.01 T4", "525.125"
GTX1070 = "418.56"
EACH = (A10G, A100, ADA)
SEEN = {
    "product_name": EACH, "persistence_mode": EACH, "mig_mode/current_mig": EACH, "serial": EACH, "uuid": EACH,
    "vbios_version": EACH, "pci/pci_bus_id": EACH, "pci/replay_counter": EACH, "performance_state": EACH,
    "pci/pci_gpu_link_info/pcie_gen/max_link_gen": EACH, "pci/pci_gpu_link_info/pcie_gen/current_link_gen": EACH,
    "pci/pci_gpu_link_info/link_widths/max_link_width": EACH, "fb_memory_usage/total": EACH,
    "pci/pci_gpu_link_info/link_widths/current_link_width": EACH, "fb_memory_usage/used": EACH,
    "utilization/gpu_util": EACH, "ecc_mode/current_ecc": EACH, "ecc_errors/volatile": EACH,
    "ecc_errors/volatile/dram_uncorrectable": EACH, "ecc_errors/volatile/sram_uncorrectable_parity": (ADA,),
    "ecc_errors/volatile/sram_uncorrectable_secded": (ADA,), "ecc_errors/volatile/double_bit/total": (P2000,),
    "retired_pages/pending_retirement": (T4,),
    "remapped_rows/remapped_row_corr": (A10G, ADA), "remapped_rows/remapped_row_unc": (A10G, ADA),
    "remapped_rows/remapped_row_pending": (A10G, ADA), "remapped_rows/remapped_row_failure": (A10G, ADA),
    "temperature/gpu_temp": EACH, "temperature/gpu_temp_slow_threshold": (A10G, A100),
    "temperature/gpu_temp_tlimit": (ADA,), "temperature/gpu_temp_slow_tlimit_threshold": (ADA,),
    "gpu_power_readings": (A100, ADA), "power_readings": (A10G,), "clocks/sm_clock": EACH, "max_clocks/sm_clock": EACH,
    "applications_clocks/graphics_clock": (GTX1070,), "default_applications_clocks/graphics_clock": (GTX1070,),
    "gpu_recovery_action": (RTX3060, ADA),
    "clocks_event_reasons_counters/clocks_event_reasons_counters_sw_therm_slowdown": (ADA,),
    "clocks_event_reasons_counters/clocks_event_reasons_counters_hw_therm_slowdown": (ADA,),
    "gpu_reset_status/reset_required": (A100,),
    "gpu_reset_status/drain_and_reset_recommended": (A100,), "processes": EACH, "processes/process_info": (T4, ADA),
}  # fmt: skip


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A node with the stand-in in its PATH; returns the file that it answers from."""
    state = tmp_path / "gpus"
    monkeypatch.setenv("CONDAFLEET_GPUS", str(state))
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/nvidia-smi").symlink_to(ROOT / "tests/gpus/nvidia-smi")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    state.write_text(HEALTHY)
    return state


def findings(told: dict[str, Any], **declared: Any) -> dict[tuple[str, str], dict[str, Any]]:
    asked = check_limits.asked("standard", check_limits.check_declared(declared), "NVIDIA H100 80GB HBM3")
    return {(one["check"], one["subject"]): one for one in checks_gpu.gpu_findings(told, asked)}


def bad(told: dict[str, Any]) -> dict[tuple[str, str], str]:
    return {key: one["verdict"] for key, one in findings(told).items() if one["verdict"] in ("FAIL", "ERROR")}


def test_healthy_gpus_pass_all_that_nvml_would_be_asked_for(node: Path) -> None:
    told = gpu_smi.probe_smi()
    assert (told["driver"], told["cuda"], len(told["gpus"])) == ("570.86.15", "12.8", 2)
    found = findings(told)
    assert {one["verdict"] for one in found.values()} == {"PASS"}
    assert {check for check, _subject in found} == {*checks_gpu.JUDGES, *checks_gpu.NODE_CHECKS}


FAULTS = [
    ("1.remaps_pending=1", "gpu.remaps"), ("1.remaps_failure=1", "gpu.remaps"), ("1.pcie_width=8", "gpu.pcie"),
    ("1.pstate=0", "gpu.pcie"), ("1.nvlink3=0", "gpu.nvlink"), ("1.nvlink4_replay=7", "gpu.nvlink"),
    ("1.ecc_uncorrected=2", "gpu.ecc"), ("1.ecc=0", "gpu.ecc"), ("1.reasons=0x40", "gpu.throttle"),
    ("1.clock_set=1200", "gpu.clocks"), ("1.persistence=0", "gpu.persistence"), ("1.temperature=86", "gpu.temperature"),
    ("1.power_limit=500000", "gpu.power"), ("1.recovery=4", "gpu.recovery"),
]  # fmt: skip


@pytest.mark.parametrize("form", ["event", "throttle"])
@pytest.mark.parametrize(("line", "check"), FAULTS)
def test_a_fault_is_found_as_by_nvml(node: Path, line: str, check: str, form: str) -> None:
    node.write_text(f"{HEALTHY}smi_form={form}\n{line}\n")
    assert bad(gpu_smi.probe_smi()) == {(check, SECOND): "FAIL"}


def test_for_how_long_heat_slowed_a_gpu_down_is_told_in_seconds(node: Path) -> None:
    node.write_text(f"{HEALTHY}1.thermal_violation=1500000000\n")
    assert [gpu["slowed"] for gpu in gpu_smi.probe_smi()["gpus"]] == [0, 1.5]
    node.write_text(f"{HEALTHY}smi_form=throttle\n")
    (one, _other) = gpu_smi.probe_smi()["gpus"]
    assert one["slowed"] is None and gpu_smi.NOT_SUPPORTED in one["errors"]["slowed"]


def test_who_uses_a_gpu_is_told(node: Path) -> None:
    node.write_text(f"{HEALTHY}1.processes=4711 4712\n")
    assert [gpu["processes"] for gpu in gpu_smi.probe_smi()["gpus"]] == [[], [4711, 4712]]


@pytest.mark.parametrize(("said", "processes"), [("", []), ("\n", []), ("N/A", None)])
def test_who_uses_a_gpu_is_not_known_where_it_is_not_told(said: str, processes: list[int] | None) -> None:
    (gpu,) = gpu_smi.parse(element("processes", said))["gpus"]
    assert gpu["processes"] == processes
    (other,) = gpu_smi.parse(element("persistence_mode", "Enabled"))["gpus"]
    assert other["processes"] is None and "has no processes" in other["errors"]["processes"]


def test_newer_gpus_tell_how_far_they_are_from_slowing_down(node: Path) -> None:
    node.write_text(HEALTHY.replace("slowdown=89\n", "margin=30\nslowdown_margin=-2\n"))
    assert [gpu["slowdown"] for gpu in gpu_smi.probe_smi()["gpus"]] == [66, 66]


def test_what_is_not_supported_is_no_pass_and_no_error(node: Path) -> None:
    node.write_text(HEALTHY.replace("recovery=0\n", "").replace("mig=0\n", ""))
    found = findings(gpu_smi.probe_smi())
    assert {found[check, SECOND]["verdict"] for check in ("gpu.recovery", "gpu.mig")} == {"SKIP"}


def element(name: str, said: str) -> str:
    return f"<nvidia_smi_log><driver_version>1</driver_version><gpu><{name}>{said}</{name}></gpu></nvidia_smi_log>"


@pytest.mark.parametrize("said", ["ERR!", "[GPU requires reset]", "Unknown Error"])
def test_what_could_not_be_read_is_an_error(said: str) -> None:
    told = gpu_smi.parse(element("persistence_mode", said))
    assert (told["gpus"][0]["persistence"], told["gpus"][0]["errors"]["persistence"]) == (None, said)
    assert findings(told)["gpu.persistence", "GPU 0"]["verdict"] == "ERROR"


def test_an_element_that_is_gone_is_an_error_and_no_skip() -> None:
    told = gpu_smi.parse(element("persistence_mode", "Enabled"))
    assert told["gpus"][0]["errors"]["temperature"] == "nvidia-smi -q -x has no temperature/gpu_temp"
    assert findings(told)["gpu.temperature", "GPU 0"]["verdict"] == "ERROR"


def test_a_memory_that_counts_no_errors_hides_none_of_the_others() -> None:
    def volatile(sram: str, dram: str) -> str:
        kinds = f"<sram_uncorrectable>{sram}</sram_uncorrectable><dram_uncorrectable>{dram}</dram_uncorrectable>"
        return element("ecc_errors", f"<volatile>{kinds}</volatile>")

    for sram, dram, verdict in (
        ("N/A", "2", "FAIL"),
        ("0", "N/A", "PASS"),
        ("N/A", "N/A", "SKIP"),
        ("0", "ERR!", "ERROR"),
    ):
        found = findings(gpu_smi.parse(volatile(sram, dram)))
        assert found["gpu.ecc", "GPU 0"]["verdict"] == verdict


def test_an_unknown_recovery_is_an_error() -> None:
    told = gpu_smi.parse(element("gpu_recovery_action", "Something New"))
    assert findings(told)["gpu.recovery", "GPU 0"]["verdict"] == "ERROR"


def test_drivers_that_know_no_recovery_say_whether_a_reset_is_required() -> None:
    for answer, verdict in (("No", "PASS"), ("Yes", "FAIL"), ("Requested functionality has been deprecated", "SKIP")):
        told = gpu_smi.parse(element("gpu_reset_status", f"<reset_required>{answer}</reset_required>"))
        assert findings(told)["gpu.recovery", "GPU 0"]["verdict"] == verdict


# As in leptonai/gpud issue 1085 (eight B200, one of them without links; the driver is not named).
INACTIVE = "\nNVML: Unable to retrieve NVLink information as all links are inActive\n"


def named(model: str, *uuids: str) -> str:
    gpus = "".join(f"<gpu><product_name>{model}</product_name><uuid>{uuid}</uuid></gpu>" for uuid in uuids)
    return f"<nvidia_smi_log><driver_version>1</driver_version>{gpus}</nvidia_smi_log>"


# Both spellings were seen, and the words behind the GPU's own, on its line.
@pytest.mark.parametrize("said", [INACTIVE, INACTIVE.replace("NVLink", "Nvlink"), INACTIVE.strip() + "\n"])
@pytest.mark.parametrize(
    ("model", "uuids", "verdict"),
    [
        ("NVIDIA A100 80GB PCIe", ("GPU-1", "GPU-2"), "SKIP"),
        ("NVIDIA B200", ("GPU-1", "GPU-2"), "FAIL"),
        ("NVIDIA GH200 480GB", ("GPU-1",), "SKIP"),
    ],
)
def test_links_that_are_all_down_are_no_fault_where_there_may_be_none(
    model: str, uuids: tuple[str, ...], verdict: str, said: str
) -> None:
    state = f"GPU 0: {model} (UUID: GPU-1){said}GPU 1: {model} (UUID: GPU-2)\n\t Link 0: 50 GB/s\n"
    document = named(model, *uuids)
    told = gpu_smi.probe_smi(5, lambda arguments, _limit: document if "-x" in arguments else state)
    found = findings(told)
    assert found["gpu.nvlink", "GPU-1"]["verdict"] == verdict
    # What is said of one GPU is no word on the others.
    assert len(uuids) == 1 or found["gpu.nvlink", "GPU-2"]["verdict"] == "PASS"
    declared = findings(told, **{"gpu.nvlink": {"equal": "18 of 18 links"}})
    assert declared["gpu.nvlink", "GPU-1"]["verdict"] == "FAIL"


def test_a_site_may_declare_its_links_and_its_pcie(node: Path) -> None:
    node.write_text(HEALTHY.replace("pcie_width=16", "pcie_width=8").replace("nvlinks=18", "nvlinks=4"))
    told = gpu_smi.probe_smi()
    found = findings(told, **{"gpu.pcie": {"equal": "x8 gen5"}, "gpu.nvlink": {"equal": "4 of 4 links"}})
    assert {found[check, SECOND]["verdict"] for check in ("gpu.pcie", "gpu.nvlink")} == {"PASS"}
    other = findings(told, **{"gpu.pcie": {"equal": "x16 gen5"}, "gpu.nvlink": {"equal": "18 of 18 links"}})
    assert {other[check, SECOND]["verdict"] for check in ("gpu.pcie", "gpu.nvlink")} == {"FAIL"}


def test_what_the_driver_does_not_say_of_itself_is_an_error(node: Path) -> None:
    # "Not Found" is what driver 530.30.02 says of CUDA where it has no libcuda.
    node.write_text(f"{HEALTHY}libcuda=0\n")
    found = findings(gpu_smi.probe_smi())
    assert found["gpu.cuda", "node"]["verdict"] == "ERROR"
    assert "nvidia-smi says Not Found" in found["gpu.cuda", "node"]["reason"]
    told = gpu_smi.parse("<nvidia_smi_log></nvidia_smi_log>")
    assert findings(told)["gpu.driver", "node"]["verdict"] == "ERROR"


def test_warnings_around_the_document_are_left_out(node: Path) -> None:
    text = validation_gpu.run_smi(["-q", "-x"])
    told = gpu_smi.parse(f"WARNING: infoROM is corrupted\n{text}\nWARNING: infoROM is corrupted\n")
    assert len(told["gpus"]) == 2


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (
            "smi_fail=NVIDIA-SMI has failed because it couldn't communicate with the driver\n",
            "ended with 9: NVIDIA-SMI",
        ),
        ("smi_hang=1\n", r"did not answer within 1 seconds"),
    ],
)
def test_a_tool_that_fails_or_hangs_is_said(node: Path, lines: str, words: str) -> None:
    node.write_text(HEALTHY + lines)
    began = time.monotonic()
    with pytest.raises(NoAnswerError, match=words):
        gpu_smi.probe_smi(limit=1)
    assert time.monotonic() - began < 10


def test_half_a_document_is_no_answer() -> None:
    with pytest.raises(NoAnswerError, match=r"no whole document: .*GPU is lost"):
        gpu_smi.probe_smi(5, lambda _arguments, _limit: "<nvidia_smi_log><gpu>\nGPU is lost. Reboot the system")


class Spy:
    """A GPU's element that notes what is asked of it."""

    def __init__(self, genuine: ElementTree.Element, asked: set[str]) -> None:
        self.genuine, self.asked = genuine, asked

    def findtext(self, path: str) -> str | None:
        self.asked.add(path)
        return self.genuine.findtext(path)

    def findall(self, path: str) -> list[ElementTree.Element]:
        self.asked.add(path.removesuffix("/*"))
        return self.genuine.findall(path)


def test_each_element_that_is_asked_for_was_seen_in_a_recorded_answer(node: Path) -> None:
    asked: set[str] = set()
    # Between them they come by all elements.
    older = "reset_required=0\nsmi_form=throttle"
    newer = HEALTHY.replace("slowdown=89", "margin=30\nslowdown_margin=-2")
    for text in (HEALTHY, newer, HEALTHY.replace("recovery=0", older)):
        node.write_text(text)
        log = ElementTree.fromstring(validation_gpu.run_smi(["-q", "-x"]))  # noqa: S314 - the stand-in's own words
        for question in gpu_smi.QUESTIONS.values():
            with contextlib.suppress(Exception):
                question(Spy(log.findall("gpu")[0], asked))  # type: ignore[arg-type]
    reasons = {path for path in asked if re.fullmatch(r"clocks_(event|throttle)_reasons/clocks_\1_reason_\w+", path)}
    assert len(reasons) == 2 * len(gpu_smi.REASONS)
    places = {path.partition("/")[0] if "power_readings" in path else path for path in asked - reasons}
    assert sorted(places - set(SEEN)) == []
    assert sorted(set(SEEN) - places) == []
