"""Bad declarations: one error each that names the variable, the value, what is accepted and the next step."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ansible_collections.condafleet.core.plugins.module_utils.declare_environments import check_environments
from ansible_collections.condafleet.core.plugins.module_utils.errors import InputError

TARGETS = {"cpu": {"platform": "linux-64", "glibc": "2.28"}}


def values(**changed: Any) -> dict[str, Any]:
    entry = {"name": "x", "spec": {"pip": ["six"]}, "targets": ["cpu"]}
    entry.update(changed.pop("entry", {}))
    return {"list": [entry], "prefix": "/opt/miniconda3", "root": "/opt/condafleet", "targets": TARGETS, **changed}


def test_a_good_declaration_is_resolved(tmp_path: Path) -> None:
    (tmp_path / "x.yml").write_text("")
    given = values(
        entry={"spec": "x.yml", "frameworks": ["torch"], "variables": {"A": 1}}, spec_folders=["", str(tmp_path)]
    )
    checked = check_environments(given)
    assert checked["environments"] == [
        {
            "name": "x",
            "spec": str(tmp_path / "x.yml"),
            "targets": ["cpu"],
            "frameworks": ["torch"],
            "variables": {"A": "1"},
            "checks": [],
        }
    ]
    assert (checked["may_fail"], checked["timeout"]) == (0.0, 3600)


@pytest.mark.parametrize(
    ("changed", "parts"),
    [
        ({"entry": {"name": "a b"}}, ["environments_list[0].name: a b", "letters, digits"]),
        ({"entry": {"name": "base"}}, ["environments_list[0].name: base", "not base or root"]),
        ({"entry": {"name": "a/b"}}, ["a/b is not accepted"]),
        # A node's records lie beside the folders of its environments, in ROOT/validation.
        ({"entry": {"name": "node.json"}}, ["environments_list[0].name: node.json", "not ending in .json"]),
        ({"entry": {"name": "fleet.json"}}, ["environments_list[0].name: fleet.json", "not ending in .json"]),
        ({"entry": {"name": ".history"}}, ["environments_list[0].name: .history", "not ending in .json"]),
        (
            {"entry": {"targets": ["gpu"]}},
            ["environments_list (x).targets: gpu", "Accepted: cpu", "environments_targets"],
        ),
        ({"entry": {"targets": []}}, ["environments_list (x).targets"]),
        (
            {"entry": {"frameworks": ["caffe"]}},
            ["caffe", "Accepted: jax, keras, keras-jax, keras-tensorflow, keras-torch, tensorflow, torch"],
        ),
        ({"entry": {"spec": "no.yml"}, "spec_folders": ["/nowhere"]}, ["no.yml", "looked for: /nowhere/no.yml"]),
        ({"entry": {"spec": None}}, ["environments_list (x).spec: an empty value"]),
        ({"entry": {"tragets": []}}, ["environments_list (x).tragets", "the keys name, spec"]),
        ({"entry": {"variables": {"A-B": "1"}}}, ["A-B", "letters, digits and underscore"]),
        ({"entry": {"checks": "true"}}, ["environments_list (x).checks: true", "a list of commands for /bin/sh"]),
        ({"entry": {"checks": ["true", " "]}}, ["environments_list (x).checks", "not empty"]),
        ({"entry": {"checks": [True]}}, ["environments_list (x).checks: True", "put it in quotes"]),
        ({"root": "condafleet"}, ["environments_root: condafleet", "an absolute path"]),
        (
            {"root": "/opt/miniconda3/fleet"},
            ["environments_root", "a folder outside /opt/miniconda3", "/opt/condafleet"],
        ),
        ({"root": "/" + "r" * 90}, ["environments_root", "within 127 bytes", "shorten it"]),
        ({"prefix": "/opt/my conda"}, ["environments_prefix: /opt/my conda", "without spaces"]),
        ({"may_fail": 2}, ["environments_may_fail: 2", "from 0 to 1"]),
        ({"target": "cuda99"}, ["environments_target: cuda99", "environments_targets"]),
        ({"modulefiles": "maybe"}, ["environments_modulefiles: maybe", "true, false"]),
        ({"modulepath": "mods"}, ["environments_modulepath: mods", "an absolute path"]),
        ({"timeout": "soon"}, ["environments_timeout: soon", "whole seconds"]),
        ({"indexes": "https://i.example.com/simple"}, ["environments_indexes: https://i", "a list of URLs"]),
        ({"indexes": ["ftp://i.example.com"]}, ["environments_indexes: ftp://i.example.com", "http(s)://HOST"]),
        ({"indexes": ["https:///simple"]}, ["environments_indexes: https:///simple", "PEP 503"]),
        (
            {"indexes": ["https://me:secret@i.example.com/simple"]},
            [
                "environments_indexes: https://i.example.com/simple with a login",
                "environments_auth as {i.example.com: ",
            ],
        ),
        (
            {"entry": {"indexes": ["https://i.example.com/simple?token=secret"]}},
            ["environments_list (x).indexes: https://i.example.com/simple with a query", "environments_auth"],
        ),
        ({"python": 3.1}, ["environments_python: 3.1", "in quotes"]),
        ({"python": ">=2.7"}, ["environments_python: >=2.7", '">=3.10,<3.14"']),
        ({"entry": {"python": "latest"}}, ["environments_list (x).python: latest"]),
        ({"entry": {"target_specs": ["x"]}}, ["environments_list (x).target_specs", "a mapping {TARGET: spec}"]),
        (
            {"entry": {"target_specs": {"gpu": {"conda": ["python"]}}}},
            ["environments_list (x).target_specs: gpu", "targets of this environment: cpu"],
        ),
        (
            {"entry": {"target_specs": {"cpu": "no.txt"}}, "spec_folders": ["/nowhere"]},
            ["environments_list (x).target_specs.cpu: no.txt", "a requirements.txt", "/nowhere/no.txt"],
        ),
        ({"targets": {"cpu": {"platform": "win-64"}}}, ["environments_targets.cpu.platform: win-64", "linux-64"]),
        ({"targets": {"cpu": {"platform": "linux-64", "cuda": "new"}}}, ["environments_targets.cpu.cuda: new"]),
    ],
)
def test_bad_input(changed: dict[str, Any], parts: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        check_environments(values(**changed))
    text = str(caught.value)
    assert [part for part in [*parts, "Next:"] if part not in text] == []
    assert "secret" not in text


def test_a_name_that_stands_twice() -> None:
    given = values()
    with pytest.raises(InputError, match="two environments named x is not accepted"):
        check_environments({**given, "list": given["list"] * 2})


def test_a_depot_raises_the_glibc_of_its_platform_alone() -> None:
    targets = {
        **TARGETS,
        "arm": {"platform": "linux-aarch64", "glibc": "2.28"},
        "new": {"platform": "linux-64", "glibc": "2.40"},
    }
    checked = check_environments(values(targets=targets), {"platform": "linux-64", "glibc": "2.36"})
    assert {name: target["glibc"] for name, target in checked["targets"].items()} == {
        "cpu": "2.36",
        "arm": "2.28",
        "new": "2.40",
    }


def test_where_wheels_come_from_and_a_spec_for_each_target(tmp_path: Path) -> None:
    (tmp_path / "r.txt").write_text("")
    own = {"target_specs": {"cpu": "r.txt"}, "indexes": [], "python": "3.12"}
    given = values(entry=own, spec_folders=[str(tmp_path)], indexes=["https://i.example.com/simple/", "file:///srv/i"])
    del given["list"][0]["spec"]  # each target has its own
    checked = check_environments(given)
    (entry,) = checked["environments"]
    assert "spec" not in entry
    assert (entry["target_specs"], entry["indexes"], entry["python"]) == ({"cpu": str(tmp_path / "r.txt")}, [], "3.12")
    assert checked["indexes"] == ["https://i.example.com/simple", "file:///srv/i"]
    assert checked["python"] == ">=3.10,<3.14"
