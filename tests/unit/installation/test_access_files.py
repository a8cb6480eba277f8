"""What conda and pip of an installation are told of proxies and a private CA, and that it goes again."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.condafleet.core.plugins.module_utils import access_files, receipt

sys.path.insert(0, str(Path(__file__).parents[2] / "containers"))
from guarded_site import make_certificates

PUBLIC = "public bundle\n"
PROXIES = {"http": "http://p:1", "https": "http://p:2", "no_proxy": ["h"]}


@pytest.fixture
def prefix(tmp_path: Path) -> Path:
    root = tmp_path / "conda.d" / "fake-1-1"
    certifi = root / "lib/python3.11/site-packages/certifi"
    certifi.mkdir(parents=True)
    (certifi / "cacert.pem").write_text(PUBLIC)
    receipt.note(str(root), sha256="a" * 64)
    (tmp_path / "conda").symlink_to("conda.d/fake-1-1")
    return tmp_path / "conda"


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("ca")
    make_certificates(folder / "ca.pem", folder / "server.pem", ["h"])
    return (folder / "ca.pem").read_text()


def bring(prefix: Path, access: dict[str, Any]) -> tuple[list[str], list[str]]:
    """(what changes, what was kept), and that nothing is left to do afterwards."""
    installation = {"prefix": str(prefix), **access_files.observe(str(prefix))}
    changes = access_files.plan(installation, {"access": access})
    kept = access_files.carry_out(str(prefix), installation, {"access": access})
    after = {"prefix": str(prefix), **access_files.observe(str(prefix))}
    assert access_files.plan(after, {"access": access}) == []
    return [change["what"] for change in changes], kept


def test_both_are_written_once_and_name_the_folder_that_stays(prefix: Path, ca: str) -> None:
    assert bring(prefix, {"proxies": PROXIES, "ca": ca}) == (["ca", "pip.conf"], [])
    root = prefix.resolve()
    bundle = (root / "etc/condafleet/ca.pem").read_text()
    assert ca in bundle
    assert bundle.endswith(PUBLIC)
    # pip knows one proxy; users and jobs on this installation keep its own certificates when the link moves.
    lines = (root / "pip.conf").read_text().splitlines()
    assert lines[1:] == ["[global]", "proxy = http://p:2", f"cert = {root}/etc/condafleet/ca.pem"]
    assert stat.S_IMODE((root / "pip.conf").stat().st_mode) == 0o644
    assert bring(prefix, {"proxies": PROXIES, "ca": ca}) == ([], [])


def test_what_is_no_longer_declared_goes(prefix: Path, ca: str) -> None:
    before = sorted(path.name for path in prefix.rglob("*"))
    bring(prefix, {"proxies": PROXIES, "ca": ca})
    assert bring(prefix, {"proxies": PROXIES, "ca": None})[0] == ["ca", "pip.conf"]
    assert (prefix / "pip.conf").read_text().splitlines()[1:] == ["[global]", "proxy = http://p:2"]
    assert bring(prefix, {})[0] == ["pip.conf"]
    assert [name for name in sorted(path.name for path in prefix.rglob("*")) if name != "etc"] == before


def test_other_public_certificates_are_taken_over(prefix: Path, ca: str) -> None:
    bring(prefix, {"ca": ca})
    (prefix / "lib/python3.11/site-packages/certifi/cacert.pem").write_text("newer\n")
    assert bring(prefix, {"ca": ca})[0] == ["ca"]
    assert (prefix / "etc/condafleet/ca.pem").read_text().endswith("newer\n")


def test_a_user_s_own_pip_conf_is_kept_and_never_shown(prefix: Path) -> None:
    (prefix / "pip.conf").write_text("[global]\nindex-url = https://me:s3cret@h/\n")
    (prefix / "pip.conf").chmod(0o600)
    found = access_files.observe(str(prefix))
    assert bring(prefix, {}) == ([], [])
    plan = access_files.plan({"prefix": str(prefix), **found}, {"access": {"proxies": PROXIES}})
    assert "s3cret" not in str(found) + str(plan)
    changes, kept = bring(prefix, {"proxies": PROXIES})
    assert changes == ["pip.conf"]
    assert "s3cret" in Path(kept[0]).read_text()
    assert stat.S_IMODE(Path(kept[0]).stat().st_mode) == 0o600
    # No longer declared: it is back.
    bring(prefix, {})
    assert "s3cret" in (prefix / "pip.conf").read_text()
    assert not Path(kept[0]).exists()


def test_what_comes_back_is_what_was_there_first(prefix: Path) -> None:
    mine = "[global]\ntimeout = 9\n"
    (prefix / "pip.conf").write_text(mine)
    bring(prefix, {"proxies": PROXIES})
    (prefix / "pip.conf").write_text("[global]\nproxy = http://edited\n")
    # At once: the second copy takes nothing from the first.
    _changes, second = bring(prefix, {"proxies": PROXIES})
    bring(prefix, {})
    assert (prefix / "pip.conf").read_text() == mine
    assert "edited" in Path(second[0]).read_text()


def test_one_that_was_changed_since_stays(prefix: Path) -> None:
    bring(prefix, {"proxies": PROXIES})
    (prefix / "pip.conf").write_text("[global]\nproxy = http://mine\n")
    assert bring(prefix, {}) == ([], [])
    assert "mine" in (prefix / "pip.conf").read_text()


def test_an_adopted_installation_is_left_without_them(prefix: Path, ca: str) -> None:
    root = prefix.resolve()
    (root / receipt.RECEIPT).unlink()
    (root / "pip.conf").write_text("[global]\ntimeout = 9\n")
    bring(prefix, {"proxies": PROXIES, "ca": ca})
    gone = access_files.remove(str(prefix), {})
    assert gone == [f"{root}/etc/condafleet/ca.pem", f"{root}/pip.conf"]
    assert (root / "pip.conf").read_text() == "[global]\ntimeout = 9\n"
    assert not (root / "etc/condafleet").exists()


def test_nothing_is_there_to_see_at_an_empty_place(tmp_path: Path) -> None:
    found = access_files.observe(str(tmp_path / "none"))["access"]
    assert (found["ca_sha256"], found["pip_conf_sha256"]) == (None, None)
    assert access_files.plan({"prefix": "/p", "access": found}, {"access": {}}) == []
    assert os.path.basename(found["root"]) == "none"  # noqa: PTH119


def test_an_environment_that_is_built_gets_both_or_nothing(tmp_path: Path, ca: str) -> None:
    access_files.write_access(str(tmp_path), {"proxies": {}, "ca": None})
    assert list(tmp_path.iterdir()) == []
    access_files.write_access(str(tmp_path), {"proxies": PROXIES, "ca": ca})
    assert f"cert = {tmp_path}/etc/condafleet/ca.pem" in (tmp_path / "pip.conf").read_text()
    # A prefix without certificates of its own has the site's.
    assert ca in (tmp_path / "etc/condafleet/ca.pem").read_text()
