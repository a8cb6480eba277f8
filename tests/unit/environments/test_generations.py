"""Names of generations, and what is read of a node's disk: made up in a temporary folder, with real links."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from ansible_collections.condafleet.core.plugins.module_utils import generation_drift
from ansible_collections.condafleet.core.plugins.module_utils import generations as gen
from ansible_collections.condafleet.core.plugins.module_utils.environment_request import Request
from ansible_collections.condafleet.core.plugins.module_utils.errors import FleetError
from ansible_collections.condafleet.core.plugins.module_utils.fingerprint import conda_packages, fingerprint

DIGEST = "0123456789ab" + "c" * 52


@pytest.fixture
def node(tmp_path: Path) -> Path:
    (tmp_path / "conda" / "envs").mkdir(parents=True)
    (tmp_path / "root" / "generations").mkdir(parents=True)
    return tmp_path


def make(node: Path, name: str, finished: bool = True, digest: str = DIGEST) -> Path:
    path = node / "root" / "generations" / name
    (path / "conda-meta").mkdir(parents=True)
    (path / "conda-meta" / "python-3.11.7-h1_0.json").write_text('{\n  "sha256": "%s"\n}' % ("a" * 64))
    (path / "bin").mkdir()
    (path / "bin" / "python").touch(0o755)
    if finished:
        receipt = {"digest": digest, "fingerprint": fingerprint(str(path)), "packages": []}
        (path / gen.RECEIPT).write_text(json.dumps(receipt))
    return path


def observe(node: Path, names: list[str] | None = None):
    return gen.observe_environments(str(node / "conda"), str(node / "root"), names)


def test_a_name_of_an_environment_may_look_like_a_generation() -> None:
    parsed = gen.parse_name("a-0123456789ab-1-0123456789ab-12")
    assert parsed == gen.GenerationName("a-0123456789ab-1", "0123456789ab", 12)
    assert str(parsed) == "a-0123456789ab-1-0123456789ab-12"


@pytest.mark.parametrize("name", ["x", "x-0123456789ab", "x-0123456789ab-0", "x-0123456789AB-1", "-0123456789ab-1"])
def test_other_names_are_no_generations(name: str) -> None:
    assert gen.parse_name(name) is None


def test_serials_count_for_one_lock_of_one_environment() -> None:
    names = ["x-0123456789ab-1", "x-0123456789ab-3", "x-ffffffffffff-9", "y-0123456789ab-7"]
    assert str(gen.next_name(names, "x", DIGEST)) == "x-0123456789ab-4"
    assert str(gen.next_name([], "x", DIGEST)) == "x-0123456789ab-1"


def test_a_node_with_nothing(tmp_path: Path) -> None:
    assert gen.observe_environments(str(tmp_path / "no"), str(tmp_path / "none")) == ({}, [])


def test_kinds_of_environments_are_told_apart(node: Path) -> None:
    current = make(node, "good-0123456789ab-1")
    envs = node / "conda" / "envs"
    (envs / "good").symlink_to(current)
    (envs / "gone").symlink_to(node / "root" / "generations" / "gone-0123456789ab-1")
    (envs / "foreign").symlink_to(node / "conda")
    (envs / "plain").mkdir()
    (envs / ".conda_envs_dir_test").write_text("")
    environments, generations = observe(node)
    assert {name: (state["kind"], state["generation"]) for name, state in environments.items()} == {
        "good": ("link", "good-0123456789ab-1"),
        "gone": ("broken", "gone-0123456789ab-1"),
        "foreign": ("link", None),
        "plain": ("directory", None),
    }
    assert [(entry["name"], entry["finished"], entry["drifted"]) for entry in generations] == [
        ("good-0123456789ab-1", True, False)
    ]


def test_only_the_named_environments_are_looked_at(node: Path) -> None:
    (node / "conda" / "envs" / "a").symlink_to(make(node, "a-0123456789ab-1"))
    (node / "conda" / "envs" / "b").symlink_to(make(node, "b-0123456789ab-1"))
    environments, generations = observe(node, ["b"])
    assert list(environments) == ["b"]
    assert [entry["name"] for entry in generations] == ["b-0123456789ab-1"]


def test_a_package_more_or_less_is_drift(node: Path) -> None:
    path = make(node, "x-0123456789ab-1")
    (node / "conda" / "envs" / "x").symlink_to(path)
    (path / "conda-meta" / "extra-1.0-0.json").write_text("{}")
    assert observe(node)[1][0]["drifted"] is True
    (path / "conda-meta" / "extra-1.0-0.json").unlink()
    assert observe(node)[1][0]["drifted"] is False


def test_a_wheel_with_other_content_is_drift(node: Path) -> None:
    path = make(node, "x-0123456789ab-1", finished=False)
    info = path / "lib" / "python3.11" / "site-packages" / "six-1.17.0.dist-info"
    info.mkdir(parents=True)
    (info / "RECORD").write_text("six.py,sha256=a,1\n")
    before = fingerprint(str(path))
    (info / "RECORD").write_text("six.py,sha256=b,1\n")
    assert fingerprint(str(path)) != before


def test_when_uv_fetched_a_wheel_is_no_drift(node: Path) -> None:
    path = make(node, "x-0123456789ab-1", finished=False)
    info = path / "lib" / "python3.11" / "site-packages" / "six-1.17.0.dist-info"
    info.mkdir(parents=True)
    found = set()
    for moment in ("a", "b"):
        (info / "RECORD").write_text(f"six.py,sha256=a,1\nsix-1.17.0.dist-info/uv_cache.json,sha256={moment},1\n")
        found.add(fingerprint(str(path)))
    assert len(found) == 1


def test_conda_packages_come_from_the_names_of_records(node: Path) -> None:
    path = make(node, "x-0123456789ab-1")
    (path / "conda-meta" / "ruamel.yaml-clib-0.2-py311_0.json").write_text("{}")
    assert conda_packages(str(path)) == {"python": "3.11.7 h1_0", "ruamel.yaml-clib": "0.2 py311_0"}


def test_unfinished_drifted_and_other_locks_are_not_usable(node: Path) -> None:
    make(node, "x-0123456789ab-1")
    drifted = make(node, "x-0123456789ab-2")
    (drifted / "conda-meta" / "extra-1-0.json").write_text("{}")
    make(node, "x-0123456789ab-3", finished=False)
    make(node, "x-0123456789ab-4", digest="0123456789ab" + "d" * 52)
    root = str(node / "root")
    records = [gen.observe_generation(root, name, with_fingerprint=True) for name in gen.list_names(root)]
    usable = gen.usable([record for record in records if record], "x", DIGEST)
    assert usable is not None
    assert usable["name"] == "x-0123456789ab-1"


def full(node: Path) -> dict[str, dict]:
    found = gen.observe_environments(str(node / "conda"), str(node / "root"), None, 60.0)[1]
    return {record["name"]: record for record in found}


def finish(path: Path) -> None:
    """Finish it as `tested` does."""
    packages = generation_drift.note(str(path), fingerprint(str(path)), 60.0)
    receipt = {"digest": DIGEST, "fingerprint": fingerprint(str(path)), "packages": [], **packages}
    (path / gen.RECEIPT).write_text(json.dumps(receipt))


def test_an_edited_file_is_drift_only_where_files_are_compared(node: Path) -> None:
    path = make(node, "x-0123456789ab-1", finished=False)
    (path / "lib.py").write_text("1")
    finish(path)
    (node / "conda" / "envs" / "x").symlink_to(path)
    assert full(node)[path.name]["drifted"] is False
    (path / "lib.py").write_text("2")
    assert observe(node)[1][0]["drifted"] is False
    record = full(node)[path.name]
    assert (record["drifted"], record["drift"]["verified"]) == (True, "full")
    assert record["drift"]["files"]["changed"] == ["lib.py"]
    assert generation_drift.in_words(record) == "1 file changed (lib.py)"
    assert gen.usable([record], "x", DIGEST) is None


def test_what_shares_files_with_a_damaged_one_is_looked_at_too(node: Path) -> None:
    one, two, other = (
        make(node, name, finished=False) for name in ("x-0123456789ab-1", "x-0123456789ab-2", "y-0123456789ab-1")
    )
    (one / "lib.py").write_text("1")
    (two / "lib.py").hardlink_to(one / "lib.py")
    for path in (one, two, other):
        finish(path)
    (node / "conda" / "envs" / "x").symlink_to(two)
    assert full(node)[one.name]["drift"] is None
    (two / "lib.py").write_text("2")
    records = full(node)
    assert {name: record["drifted"] for name, record in records.items()} == {
        one.name: True, two.name: True, other.name: None,
    }  # fmt: skip


def test_what_was_found_damaged_once_is_never_switched_back_to(node: Path) -> None:
    one, two = (make(node, name, finished=False) for name in ("x-0123456789ab-1", "x-0123456789ab-2"))
    (one / "lib.py").write_text("1")
    for path in (one, two):
        finish(path)
    link = node / "conda" / "envs" / "x"
    link.symlink_to(one)
    (one / "lib.py").write_text("2")
    damaged = [name for name, record in full(node).items() if record["drifted"]]
    request = Request("x", str(node / "conda"), str(node / "root"), digest=DIGEST, damaged=damaged)
    replace(request, check=True).note_damaged()
    assert observe(node)[1][0]["drifted"] is False, "a rehearsal notes nothing"
    request.note_damaged()
    link.unlink()
    link.symlink_to(two)
    # Later somebody touches what a quick look sees of the repaired one.
    (two / "conda-meta" / "extra-1-0.json").write_text("{}")
    records = observe(node)[1]
    assert [record["drifted"] for record in records] == [True, True]
    assert "found damaged at 2" in generation_drift.in_words(records[0])
    assert gen.usable(records, "x", DIGEST) is None
    assert replace(request, damaged=[]).usable() is None, "the steps see the same as the plan"


def test_what_would_replace_a_drifted_one_is_looked_at_in_a_quick_run_too(node: Path) -> None:
    one, two = make(node, "x-0123456789ab-1"), make(node, "x-0123456789ab-2")
    (node / "conda" / "envs" / "x").symlink_to(two)
    for path in (one, two):
        (path / "conda-meta" / "extra-1-0.json").write_text("{}")
    assert [record["drifted"] for record in observe(node)[1]] == [True, True]


@pytest.mark.parametrize("how", ["missing", "edited"])
def test_a_list_that_was_tampered_with_is_drift_itself(node: Path, how: str) -> None:
    path = make(node, "x-0123456789ab-1", finished=False)
    finish(path)
    (node / "conda" / "envs" / "x").symlink_to(path)
    place = path / ".condafleet-files.json"
    place.unlink() if how == "missing" else place.write_text(place.read_text() + " ")
    record = full(node)[path.name]
    assert (record["drifted"], record["drift"]["files"]) == (True, None)
    said = {"missing": "is missing", "edited": "was edited"}[how]
    assert generation_drift.in_words(record) == f".condafleet-files.json {said}"


def test_without_a_list_nothing_is_said_of_files(node: Path) -> None:
    (node / "conda" / "envs" / "x").symlink_to(make(node, "x-0123456789ab-1"))
    (record,) = full(node).values()
    assert (record["drifted"], record["drift"]["verified"], record["drift"]["files"]) == (False, "unknown", None)


def test_packages_are_named_by_the_list_that_the_fingerprint_vouches_for(node: Path) -> None:
    path = make(node, "x-0123456789ab-1", finished=False)
    finish(path)
    (node / "conda" / "envs" / "x").symlink_to(path)
    (path / "conda-meta" / "extra-1-0.json").write_text("{}")
    (record,) = observe(node)[1]
    assert generation_drift.in_words(record) == "extra 1 0 added (conda)"
    (path / ".condafleet-packages.txt").write_text("conda extra-1-0 -\n")
    (record,) = observe(node)[1]
    assert (record["drifted"], record["drift"]["packages"]) == (True, None)
    assert generation_drift.in_words(record) == "its receipt or .condafleet-packages.txt was edited"
    (path / ".condafleet-packages.txt").unlink()
    (record,) = observe(node)[1]
    assert (record["drifted"], record["drift"]["packages"], generation_drift.in_words(record)) == (True, None, "")


def test_what_changed_under_test_is_not_vouched_for(node: Path) -> None:
    path = make(node, "x-0123456789ab-1", finished=False)
    before = fingerprint(str(path))
    (path / "conda-meta" / "extra-1-0.json").write_text("{}")
    with pytest.raises(FleetError, match=r"were changed while it was tested\. Next: let its"):
        generation_drift.note(str(path), before, 60.0)


def test_a_generation_without_its_python_is_broken_and_not_used(node: Path) -> None:
    path = make(node, "x-0123456789ab-1")
    (node / "conda" / "envs" / "x").symlink_to(path)
    (path / "bin" / "python").unlink()
    (record,) = observe(node)[1]
    assert (record["drifted"], record["broken"]) == (False, "its bin/python is gone")
    assert gen.usable([record], "x", DIGEST) is None
