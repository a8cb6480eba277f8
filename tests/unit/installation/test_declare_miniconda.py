"""What roles/miniconda is given: one clear error each, and where the installer comes from."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.condafleet.core.plugins.module_utils import catalog as known
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


def test_miniforge_by_default_with_the_catalog_s_sha256() -> None:
    declared = check()
    assert declared["version"] == "26.3.2-3"
    assert declared["installers"]["x86_64"] == {
        "url": "https://github.com/conda-forge/miniforge/releases/download/26.3.2-3/Miniforge3-26.3.2-3-Linux-x86_64.sh",
        "sha256": "848194851a98903134187fbb4ab50efe87b003e0c0f808f97644b7524a62bf2c",
        "filename": "Miniforge3-26.3.2-3-Linux-x86_64.sh",
        "version": "26.3.2-3",
        "distribution": "miniforge",
    }
    assert set(declared["installers"]) == {"x86_64", "aarch64", "ppc64le"}
    assert "- conda-forge" in declared["condarc"]["texts"]["auto_activate"]


def test_versions_are_ordered_by_conda_s_version_then_python_s() -> None:
    ordered = sorted(["py39_26.1.0-1", "py313_25.9.1-3", "py312_26.1.0-1", "py310_26.1.0-1"], key=known.sort_key)
    assert ordered == ["py313_25.9.1-3", "py39_26.1.0-1", "py310_26.1.0-1", "py312_26.1.0-1"]
    assert known.versions(CATALOG, "anaconda")[0] == "2025.12-2"
    assert [
        entry for entry in map(known.FILE_NAME.match, (i["file"] for i in CATALOG["installers"])) if not entry
    ] == []


def test_a_mirror_replaces_upstream() -> None:
    declared = check(mirror="http://mirror.example/miniforge/{version}", version="23.1.0-0")
    url = declared["installers"]["x86_64"]["url"]
    assert url == "http://mirror.example/miniforge/23.1.0-0/Miniforge3-23.1.0-0-Linux-x86_64.sh"


def test_the_depot_goes_before_mirror_and_upstream_if_it_has_the_distribution() -> None:
    declared = check(MANIFEST, distribution="embedded", mirror="http://mirror.example/", **DEPOT)
    assert declared["version"] == "24.10.0-0"
    assert declared["installers"]["x86_64"]["url"] == "file:///srv/depot/installers/C-24.10.0-0.sh"
    assert declared["installers"]["x86_64"]["glibc"] == "2.36"
    assert declared["channels"] == ["file:///srv/depot/channel"]
    assert check(MANIFEST, **DEPOT)["installers"]["x86_64"]["url"].startswith("https://github.com/")
    assert check(MANIFEST, **DEPOT)["channels"] == ["conda-forge"]


def test_an_explicit_installer_goes_before_all() -> None:
    url = "https://h.example/Miniconda3-py311_24.7.1-0-Linux-aarch64.sh"
    declared = check(MANIFEST, installer_url=url, installer_sha256="C" * 64, distribution="embedded", **DEPOT)
    assert declared["installers"] == {
        "aarch64": {
            "url": url,
            "sha256": "c" * 64,
            "filename": "Miniconda3-py311_24.7.1-0-Linux-aarch64.sh",
            "version": "py311_24.7.1-0",
            "distribution": "miniconda",
        }
    }
    unnamed = check(installer_url="file:///srv/get?x=1", installer_sha256="c" * 64)["installers"]
    assert (unnamed["any"]["filename"], unnamed["any"]["distribution"]) == ("installer.sh", "custom")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"distribution": "miniforgge"}, "miniconda_distribution: miniforgge is not accepted.*miniforge.*embedded"),
        ({"version": "1.2.3"}, "miniconda_version: 1.2.3 is not accepted.*26.3.2-3.*36 others"),
        ({"version": "25.3.0-9"}, "miniconda_version.*: newest or a version of miniforge: 25.3.0-"),
        ({"distribution": "embedded"}, "miniconda_distribution.*depot build --embedded.*depot_url"),
        ({"prefix": "opt/x"}, "miniconda_prefix: opt/x.*absolute"),
        ({"prefix": "/opt/mini conda"}, "miniconda_prefix: /opt/mini conda.*spaces"),
        ({"prefix": "/opt/" + "x" * 106}, "111 bytes.*at most 110 bytes.*shorten it by 1 bytes"),
        ({"prefix": "/usr/local"}, "a folder of its own.*choose one such as /usr/local/miniconda3"),
        ({"prefix": "/"}, "miniconda_prefix: / "),
        ({"prefix": "/opt/../etc"}, "miniconda_prefix"),
        ({"prefix": "/opt/a/./b"}, "write /opt/a/b"),
        ({"prefix": None}, "miniconda_prefix: an empty value"),
        ({"mode": 755}, "miniconda_mode: 755.*quotes"),
        ({"mode": "0055"}, "owner"),
        ({"owner": "a b"}, "miniconda_owner: a b"),
        ({"timeout": 0}, "miniconda_timeout: 0"),
        ({"installer_url": "https://h/x.sh"}, "miniconda_installer_sha256: an empty value.*sha256sum"),
        ({"installer_sha256": "a" * 64}, "miniconda_installer_url: an empty value"),
        ({"mirror": "/srv"}, "miniconda_mirror: /srv"),
        ({"mirror": "https://u:p4ss@h/x"}, r"miniconda_mirror: a URL with a password \(host h\)"),
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


def test_a_version_that_the_depot_has_not_is_not_fetched_elsewhere() -> None:
    with pytest.raises(InputError, match=r"24.10.0-0, 24.7.1-0"):
        check(MANIFEST, distribution="embedded", version="23.1.0-0", **DEPOT)


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
