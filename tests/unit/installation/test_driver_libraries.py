"""Which version of the driver's libraries a program would load. The files are empty; their names are the real ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.condafleet.core.plugins.module_utils.driver_libraries import driver_libraries, mismatch

DEBIAN = "usr/lib/x86_64-linux-gnu"


def put(top: Path, folder: str, version: str, *names: str) -> None:
    """The libraries of one driver, as its packages lay them down: a file with the version, and a link without."""
    (top / folder).mkdir(parents=True, exist_ok=True)
    for name in names or ("libnvidia-ml", "libcuda"):
        (top / folder / f"{name}.so.{version}").touch()
        link = top / folder / f"{name}.so.1"
        link.unlink(missing_ok=True)
        link.symlink_to(f"{name}.so.{version}")


def test_a_library_is_told_by_what_its_link_leads_to(tmp_path: Path) -> None:
    put(tmp_path, DEBIAN, "570.86.15")
    (tmp_path / DEBIAN / "libcuda.so.535.1").touch()  # left over: nothing leads to it
    assert driver_libraries(str(tmp_path)) == [
        {"name": "libnvidia-ml", "path": f"{tmp_path}/{DEBIAN}/libnvidia-ml.so.1", "version": "570.86.15"},
        {"name": "libcuda", "path": f"{tmp_path}/{DEBIAN}/libcuda.so.1", "version": "570.86.15"},
    ]


def test_a_folder_of_the_loader_s_configuration_counts(tmp_path: Path) -> None:
    put(tmp_path, "opt/nvidia/lib", "570.86.15")
    (tmp_path / "etc/ld.so.conf.d").mkdir(parents=True)
    (tmp_path / "etc/ld.so.conf.d/nvidia.conf").write_text("# its folder\n/opt/nvidia/lib\n")
    assert {one["version"] for one in driver_libraries(str(tmp_path))} == {"570.86.15"}


def test_nothing_there_is_no_mismatch(tmp_path: Path) -> None:
    assert driver_libraries(str(tmp_path)) == []
    assert mismatch("570.86.15", []) is None


@pytest.mark.parametrize(
    ("driver", "management", "cuda", "found"),
    [
        ("570.86.15", ["570.86.15"], ["570.86.15"], None),
        ("535.183.06", ["570.86.15"], ["570.86.15"], "570.86.15"),  # updated, and not rebooted
        ("570.86.15", ["570.86.15"], ["575.51.03"], None),  # a CUDA library for compatibility is newer on purpose
        ("535.183.06", [], ["570.86.15"], "570.86.15"),
        ("570.86.15", ["550.54.14", "570.86.15"], [], None),  # one of several is the module's
        (None, ["570.86.15"], [], None),
    ],
)
def test_a_mismatch_is_when_no_library_is_the_kernel_module_s(
    driver: str | None, management: list[str], cuda: list[str], found: str | None
) -> None:
    libraries = [{"name": "libnvidia-ml", "path": "", "version": version} for version in management]
    libraries += [{"name": "libcuda", "path": "", "version": version} for version in cuda]
    assert mismatch(driver, libraries) == found
