"""A node's record, its history and its metrics: on a real disk."""

from __future__ import annotations

import errno
import hashlib
import json
import stat
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.condafleet.core.plugins.module_utils import findings, metrics_file, validation_record
from ansible_collections.condafleet.core.plugins.module_utils.check_catalog import BY_NAME
from ansible_collections.condafleet.core.plugins.module_utils.run_comparison import compare
from ansible_collections.condafleet.core.plugins.module_utils.validation_history import read_history


def record(day: int = 1, *, disk: float = 1000.0, ok: bool = True, **more: Any) -> dict[str, Any]:
    ecc = findings.passed(BY_NAME["gpu.ecc"], "GPU-1", 0)
    if not ok:
        ecc = findings.failed(BY_NAME["gpu.ecc"], "GPU-1", 2, "2 errors", "drain it")
    found = [findings.passed(BY_NAME["speed.disk"], "node", disk, seconds=float(day)), ecc]
    run = f"2026-01-{day:02d}T03:00:00Z"
    made = validation_record.record_of(run, "standard", "0" * 64, found, {"driver": "570.86"}, run, None)
    return {**made, **more}


def kept(root: Path) -> list[str]:
    return sorted(one.name for one in (root / "validation" / ".history").iterdir())


def test_a_record_is_kept_as_the_nodes_and_in_its_history(tmp_path: Path) -> None:
    stored = validation_record.store(str(tmp_path), record(), 20, None)
    assert stored.changed
    node = tmp_path / "validation" / "node.json"
    assert json.loads(node.read_text()) == record()
    assert stat.S_IMODE(node.stat().st_mode) == 0o644
    assert kept(tmp_path) == ["2026-01-01T03:00:00Z.json"]
    assert sorted(stored.files) == sorted(str(path) for path in (tmp_path / "validation").rglob("*.json"))


def test_a_run_is_read_back_and_compared_with_the_next(tmp_path: Path) -> None:
    validation_record.store(str(tmp_path), record(1), 20, None)
    validation_record.store(str(tmp_path), record(2, disk=500.0, ok=False), 20, None)
    found = read_history(str(tmp_path), ["previous", "last"])["records"]
    assert found["last"] == record(2, disk=500.0, ok=False)
    moved = compare(found["previous"], found["last"])
    assert [one["check"] for one in moved["verdicts"]] == ["gpu.ecc"]
    assert [one["percent"] for one in moved["figures"]] == [-50.0]


def test_a_rehearsal_that_skips_what_a_run_looks_at_is_no_change(tmp_path: Path) -> None:
    def rehearse(one: dict[str, Any]) -> bool:
        return validation_record.store(str(tmp_path), one, 20, None, write=False).changed

    def skipping(check: str, one: dict[str, Any]) -> dict[str, Any]:
        skipped = findings.skipped(BY_NAME[check], "node", "check mode puts no load on the node", "run it")
        rest = [entry for entry in one["findings"] if entry["check"] != check]
        return {**one, "findings": [skipped, *rest], "verdict": "SKIP"}

    assert rehearse(record(1))
    validation_record.store(str(tmp_path), record(1), 20, None)
    assert not rehearse(skipping("speed.disk", record(2)))
    assert rehearse(skipping("speed.disk", record(2, ok=False)))
    assert rehearse(skipping("speed.disk", record(2, level="full")))
    assert rehearse(skipping("speed.disk", record(2, identity={"driver": "580.95"})))


def test_figures_and_times_are_no_change_and_verdicts_are(tmp_path: Path) -> None:
    def store(one: dict[str, Any]) -> bool:
        return validation_record.store(str(tmp_path), one, 20, None).changed

    assert store(record(1))
    assert not store(record(2, disk=900.0))
    assert store(record(3, ok=False))
    assert not store(record(4, ok=False))
    assert store(record(5, ok=False, level="full"))
    assert store(record(6, ok=False, level="full", digest="1" * 64))
    assert store(record(7, ok=False, level="full", digest="1" * 64, identity={"driver": "575.51"}))


