"""The kernel's messages, and the Xids among them. The messages are synthetic, in the forms that NVIDIA documents."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from ansible_collections.condafleet.core.plugins.module_utils import checks_gpu, kernel_log
from ansible_collections.condafleet.core.plugins.module_utils.check_limits import asked
from ansible_collections.condafleet.core.plugins.module_utils.kernel_log import Messages

# https://docs.nvidia.com/deploy/xid-errors/ and /deploy/a100-gpu-mem-error-mgmt/ give the forms.
LOST = "NVRM: Xid (PCI:0000:65:00): 79, pid='<unknown>', name=<unknown>, GPU has fallen off the bus."
CONTAINED = "NVRM: Xid (PCI:0000:01:00 GPU-I:05): 94, pid=7194, Contained: CE User Channel (0x9). RST: No, D-RST: No"


def test_records_of_the_ring_buffer_are_read_with_their_times() -> None:
    text = f"6,0,0,-;Linux version 6.1\n SUBSYSTEM=pci\n3,812,5000000,-;{LOST}\nnonsense\n"
    lines, first = kernel_log.parse_kmsg(text, 1000.0)
    assert lines == [(1000.0, "Linux version 6.1"), (1005.0, LOST)]
    assert first == 0


def test_lines_of_the_journal_are_read_with_their_times() -> None:
    text = f"1700000000.123456 node01 kernel: {LOST}\n1700000001.5 node01 systemd[1]: {LOST}\n-- No entries --\n"
    assert list(kernel_log.parse_journal(text.splitlines())) == [(1700000000.123456, LOST)]


def test_old_xids_keep_nobody_out() -> None:
    messages = Messages([(100.0, LOST), (5000.0, CONTAINED), (9000.0, LOST), (9100.0, "usb 1-1: new")], 0.0, "a log")
    found = kernel_log.xids(messages, 7200, 10000.0)
    assert [(one["xid"], one["bus_id"], one["age"], bool(one["meaning"])) for one in found] == [
        (94, "0000:01:00", 5000.0, False),
        (79, "0000:65:00", 1000.0, True),
    ]


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("0000:65:00", "00000000:65:00.0", True),
        ("0000:65:00.0", "65:00.0", True),
        ("0000:6A:00", "00000000:6a:00.0", True),
        ("0000:65:00", "00000001:65:00.0", False),
        ("0000:65:00", "0000:66:00", False),
    ],
)
def test_a_gpu_is_known_by_its_bus_however_it_is_written(first: str, second: str, same: bool) -> None:
    assert (kernel_log.bus_of(first) == kernel_log.bus_of(second)) is same


@pytest.mark.parametrize("number", [46, 48, 54, 62, 64, 74, 79, 92, 95, 109, 110, 119, 120, 136, 140, 143, 158])
def test_what_others_drain_nodes_for_condemns(number: int) -> None:
    found = kernel_log.xids(Messages([(5.0, LOST.replace("79", str(number)))], 0.0, "a log"), 100, 10.0)
    (one,) = checks_gpu.xid_findings([], found, 100, asked("standard", {})["gpu.xid"], "a log")
    assert one["verdict"] == "FAIL" and f"Xid {number} (" in one["reason"]


# 63 and 156 tell of memory that was repaired: NVIDIA's catalog has "IGNORE" for what is to be looked into.
@pytest.mark.parametrize("number", [13, 31, 43, 45, 63, 94, 121, 137, 154, 156])
def test_what_an_application_does_or_the_gpu_has_repaired_condemns_nobody(number: int) -> None:
    found = kernel_log.xids(Messages([(5.0, LOST.replace("79", str(number)))], 0.0, "a log"), 100, 10.0)
    (one,) = checks_gpu.xid_findings([], found, 100, asked("standard", {})["gpu.xid"], "a log")
    assert one["verdict"] == "PASS" and str(number) in one["evidence"][0]


# Messages as leptonai/gpud and NVIDIA/NVSentinel have them in their tests (GB200, B200; the driver is not named).
NVLINK5 = "NVRM: Xid (PCI:0009:01:00): 149, NETIR_LINK_EVT  Fatal   XC0 i0 Link 01 (0x021425c6 0x00000000 0x00000000)"
NONFATAL = "NVRM: Xid (PCI:0009:01:00): 149, NETIR_BER_EVENT Nonfatal XC0 i0 Link 03 (0x00086226 0x00000001)"


@pytest.mark.parametrize("number", range(144, 151))
def test_an_nvlink_error_of_blackwell_condemns_where_it_is_fatal(number: int) -> None:
    # However many others come after it.
    lines = [(1.0, NVLINK5), *((2.0 + 0.01 * more, NONFATAL) for more in range(200))]
    found = kernel_log.xids(
        Messages([(when, text.replace("149", str(number))) for when, text in lines], 0.0, "a log"), 100, 10.0
    )
    (one,) = checks_gpu.xid_findings([], found, 100, asked("standard", {})["gpu.xid"], "a log")
    assert one["verdict"] == "FAIL" and f"Xid {number} (NVLink error, fatal)" in one["reason"]
    assert "Fatal" in one["evidence"][0]
    harmless = [
        (5.0, NONFATAL.replace("149", str(number)).replace("Nonfatal", word)) for word in ("Nonfatal", "Non-fatal")
    ]
    found = kernel_log.xids(Messages(harmless, 0.0, "a log"), 100, 10.0)
    (one,) = checks_gpu.xid_findings([], found, 100, asked("standard", {})["gpu.xid"], "a log")
    assert one["verdict"] == "PASS"


def test_a_fatal_error_of_an_nvswitch_is_the_nodes() -> None:
    # Both forms as leptonai/gpud and NVIDIA/NVSentinel have them in their tests.
    text = "nvidia-nvswitch3: SXid (PCI:0000:c1:00.0): 20034, Fatal, Link 30 LTSSM Fault Up"
    harmless = "nvidia-nvswitch0: SXid (PCI:0000:c3:00.0): 20009, Non-fatal, Link 28 RX Short Error Rate"
    gpu = {"index": 0, "uuid": "GPU-0", "bus_id": "00000000:18:00.0"}
    found = kernel_log.xids(Messages([(5.0, text), (6.0, harmless)], 0.0, "a log"), 100, 10.0)
    told = checks_gpu.xid_findings([gpu], found, 100, asked("standard", {})["gpu.xid"], "a log")
    assert {one["subject"]: one["verdict"] for one in told} == {"GPU-0": "PASS", "node": "FAIL"}
    assert "Xid 20034 (NVSwitch error (SXid), fatal)" in told[-1]["reason"]
    found = kernel_log.xids(Messages([(6.0, harmless)], 0.0, "a log"), 100, 10.0)
    told = checks_gpu.xid_findings([gpu], found, 100, asked("standard", {})["gpu.xid"], "a log")
    assert {one["verdict"] for one in told} == {"PASS"} and "20009" in told[-1]["evidence"][0]


def test_a_flood_of_xids_is_told_apart_at_once_and_what_condemns_stands_first() -> None:
    one = asked("standard", {})["gpu.xid"]
    text = "NVRM: Xid (PCI:0000:%02x:00): %d, pid=7"
    lines = [(float(number), text % (1 + number % 8, 31)) for number in range(40_000)]
    found = kernel_log.xids(Messages([*lines, (50_000.0, text % (3, 79))], 0.0, "a log"), 1e6, 60_000.0)
    gpus = [
        {"index": number, "uuid": f"GPU-{number}", "bus_id": f"00000000:{number + 1:02X}:00.0"} for number in range(7)
    ]
    started = time.monotonic()
    told = {entry["subject"]: entry for entry in checks_gpu.xid_findings(gpus, found, 1e6, one, "a log")}
    assert time.monotonic() - started < 5
    assert set(told) == {*(gpu["uuid"] for gpu in gpus), "node"}
    bad = [subject for subject, entry in told.items() if entry["verdict"] != "PASS"]
    assert bad == ["GPU-2"]
    assert "79" in told["GPU-2"]["evidence"][0]


def test_a_log_that_was_read_is_said_also_where_no_gpu_could_be_named() -> None:
    (one,) = checks_gpu.xid_findings([], [], 3600, asked("standard", {})["gpu.xid"], "a log")
    assert (one["subject"], one["verdict"]) == ("node", "PASS")
    lost = [{"index": number, "uuid": None, "bus_id": None} for number in range(2)]
    found = checks_gpu.xid_findings(lost, [], 3600, asked("standard", {})["gpu.xid"], "a log")
    assert [entry["subject"] for entry in found] == ["GPU 0", "GPU 1"]


def test_a_ring_buffer_that_has_lost_its_beginning_reaches_back_to_its_first_line(tmp_path: Path) -> None:
    up = time.clock_gettime(time.CLOCK_MONOTONIC)
    whole, torn = tmp_path / "whole", tmp_path / "torn"
    whole.write_text(f"6,0,0,-;Linux\n6,1,{int((up - 60) * 1e6)},-;later\n")
    torn.write_text(f"6,900,{int((up - 60) * 1e6)},-;later\n")
    assert time.time() - kernel_log.from_kmsg(str(whole)).since == pytest.approx(up, abs=5)
    assert time.time() - kernel_log.from_kmsg(str(torn)).since == pytest.approx(60, abs=5)


def test_without_any_log_it_is_said_what_was_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(kernel_log.NoLogError, match=r"can't be read: .*No such file.*; there is no journalctl"):
        kernel_log.read(7200, kmsg=str(tmp_path / "kmsg"))


JOURNAL = """#!/bin/sh
# Every message that this journal keeps, or those since a moment that is given.
case "$*" in
  *--since*) awk -v since="$(echo "$*" | sed 's/.*--since=@//')" '$1 >= since' "$0.log" ;;
  *) cat "$0.log" ;;
