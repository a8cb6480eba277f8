# SPDX-License-Identifier: Apache-2.0
"""What nvidia-smi tells of a node's GPUs, as the same data as gpu_probe.py: for nodes without nvidia-ml-py.

`nvidia-smi -q -x` is asked, not `--query-gpu`: that one fails as a whole where a driver does not know one of the
fields, while in XML an element is just missing. NVLink stands in neither; `nvidia-smi nvlink` tells it as text. Names
of elements are those of drivers 515 to 590 (tests/unit/checks/test_gpu_smi.py says where each was seen).
"""

from __future__ import annotations

import re
import time
from typing import Any, Callable, Dict, List, Sequence
from xml.etree import ElementTree

from ansible_collections.condafleet.core.plugins.module_utils import validation_gpu
from ansible_collections.condafleet.core.plugins.module_utils.bounded_call import NoAnswerError
from ansible_collections.condafleet.core.plugins.module_utils.gpu_asked import LIMIT
from ansible_collections.condafleet.core.plugins.module_utils.gpu_probe import NOT_SUPPORTED
from ansible_collections.condafleet.core.plugins.module_utils.gpu_smi_links import parse_links

MIB = 1 << 20
NONE = ("N/A", "[N/A]", "Not Supported", "[Not Supported]", "Requested functionality has been deprecated")
# Bits as NVML has them, by the end of the element's name.
REASONS = {
    "gpu_idle": 1,
    "applications_clocks_setting": 2,
    "sw_power_cap": 4,
    "hw_slowdown": 8,
    "sync_boost": 16,
    "sw_thermal_slowdown": 32,
    "hw_thermal_slowdown": 64,
    "hw_power_brake_slowdown": 128,
    "display_clocks_setting": 256,
}
# Numbers as NVML has them, by what nvidia-smi says.
RECOVERY = {
    "none": 0,
    "reset": 1,
    "gpu reset": 1,
    "reboot": 2,
    "node reboot": 2,
    "drain p2p": 3,
    "drain and reset": 4,
    "recover imex domain": 5,
    "bus reset": 6,
    "system reboot": 7,
}
Ask = Callable[[List[str], float], str]
Element = ElementTree.Element


def probe_smi(limit: float = LIMIT, ask: Ask = validation_gpu.run_smi) -> Dict[str, Any]:
    """What gpu_probe.probe returns; NoAnswerError where nvidia-smi is missing, fails, or hangs beyond `limit` seconds
    in all (then it is left behind)."""
    deadline = time.monotonic() + limit

    def within(arguments: List[str]) -> str:
        try:
            return ask(arguments, max(1.0, deadline - time.monotonic()))
        except validation_gpu.NoAnswerError as error:
            raise NoAnswerError(str(error)) from None

    told = parse(within(["-q", "-x"]))
    try:
        links: Any = parse_links(within(["nvlink", "-s"]), within(["nvlink", "-e"]))
    except NoAnswerError as error:
        links = error
    for gpu in told["gpus"]:
        own = links if isinstance(links, NoAnswerError) else links.get(gpu["uuid"], [])
        if isinstance(own, NoAnswerError):
            gpu["nvlinks"], gpu["errors"]["nvlinks"] = None, str(own)
        else:
            gpu["nvlinks"] = own
    return told


def parse(text: str) -> Dict[str, Any]:
    """{driver, cuda, gpus, errors} of what `nvidia-smi -q -x` said; warnings may stand around it."""
    found = re.search(r"<nvidia_smi_log>.*</nvidia_smi_log>", text, re.DOTALL)
    if not found:
        raise NoAnswerError("nvidia-smi -q -x gave no whole document: %s" % " ".join(text.split())[-200:])
    try:
        # It is of a program that comes with the driver, and the part with a document type was left away.
        log = ElementTree.fromstring(found.group())  # noqa: S314
    except ElementTree.ParseError as error:
        raise NoAnswerError("nvidia-smi -q -x gave no XML: %s" % error) from None
    # "Not Found" where there is no libcuda.
    cuda = (log.findtext("cuda_version") or "").strip()
    return {
        "driver": (log.findtext("driver_version") or "").strip() or None,
        "cuda": cuda if re.match(r"\d", cuda) else None,
        "gpus": [_gpu(element, index) for index, element in enumerate(log.findall("gpu"))],
        "errors": {"cuda": "nvidia-smi says %s" % (cuda or "nothing")},
    }


