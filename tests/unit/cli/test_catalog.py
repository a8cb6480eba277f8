"""`condafleet catalog add | list`: what is written, and where each sha256 came from."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from condafleet import catalog
from condafleet.errors import InputError

sys.path.insert(0, str(Path(__file__).parents[2] / "containers"))
from guarded_site import GuardedSite

BUILT_IN = Path(__file__).parents[3] / "roles/miniconda/files/installers.json"
HEADER = (
    "#!/bin/sh\n#\n# Created by constructor 3.11.2\n#\n# NAME:  {0}\n# VER:   {1}\n# PLAT:  {2}\n# MD5:   x\n\nexit 1\n"
)


def installer(folder: Path, name: str = "Sitebase3", version: str = "1.2-3", platform: str = "linux-64") -> Path:
    path = folder / f"{name}-{version}-Linux-{platform}.sh"
    path.write_text(HEADER.format(name, version, platform))
    return path


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[GuardedSite]:
    (tmp_path / "files").mkdir()
    with GuardedSite(tmp_path / "site", "127.0.0.1", tmp_path / "files") as running:
        monkeypatch.setenv("SSL_CERT_FILE", str(running.ca))
        for name in ("https_proxy", "HTTPS_PROXY"):
            monkeypatch.delenv(name, raising=False)
        yield running


def test_a_file_is_read_by_its_own_header(tmp_path: Path) -> None:
    path = installer(tmp_path, platform="linux-aarch64")
    (added,) = catalog.add(tmp_path / "own.json", [str(path)])
    assert added.entry == {
        "distribution": "sitebase",
        "version": "1.2-3",
        "arch": "aarch64",
        "file": path.name,
        "sha256": digest(path),
        "size": path.stat().st_size,
        "path": str(path),
    }
    assert "nobody has confirmed it" in added.trust
    assert catalog.read(tmp_path / "own.json")["installers"][-1] == added.entry
    (again,) = catalog.add(tmp_path / "own.json", [str(path)], sha256=digest(path).upper())
    assert (again.new, again.trust) == (False, "as you gave it")


def test_a_url_is_compared_with_the_publisher_s_file(site: GuardedSite, tmp_path: Path) -> None:
    path = installer(tmp_path / "files")
    url = f"{site.url}/open/{path.name}"
    (path.parent / f"{path.name}.sha256").write_text(f"{digest(path)}  {path.name}\n")
    (added,) = catalog.add(tmp_path / "own.json", [url])
    assert added.entry["url"] == url
    assert added.trust == "as the publisher's own .sha256 file says, from the same server"
    (path.parent / f"{path.name}.sha256").write_text(f"{'0' * 64}  {path.name}\n")
    with pytest.raises(InputError, match=f"has sha256 {digest(path)}, expected {'0' * 64} .{url}.sha256."):
        catalog.add(tmp_path / "other.json", [url])
    assert not (tmp_path / "other.json").exists()
    with pytest.raises(InputError, match=r"HTTP 404: there is no such file.* Nothing was written"):
        catalog.add(tmp_path / "other.json", [f"{site.url}/open/gone.sh"])


def test_the_form_is_the_built_in_s(tmp_path: Path) -> None:
    text = BUILT_IN.read_text()
    assert json.loads(catalog.rendered(json.loads(text))) == json.loads(text)
    own = tmp_path / "own.json"
    paths = [installer(tmp_path, version=version) for version in ("2.0", "1.10", "1.9")]
    catalog.add(own, [str(path) for path in paths])
    lines = own.read_text().splitlines()
    assert lines[0] == '{"base_url": {},'
    assert [json.loads(line.strip().rstrip(","))["version"] for line in lines[2:5]] == ["1.9", "1.10", "2.0"]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("#!/bin/sh\necho hello\n", "its first lines name no name.*constructor made"),
        (HEADER.format("Site3", "1.0", "osx-64"), "it is for osx-64.*linux-64.*linux-s390x"),
        (
            HEADER.format("Miniforge3", "26.3.2-3", "linux-64"),
            "the catalog knows miniforge 26.3.2-3 for x86_64 with 8481",
        ),
    ],
)
def test_what_is_refused(tmp_path: Path, content: str, told: str) -> None:
    (tmp_path / "some.sh").write_text(content)
    with pytest.raises(InputError, match=told) as caught:
        catalog.add(tmp_path / "own.json", [str(tmp_path / "some.sh")])
    assert "Nothing was written" in caught.value.message
    assert not (tmp_path / "own.json").exists()


@pytest.mark.parametrize(
    ("places", "sha256", "told"),
    [
        (["/gone.sh"], None, "no such file"),
        (["https://me:s3cret@h.example/x.sh"], None, "without credentials"),
        (["https://h.example/x.exe"], None, "ends in .sh"),
        (["/a.sh", "/b.sh"], "0" * 64, "with 2 installers"),
        (["/a.sh"], "0", "64 hexadecimal digits"),
    ],
)
def test_wrong_arguments(tmp_path: Path, places: list[str], sha256: str | None, told: str) -> None:
    with pytest.raises(InputError, match=told) as caught:
        catalog.add(tmp_path / "own.json", places, sha256=sha256)
    assert "s3cret" not in caught.value.message


def test_versions_are_listed_newest_first() -> None:
    found = catalog.versions(catalog.read(), ["miniforge"])
    assert (found[0].version, found[0].architectures) == ("26.3.2-3", ["aarch64", "ppc64le", "x86_64"])
    assert catalog.distributions(catalog.read()) == ["anaconda", "miniconda", "miniforge"]
