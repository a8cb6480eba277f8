"""A node's own checks, by the real probes of this machine; its GPUs are a stand-in behind the genuine nvidia-ml-py."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.condafleet.core.plugins.module_utils import (
    cgroup,
    findings,
    gpu_sight,
    host_probe,
    kernel_log,
    node_checks,
    node_identity,
    node_limits,
    speed_run,
)
from ansible_collections.condafleet.core.plugins.module_utils.check_catalog import CHECKS
from ansible_collections.condafleet.core.plugins.module_utils.check_limits import asked, check_declared
from ansible_collections.condafleet.core.plugins.module_utils.kernel_log import Messages
from ansible_collections.condafleet.core.plugins.module_utils.node_checks import Request, check_node
from ansible_collections.condafleet.core.plugins.module_utils.progress import Progress
from ansible_collections.condafleet.core.plugins.module_utils.speed_run import SpeedRequest
from ansible_collections.condafleet.core.plugins.plugin_utils.follow import Patience, pause_after

ROOT = Path(__file__).resolve().parents[3]
NO_SPEED = {"speed.*": False}
LOST = "NVRM: Xid (PCI:0000:18:00): 79, pid='<unknown>', name=<unknown>, GPU has fallen off the bus."

Findings = dict[tuple[str, str], dict[str, Any]]


def look(tmp_path: Path, level: str = "standard", checks: dict[str, Any] | None = None, **more: Any) -> Findings:
    prefix, root = str(tmp_path / "conda"), str(tmp_path / "root")
    declared = check_declared(NO_SPEED if checks is None else checks)
    speed = SpeedRequest(prefix, root, "", {})
    answer = check_node(Request(level, declared, prefix, root, speed, **more), Progress(None))
    return {(one["check"], one["subject"]): one for one in answer["findings"]}


# The host


def test_every_check_that_is_asked_for_has_a_finding(tmp_path: Path) -> None:
    found = look(tmp_path)
    assert {check for check, _subject in found} == set(node_limits.wanted("standard", check_declared(NO_SPEED)))
    assert {one["verdict"] for one in found.values()} <= set(findings.ORDER)
    cpus = found["host.cpus", "node"]
    assert cpus["value"] == round(min(cgroup.cpu_quota() or 1e9, len(os.sched_getaffinity(0))), 2)
    assert 0 < found["host.memory", "node"]["value"] < 1e5


def test_the_level_smoke_asks_for_little(tmp_path: Path) -> None:
    assert {check for check, _subject in look(tmp_path, "smoke")} == {"host.driver", "gpu.count", "gpu.recovery"}


@pytest.mark.parametrize(
    ("check", "limit", "said"),
    [
        ("host.cpus", {"least": 100000}, "less than 100000 (validation_checks)"),
        ("host.memory", {"least": 1e6}, "less than 1e+06"),
        ("host.numa", {"equal": 999}, "not 999"),
        ("host.shm", {"least": 1e6}, "less than 1e+06"),
        ("gpu.count", {"equal": 8}, "it is 0 GPUs, not 8"),
    ],
)
def test_a_limit_that_this_node_does_not_keep(tmp_path: Path, check: str, limit: dict[str, Any], said: str) -> None:
    one = look(tmp_path, checks={**NO_SPEED, check: limit})[check, "node"]
    assert one["verdict"] == "FAIL" and said in one["reason"] and one["next_step"]


def test_open_files_are_those_that_the_process_may_have(tmp_path: Path) -> None:
    code = (
        "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))\n"
        f"one = t.look(pathlib.Path({str(tmp_path)!r}))['host.nofile', 'node']; print(one['verdict'], one['value'])"
    )
    assert run(code).strip() == "FAIL 256"


def test_mounts(tmp_path: Path) -> None:
    plain, missing = tmp_path / "plain", tmp_path / "missing"
    plain.mkdir()

    def verdict(*mounts: dict[str, Any], **more: Any) -> tuple[str, str]:
        one = look(tmp_path, mounts=mounts, **more)["host.mounts", "node"]
        return one["verdict"], one["reason"] or ""

    assert verdict() == ("SKIP", "none are declared (validation_mounts)")
    assert verdict({"path": "/proc"})[0] == "PASS"
    assert verdict({"path": str(plain)}) == ("FAIL", f"{plain} is a plain folder, nothing is mounted there")
    assert verdict({"path": str(plain), "mounted": False, "writable": True, "least_free_gib": None})[0] == "PASS"
    assert list(plain.iterdir()) == []
    full = verdict({"path": str(plain), "mounted": False, "least_free_gib": 1e9})
    assert full[0] == "FAIL" and "GiB free, less than 1e+09" in full[1]
    # Two faults, both named.
    both = verdict({"path": "/proc", "writable": True}, {"path": str(missing)})
    assert both[0] == "FAIL" and "/proc can't be used" in both[1] and f"{missing} is not there" in both[1]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another account")
def test_a_mount_that_takes_root_for_nobody_is_written_as_the_account_that_is_declared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses_root(_folder: str) -> None:
        if os.geteuid() == 0:
            raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(host_probe, "write_and_read", refuses_root)
    one = Request("standard", {}, "/none", "/none", SpeedRequest("/none", "/none", "", {}))
    entry = {"path": "/", "writable": True}
    assert "Permission denied" in node_checks._mount(entry, 10, one)["problem"]
    named = one._replace(speed=one.speed._replace(user="nobody"))
    assert node_checks._mount(entry, 10, named)["problem"] is None


def test_check_mode_writes_to_no_mount_and_still_sees_a_bad_one(tmp_path: Path) -> None:
    good = {"path": str(tmp_path), "mounted": False, "writable": True}
    one = look(tmp_path, mounts=[good], rehearse=True)["host.mounts", "node"]
    assert one["verdict"] == "SKIP" and "check mode writes nothing" in one["reason"]
    bad = {"path": str(tmp_path / "missing"), "writable": True}
    assert look(tmp_path, mounts=[good, bad], rehearse=True)["host.mounts", "node"]["verdict"] == "FAIL"


def test_a_mount_that_hangs_is_named_and_hides_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_probe, "mount", lambda _entry: time.sleep(60))
    start = time.monotonic()
    found = look(tmp_path, checks={**NO_SPEED, "host.mounts": {"timeout": 0.5}}, mounts=[{"path": "/data"}])
    assert time.monotonic() - start < 20
    one = found["host.mounts", "node"]
    assert (one["verdict"], one["reason"]) == (
        "FAIL",
        "/data can't be used: the file system did not answer within 0.5 seconds",
    )
    assert found["host.cpus", "node"]["verdict"] == "PASS"


def test_an_installation_on_a_dead_file_server_hangs_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node_checks, "HOST_LIMIT", 0.5)
    monkeypatch.setattr(node_identity, "generations", lambda _prefix, _root: time.sleep(60))
    start = time.monotonic()
    found = look(tmp_path, checks={"gpu.*": False, "speed.disk": False})
    assert time.monotonic() - start < 20
    speed = [one for (check, _subject), one in found.items() if check.startswith("speed.")]
    assert speed and {one["verdict"] for one in speed} == {"ERROR"}
    assert "conda did not answer within 0.5 seconds" in speed[0]["reason"]


def test_a_kernel_that_does_not_answer_is_an_error_in_all_of_its_checks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host_probe, "observe", lambda: time.sleep(60))
    found = look(tmp_path, checks={**NO_SPEED, "host.*": {"timeout": 0.5}})
    host = [one for (check, _subject), one in found.items() if check.startswith("host.") and check != "host.mounts"]
    assert len(host) == 8 and {one["verdict"] for one in host} == {"ERROR"}
    assert all("within 0.5 seconds" in one["reason"] for one in host), host
    assert found["gpu.count", "node"]["verdict"] == "SKIP"


def test_what_breaks_in_one_part_is_said_and_hides_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_args: Any) -> None:
        raise KeyError("remaps")

    monkeypatch.setattr(gpu_sight, "sight_findings", broken)
    found = look(tmp_path)
    gpus = [one for (check, _subject), one in found.items() if check.startswith("gpu.")]
    assert gpus and {one["verdict"] for one in gpus} == {"ERROR"}
    assert {one["reason"] for one in gpus} == {"KeyError: 'remaps'"}
    assert found["host.cpus", "node"]["verdict"] == "PASS"


def test_a_reason_is_no_page() -> None:
    check = CHECKS[0]
    assert findings.unknown(check, "node", "short", "step")["reason"] == "short"
    long = findings.unknown(check, "node", "x" * 100_000, "step")["reason"]
    assert len(long) == findings.REASON_WIDTH and long.endswith(" …")


# GPUs


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("nvml")
    source = ROOT / "tests" / "gpus" / "nvml.c"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", folder / "libnvidia-ml.so.1", source], check=True)
    return folder


def run(code: str, **environ: str) -> str:
    """What it prints. `t` is this file there."""
    start = f"import pathlib, sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); import test_node_checks as t\n"
    command = [sys.executable, "-c", start + code]
    return subprocess.run(
        command, env={**os.environ, **environ}, check=True, stdout=subprocess.PIPE, text=True, cwd=ROOT
    ).stdout


def with_gpus(library: Path, tmp_path: Path, *lines: str, checks: dict[str, Any] | None = None) -> Findings:
    """Findings where the loader finds the stand-in, as it would the driver's library."""
    state = tmp_path / "gpus"
    state.write_text((ROOT / "tests/gpus/healthy").read_text() + "\n".join(lines) + "\n")
    wanted = json.dumps({**NO_SPEED, **(checks or {})})
    found = f"t.look(pathlib.Path({str(tmp_path)!r}), checks=json.loads({wanted!r})).values()"
    code = f"import json; print(json.dumps(list({found})))"
    told = json.loads(run(code, LD_LIBRARY_PATH=str(library), CONDAFLEET_GPUS=str(state), PATH="/usr/bin:/bin"))
    return {(one["check"], one["subject"]): one for one in told}