esac
"""


@pytest.fixture
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The messages of a stand-in journalctl, in its form short-unix."""
    program = tmp_path / "journalctl"
    program.write_text(JOURNAL)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return tmp_path / "journalctl.log"


@pytest.mark.parametrize("window", [7200.0, 10 * 365 * 86400.0])
def test_a_journal_without_the_kernels_messages_proves_nothing(journal: Path, tmp_path: Path, window: float) -> None:
    journal.write_text("")
    with pytest.raises(kernel_log.NoLogError, match="the journal keeps no messages of the kernel"):
        kernel_log.read(window, kmsg=str(tmp_path / "kmsg"))


def test_a_journal_that_was_shortened_reaches_back_to_its_first_message_only(journal: Path, tmp_path: Path) -> None:
    here = time.time()
    journal.write_text(f"{here - 60:.6f} node01 kernel: usb 1-1: new\n")
    found = kernel_log.read(7200, kmsg=str(tmp_path / "kmsg"))
    assert here - found.since == pytest.approx(60, abs=1)
    # The kernel's first words: nothing is missing since the node was started, whenever they were written down.
    journal.write_text(f"{here - 60:.6f} node01 kernel: Linux version 6.1\n")
    found = kernel_log.read(7200, kmsg=str(tmp_path / "kmsg"))
    assert here - found.since == pytest.approx(time.clock_gettime(time.CLOCK_MONOTONIC), abs=5)


