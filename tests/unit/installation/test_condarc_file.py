"""The condarc on disk: read by a genuine conda before it counts, and nobody's file is lost."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.condafleet.core.plugins.module_utils import condarc_file, files, receipt
from ansible_collections.condafleet.core.plugins.module_utils.declare_condarc import check_condarc
from ansible_collections.condafleet.core.plugins.module_utils.errors import FleetError

INSTALLERS = list((Path(os.environ.get("CONDAFLEET_TEST_DEPOT") or "/nowhere") / "installers").glob("*.sh"))
pytestmark = pytest.mark.skipif(not INSTALLERS, reason="no depot given: set CONDAFLEET_TEST_DEPOT to its folder")
USERS_FILE = "channels: [mine]\n"


@pytest.fixture(scope="module")
def conda(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A genuine installation, which no test changes."""
    home = tmp_path_factory.mktemp("conda")
    subprocess.run(
        ["bash", INSTALLERS[0], "-b", "-p", home / "base"],
        env={"HOME": str(home), "PATH": os.environ["PATH"]},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=300,
        check=True,
    )
    return home / "base"


@pytest.fixture
def prefix(conda: Path, tmp_path: Path) -> str:
    """A prefix of its own with that conda in it, as somebody made it by hand."""
    made = tmp_path / "prefix"
    (made / "bin").mkdir(parents=True)
    (made / "conda-meta").mkdir()
    (made / "bin" / "python").write_text(f'#!/bin/sh\nexec {conda}/bin/python "$@"\n')
    (made / "bin" / "python").chmod(0o755)
    return str(made)


@pytest.fixture(autouse=True)
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The node's own folder of conda's, which is not this machine's."""
    monkeypatch.setattr(condarc_file, "SITE", str(tmp_path / "etc-conda"))
    return tmp_path / "etc-conda"


def observed(prefix: str) -> dict[str, Any]:
    return {
        "prefix": prefix,
        "conda_version": "24.7.1",
        "receipt": receipt.read(prefix),
        **condarc_file.observe(prefix),
    }


def declared(prefix: str, level: str = "prefix", **values: Any) -> dict[str, Any]:
    return {"prefix": prefix, **check_condarc({"prefix": prefix, "condarc_level": level, **values}, None, None)}


def apply(prefix: str, level: str = "prefix", **values: Any) -> list[str]:
    """Carry out, and see that nothing is left to do."""
    wanted = declared(prefix, level, **values)
    kept = condarc_file.carry_out(prefix, observed(prefix), wanted)
    assert condarc_file.plan(observed(prefix), wanted) == []
    assert condarc_file.carry_out(prefix, observed(prefix), wanted) == []
    return kept


def read(*parts: str | Path) -> str | None:
    return files.read_text(str(Path(*parts)))


def test_what_was_a_user_s_is_kept_and_our_own_former_one_too(prefix: str) -> None:
    Path(prefix, ".condarc").write_text(USERS_FILE)
    kept = apply(prefix)
    assert [read(copy) for copy in kept] == [USERS_FILE]
    first = read(prefix, ".condarc")
    assert apply(prefix, offline=True) == []
    assert read(prefix, ".condarc.previous") == first
    assert "offline: true" in (read(prefix, ".condarc") or "")
    assert Path(prefix, ".condarc").stat().st_mode & 0o777 == 0o644


def test_what_an_installer_brought_is_no_user_s(prefix: str) -> None:
    Path(prefix, ".condarc").write_text(USERS_FILE)
    receipt.note(prefix, installed="2026-01-01T00:00:00Z", condarc_sha256=files.sha256_bytes(USERS_FILE.encode()))
    made = receipt.read(prefix) or {}
    made.pop("adopted")
    files.write_json(f"{prefix}/{receipt.RECEIPT}", made)
    assert apply(prefix) == []


def test_conda_itself_refuses_and_the_old_file_stays(prefix: str) -> None:
    apply(prefix)
    before = read(prefix, ".condarc")
    wanted = declared(prefix, condarc={"safety_checks": "sometimes"})
    with pytest.raises(FleetError) as caught:
        condarc_file.carry_out(prefix, observed(prefix), wanted)
    assert f"{prefix}/.condarc: the installed conda does not take what was declared" in caught.value.message
    assert "'sometimes' is not a valid SafetyChecks" in caught.value.message
    assert read(prefix, ".condarc") == before
    assert not Path(prefix, ".condarc.previous").exists()


def test_a_broken_file_can_be_mended(prefix: str) -> None:
    Path(prefix, ".condarc").write_text("channels: [a\n b: c")
    apply(prefix)
    assert "conda-forge" in (read(prefix, ".condarc") or "")


def test_a_solver_that_the_installation_lacks_is_refused(prefix: str) -> None:
    wanted = declared(prefix, solver="libmamba")
    with pytest.raises(FleetError, match=r"solver: libmamba needs .*conda-libmamba-solver.*Accepted: classic"):
        condarc_file.carry_out(prefix, observed(prefix), wanted)
    Path(prefix, "conda-meta", "conda-libmamba-solver-25.4.0-pyhd8ed1ab_0.json").write_text("{}")
    apply(prefix, solver="libmamba")


