"""Anaconda's terms count wherever its packages may come from: channels, specs, and locks that were made elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ansible_collections.condafleet.core.plugins.module_utils import lockspec
from ansible_collections.condafleet.core.plugins.module_utils.errors import InputError
from condafleet.errors import LockError
from condafleet.lock import lock_all

TARGETS = {"linux-64-cpu": {"platform": "linux-64", "glibc": "2.28"}}
LOCK = """\
version: 1
metadata:
  content_hash: {{linux-64: x}}
  channels: []
  platforms: [linux-64]
  sources: []
package:
  - name: python
    version: 3.11.7
    manager: conda
    platform: linux-64
    dependencies: {{}}
    url: {url}/linux-64/python-3.11.7-h955ad1f_0.conda
    hash: {{md5: "{md5}", sha256: "{sha256}"}}
    category: main
    optional: false
"""


def locked(folder: Path, url: str, tos: str) -> Any:
    """A lock that another tool made, with one package from `url`."""
    path = folder / "mine.conda-lock.yml"
    path.write_text(LOCK.format(url=url, md5="a" * 32, sha256="b" * 64))
    entry = {"name": "mine", "spec": str(path), "targets": ["linux-64-cpu"]}
    return lock_all([entry], TARGETS, folder / "locks", tos=tos)


@pytest.mark.parametrize("url", ["https://repo.anaconda.com/pkgs/main", "https://conda.anaconda.org/anaconda"])
def test_a_lock_made_elsewhere_is_refused_for_what_it_holds(tmp_path: Path, url: str) -> None:
    with pytest.raises(LockError, match=r"holds 1 package from Anaconda's channels .*miniconda_tos: accept") as caught:
        locked(tmp_path, url, "decline")
    assert f"{url}/linux-64/python-3.11.7" in str(caught.value)
    assert locked(tmp_path, url, "accept")[0].state == "reused"


@pytest.mark.parametrize("url", ["https://conda.anaconda.org/conda-forge", "https://mirror.example/anaconda/main"])
def test_any_other_lock_is_taken(tmp_path: Path, url: str) -> None:
    assert locked(tmp_path, url, "decline")[0].state == "reused"


@pytest.mark.parametrize(
    ("spec", "channels"),
    [
        (["python"], ["defaults"]),
        (["python"], ["conda-forge", "https://conda.anaconda.org/main"]),
        (["python"], ["repo.anaconda.com/pkgs/main"]),
        (["pkgs/main::python"], ["conda-forge"]),
        (["python[channel=anaconda]"], ["conda-forge"]),
        (["python[url='https://repo.anaconda.com/pkgs/main/linux-64/python-3.11.7-0.conda']"], ["conda-forge"]),
    ],
)
def test_an_environment_that_asks_for_anaconda_s_packages_is_refused(spec: list[str], channels: list[str]) -> None:
    with pytest.raises(lockspec.SpecError, match=r"environments_list: x: channel .*miniconda_tos: decline"):
        lockspec.check_channels("x", {"conda": spec}, channels, "decline")
    assert lockspec.check_channels("x", {"conda": spec}, channels, "accept")


@pytest.mark.parametrize("terms", ["decline", "accept"])
def test_a_channel_with_a_token_in_it_is_refused_whatever_the_terms_are(terms: str) -> None:
    with pytest.raises(InputError, match="with a login or a token in it is not accepted") as caught:
        lockspec.check_channels("x", {"conda": ["python"]}, ["https://conda.anaconda.org/t/tk-1/main"], terms)
    assert "tk-1" not in str(caught.value)
