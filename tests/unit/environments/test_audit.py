"""What an audit reads of a prefix, how it judges it, and what a fleet's audit says once."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from ansible_collections.condafleet.core.plugins.module_utils.audit_report import build_audit, findings, judge
from ansible_collections.condafleet.core.plugins.module_utils.installed_packages import (
    channel_of,
    described_packages,
    host_of,
    installed_packages,
    licence_of_metadata,
)
from ansible_collections.condafleet.core.plugins.modules import environments_audit
from condafleet.cli import audit_tables

FORGE = "https://conda.anaconda.org/conda-forge"
MAIN = "https://repo.anaconda.com/pkgs/main"
Capture = pytest.CaptureFixture[str]


def link(prefix: Path, name: str, version: str, files: list[str] | None = None, **record: Any) -> None:
    """A conda record as conda writes one."""
    (prefix / "conda-meta").mkdir(parents=True, exist_ok=True)
    whole = {"name": name, "version": version, "build": "py_0", "files": files or [], **record}
    (prefix / "conda-meta" / f"{name}-{version}-py_0.json").write_text(json.dumps(whole, indent=2, sort_keys=True))


def wheel(prefix: Path, name: str, version: str, metadata: str) -> str:
    info = prefix / "lib/python3.11/site-packages" / f"{name}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{metadata}")
    return str(info.relative_to(prefix) / "METADATA")


@pytest.fixture
def node(tmp_path: Path) -> Path:
    prefix, root = tmp_path / "mini", tmp_path / "root"
    generation = root / "generations/x-0123456789ab-1"
    link(generation, "python", "3.11.7", url=f"{FORGE}/linux-64/python-3.11.7-py_0.conda", license="PSF-2.0")
    link(generation, "tqdm", "4.70", url=f"{MAIN}/noarch/tqdm-4.70-py_0.conda", license="MIT",
         files=[wheel(generation, "tqdm", "4.70", "License: MIT\n")])  # fmt: skip
    wheel(generation, "Six_Pack", "1.0", "Classifier: License :: OSI Approved :: MIT License\n\nLicense: not this\n")
    wheel(generation, "nameless", "2", "License: UNKNOWN\n")
    receipt = {
        "target": "linux-64-cpu",
        "packages": [
            {"manager": "pip", "name": "six-pack", "version": "1.0", "source": "https://files.example.com"},
            {"manager": "pip", "name": "nameless", "version": "2"},
        ],
    }
    (generation / ".condafleet.json").write_text(json.dumps(receipt))
    link(prefix, "conda", "24.7.1", channel="defaults")
    (prefix / "envs").mkdir()
    (prefix / "envs/x").symlink_to(generation)
    (prefix / "envs/hers/conda-meta").mkdir(parents=True)
    (prefix / "envs/gone").symlink_to(root / "generations/gone-0123456789ab-1")
    return tmp_path


def run(node: Path, capsys: Capture, **options: Any) -> dict[str, Any]:
    arguments = {"prefix": str(node / "mini"), "root": str(node / "root"), **options}
    with patch_module_args(arguments), pytest.raises(SystemExit):
        environments_audit.main()
    return dict(json.loads(capsys.readouterr().out))


def test_every_package_with_channel_and_licence(node: Path, capsys: Capture) -> None:
    found = run(node, capsys)
    assert found["changed"] is False
    assert sorted(found["environments"]) == ["base", "x"]
    one = found["environments"]["x"]
    assert (one["generation"], one["target"]) == ("x-0123456789ab-1", "linux-64-cpu")
    assert one["packages"] == [
        ["conda", "python", "3.11.7", "py_0", FORGE, "PSF-2.0"],
        ["conda", "tqdm", "4.70", "py_0", MAIN, "MIT"],
        ["pip", "nameless", "2", "", None, None],
        ["pip", "six-pack", "1.0", "", "https://files.example.com", "MIT License"],
    ]
    assert (one["defaults"], one["not_accepted"], one["without_license"]) == (["tqdm"], ["tqdm"], ["nameless"])
    assert found["environments"]["base"]["not_accepted"] == ["conda"]
    assert found["findings"] == [
        "base: from Anaconda's channels, whose terms were not accepted: conda",
        "base: without a statement of their licence: conda",
        "x: from Anaconda's channels, whose terms were not accepted: tqdm",
        "x: without a statement of their licence: nameless",
    ]


def test_terms_count_as_accepted_by_declaration_or_by_record(node: Path, capsys: Capture) -> None:
    assert run(node, capsys, tos="accept")["environments"]["x"]["not_accepted"] == []
    folder = node / "mini/conda-meta/tos/abc"
    folder.mkdir(parents=True)
    (folder / "1.json").write_text(json.dumps({"base_url": MAIN, "version": "1", "tos_accepted": True}))
    found = run(node, capsys)
    assert found["accepted"] == [MAIN]
    assert (found["environments"]["x"]["not_accepted"], found["environments"]["x"]["defaults"]) == ([], ["tqdm"])
    assert found["environments"]["base"]["not_accepted"] == ["conda"], "a name says nothing of where it led"


def test_only_the_named_ones_and_what_is_not_there_is_said(node: Path, capsys: Capture) -> None:
    found = run(node, capsys, environments=["x", "gone", "y"])
    assert (sorted(found["environments"]), found["absent"]) == (["x"], ["gone", "y"])
    assert run(node / "nothing", capsys)["environments"] == {}


@pytest.mark.parametrize(
    ("record", "channel"),
    [
        ({"url": f"{FORGE}/noarch/a-1-0.tar.bz2", "channel": "conda-forge"}, FORGE),
        ({"url": f"{FORGE}/linux-aarch64/a-1-0.conda"}, FORGE),
        ({"url": "https://me:secret@conda.example.com:8443/t/TOKEN/team/linux-64/a-1-0.conda"},
         "https://conda.example.com:8443/team"),
        ({"channel": "https://conda.example.com/team/linux-64"}, "https://conda.example.com/team"),
        ({"channel": "pkgs/main"}, "pkgs/main"),
        ({"url": "file:///depot/channel/linux-64/a-1-0.conda"}, "file:///depot/channel"),
        ({}, None),
    ],
)  # fmt: skip
def test_where_a_conda_package_came_from(record: dict[str, str], channel: str | None) -> None:
    assert channel_of(record) == channel


@pytest.mark.parametrize(
    ("metadata", "said"),
    [
        ("License-Expression: MIT OR Apache-2.0\nLicense: other\n", "MIT OR Apache-2.0"),
        (
            "License: Long text\n        of many lines\nClassifier: License :: OSI Approved :: BSD License\n",
            "BSD License",
        ),
        ("License: First line\n        second line\n", "First line"),
        ("Classifier: License :: OSI Approved :: A\nClassifier: License :: B\n", "A and B"),
        ("Classifier: License :: OSI Approved\nLicense: Z\n", "Z"),
        ("License: UNKNOWN\nClassifier: Topic :: X\n", None),
        ("\nLicense: in the description\n", None),
        ("License: " + "x" * 500 + "\n", "x" * 119 + "…"),
    ],
)
def test_what_a_wheel_says_of_its_licence(metadata: str, said: str | None) -> None:
    assert licence_of_metadata("Name: a\n" + metadata) == said


def test_no_secret_of_an_index_is_told() -> None:
    assert host_of("https://me:secret@files.example.com:8443/a/b.whl?token=x") == "https://files.example.com:8443"
    assert (host_of("file:///wheels/b.whl"), host_of("nothing"), host_of("https://[bad")) == ("file://", None, None)


def test_both_readers_see_the_same_packages(node: Path) -> None:
    path = str(node / "root/generations/x-0123456789ab-1")
    short = [{key: one[key] for key in ("manager", "name", "version", "build")} for one in described_packages(path)]
    assert short == installed_packages(path)
    assert [one["name"] for one in short] == ["python", "tqdm", "nameless", "six-pack"]


def handed(rows: list[list[Any]], tos: str = "decline", **more: Any) -> dict[str, Any]:
    fields = ["manager", "name", "version", "build", "channel", "license"]
    one = {"generation": "x-0123456789ab-1", "target": "t", "packages": rows}
    audit = {"environments": {"x": one}, "fields": fields, "absent": [], "accepted": [], "tos": tos, **more}
    return {"status": "ok", "message": None, "audit": audit}


def test_a_fleet_has_each_list_once() -> None:
    same, other = [["conda", "a", "1", "0", MAIN, "MIT"]], [["pip", "b", "1", "", None, None]]
    hosts = {f"n{number}": handed(same) for number in range(7)}
    hosts |= {"odd": handed(other, absent=["y"]), "said": handed(same, tos="accept")}
    hosts["lost"] = {"status": "unreachable", "message": "no route", "audit": None}
    audit = build_audit(hosts, "s", "e", "1")
    assert len(audit["lists"]) == 3
    assert audit["fleet"] == {
        "hosts": 10, "ok": 9, "failed": 0, "unreachable": 1, "lists": 3,
        "defaults": 1, "not_accepted": 1, "without_license": 1,
    }  # fmt: skip
    assert audit["hosts"]["n0"]["environments"]["x"]["list"] == audit["hosts"]["n6"]["environments"]["x"]["list"]
    shown = io.StringIO()
    console = Console(file=shown, width=200)
    for table in (audit_tables.audited, audit_tables.findings, audit_tables.absent, audit_tables.summary):
        console.print(table(audit))
    said = " ".join(shown.getvalue().split())
    assert "n0, n1, n2, n3 and 3 more" in said
    assert f"terms not accepted a 1 {MAIN} MIT x" in said
    assert "no licence b 1 unknown none stated x" in said
    assert "y odd" in said
    assert "10 hosts, 3 lists of packages: 1 from Anaconda's channels (1 without accepted terms), 1 without" in said


ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "name": st.text("abc", min_size=1, max_size=3),
            "channel": st.sampled_from([None, FORGE, MAIN, "defaults"]),
            "license": st.sampled_from([None, "MIT"]),
        }
    ),
    max_size=6,
)


@given(ROWS, st.sampled_from(["accept", "decline"]), st.sampled_from([[], [MAIN]]))
def test_what_is_not_accepted_is_always_from_defaults(
    packages: list[dict[str, Any]], tos: str, accepted: list[str]
) -> None:
    judged = judge(packages, tos, accepted)
    assert set(judged["not_accepted"]) <= set(judged["defaults"])
    assert tos == "decline" or not judged["not_accepted"]
    assert set(judged["defaults"]) == {one["name"] for one in packages if one["channel"] in (MAIN, "defaults")}
    assert bool(findings("x", judged)) == bool(judged["defaults"] or judged["without_license"])