class _NoneError(Exception):
    """A field is not there, and why."""


def _gpu(gpu: Element, index: int) -> Dict[str, Any]:
    errors: Dict[str, str] = {}
    found: Dict[str, Any] = {"index": index, "errors": errors}
    for field, question in QUESTIONS.items():
        try:
            found[field] = question(gpu)
        except _NoneError as error:
            found[field], errors[field] = None, str(error)
    return found


def _text(gpu: Element, *paths: str) -> str:
    """What the first of these elements says that is there; drivers name some differently."""
    why = ""
    for path in paths:
        said = (gpu.findtext(path) or "").strip()
        if said and said not in NONE:
            return said
        why = why or ("%s: %s" % (path, NOT_SUPPORTED) if said else "")
    raise _NoneError(why or "nvidia-smi -q -x has no %s" % " or ".join(paths))


def _newer(gpu: Element, *paths: str) -> str:
    """The same of elements that not all drivers have: those that lack them do not support them."""
    try:
        return _text(gpu, *paths)
    except _NoneError:
        raise _NoneError("%s: %s" % (paths[0], NOT_SUPPORTED)) from None


def _number(gpu: Element, *paths: str) -> float:
    """Of `34 C`, `71.00 W`, `16x`, `P8`."""
    said = _text(gpu, *paths)
    digits = re.match(r"P?(-?\d+(?:\.\d+)?)\b|(\d+)x", said)
    if not digits:
        # Such as ERR!, or [GPU requires reset].
        raise _NoneError("%s: %s" % (paths[0], said))
    return float(digits.group(1) or digits.group(2))


def _whole(*paths: str) -> Callable[[Element], int]:
    return lambda gpu: int(_number(gpu, *paths))


def _yes(said: str) -> bool:
    words = {"enabled": True, "yes": True, "active": True, "disabled": False, "no": False, "not active": False}
    if said.lower() not in words:
        raise _NoneError(said)
    return words[said.lower()]


def _ecc_uncorrected(gpu: Element) -> int:
    """The sum that NVML gives: all of volatile that was not corrected, however a driver divides it."""
    before_turing = gpu.findtext("ecc_errors/volatile/double_bit/total")
    if before_turing is not None:
        return int(_number(gpu, "ecc_errors/volatile/double_bit/total"))
    names = [one.tag for one in gpu.findall("ecc_errors/volatile/*") if "_uncorrectable" in one.tag]
    if not names:
        raise _NoneError("nvidia-smi -q -x has no ecc_errors/volatile")
    told = [name for name in names if (gpu.findtext("ecc_errors/volatile/" + name) or "").strip() not in NONE]
    # One kind of memory that does not count hides nothing of the others.
    return sum(int(_number(gpu, "ecc_errors/volatile/" + name)) for name in told or names)


def _remaps(gpu: Element) -> Dict[str, int]:
    return {
        "correctable": int(float(_newer(gpu, "remapped_rows/remapped_row_corr"))),
        "uncorrectable": int(float(_newer(gpu, "remapped_rows/remapped_row_unc"))),
        "pending": int(_yes(_newer(gpu, "remapped_rows/remapped_row_pending"))),
        "failure": int(_yes(_newer(gpu, "remapped_rows/remapped_row_failure"))),
    }


def _pcie(gpu: Element) -> Dict[str, int]:
    link = "pci/pci_gpu_link_info/"
    return {
        "generation": int(_number(gpu, link + "pcie_gen/current_link_gen")),
        "generation_most": int(_number(gpu, link + "pcie_gen/max_link_gen")),
        "width": int(_number(gpu, link + "link_widths/current_link_width")),
        "width_most": int(_number(gpu, link + "link_widths/max_link_width")),
    }


def _slowdown(gpu: Element) -> float:
    """Where it slows down. Newer GPUs tell how far they are from their limit, and at which distance they slow down."""
    if (gpu.findtext("temperature/gpu_temp_slow_threshold") or "N/A").strip() not in NONE:
        return _number(gpu, "temperature/gpu_temp_slow_threshold")
    distance = _number(gpu, "temperature/gpu_temp_tlimit")
    return _number(gpu, "temperature/gpu_temp") + distance - _number(gpu, "temperature/gpu_temp_slow_tlimit_threshold")


