"""What roles/miniconda is given: one clear error each, and where the installer comes from."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.condafleet.core.plugins.module_utils.declaration import depot_summary
from ansible_collections.condafleet.core.plugins.module_utils.declare_miniconda import check_miniconda
from ansible_collections.condafleet.core.plugins.module_utils.depot_manifest import read_manifest
from ansible_collections.condafleet.core.plugins.module_utils.errors import FleetError, InputError

CATALOG = json.loads((Path(__file__).parents[3] / "roles/miniconda/files/installers.json").read_text())
DEPOT = {"depot_url": "file:///srv/depot/", "depot_sha256": "a" * 64}
MANIFEST = {
    "schema_version": 1,
    "glibc": "2.36",
    "installers": [
        {"distribution": "embedded", "version": v, "arch": "x86_64", "path": f"installers/C-{v}.sh", "sha256": "b" * 64}
        for v in ("24.7.1-0", "24.10.0-0")
    ],
    "channels": {"conda": {"path": "channel"}},
    "origins": {"https://depot.condafleet.invalid/embedded/": ""},
    "files": {"x": {}},
}
VALUES = {
    "prefix": "/opt/miniconda3",
    "distribution": "miniforge",
    "version": "newest",
    "channels": [],
    "condarc": {},
    "tos": "decline",
    "owner": "root",
    "group": "root",
    "mode": "0755",
    "timeout": 900,
}


def check(manifest: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    return check_miniconda({**VALUES, **changes}, CATALOG, manifest)


def test_the_declaration_is_resolved() -> None:
    declared = check()
    assert (declared["distribution"], declared["version"], declared["newest"]) == ("miniforge", "26.3.2-3", True)
    assert declared["access"] == {"proxies": {}, "ca": None, "retries": 4, "timeout": 60}
    assert (declared["fetch"], declared["keep"], declared["state"]) == ("node", 2, "present")
    assert "- conda-forge" in declared["condarc"]["texts"]["auto_activate"]
    assert not check(version="26.3.2-3")["newest"]


@pytest.mark.parametrize("version", [None, "", "newest"])
def test_without_a_version_the_newest_is_meant(version: Any) -> None:
    declared = check(version=version)
    assert (declared["version"], declared["newest"]) == ("26.3.2-3", True)


def test_a_removal_needs_nothing_of_what_installing_needs() -> None:
    beyond = {
        "depot_url": "/unset/depot", "depot_sha256": None, "ca": "/gone.pem", "version": "0.0", "distribution": "none",
        "installer_path": "/gone.sh", "owner": "no one", "condarc": 7, "channels": ["defaults"], "mode": 755,
    }  # fmt: skip
    declared = check(state="absent", purge="yes", keep="3", timeout="60", **beyond)
    assert set(declared) == set(check())
    assert [declared[key] for key in ("prefix", "purge", "keep", "timeout")] == ["/opt/miniconda3", True, 3, 60]
    assert (declared["installers"], declared["condarc"], declared["owner"]) == ({}, None, None)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"prefix": "/usr"}, "miniconda_prefix: /usr"),
        ({"purge": "all"}, "miniconda_purge: all.*true, false"),
        ({"keep": 0}, "miniconda_keep: 0.*from 1 up"),
        ({"timeout": "soon"}, "miniconda_timeout: soon.*seconds"),
    ],
)
def test_a_removal_is_checked_too(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(InputError, match=told):
        check(state="absent", **changes)


def test_the_depot_s_own_channel_is_that_of_the_embedded_conda() -> None:
    assert check(MANIFEST, distribution="embedded", **DEPOT)["channels"] == ["file:///srv/depot/channel"]
    assert check(MANIFEST, **DEPOT)["channels"] == ["conda-forge"]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"prefix": "opt/x"}, "miniconda_prefix: opt/x.*absolute"),
        ({"prefix": "/opt/mini conda"}, "miniconda_prefix: /opt/mini conda.*spaces"),
        ({"prefix": "/opt/" + "x" * 106}, "111 bytes.*at most 86 bytes.*shorten it by 25 bytes"),
        ({"prefix": "/usr/local"}, "a folder of its own.*choose one such as /usr/local/miniconda3"),
        ({"prefix": "/"}, "miniconda_prefix: / "),
        ({"prefix": "/opt/../etc"}, "miniconda_prefix"),
        ({"prefix": "/opt/a/./b"}, "write /opt/a/b"),
        ({"prefix": None}, "miniconda_prefix: an empty value"),
        ({"mode": 755}, "miniconda_mode: 755.*quotes"),
        ({"mode": "0055"}, "owner"),
        ({"owner": "a b"}, "miniconda_owner: a b"),
        ({"timeout": 0}, "miniconda_timeout: 0"),
        ({"depot_url": "file:///d"}, "depot_sha256: an empty value.*depot verify.*sha256sum"),
        ({"depot_url": "/srv/depot", "depot_sha256": "a" * 64}, "depot_url: /srv/depot"),
        ({"depot_sha256": "a" * 64}, "depot_sha256.*set depot_url too"),
        ({"channels": ["defaults"]}, "miniconda_channels: defaults.*miniconda_tos: accept"),
    ],
)
def test_one_clear_error(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(InputError, match=told) as caught:
        check(**changes)
    assert "Next: " in caught.value.message
    assert "p4ss" not in caught.value.message


class TestManifest:
    def write(self, folder: Path, text: str) -> tuple[str, str]:
        (folder / "manifest.json").write_text(text)
        return folder.as_uri() + "/", hashlib.sha256(text.encode()).hexdigest()

    def test_is_read_and_summed_up(self, tmp_path: Path) -> None:
        url, sha256 = self.write(tmp_path, json.dumps(MANIFEST))
        manifest = read_manifest(url, sha256.upper())
        assert manifest == MANIFEST
        summary = depot_summary(url, manifest)
        assert summary is not None
        assert summary["url"] == tmp_path.as_uri()
        assert "files" not in summary
        assert summary["origins"] == MANIFEST["origins"]

    def test_without_a_depot_there_is_none(self) -> None:
        assert read_manifest(None, None) is None
        assert read_manifest("", "") is None
        assert depot_summary(None, None) is None

    def test_of_another_sha256_is_not_trusted(self, tmp_path: Path) -> None:
        url, found = self.write(tmp_path, json.dumps(MANIFEST))
        with pytest.raises(FleetError, match=f"^depot_sha256: .*{found}, expected {'0' * 64}.*depot verify"):
            read_manifest(url, "0" * 64)

    def test_that_is_not_there_names_the_depot(self, tmp_path: Path) -> None:
        with pytest.raises(FleetError, match=r"depot_url: .*nowhere.*No such file.*depot serve"):
            read_manifest((tmp_path / "nowhere").as_uri(), "0" * 64)

    @pytest.mark.parametrize("text", ["{}", "[]", "not json", '{"schema_version": 2}'])
    def test_of_another_kind_is_refused(self, tmp_path: Path, text: str) -> None:
        url, sha256 = self.write(tmp_path, text)
        with pytest.raises(FleetError, match="none that this version reads"):
            read_manifest(url, sha256)