@pytest.mark.parametrize(
    ("former", "later", "stays"),
    [
        ({}, {"level": "smoke"}, True),
        ({"ok": False}, {"level": "smoke"}, True),  # what a quick look did not see is still wrong
        ({"level": "full"}, {}, True),
        ({}, {"level": "smoke", "ok": False}, False),
        ({}, {"level": "smoke", "digest": "1" * 64}, False),
        ({}, {"level": "smoke", "identity": {"driver": "580.95"}}, False),
        ({"level": "smoke"}, {}, False),
        ({}, {}, False),
    ],
)
def test_a_quick_look_that_finds_nothing_leaves_what_a_thorough_one_found(
    tmp_path: Path, former: dict[str, Any], later: dict[str, Any], stays: bool
) -> None:
    metrics = tmp_path / "metrics"
    metrics.mkdir()
    first, second = record(1, **former), record(2, **later)
    validation_record.store(str(tmp_path), first, 20, str(metrics))
    stored = validation_record.store(str(tmp_path), second, 20, str(metrics))
    node = tmp_path / "validation" / "node.json"
    assert json.loads(node.read_text()) == (first if stays else second)
    assert (str(node) in stored.files) is not stays
    assert not (stays and stored.changed)
    assert kept(tmp_path) == [f"{one['run']}.json" for one in (first, second)]
    level = (first if stays else second)["level"]
    assert f'level="{level}"' in (metrics / "condafleet.prom").read_text()


def test_check_mode_says_the_same_and_writes_nothing(tmp_path: Path) -> None:
    metrics = tmp_path / "metrics"
    metrics.mkdir()
    for day in (1, 2):
        told = validation_record.store(str(tmp_path), record(day), 20, str(metrics), write=False)
        before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
        assert len(before) == (0 if day == 1 else 4)
        assert validation_record.store(str(tmp_path), record(day), 20, str(metrics)) == told


def test_the_newest_are_kept_and_others_files_are_left(tmp_path: Path) -> None:
    history = tmp_path / "validation" / ".history"
    history.mkdir(parents=True)
    (history / "notes.json").write_text("{}")
    (history / "2025-12-31T03:00:00Z.json").write_text("damaged")
    for day in range(1, 6):
        validation_record.store(str(tmp_path), record(day), 3, None)
    assert kept(tmp_path) == [f"2026-01-{day:02d}T03:00:00Z.json" for day in (3, 4, 5)] + ["notes.json"]


@pytest.mark.parametrize("damage", ["", "{", "[]", "null", '{"findings": 3}', '{"findings": [1]}', "\x00"])
def test_a_damaged_record_never_breaks_a_run(tmp_path: Path, damage: str) -> None:
    validation_record.store(str(tmp_path), record(1), 20, None)
    for path in (tmp_path / "validation").rglob("*.json"):
        path.write_text(damage)
    assert validation_record.store(str(tmp_path), record(2), 20, None).changed
    assert json.loads((tmp_path / "validation" / "node.json").read_text()) == record(2)


def test_metrics_are_replaced_in_one_step(tmp_path: Path) -> None:
    metrics = tmp_path / "metrics"
    metrics.mkdir()
    stored = validation_record.store(str(tmp_path), record(1), 20, str(metrics))
    first = metrics / "condafleet.prom"
    inode = first.stat().st_ino
    assert str(first) in stored.files
    assert 'condafleet_validation_verdict{level="standard",verdict="PASS"} 1' in first.read_text()
    validation_record.store(str(tmp_path), record(2, ok=False), 20, str(metrics))
    assert 'verdict="FAIL"} 1' in first.read_text()
    # Another file in its place: whoever reads has one or the other whole, and none is left half-written.
    assert first.stat().st_ino != inode
    assert [one.name for one in metrics.iterdir()] == ["condafleet.prom"]


def test_metrics_that_were_removed_are_a_change(tmp_path: Path) -> None:
    metrics = tmp_path / "metrics"
    metrics.mkdir()
    validation_record.store(str(tmp_path), record(1), 20, str(metrics))
    assert not validation_record.store(str(tmp_path), record(2), 20, str(metrics)).changed
    (metrics / "condafleet.prom").unlink()
    assert validation_record.store(str(tmp_path), record(3), 20, str(metrics)).changed


def metrics_folders(tmp_path: Path) -> tuple[Path, Path]:
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
    return tmp_path / "first", tmp_path / "second"