def test_a_journal_that_hangs_is_left_behind(journal: Path, tmp_path: Path) -> None:
    journal.with_suffix("").write_text("#!/bin/sh\nsleep 61\n")
    start = time.monotonic()
    with pytest.raises(kernel_log.NoLogError, match=r"journalctl did not answer within 0\.5 seconds"):
        kernel_log.read(7200, 0.5, kmsg=str(tmp_path / "kmsg"))
    # Nor does it hide what the ring buffer tells.
    up = time.clock_gettime(time.CLOCK_MONOTONIC)
    (tmp_path / "kmsg").write_text(f"3,900,{int((up - 1) * 1e6)},-;{LOST}\n")
    assert [text for _when, text in kernel_log.read(7200, 0.5, kmsg=str(tmp_path / "kmsg")).lines] == [LOST]
    assert time.monotonic() - start < 15


def test_a_journal_that_can_t_be_read_says_why(journal: Path, tmp_path: Path) -> None:
    journal.write_text(f"{time.time() - 9000:.6f} node01 kernel: {LOST}\n")
    journal.with_suffix("").write_text("#!/bin/sh\necho 'Journal file is truncated' >&2; exit 1\n")
    with pytest.raises(kernel_log.NoLogError, match="journalctl: Journal file is truncated"):
        kernel_log.read(7200, kmsg=str(tmp_path / "kmsg"))


def test_of_a_flood_in_the_journal_little_is_kept_and_nothing_that_condemns_is_lost(
    journal: Path, tmp_path: Path
) -> None:
    here = time.time()
    flood = LOST.replace("79", "31")
    noise = [f"{here - 5000 + number / 100:.6f} node01 kernel: {flood}\n" for number in range(100_000)]
    journal.write_text(f"{here - 9000:.6f} node01 kernel: x\n{here - 6000:.6f} node01 kernel: {LOST}\n{''.join(noise)}")
    lines = kernel_log.read(7200, kmsg=str(tmp_path / "kmsg")).lines
    assert len(lines) <= 2 * kernel_log.MOST_ALIKE
    assert [text for _when, text in lines].count(LOST) == 1


def test_a_quiet_window_of_a_journal_that_keeps_them_is_a_proof(journal: Path, tmp_path: Path) -> None:
    journal.write_text(f"{time.time() - 9000:.6f} node01 kernel: {LOST}\n")
    found = kernel_log.read(7200, kmsg=str(tmp_path / "kmsg"))
    assert (found.lines, found.source) == ([], "journalctl --dmesg")
    assert len(kernel_log.read(10000, kmsg=str(tmp_path / "kmsg")).lines) == 1


def test_an_empty_journal_does_not_hide_what_the_ring_buffer_says(journal: Path, tmp_path: Path) -> None:
    journal.write_text("")
    up = time.clock_gettime(time.CLOCK_MONOTONIC)
    (tmp_path / "kmsg").write_text(f"3,900,{int((up - 1) * 1e6)},-;{LOST}\n")
    found = kernel_log.read(10 * 365 * 86400.0, kmsg=str(tmp_path / "kmsg"))
    assert [text for _when, text in found.lines] == [LOST]