def test_gpus_are_asked_where_the_loader_finds_the_drivers_library(library: Path, tmp_path: Path) -> None:
    found = with_gpus(library, tmp_path, checks={"gpu.xid": False})
    count = found["gpu.count", "node"]
    assert (count["verdict"], count["value"]) == ("PASS", 2)
    assert found["gpu.driver", "node"]["evidence"] == ["told by NVML"]
    assert len([one for one in found.values() if one["check"] == "gpu.ecc"]) == 2
    assert found["gpu.dcgm", "node"]["verdict"] == "SKIP"


def test_a_driver_that_hangs_is_an_error_and_the_host_is_judged_all_the_same(library: Path, tmp_path: Path) -> None:
    start = time.monotonic()
    checks = {"gpu.*": {"timeout": 1}, "speed.h2d": {"enabled": True}}
    found = with_gpus(library, tmp_path, "hang=1", checks=checks)
    assert time.monotonic() - start < 30
    for name in ("gpu.count", "gpu.ecc", "gpu.dcgm", "speed.h2d"):
        assert found[name, "node"]["verdict"] == "ERROR", found[name, "node"]
    assert "NVML did not answer within 1 seconds" in found["gpu.count", "node"]["reason"]
    assert found["host.cpus", "node"]["verdict"] == "PASS"