def _reasons(gpu: Element) -> int:
    """The bit mask. Before driver 535 they were called throttle reasons."""
    found = None
    for name, bit in REASONS.items():
        for way in ("event", "throttle"):
            said = gpu.findtext("clocks_%s_reasons/clocks_%s_reason_%s" % (way, way, name))
            if said is not None and said.strip() not in NONE:
                found = (found or 0) | (bit if _yes(said.strip()) else 0)
    if found is None:
        raise _NoneError("clocks_event_reasons: %s" % NOT_SUPPORTED)
    return found


def _slowed(gpu: Element) -> float:
    """Seconds, of microseconds: what the driver did against heat, and what the GPU did by itself."""
    place = "clocks_event_reasons_counters"
    both = ["%s/%s_%s_therm_slowdown" % (place, place, who) for who in ("sw", "hw")]
    for path in both:
        _newer(gpu, path)
    return sum(_number(gpu, path) for path in both) / 1e6


def _recovery(gpu: Element) -> int:
    """What the driver asks for. Drivers before 565 said whether a reset is required."""
    try:
        said = _text(gpu, "gpu_recovery_action")
    except _NoneError:
        said = "reset" if _yes(_newer(gpu, "gpu_reset_status/reset_required")) else "none"
        if said == "none" and (gpu.findtext(DRAIN) or "").strip() == "Yes":
            said = "drain and reset"
    if said.lower() not in RECOVERY:
        raise _NoneError("nvidia-smi asks for something unknown: %s" % said)
    return RECOVERY[said.lower()]


def _processes(gpu: Element) -> List[int]:
    """Those that compute; nvidia-smi lists those that draw, too. An empty element is none, no element is no answer."""
    said = gpu.findtext("processes")
    if said is None or said.strip() in NONE:
        raise _NoneError("nvidia-smi -q -x has no processes" if said is None else "processes: %s" % NOT_SUPPORTED)
    found = []
    for process in gpu.findall("processes/process_info"):
        if "C" in (process.findtext("type") or "C"):
            found.append(int(process.findtext("pid") or 0))
    return found


def _powers(name: str, *more: str) -> Sequence[str]:
    """Where a power reading may stand: before driver 530 in power_readings."""
    return [place + "/" + one for place in ("gpu_power_readings", "power_readings") for one in (name, *more)]


DRAIN = "gpu_reset_status/drain_and_reset_recommended"
QUESTIONS: Dict[str, Callable[[Element], Any]] = {
    "uuid": lambda gpu: _text(gpu, "uuid"),
    "name": lambda gpu: _text(gpu, "product_name"),
    "serial": lambda gpu: _text(gpu, "serial"),
    "bus_id": lambda gpu: _text(gpu, "pci/pci_bus_id"),
    "vbios": lambda gpu: _text(gpu, "vbios_version"),
    "ecc": lambda gpu: _yes(_text(gpu, "ecc_mode/current_ecc")),
    "ecc_uncorrected": _ecc_uncorrected,
    "remaps": _remaps,
    "retired_pending": lambda gpu: _yes(_newer(gpu, "retired_pages/pending_retirement")),
    "pcie": _pcie,
    "replays": _whole("pci/replay_counter"),
    "persistence": lambda gpu: _yes(_text(gpu, "persistence_mode")),
    "mig": lambda gpu: _yes(_newer(gpu, "mig_mode/current_mig")),
    "temperature": _whole("temperature/gpu_temp"),
    "slowdown": lambda gpu: int(_slowdown(gpu)),
    "power": lambda gpu: _number(gpu, *_powers("power_draw", "instant_power_draw", "average_power_draw")),
    "power_limit": lambda gpu: _number(gpu, *_powers("current_power_limit", "enforced_power_limit")),
    "power_default": lambda gpu: _number(gpu, *_powers("default_power_limit")),
    "clock": _whole("clocks/sm_clock"),
    "clock_most": _whole("max_clocks/sm_clock"),
    # Of the graphics clock, which the SMs go with.
    "clock_set": _whole("applications_clocks/graphics_clock"),
    "clock_default": _whole("default_applications_clocks/graphics_clock"),
    "reasons": _reasons,
    "slowed": _slowed,
    "pstate": _whole("performance_state"),
    "utilization": _whole("utilization/gpu_util"),
    "memory_total": lambda gpu: int(_number(gpu, "fb_memory_usage/total") * MIB),
    "memory_used": lambda gpu: int(_number(gpu, "fb_memory_usage/used") * MIB),
    "processes": _processes,
    "recovery": _recovery,
}