def test_metrics_are_taken_away_from_where_they_are_not_wanted_any_more(tmp_path: Path) -> None:
    """They would be read for ever, with the verdict of their day."""
    first, second = metrics_folders(tmp_path)
    old, new = first / "condafleet.prom", second / "condafleet.prom"
    (first / "other.prom").write_text("")
    validation_record.store(str(tmp_path), record(1), 20, str(first))
    moved = validation_record.store(str(tmp_path), record(2), 20, str(second))
    assert (moved.removed, moved.changed, old.exists(), new.exists()) == ([str(old)], True, False, True)
    told = validation_record.store(str(tmp_path), record(3), 20, None, write=False)
    assert (told.removed, told.changed, new.exists()) == ([str(new)], True, True)
    assert validation_record.store(str(tmp_path), record(3), 20, None) == told
    assert not new.exists()
    again = validation_record.store(str(tmp_path), record(4), 20, None)
    assert (again.removed, again.changed, again.warnings) == ([], False, [])
    assert [path.name for path in first.iterdir()] == ["other.prom"]


def test_metrics_that_another_has_written_since_are_left(tmp_path: Path) -> None:
    first, _ = metrics_folders(tmp_path)
    validation_record.store(str(tmp_path), record(1), 20, str(first))
    (first / "condafleet.prom").write_text("# of all hosts, by condafleet report\n")
    stored = validation_record.store(str(tmp_path), record(2), 20, None)
    assert (stored.removed, stored.changed, len(list(first.iterdir()))) == ([], False, 1)


@pytest.mark.parametrize("note", ["[]", "{", '{"path": 3}', '{"path": "/etc/passwd", "sha256": "%s"}'])
def test_a_note_that_says_nothing_of_metrics_removes_nothing(tmp_path: Path, note: str) -> None:
    digest = hashlib.sha256(Path("/etc/passwd").read_bytes()).hexdigest()
    (tmp_path / "validation").mkdir()
    (tmp_path / "validation" / "metrics.json").write_text(note.replace("%s", digest))
    assert metrics_file.left(str(tmp_path)) is None


def test_metrics_that_cannot_be_removed_are_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = metrics_folders(tmp_path)
    validation_record.store(str(tmp_path), record(1), 20, str(first))

    def refused(path: str) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted", path)

    with monkeypatch.context() as patched:
        patched.setattr(metrics_file.os, "unlink", refused)  # whoever runs this as root could remove it
        stored = validation_record.store(str(tmp_path), record(2), 20, None)
    assert (stored.changed, stored.removed) == (False, [])
    assert "condafleet.prom is written no more, and can't be removed (Operation not permitted)" in stored.warnings[0]
    assert validation_record.store(str(tmp_path), record(3), 20, str(second)).removed == [
        str(first / "condafleet.prom")
    ]


def test_a_folder_of_metrics_that_is_not_there_is_a_warning(tmp_path: Path) -> None:
    stored = validation_record.store(str(tmp_path), record(1), 20, str(tmp_path / "none"))
    assert "validation_textfile_dir" in stored.warnings[0]
    assert "Next: correct it, or make it." in stored.warnings[0]
    assert (tmp_path / "validation" / "node.json").is_file()
    assert not (tmp_path / "none").exists()


def test_a_disk_that_takes_nothing_is_an_error_of_the_disk(tmp_path: Path) -> None:
    (tmp_path / "validation").write_text("a file")
    with pytest.raises(OSError, match="validation"):
        validation_record.store(str(tmp_path), record(1), 20, None)


def test_the_verdict_is_the_worst_that_was_seen_and_what_did_not_apply_takes_nothing_away() -> None:
    skip = findings.skipped(BY_NAME["gpu.dcgm"], "node", "not installed", "install it")
    error = findings.unknown(BY_NAME["gpu.xid"], "node", "no log", "run as root")
    good, bad = record()["findings"][0], record(ok=False)["findings"][1]

    def verdict(*found: dict[str, Any]) -> Any:
        return validation_record.record_of("r", "standard", "", found, {}, None, None)["verdict"]

    assert (verdict(), verdict(skip), verdict(skip, good)) == ("SKIP", "SKIP", "PASS")
    assert (verdict(good, error), verdict(error, bad)) == ("ERROR", "FAIL")