def test_a_limit_of_the_model_is_taken_from_what_the_driver_says(library: Path, tmp_path: Path) -> None:
    """The fault is in the check's own limit, and only NVML knows the model."""
    found = with_gpus(library, tmp_path, "1.remaps_pending=1", checks={"gpu.xid": False})
    bad = [subject for (check, subject), one in found.items() if check == "gpu.remaps" and one["verdict"] == "FAIL"]
    assert bad == ["GPU-22222222-2222-2222-2222-222222222222"]


def bus(tmp_path: Path, *gpus: tuple[str, str, str | None]) -> Path:
    """A /sys with PCI devices (address, class, driver)."""
    for address, kind, driver in gpus:
        folder = tmp_path / "sys/bus/pci/devices" / address
        folder.mkdir(parents=True)
        (folder / "vendor").write_text("0x10de\n")
        (folder / "class").write_text(kind + "\n")
        if driver:
            (tmp_path / "drivers" / driver).mkdir(parents=True, exist_ok=True)
            (folder / "driver").symlink_to(tmp_path / "drivers" / driver)
    return tmp_path


def test_gpus_on_the_bus_without_a_driver_are_missing(tmp_path: Path) -> None:
    root = bus(tmp_path, ("0000:18:00.0", "0x030200", None), ("0000:2a:00.0", "0x030200", "nvidia"))
    sight = gpu_sight.look(None, lambda: None, 5, str(root))
    assert sight.on_bus == ["0000:18:00.0", "0000:2a:00.0"] and not sight.absent
    found = {one["check"]: one for one in gpu_sight.sight_findings(sight, node_limits.wanted("standard", {}))}
    assert found["gpu.count"]["verdict"] == "FAIL"
    assert found["gpu.count"]["reason"] == "no NVIDIA driver is loaded, and the PCI bus has 2 of its GPUs"
    assert found["gpu.ecc"]["verdict"] == "ERROR"


