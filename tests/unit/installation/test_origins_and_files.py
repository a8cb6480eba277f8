"""Canonical URLs to a depot's places; files that are never seen half written."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from ansible_collections.condafleet.core.plugins.module_utils import files, origins
from ansible_collections.condafleet.core.plugins.module_utils.errors import FleetError, InputError

MAP = {"https://depot.condafleet.invalid/embedded/": "", "https://conda.anaconda.org/": "mirror/"}


def test_the_depot_replaces_the_longest_prefix() -> None:
    particular = {**MAP, "https://conda.anaconda.org/conda-forge/": "forge"}
    assert origins.rewrite("https://depot.condafleet.invalid/embedded/wheels/a.whl", MAP, "file:///d/") == (
        "file:///d/wheels/a.whl"
    )
    assert origins.rewrite("https://conda.anaconda.org/x/y", MAP, "http://h/d") == "http://h/d/mirror/x/y"
    assert origins.rewrite("https://conda.anaconda.org/conda-forge/a", particular, "http://h") == "http://h/forge/a"


def test_without_a_depot_a_url_is_itself() -> None:
    assert origins.rewrite("https://conda.anaconda.org/x/y", MAP, None) == "https://conda.anaconda.org/x/y"


@pytest.mark.parametrize("depot", [None, "file:///another"])
def test_what_only_a_depot_holds_names_depot_url(depot: str | None) -> None:
    with pytest.raises(FleetError, match=r"^depot_url: "):
        origins.rewrite("https://depot.condafleet.invalid/other/a.whl", MAP, depot)


def test_write_atomic_keeps_the_link_and_sets_the_mode(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("old")
    (tmp_path / "link").symlink_to("real")
    files.write_atomic(str(tmp_path / "link"), "new", 0o640)
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text() == "new"
    assert stat.S_IMODE((tmp_path / "real").stat().st_mode) == 0o640
    assert len(list(tmp_path.iterdir())) == 2


def test_a_write_that_fails_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError):
        files.write_atomic(str(tmp_path / "folder"), "x")
    assert [p.name for p in tmp_path.iterdir()] == ["folder"]


def test_read_json_has_a_default(tmp_path: Path) -> None:
    (tmp_path / "bad").write_text("{")
    assert files.read_json(str(tmp_path / "bad"), {}) == {}
    assert files.read_json(str(tmp_path / "missing")) is None


def test_free_bytes_of_what_does_not_exist_yet(tmp_path: Path) -> None:
    assert files.free_bytes(str(tmp_path / "a" / "b")) > 0


def test_input_error_says_variable_value_accepted_next() -> None:
    error = InputError("miniconda_prefix", "opt/x", "an absolute path", "write /opt/x")
    assert error.message == "miniconda_prefix: opt/x is not accepted. Accepted: an absolute path. Next: write /opt/x."