def test_a_private_ca_is_checked_where_it_lies_now(prefix: str, tmp_path: Path) -> None:
    apply(prefix, ca="files/ca.pem")
    Path(prefix, "etc/condafleet").mkdir(parents=True)
    Path(prefix, "etc/condafleet/ca.pem").write_text("")
    future = {**declared(str(tmp_path / "to-be"), ca="files/ca.pem")}
    condarc_file.carry_out(prefix, observed(prefix), future)
    assert f"ssl_verify: {tmp_path}/to-be/etc/condafleet/ca.pem" in (read(prefix, ".condarc") or "").replace('"', "")


class TestSite:
    def test_comes_and_goes_with_its_folder(self, prefix: str, site: Path) -> None:
        apply(prefix)
        apply(prefix, "site")
        assert site.stat().st_mode & 0o777 == 0o755
        assert (site / ".condarc").stat().st_mode & 0o777 == 0o644
        assert read(prefix, ".condarc") is None
        assert set(condarc_file.remove(prefix, observed(prefix))) == {
            str(site / ".condarc"),
            str(site / ".condafleet.json"),
        }
        assert not site.exists()

    def test_a_foreign_file_comes_back(self, prefix: str, site: Path) -> None:
        site.mkdir()
        (site / ".condarc").write_text(USERS_FILE)
        assert [read(copy) for copy in apply(prefix, "site")] == [USERS_FILE]
        apply(prefix, "site", offline=True)
        condarc_file.remove(prefix, observed(prefix))
        assert sorted(path.name for path in site.iterdir()) == [".condarc"]
        assert read(site / ".condarc") == USERS_FILE

    def test_gives_way_to_the_prefix_s(self, prefix: str, site: Path) -> None:
        apply(prefix, "site")
        apply(prefix)
        assert not site.exists()
        assert read(prefix, ".condarc")

    def test_a_user_s_file_in_the_installation_would_win_so_it_is_moved(self, prefix: str) -> None:
        Path(prefix, ".condarc").write_text(USERS_FILE)
        assert [read(copy) for copy in apply(prefix, "site")] == [USERS_FILE]
        assert read(prefix, ".condarc") is None

    def test_what_was_changed_since_is_left(self, prefix: str, site: Path) -> None:
        apply(prefix, "site")
        (site / ".condarc").write_text(USERS_FILE)
        condarc_file.remove(prefix, observed(prefix))
        assert read(site / ".condarc") == USERS_FILE

    def test_of_another_installation_is_left(self, prefix: str, site: Path) -> None:
        apply(prefix, "site")
        assert condarc_file.remove(prefix + "2", {**observed(prefix), "prefix": prefix + "2"}) == []
        assert condarc_file.remove(prefix + ".d/embedded-24.7.1-0-1", observed(prefix)) != []

    def test_of_an_installation_whose_folder_has_a_name_like_ours(self, prefix: str, tmp_path: Path) -> None:
        # No version of an installation at .../site, but one of its own.
        own, other = str(tmp_path / "site.d" / "a"), str(tmp_path / "site")
        shutil.copytree(prefix, own, symlinks=True)
        apply(own, "site")
        assert condarc_file.remove(other, {**observed(own), "prefix": other}) == []
        assert condarc_file.remove(own, observed(own)) != []

    def test_a_user_s_file_that_was_moved_out_of_its_way_comes_back(self, prefix: str) -> None:
        Path(prefix, ".condarc").write_text(USERS_FILE)
        apply(prefix, "site")
        condarc_file.remove(prefix, observed(prefix))
        assert read(prefix, ".condarc") == USERS_FILE
        assert [path.name for path in Path(prefix).glob(".condarc*")] == [".condarc"]

    def test_what_comes_back_is_what_was_there_first(self, prefix: str, site: Path) -> None:
        site.mkdir()
        (site / ".condarc").write_text(USERS_FILE)
        apply(prefix, "site")
        (site / ".condarc").write_text("channels: [edited]\n")
        assert len(apply(prefix, "site", offline=True)) == 1
        condarc_file.remove(prefix, observed(prefix))
        assert read(site / ".condarc") == USERS_FILE


def test_an_installation_that_was_adopted_gets_its_own_file_back(prefix: str) -> None:
    Path(prefix, ".condarc").write_text(USERS_FILE)
    apply(prefix)
    apply(prefix, offline=True)
    assert condarc_file.remove(prefix, observed(prefix)) == [f"{prefix}/.condarc"]
    assert read(prefix, ".condarc") == USERS_FILE
    assert [path.name for path in Path(prefix).glob(".condarc*")] == [".condarc"]


def test_what_comes_back_is_what_was_there_first(prefix: str) -> None:
    Path(prefix, ".condarc").write_text(USERS_FILE)
    apply(prefix)
    ours = read(prefix, ".condarc") or ""
    Path(prefix, ".condarc").write_text(ours + "offline: true\n")
    second = apply(prefix)
    assert [read(copy) for copy in second] == [ours + "offline: true\n"]
    condarc_file.remove(prefix, observed(prefix))
    assert read(prefix, ".condarc") == USERS_FILE
    # Nobody's edit is lost either.
    assert Path(second[0]).exists()


def test_what_is_observed_shows_no_credentials_but_every_change(prefix: str) -> None:
    path = Path(prefix, ".condarc")
    path.write_text("channels: [https://u:s3cret@h/x]\n")
    first = condarc_file.observe(prefix)
    path.write_text("channels: [https://u:s3cret2@h/x]\n")
    second = condarc_file.observe(prefix)
    assert "s3cret" not in str(first)
    assert first["condarc"] == second["condarc"]
    assert first["condarc_sha256"] != second["condarc_sha256"]
