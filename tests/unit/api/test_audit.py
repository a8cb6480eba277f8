"""An audit of a node on this machine that was asked for what is not there, really run by Ansible."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from condafleet import api
from condafleet.errors import InputError


def node(tmp_path: Path) -> dict[str, Any]:
    where = {"environments_prefix": str(tmp_path / "mini"), "environments_root": str(tmp_path / "root")}
    local = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable, "environments_become": False}
    return {"all": {"hosts": {"n1": {**local, **where}}}}


def test_a_name_that_is_on_no_node_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mini/conda-meta").mkdir(parents=True)
    with pytest.raises(InputError, match="environments: nosuch is not accepted, it is on no node"):
        api.audit(inventory=node(tmp_path), environments=["base", "nosuch"])
    assert list(api.audit(inventory=node(tmp_path), environments=["base"]).audit()["hosts"]["n1"]["environments"])


def test_an_audit_that_finds_nothing_says_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no installation and no environment of condafleet was found there"):
        api.audit(inventory=node(tmp_path))
