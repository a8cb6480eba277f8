"""The cache below ROOT: fetched by hash, and damage never linked into a new environment."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.condafleet.core.plugins.module_utils import package_cache as cache
from ansible_collections.condafleet.core.plugins.module_utils.errors import FleetError
from ansible_collections.condafleet.core.plugins.module_utils.lockfile import Package
from ansible_collections.condafleet.core.plugins.module_utils.progress import Progress

ORIGINS = {"https://depot.condafleet.invalid/": ""}
SILENT = Progress(None)


def package(depot: Path, filename: str, content: bytes = b"archive", **changed: Any) -> Package:
    (depot / filename).write_bytes(content)
    data = {
        "manager": "pip" if filename.endswith(".whl") else "conda",
        "name": filename.split("-")[0],
        "version": "1",
        "build": "0",
        "url": "https://depot.condafleet.invalid/" + filename,
        "sha256": hashlib.sha256(content).hexdigest(),
        "md5": "m" * 32,
        "size": len(content),
        "filename": filename,
        "subdir": "noarch",
    }
    return Package(**{**data, **changed})


@pytest.fixture
def depot(tmp_path: Path) -> Path:
    (tmp_path / "depot").mkdir()
    return tmp_path / "depot"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    cache.ensure_root(str(tmp_path / "root"))
    return tmp_path / "root"


def fetch(root: Path, packages: list[Package], depot: Path) -> dict[str, Any]:
    return cache.fetch_all(str(root), packages, depot.as_uri(), ORIGINS, SILENT)


def unpack(root: Path, of: Package, content: str = "print()\n") -> Path:
    """As conda would: the files, and their list with hashes."""
    folder = Path(cache.extracted_path(str(root), of))
    (folder / "info").mkdir(parents=True)
    (folder / "code.py").write_text(content)
    listed = {"_path": "code.py", "path_type": "hardlink", "sha256": hashlib.sha256(content.encode()).hexdigest()}
    (folder / "info" / "paths.json").write_text(json.dumps({"paths": [listed]}))
    (folder / "info" / "repodata_record.json").write_text(json.dumps({"sha256": of.sha256, "md5": of.md5}))
    return folder


def test_users_see_generations_and_nothing_of_the_cache(root: Path) -> None:
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in root.iterdir() if path.is_dir()}
    assert modes == {
        "generations": 0o755, "progress": 0o755, "pkgs": 0o700, "wheels": 0o700, "uv-cache": 0o700, "tools": 0o700,
    }  # fmt: skip
    assert cache.ensure_root(str(root)) is False
    (root / "pkgs").chmod(0o755)
    assert cache.ensure_root(str(root)) is True


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_root_of_some_user_is_refused(tmp_path: Path) -> None:
    os.chown(tmp_path, 65534, 65534)
    with pytest.raises(FleetError, match=r"environments_root: .* belongs to user 65534, who could change"):
        cache.ensure_root(str(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_archives_are_fetched_once(root: Path, depot: Path) -> None:
    packages = [package(depot, "a-1-0.conda"), package(depot, "b-1-py3-none-any.whl", b"wheel")]
    assert cache.missing(str(root), packages) == packages
    assert fetch(root, packages, depot) == {"fetched": 2, "bytes": 12}
    assert fetch(root, packages, depot) == {"fetched": 0, "bytes": 0}
    assert cache.missing(str(root), packages) == []
    assert (root / "wheels" / packages[1].sha256 / "b-1-py3-none-any.whl").read_bytes() == b"wheel"


def test_another_content_than_the_locks_is_refused(root: Path, depot: Path) -> None:
    wrong = package(depot, "a-1-0.conda", sha256="f" * 64)
    with pytest.raises(FleetError, match=r"expected f{64}"):
        fetch(root, [wrong], depot)
    assert cache.missing(str(root), [wrong]) == [wrong]


def test_a_new_archive_of_that_name_replaces_what_was_unpacked_from_the_old_one(root: Path, depot: Path) -> None:
    old = package(depot, "a-1-0.conda", b"old")
    fetch(root, [old], depot)
    folder = unpack(root, old)
    fetch(root, [package(depot, "a-1-0.conda", b"new")], depot)
    assert not folder.exists()


def test_what_is_unpacked_and_whole_is_kept(root: Path, depot: Path) -> None:
    good = package(depot, "a-1-0.conda")
    folder = unpack(root, good)
    assert cache.drop_damaged(str(root), [good], SILENT) == []
    assert folder.is_dir()


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda folder: (folder / "code.py").write_text("edited"), "code.py differs from its sha256"),
        (lambda folder: (folder / "code.py").unlink(), "code.py is missing"),
        (lambda folder: (folder / "info" / "paths.json").unlink(), "info/paths.json is missing"),
        (
            lambda folder: (folder / "info" / "repodata_record.json").write_text('{"channel": "<unknown>"}'),
            "before its URL was known",
        ),
        (
            lambda folder: (folder / "info" / "repodata_record.json").write_text('{"sha256": "other"}'),
            "unpacked from another archive",
        ),
    ],
)
def test_what_was_changed_is_dropped(root: Path, depot: Path, damage: Any, said: str) -> None:
    bad = package(depot, "a-1-0.conda")
    folder = unpack(root, bad)
    damage(folder)
    dropped = cache.drop_damaged(str(root), [bad], SILENT)
    assert len(dropped) == 1
    assert said in dropped[0]
    assert not folder.exists()


def test_too_little_space_is_said_before_anything_is_fetched(root: Path, depot: Path) -> None:
    huge = package(depot, "a-1-0.conda", size=1 << 60)
    with pytest.raises(FleetError, match=r"environments_root: .* free, and about .* are needed for 1 packages. None\."):
        cache.check_space(str(root), [huge], "None.")


def test_what_a_build_would_read_is_hashed_before(root: Path, depot: Path) -> None:
    packages = [package(depot, name, name.encode()) for name in ("a-1-0.conda", "b-1-0.conda", "c-1-py3-none-any.whl")]
    fetch(root, packages, depot)
    assert cache.damaged_archives(str(root), packages) == []
    for one in packages:
        Path(cache.archive_path(str(root), one)).write_bytes(b"!" * one.size)
    unpack(root, packages[1])  # verified by its own list, so that its archive is not read
    found = {one.name: said for one, said in cache.damaged_archives(str(root), packages)}
    assert found == {"a": "differs from its sha256", "c": "differs from its sha256"}
    assert fetch(root, packages, depot)["fetched"] == 3
    Path(cache.archive_path(str(root), packages[0])).unlink()
    assert cache.damaged_archives(str(root), packages) == [(packages[0], "is missing")]


def test_what_killed_steps_left_goes_once_nobody_can_be_at_it(root: Path) -> None:
    (root / "jobs").mkdir()
    left = [root / ".condafleet-abc", root / "pkgs" / ".condafleet-x", root / "jobs" / "j1.2", root / "scratch" / "x"]
    left[-1].parent.mkdir()
    young = root / "jobs" / "j2.3"
    for path in (*left, young):
        path.touch()
    for path in left[:3]:
        os.utime(path, (0, 0))
    os.utime(root / ".condafleet-root.json", (0, 0))
    with cache.scratch_folder(str(root)):
        assert [path for path in left if path.exists()] == []
    assert young.exists()
    assert (root / ".condafleet-root.json").exists()


def test_a_marker_that_was_just_being_written_is_no_stranger_s(tmp_path: Path) -> None:
    (tmp_path / ".condafleet-x7y8").touch()
    assert cache.ensure_root(str(tmp_path)) is True
    (tmp_path / "of somebody").touch()
    assert cache.ensure_root(str(tmp_path)) is False


def test_conda_is_told_canonical_urls_and_the_last_one_counts(root: Path, depot: Path) -> None:
    one, two = package(depot, "a-1-0.conda"), package(depot, "b-1-0.conda")
    other = package(depot, "a-1-0.conda", url="https://elsewhere.invalid/a-1-0.conda")
    for packages in ([other], [one, two], [one, two]):
        cache.register_urls(str(root), packages)
    assert (root / "pkgs" / "urls.txt").read_text().split() == [other.url, one.url, two.url]
