"""What a node is. The driver's files here are synthetic, written after NVIDIA's documentation of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.condafleet.core.plugins.module_utils import observe_node
from ansible_collections.condafleet.core.plugins.module_utils.targets import version_key

CLOSED = (
    "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.183.06  Wed Jun 26 06:46:07 UTC 2024\nGCC version:  gcc 12\n"
)
OPEN = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  570.86.15  Release Build  (dvs-builder@U22)\n"
INFORMATION = (
    "Model: \t\t NVIDIA H200\nIRQ:   \t\t 130\nGPU UUID: \t {uuid}\nVideo BIOS: \t 96.00.99\nBus Type: \t PCIe\n"
    "DMA Size: \t 52 bits\nBus Location: \t {bus}\nDevice Minor: \t {minor}\nGPU Excluded:\t No\n"
)


def system(top: Path, version: str | None = OPEN, minors: tuple[int, ...] = (), gpus: int = 0) -> dict[str, str]:
    (top / "proc").mkdir()
    (top / "dev").mkdir()
    if version:
        (top / "proc/driver/nvidia").mkdir(parents=True)
        (top / "proc/driver/nvidia/version").write_text(version)
    for minor in range(gpus):
        # The bus order is not the order of the minors.
        bus = f"0000:{0x90 - 16 * minor:02x}:00.0"
        folder = top / "proc/driver/nvidia/gpus" / bus
        folder.mkdir(parents=True)
        uuid = f"GPU-{minor:08d}" if minor else "GPU-????????-????-????-????-????????????"
        (folder / "information").write_text(INFORMATION.format(uuid=uuid, bus=bus, minor=minor))
    for name in [f"nvidia{minor}" for minor in minors] + ["nvidiactl", "nvidia-uvm", "null"]:
        (top / "dev" / name).touch()
    return {"proc": str(top / "proc"), "dev": str(top / "dev")}


def test_gpus_are_listed_by_minor_with_name_uuid_and_bus(tmp_path: Path) -> None:
    gpus = observe_node.gpus(**system(tmp_path, minors=(0, 1), gpus=2))
    assert gpus == [
        {"index": 0, "name": "NVIDIA H200", "uuid": None, "bus_id": "0000:90:00.0", "compute_capability": "9.0"},
        {
            "index": 1,
            "name": "NVIDIA H200",
            "uuid": "GPU-00000001",
            "bus_id": "0000:80:00.0",
            "compute_capability": "9.0",
        },
    ]


def test_a_container_counts_only_its_own_devices(tmp_path: Path) -> None:
    assert [gpu["index"] for gpu in observe_node.gpus(**system(tmp_path, minors=(2,), gpus=4))] == [2]


def test_where_the_listing_is_hidden_the_devices_count(tmp_path: Path) -> None:
    gpus = observe_node.gpus(**system(tmp_path, version=None, minors=(0, 1, 10)))
    assert [(gpu["index"], gpu["name"]) for gpu in gpus] == [(0, None), (1, None), (10, None)]


def test_where_the_devices_are_not_made_yet_the_listing_counts(tmp_path: Path) -> None:
    assert len(observe_node.gpus(**system(tmp_path, gpus=8))) == 8


@pytest.mark.parametrize(("text", "version"), [(CLOSED, "535.183.06"), (OPEN, "570.86.15"), ("odd\n", None)])
def test_the_driver_s_version_is_read_from_both_modules(tmp_path: Path, text: str, version: str | None) -> None:
    assert observe_node.driver_version(system(tmp_path, text)["proc"], str(tmp_path / "sys")) == version


def test_sysfs_knows_the_driver_too(tmp_path: Path) -> None:
    (tmp_path / "sys/module/nvidia").mkdir(parents=True)
    (tmp_path / "sys/module/nvidia/version").write_text("580.65.06\n")
    assert observe_node.driver_version(str(tmp_path / "proc"), str(tmp_path / "sys")) == "580.65.06"


@pytest.mark.parametrize(
    ("driver", "cuda"),
    [
        (None, None),
        ("390.46", None),
        ("450.36.06", "11.0"),
        ("535.183.06", "12.2"),
        ("570.86.15", "12.8"),
        ("580.65.06", "13.0"),
        ("580.64", "12.9"),
        ("590.44.01", "13.1"),
        ("999.1", "13.3"),
    ],
)
def test_the_cuda_version_follows_by_table(driver: str | None, cuda: str | None) -> None:
    assert observe_node.cuda_of(driver) == cuda


def test_the_table_goes_down_without_a_gap() -> None:
    for column in (0, 1):
        numbers = [version_key(row[column]) for row in observe_node.CUDA_BY_DRIVER]
        assert numbers == sorted(numbers, reverse=True)


def test_this_machine_is_told(tmp_path: Path) -> None:
    (tmp_path / "os-release").write_text('NAME="Rocky Linux"\nID="rocky"\nVERSION_ID="9.4"\n')
    node = observe_node.observe_node([str(tmp_path / "not yet")], etc=str(tmp_path))
    assert node["os"] == {"id": "rocky", "version_id": "9.4"}
    assert node["memory_bytes"] > 1 << 28
    assert node["cpus"] >= 1
    assert node["free_bytes"][str(tmp_path / "not yet")] > 0
    assert node["platform"] == observe_node.PLATFORMS[node["architecture"]]