def test_what_other_drivers_have_and_what_is_no_gpu_is_not_missing(tmp_path: Path) -> None:
    root = bus(
        tmp_path,
        ("0000:01:00.0", "0x030000", "nouveau"),
        ("0000:02:00.0", "0x030200", "vfio-pci"),
        ("0000:01:00.1", "0x040300", None),  # its sound
    )
    assert gpu_sight.look(None, lambda: None, 5, str(root)).absent


def test_a_gpu_that_only_computes_and_that_nouveau_took_is_missing(tmp_path: Path) -> None:
    """After an update of the kernel that NVIDIA's driver was not built for."""
    sight = gpu_sight.look(None, lambda: None, 5, str(bus(tmp_path, ("0000:18:00.0", "0x030200", "nouveau"))))
    found = {one["check"]: one for one in gpu_sight.sight_findings(sight, node_limits.wanted("standard", {}))}
    assert found["gpu.count"]["verdict"] == "FAIL"


def test_a_node_that_has_nvidias_software_and_no_gpu_tells_the_fleet_that_it_has_none() -> None:
    wanted = node_limits.wanted("standard", {})
    bare = gpu_sight.sight_findings(gpu_sight.Sight(None), wanted)
    assert {one["verdict"] for one in bare} == {"SKIP"}
    found = gpu_sight.sight_findings(gpu_sight.Sight(None, software="nvidia-smi"), wanted)
    counts = [one for one in found if one["check"] == "gpu.count"]
    assert [(one["verdict"], one["value"]) for one in counts] == [("PASS", 0)]
    assert "nvidia-smi is installed" in counts[0]["evidence"][0]
    assert {one["verdict"] for one in found if one["check"] != "gpu.count"} == {"SKIP"}


def test_a_loaded_driver_without_any_gpu_passes_nothing() -> None:
    """All have fallen off the bus: the driver does not load where there was none."""
    sight = gpu_sight.Sight({"driver": "570", "cuda": "12.8", "gpus": []}, "NVML")
    wanted = node_limits.wanted("standard", {})
    found = {one["check"]: one for one in gpu_sight.sight_findings(sight, wanted)}
    assert found["gpu.count"]["verdict"] == "FAIL"
    assert "fallen off the bus" in found["gpu.count"]["reason"]
    assert {found[name]["verdict"] for name in ("gpu.ecc", "gpu.pcie", "gpu.recovery")} == {"ERROR"}
    request = Request("standard", {}, "/none", "/none", SpeedRequest("/none", "/none", "", {}))
    speed = {name: one for name, one in wanted.items() if name.startswith("speed.")}
    assert {one["verdict"] for one in node_checks._speed(request, sight, speed, Progress(None))} == {"ERROR"}
    none = {"gpu.count": asked("standard", {"gpu.count": {"equal": 0}})["gpu.count"]}
    assert [one["verdict"] for one in gpu_sight.sight_findings(sight, none)] == ["PASS"]


def test_a_loaded_driver_that_nobody_can_ask_is_no_pass(tmp_path: Path) -> None:
    sight = gpu_sight.look("570.86.15", lambda: None, 5, str(tmp_path))
    assert sight.problem and "NVML" in sight.problem and "nvidia-smi" in sight.problem
    found = gpu_sight.sight_findings(sight, node_limits.wanted("standard", {}))
    assert {one["verdict"] for one in found} == {"ERROR"}


