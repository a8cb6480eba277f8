# SPDX-License-Identifier: Apache-2.0
"""What NVML tells of a node's GPUs, as data. Runs in a child of its own: a sick driver hangs whoever asks.

Every field is asked for by itself: what a GPU or a driver does not support is null, and the reason stands in `errors`.
"""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Optional

NOT_SUPPORTED = "Not Supported"
# Of a link, those counters that stay at 0 on a sound one.
LINK_ERRORS = {
    "replay": "NVML_NVLINK_ERROR_DL_REPLAY",
    "recovery": "NVML_NVLINK_ERROR_DL_RECOVERY",
    "crc_flit": "NVML_NVLINK_ERROR_DL_CRC_FLIT",
    "crc_data": "NVML_NVLINK_ERROR_DL_CRC_DATA",
}


def probe(nvml: Any) -> Dict[str, Any]:
    """{driver, cuda, gpus: [as below], errors: {cuda: why it is null}} by `nvml`, the module pynvml. Raises
    nvml.NVMLError where NVML can't be used.

    A GPU: {index, uuid, name, serial, bus_id, vbios, ecc, ecc_default, ecc_uncorrected, remaps: {correctable,
    uncorrectable, pending, failure}, retired_pending, pcie: {generation, generation_most, width, width_most},
    replays, persistence, mig, temperature (°C), slowdown (°C), power, power_limit, power_default (W), clock,
    clock_most, clock_set, clock_default (MHz, of the SMs; what applications are given, and would be by default),
    reasons (bit mask), slowed (seconds for which heat has slowed it down since the driver was loaded), pstate,
    utilization (%), memory_total, memory_used (bytes), processes: [pid], nvlinks: [{link, active, errors: {NAME:
    count}}], recovery, errors: {FIELD: why it is null}}.
    """
    nvml.nvmlInit()
    try:
        driver = _text(nvml.nvmlSystemGetDriverVersion())
        gpus = [gpu(nvml, index) for index in range(nvml.nvmlDeviceGetCount())]
        errors: Dict[str, str] = {}
        try:
            # It is libcuda that tells, which a container may lack while NVML has all else to say.
            number = nvml.nvmlSystemGetCudaDriverVersion_v2()
            cuda: Optional[str] = "%d.%d" % (number // 1000, number % 1000 // 10)
        except nvml.NVMLError as error:
            cuda, errors["cuda"] = None, str(error)
        return {"driver": driver, "cuda": cuda, "gpus": gpus, "errors": errors}
    finally:
        nvml.nvmlShutdown()


def gpu(nvml: Any, index: int) -> Dict[str, Any]:
    errors: Dict[str, str] = {}

    def ask(field: str, question: Callable[[], Any]) -> Any:
        try:
            return question()
        except nvml.NVMLError as error:
            errors[field] = str(error)
            return None

    found: Dict[str, Any] = {"index": index, "errors": errors}
    device = ask("handle", lambda: nvml.nvmlDeviceGetHandleByIndex(index))
    questions: Dict[str, Callable[[], Any]] = {
        "uuid": lambda: _text(nvml.nvmlDeviceGetUUID(device)),
        "name": lambda: _text(nvml.nvmlDeviceGetName(device)),
        "serial": lambda: _text(nvml.nvmlDeviceGetSerial(device)),
        "bus_id": lambda: _text(nvml.nvmlDeviceGetPciInfo(device).busId),
        "vbios": lambda: _text(nvml.nvmlDeviceGetVbiosVersion(device)),
        "ecc": lambda: bool(nvml.nvmlDeviceGetEccMode(device)[0]),
        "ecc_default": lambda: bool(_only(nvml.nvmlDeviceGetDefaultEccMode(device))),
        "ecc_uncorrected": lambda: nvml.nvmlDeviceGetTotalEccErrors(
            device, nvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED, nvml.NVML_VOLATILE_ECC
        ),
        "remaps": lambda: dict(
            zip(("correctable", "uncorrectable", "pending", "failure"), nvml.nvmlDeviceGetRemappedRows(device))
        ),
        "retired_pending": lambda: bool(nvml.nvmlDeviceGetRetiredPagesPendingStatus(device)),
        "pcie": lambda: {
            "generation": nvml.nvmlDeviceGetCurrPcieLinkGeneration(device),
            "generation_most": nvml.nvmlDeviceGetMaxPcieLinkGeneration(device),
            "width": nvml.nvmlDeviceGetCurrPcieLinkWidth(device),
            "width_most": nvml.nvmlDeviceGetMaxPcieLinkWidth(device),
        },
        # By itself: what does not count them has a link all the same.
        "replays": lambda: nvml.nvmlDeviceGetPcieReplayCounter(device),
        "persistence": lambda: bool(nvml.nvmlDeviceGetPersistenceMode(device)),
        "mig": lambda: bool(nvml.nvmlDeviceGetMigMode(device)[0]),
        "temperature": lambda: nvml.nvmlDeviceGetTemperature(device, nvml.NVML_TEMPERATURE_GPU),
        "slowdown": lambda: slowdown(nvml, device),
        "power": lambda: nvml.nvmlDeviceGetPowerUsage(device) / 1000.0,
        "power_limit": lambda: nvml.nvmlDeviceGetEnforcedPowerLimit(device) / 1000.0,
        "power_default": lambda: nvml.nvmlDeviceGetPowerManagementDefaultLimit(device) / 1000.0,
        "clock": lambda: nvml.nvmlDeviceGetClockInfo(device, nvml.NVML_CLOCK_SM),
        "clock_most": lambda: nvml.nvmlDeviceGetMaxClockInfo(device, nvml.NVML_CLOCK_SM),
        "clock_set": lambda: nvml.nvmlDeviceGetApplicationsClock(device, nvml.NVML_CLOCK_SM),
        "clock_default": lambda: nvml.nvmlDeviceGetDefaultApplicationsClock(device, nvml.NVML_CLOCK_SM),
        "reasons": lambda: nvml.nvmlDeviceGetCurrentClocksThrottleReasons(device),
        "slowed": lambda: nvml.nvmlDeviceGetViolationStatus(device, nvml.NVML_PERF_POLICY_THERMAL).violationTime / 1e9,
        "pstate": lambda: nvml.nvmlDeviceGetPerformanceState(device),
        "utilization": lambda: nvml.nvmlDeviceGetUtilizationRates(device).gpu,
        "memory_total": lambda: nvml.nvmlDeviceGetMemoryInfo(device).total,
        "memory_used": lambda: nvml.nvmlDeviceGetMemoryInfo(device).used,
        "processes": lambda: [process.pid for process in nvml.nvmlDeviceGetComputeRunningProcesses(device)],
        "recovery": lambda: _answer(nvml, device, nvml.NVML_FI_DEV_GET_GPU_RECOVERY_ACTION).uiVal,
    }
    for field, question in questions.items():
        found[field] = ask(field, question) if device is not None else None
    found["nvlinks"] = ask("nvlinks", lambda: links(nvml, device)) if device is not None else None
    return found


def slowdown(nvml: Any, device: Any) -> int:
    """The temperature at which it slows down. Newer GPUs tell how far they are from their limit instead, and how far
    from it they slow down."""
    try:
        return int(nvml.nvmlDeviceGetTemperatureThreshold(device, nvml.NVML_TEMPERATURE_THRESHOLD_SLOWDOWN))
    except nvml.NVMLError_NotSupported:
        try:
            distance = nvml.nvmlDeviceGetMarginTemperature(device)
            least = _answer(nvml, device, nvml.NVML_FI_DEV_TEMPERATURE_SLOWDOWN_TLIMIT).siVal
        except nvml.NVMLError:
            # A driver without these can't tell at all.
            distance = None
        if distance is None:
            raise
        return int(nvml.nvmlDeviceGetTemperature(device, nvml.NVML_TEMPERATURE_GPU) + distance - least)


def links(nvml: Any, device: Any) -> List[Dict[str, Any]]:
    """The NVLinks that this GPU has; none where it has no NVLink at all."""
    found: List[Dict[str, Any]] = []
    for link in range(nvml.NVML_NVLINK_MAX_LINKS):
        try:
            active = nvml.nvmlDeviceGetNvLinkState(device, link) == nvml.NVML_FEATURE_ENABLED
        except (nvml.NVMLError_NotSupported, nvml.NVMLError_InvalidArgument):
            # It does not have this one; models with fewer links than their chip may have others behind it.
            continue
        counts: Dict[str, int] = {}
        for name, constant in LINK_ERRORS.items():
            try:
                counts[name] = nvml.nvmlDeviceGetNvLinkErrorCounter(device, link, getattr(nvml, constant))
            except nvml.NVMLError as error:
                # Newer generations of NVLink count otherwise, and say so in several ways.
                if error.value not in (
                    nvml.NVML_ERROR_NOT_SUPPORTED,
                    nvml.NVML_ERROR_INVALID_ARGUMENT,
                    nvml.NVML_ERROR_DEPRECATED,
                ):
                    raise
        found.append({"link": link, "active": active, "errors": counts})
    return found


def _answer(nvml: Any, device: Any, number: int) -> Any:
    (answer,) = nvml.nvmlDeviceGetFieldValues(device, [number])
    # A driver that is older than the field does not know its number.
    if answer.nvmlReturn == nvml.NVML_ERROR_INVALID_ARGUMENT:
        raise nvml.NVMLError(nvml.NVML_ERROR_NOT_SUPPORTED)
    if answer.nvmlReturn != nvml.NVML_SUCCESS:
        raise nvml.NVMLError(answer.nvmlReturn)
    return answer.value


def _only(value: Any) -> Any:
    """nvidia-ml-py has this one answer in a list."""
    return value[0] if isinstance(value, (list, tuple)) else value


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
