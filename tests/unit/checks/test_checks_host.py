"""What a node tells of itself, and what it comes to: each check sound, faulty, and not to be told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ansible_collections.condafleet.core.plugins.module_utils import checks_host, host_probe
from ansible_collections.condafleet.core.plugins.module_utils.check_catalog import HOST_CHECKS
from ansible_collections.condafleet.core.plugins.module_utils.check_limits import asked, check_declared
from ansible_collections.condafleet.core.plugins.module_utils.driver_libraries import driver_libraries

SOUND: dict[str, Any] = {
    "cpus": 64.0,
    "memory_gib": 512.0,
    "numa": 2,
    "clock": {"synchronised": True, "error_seconds": 0.01},
    "shm_gib": 256.0,
    "nofile": 65536,
    "memlock": -1,
    "infiniband": ["mlx5_0"],
    "driver": "570.86.15",
    "libraries": [{"name": "libcuda", "path": "/usr/lib64/libcuda.so.1", "version": "570.86.15"}],
    "mounts": [{"path": "/data", "there": True, "mounted": True, "free_gib": 900.0, "problem": None}],
    "errors": {},
}
MOUNTS = [{"path": "/data", "least_free_gib": 100.0}]
LIMITS = {"host.cpus": {"equal": 64}, "host.memory": {"least": 500}, "host.numa": {"equal": 2}}


def look(told: dict[str, Any], mounts: Any = MOUNTS, **limits: Any) -> dict[str, dict[str, Any]]:
    wanted = asked(
        "standard", check_declared({**LIMITS, **{name.replace("_", "."): one for name, one in limits.items()}})
    )
    return {one["check"]: one for one in checks_host.host_findings(told, wanted, mounts)}


def test_a_sound_node_passes_all() -> None:
    found = look(SOUND)
    assert set(found) == {check.name for check in HOST_CHECKS}
    assert {one["verdict"] for one in found.values()} == {"PASS"}


def test_a_clock_that_is_kept_passes_up_to_its_next_poll() -> None:
    # kernel/time/ntp.c: maxerror grows by 500 us a second; timesyncd sets it to 0, and polls every 2048 s at most.
    between = 2048 * 500e-6
    clock = {"clock": {"synchronised": True, "error_seconds": between}}
    assert look({**SOUND, **clock})["host.clock"]["verdict"] == "PASS"


def test_a_link_to_a_mount_is_mounted(tmp_path: Path) -> None:
    (tmp_path / "data").symlink_to("/proc")
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "folder")
    found = {name: host_probe.mount({"path": str(tmp_path / name)})["mounted"] for name in ("data", "folder", "link")}
    assert found == {"data": True, "folder": False, "link": False}


FAULTS: dict[str, tuple[str, dict[str, Any], str]] = {
    "fewer CPUs": ("host.cpus", {"cpus": 2.0}, "it is 2 CPUs, not 64"),
    "a memory module is gone": ("host.memory", {"memory_gib": 448.0}, "it is 448 GiB, less than 500"),
    "other settings of the firmware": ("host.numa", {"numa": 8}, "it is 8 nodes, not 2"),
    "nothing keeps the clock": (
        "host.clock", {"clock": {"synchronised": False, "error_seconds": 16.0}}, "the kernel calls it unsynchronised",
    ),
    "the clock is kept badly": (
        "host.clock", {"clock": {"synchronised": True, "error_seconds": 3.0}}, "it is 3 s, more than 2",
    ),
    "a container's shared memory": ("host.shm", {"shm_gib": 0.0625}, "it is 0.06 GiB, less than 1"),
    "few open files": ("host.nofile", {"nofile": 256}, "it is 256 files, less than 1024"),
    "locked memory is limited": ("host.memlock", {"memlock": 65536}, "65536 bytes may be locked by this session; RDMA"),
    "a mount is not there": (
        "host.mounts", {"mounts": [{**SOUND["mounts"][0], "there": False, "free_gib": None}]}, "/data is not there",
    ),
    "nothing is mounted": (
        "host.mounts", {"mounts": [{**SOUND["mounts"][0], "mounted": False}]}, "nothing is mounted there",
    ),
    "a mount is full": (
        "host.mounts", {"mounts": [{**SOUND["mounts"][0], "free_gib": 7.0}]}, "/data has 7.0 GiB free, less than 100",
    ),
    "a mount can't be written": (
        "host.mounts", {"mounts": [{**SOUND["mounts"][0], "problem": "Read-only file system"}]},
        "/data can't be used: Read-only file system",
    ),
    "the driver was updated without a reboot": (
        "host.driver", {"driver": "550.54.14"}, "the kernel module is 550.54.14, its libraries are 570.86.15",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("check", "fault", "said"), FAULTS.values(), ids=FAULTS)
def test_a_fault_fails_its_check_and_no_other(check: str, fault: dict[str, Any], said: str) -> None:
    found = look({**SOUND, **fault})
    assert found[check]["verdict"] == "FAIL"
    assert said in found[check]["reason"]
    assert found[check]["next_step"]
    assert {name for name, one in found.items() if one["verdict"] != "PASS"} == {check}


def test_every_check_of_the_host_has_a_fault() -> None:
    assert {check for check, _fault, _said in FAULTS.values()} == {check.name for check in HOST_CHECKS}


@pytest.mark.parametrize(
    ("check", "field"),
    [
        ("host.cpus", "cpus"),
        ("host.memory", "memory_gib"),
        ("host.numa", "numa"),
        ("host.clock", "clock"),
        ("host.shm", "shm_gib"),
        ("host.nofile", "nofile"),
        ("host.memlock", "memlock"),
    ],
)
def test_what_could_not_be_read_is_an_error(check: str, field: str) -> None:
    one = look({**SOUND, field: None, "errors": {field: "Permission denied"}})[check]
    assert (one["verdict"], one["reason"]) == ("ERROR", "Permission denied")


def test_what_a_node_has_not_is_skipped() -> None:
    found = look({**SOUND, "infiniband": [], "driver": None, "mounts": []}, mounts=[])
    skipped = {name for name, one in found.items() if one["verdict"] == "SKIP"}
    assert skipped == {"host.memlock", "host.driver", "host.mounts"}


def test_a_driver_whose_libraries_are_nowhere_is_no_pass() -> None:
    one = look({**SOUND, "libraries": []})["host.driver"]
    assert one["verdict"] == "ERROR" and "not where the loader looks" in one["reason"]


def test_libraries_are_looked_for_where_the_loaders_own_file_says(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/ld.so.conf").write_text("include /etc/ld.so.conf.d/*.conf\n/opt/nvidia/lib\n")
    (tmp_path / "opt/nvidia/lib").mkdir(parents=True)
    (tmp_path / "opt/nvidia/lib/libcuda.so.570.86.15").touch()
    (tmp_path / "opt/nvidia/lib/libcuda.so.1").symlink_to("libcuda.so.570.86.15")
    assert [one["version"] for one in driver_libraries(str(tmp_path))] == ["570.86.15"]


def test_what_is_known_of_a_mount_is_said_and_no_more() -> None:
    hung = {"path": "/data", "there": True, "mounted": True, "free_gib": None, "problem": "it did not answer"}
    assert look({**SOUND, "mounts": [hung]})["host.mounts"]["evidence"] == ["/data: free space unknown"]


def test_a_site_that_limits_locked_memory_means_it_without_infiniband_too() -> None:
    told = {**SOUND, "infiniband": [], "memlock": 65536}
    assert look(told, host_memlock={"least": 1 << 30})["host.memlock"]["verdict"] == "FAIL"


def test_what_is_read_of_a_nodes_files(tmp_path: Path) -> None:
    files = {
        "proc/meminfo": "MemTotal:       1048576 kB\nMemFree: 5 kB\n",
        "proc/driver/nvidia/version": "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.14  Thu Feb 22\n",
        "proc/self/mountinfo": "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n",
        "proc/self/cgroup": "0::/user.slice/user-0.slice\n",
        "sys/fs/cgroup/user.slice/memory.max": "536870912\n",
        "sys/fs/cgroup/user.slice/user-0.slice/memory.max": "max\n",
        "sys/devices/system/node/has_memory": "0-1,4\n",
        "sys/class/infiniband/mlx5_0/node_type": "1: CA\n",
        "usr/lib64/libcuda.so.570.86.15": "",
        "dev/shm/empty": "",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "usr/lib64/libcuda.so.1").symlink_to("libcuda.so.570.86.15")
    told = host_probe.observe(root=str(tmp_path))
    assert told["memory_gib"] == 0.5
    assert told["numa"] == 3
    assert told["infiniband"] == ["mlx5_0"]
    assert told["driver"] == "550.54.14"
    assert told["errors"] == {}
    found = look(told)
    assert "its libraries are 570.86.15" in found["host.driver"]["reason"]


def test_what_can_not_be_read_of_a_nodes_files_is_said(tmp_path: Path) -> None:
    told = host_probe.observe(root=str(tmp_path))
    assert told["memory_gib"] is None and told["errors"]["memory_gib"] == "/proc/meminfo does not tell"
    assert told["shm_gib"] is None and "No such file" in told["errors"]["shm_gib"]
