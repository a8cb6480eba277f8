"""Reading from the disk without the page cache: on whatever disk is here, and with faults put in."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.condafleet.core.plugins.module_utils import check_limits, speed_disk

SMALL = 8 << 20


def asked(**own: Any) -> check_limits.Asked:
    declared = check_limits.check_declared({"speed.disk": own}) if own else {}
    return check_limits.asked("standard", declared)["speed.disk"]


@pytest.fixture
def disk(tmp_path: Path) -> str:
    if speed_disk.file_system(str(tmp_path)) in speed_disk.IN_MEMORY:
        pytest.skip("the tests' folder lies in memory")
    return str(tmp_path)


def test_a_disk_is_read_and_nothing_is_left(disk: str) -> None:
    found = speed_disk.disk_finding(disk, asked(), SMALL)
    assert found["verdict"] == "PASS", found
    assert 0.1 < found["value"] < 1e6 and found["unit"] == "MB/s"
    assert "8 MiB" in found["evidence"][0] and ("O_DIRECT" in found["evidence"][0] or "fadvise" in found["evidence"][0])
    assert not any(Path(disk).iterdir())


def test_a_slow_disk_fails(disk: str) -> None:
    found = speed_disk.disk_finding(disk, asked(least=1e9), SMALL)
    assert found["verdict"] == "FAIL" and "less than 1e+09" in found["reason"]


@pytest.mark.parametrize("how", ["open", "read"])
def test_without_o_direct_the_page_cache_is_emptied(disk: str, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    if how == "open":
        monkeypatch.setattr(speed_disk, "direct_handle", lambda _path: None)
    else:
        monkeypatch.setattr(speed_disk, "readable", lambda _handle: False)
    found = speed_disk.disk_finding(disk, asked(), SMALL)
    # Some file systems of containers let it be emptied by nobody; that is no figure then.
    assert (found["verdict"] == "PASS" and "fadvise" in found["evidence"][0]) or "no effect" in str(found["reason"])


def test_a_page_cache_that_stays_is_error_and_no_figure(disk: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed_disk, "direct_handle", lambda _path: None)
    monkeypatch.setattr(speed_disk, "leave_out", lambda _handle: None)
    # A file that is in memory for certain: it was written a moment ago.
    probe = os.open(disk, os.O_TMPFILE | os.O_RDWR)
    os.write(probe, b"x")
    try:
        os.preadv(probe, [bytearray(1)], 0, os.RWF_NOWAIT)
    except OSError:
        pytest.skip("the kernel does not tell here what is in memory")
    finally:
        os.close(probe)
    found = speed_disk.disk_finding(disk, asked(), SMALL)
    assert found["verdict"] == "ERROR" and "can't be left out" in found["reason"] and found["value"] is None


def test_a_disk_that_gives_back_something_else_fails(disk: str, monkeypatch: pytest.MonkeyPatch) -> None:
    written = os.pwrite

    def damaged(handle: int, content: bytes, offset: int) -> int:
        return written(handle, b"\xff" + content[1:] if offset else content, offset)

    monkeypatch.setattr(os, "pwrite", damaged)
    found = speed_disk.disk_finding(disk, asked(), SMALL)
    assert found["verdict"] == "FAIL" and "is not what was written" in found["reason"]
    assert not any(Path(disk).iterdir())


def test_a_disk_that_hangs_fails_at_its_limit_and_nothing_is_left(disk: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed_disk, "read", lambda *_words: time.sleep(60))
    began = time.monotonic()
    found = speed_disk.disk_finding(disk, asked(timeout=0.5), SMALL)
    assert found["verdict"] == "FAIL" and "did not answer within 0.5 seconds" in found["reason"]
    assert time.monotonic() - began < 20 and not any(Path(disk).iterdir())


def test_a_slow_disk_is_written_for_a_share_of_the_limit(disk: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed_disk, "LEAST_BYTES", speed_disk.BLOCK)
    monkeypatch.setattr(os, "fdatasync", lambda _handle: time.sleep(0.3))
    monkeypatch.setattr(speed_disk, "expect_uncached", lambda _handle, _size: None)
    found = speed_disk.disk_finding(disk, asked(timeout=3), 16 * speed_disk.BLOCK)
    # Half a second: two blocks, or one where the machine is busy.
    assert found["verdict"] == "PASS" and (" 8 MiB" in found["evidence"][0] or " 4 MiB" in found["evidence"][0]), found


def test_a_full_disk_is_error(disk: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_words: Any) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    found = speed_disk.disk_finding(disk, asked(), SMALL)
    assert found["verdict"] == "ERROR" and "No space left on device" in found["reason"]


def test_a_disk_without_room_is_not_filled(disk: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed_disk.files, "free_bytes", lambda _path: 100 << 20)
    found = speed_disk.disk_finding(disk, asked())
    assert found["verdict"] == "SKIP" and "100 MiB are free" in found["reason"]


def test_memory_is_no_disk() -> None:
    if speed_disk.file_system("/dev/shm") != "tmpfs":
        pytest.skip("/dev/shm is no tmpfs here")
    found = speed_disk.disk_finding("/dev/shm", asked())
    assert found["verdict"] == "SKIP" and "lies in memory (tmpfs)" in found["reason"]


MOUNTS = """\
22 1 254:0 / / rw,relatime - ext4 /dev/vda rw
30 22 0:26 / /data rw - nfs4 server:/data rw
31 30 0:27 / /data/with\\040space rw - xfs /dev/vdb rw
32 22 0:28 / /data rw - lustre server:/x rw
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [("/opt", "ext4"), ("/data/x", "lustre"), ("/database", "ext4"), ("/data/with space/x", "xfs"), ("/", "ext4")],
)
def test_the_kind_of_file_system(path: str, kind: str) -> None:
    assert speed_disk.file_system(path, MOUNTS) == kind
    assert speed_disk.file_system(path, "") is None