@pytest.mark.parametrize(
    ("seen", "on_bus", "devices", "verdict"),
    [
        (8, 8, 8, "PASS"),
        (7, 8, 8, "FAIL"),
        (0, 8, 0, "FAIL"),
        (1, 8, 1, "PASS"),  # a container that was given one of its host's eight
        (8, 0, 8, "PASS"),  # no /sys to look at
    ],
)
def test_a_gpu_that_the_bus_has_and_the_driver_not(seen: int, on_bus: int, devices: int, verdict: str) -> None:
    gpus = [{"index": index, "name": "H100", "uuid": f"GPU-{index}", "bus_id": f"{index}"} for index in range(seen)]
    probe = {"driver": "570", "cuda": "12.8", "gpus": gpus}
    sight = gpu_sight.Sight(probe, "NVML", None, [f"0000:{index}:00.0" for index in range(on_bus)], devices)
    wanted = {"gpu.count": asked("standard", {})["gpu.count"]}
    (one,) = gpu_sight.sight_findings(sight, wanted)
    assert one["verdict"] == verdict


@pytest.mark.parametrize(
    ("level", "changes", "loads"),
    [
        ("full", {}, True),
        ("standard", {}, False),
        ("full", {"processes": [7]}, False),
        ("full", {"processes": None}, False),
        ("full", {"memory_used": 20 << 30, "memory_total": 80 << 30}, False),  # another container's job
    ],
)
def test_dcgm_loads_no_gpu_that_a_job_may_be_using(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, level: str, changes: dict[str, Any], loads: bool
) -> None:
    """Also where the job has come since the GPUs were looked at first."""
    program, heard = tmp_path / "dcgmi", tmp_path / "heard"
    program.write_text(f"#!/bin/sh\necho $* > {heard}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    gpu = {"index": 0, "name": "H100", "uuid": "GPU-1", "bus_id": "1", "processes": [], "errors": {}}
    probe = {"driver": "570", "cuda": "12.8", "gpus": [gpu]}
    now = gpu_sight.Sight({**probe, "gpus": [{**gpu, **changes}]}, "NVML")
    monkeypatch.setattr(gpu_sight, "look", lambda *_args: now)
    request = Request(level, {}, str(tmp_path), str(tmp_path), SpeedRequest("/none", "/none", "", {}))
    node_checks._dcgm(request, gpu_sight.Sight(probe, "NVML"), node_limits.wanted(level, {}), Progress(None))
    assert heard.read_text().split() == ["diag", "-r", "2" if loads else "1", "-j"]


# The kernel's log


@pytest.mark.parametrize(
    ("since_hours", "lines", "verdict"),
    [
        (25, [], "PASS"),
        (25, [LOST], "FAIL"),
        (1, [], "ERROR"),
        (1, [LOST], "FAIL"),
    ],
)
def test_a_log_that_is_too_young_proves_nothing(
    monkeypatch: pytest.MonkeyPatch, since_hours: int, lines: list[str], verdict: str
) -> None:
    here = time.time()
    messages = Messages([(here - 60, text) for text in lines], here - since_hours * 3600, "a log")
    monkeypatch.setattr(kernel_log, "read", lambda *_args: messages)
    monkeypatch.setattr(time, "clock_gettime", lambda _clock: 1e6)
    gpus = [{"index": 0, "name": "H100", "uuid": "GPU-1", "bus_id": "00000000:18:00.0"}]
    sight = gpu_sight.Sight({"driver": "570", "cuda": "12.8", "gpus": gpus}, "NVML")
    request = Request("standard", {}, "/none", "/none", SpeedRequest("/none", "/none", "", {}))
    (one,) = node_checks._xids(request, sight, node_limits.wanted("standard", {}), Progress(None))
    assert (one["subject"], one["verdict"]) == ("GPU-1", verdict)


def test_what_is_complete_since_the_node_was_started_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    here = time.time()
    monkeypatch.setattr(kernel_log, "read", lambda *_args: Messages([], here - 600, "/dev/kmsg"))
    monkeypatch.setattr(time, "clock_gettime", lambda _clock: 600.0)
    gpus = [{"index": 0, "name": "H100", "uuid": "GPU-1", "bus_id": "00000000:18:00.0"}]
    sight = gpu_sight.Sight({"driver": "570", "cuda": "12.8", "gpus": gpus}, "NVML")
    request = Request("standard", {}, "/none", "/none", SpeedRequest("/none", "/none", "", {}))
    (one,) = node_checks._xids(request, sight, node_limits.wanted("standard", {}), Progress(None))
    assert one["verdict"] == "PASS"


# Speed


def test_a_node_whose_gpus_have_no_driver_is_not_measured_on_its_cpus(tmp_path: Path) -> None:
    sight = gpu_sight.look(None, lambda: None, 5, str(bus(tmp_path, ("0000:18:00.0", "0x030200", None))))
    request = Request("standard", {}, "/none", "/none", SpeedRequest("/none", "/none", "", {}))
    wanted = {name: one for name, one in node_limits.wanted("standard", {}).items() if name.startswith("speed.")}
    found = node_checks._speed(request, sight, wanted, Progress(None))
    assert {one["verdict"] for one in found} == {"ERROR"}
    assert len(found) == len(wanted)


def test_check_mode_puts_no_load_on_the_node(tmp_path: Path) -> None:
    found = look(tmp_path, checks={}, rehearse=True)
    speed = {subject: one for (check, subject), one in found.items() if check.startswith("speed.")}
    assert speed and {one["verdict"] for one in speed.values()} == {"SKIP"}
    assert {one["reason"] for one in speed.values()} == {"check mode puts no load on the node"}
    assert not (tmp_path / "root").exists()


# How long it may take


def test_the_limit_of_all_is_more_than_that_of_each(tmp_path: Path) -> None:
    for level in ("smoke", "standard", "full"):
        wanted = node_limits.wanted(level, {})
        assert node_limits.job_limit(level, {}, 3) > max(one.timeout for one in wanted.values())
        assert (
            node_limits.job_limit(level, {})
            > node_limits.silence(level, {})
            > max(one.timeout for one in wanted.values())
        )
    raised = check_declared({"speed.disk": {"timeout": 5000}})
    assert node_limits.silence("standard", raised) > 5000
    assert node_limits.job_limit("standard", raised) > node_limits.job_limit("standard", {}) + 4000


def test_a_limit_counts_new_starts_after_hangs() -> None:
    """Of one GPU: as many checks hang as are waited for, each time with another process."""
    asked = node_limits.wanted("standard", {})
    speed = [one for name, one in asked.items() if node_limits.part_of(name) == "speed" and one.check.scope == "gpu"]
    worst = sum(one.timeout + speed_run.GRACE_SECONDS for one in speed) + 3 * speed_run.START_SECONDS
    assert node_limits.job_limit("standard", {}) > node_limits.MOST_GPUS * worst


def test_a_job_is_ended_by_its_silence_before_its_limit() -> None:
    patience = Patience(1000, 60, 0.0)
    assert not patience.ends({}, 59)
    assert not patience.ends({"step": "speed", "time": 1}, 61)
    assert not patience.ends({"step": "speed", "time": 2}, 120)
    assert not patience.ends({"step": "speed", "time": 2}, 179)
    assert patience.ends({"step": "speed", "time": 2}, 181) and patience.silent(patience.record, 181)
    talks = Patience(1000, 60, 0.0)
    assert not any(talks.ends({"time": second}, second) for second in range(0, 1000, 10))
    assert talks.ends({"time": 1000}, 1000) and not talks.silent({"time": 1000}, 1000)
    assert not Patience(1000, None, 0.0).ends({}, 999)


def test_looks_at_a_job_come_apart_and_never_too_far() -> None:
    assert [pause_after(elapsed) for elapsed in (0, 30, 40, 100, 200, 7200)] == [2, 2, 2, 5, 10, 10]


def test_only_load_takes_long() -> None:
    assert node_limits.takes_long("standard", {})
    assert not node_limits.takes_long("smoke", {})
    assert not node_limits.takes_long("standard", check_declared({"speed.*": False, "gpu.dcgm": False}))


def test_every_check_of_the_node_belongs_to_a_part() -> None:
    parts = {node_limits.part_of(check.name) for check in CHECKS if check.name.startswith(node_limits.FAMILIES)}
    assert parts == {"host", "gpu", "xid", "dcgm", "speed", "disk"}
