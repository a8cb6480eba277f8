"""How a generation differs from its receipt: the lines of packages, their fingerprint, and what is said of them."""

from __future__ import annotations

import hashlib
import json
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.condafleet.core.plugins.module_utils import drift
from ansible_collections.condafleet.core.plugins.module_utils.fingerprint import (
    fingerprint,
    fingerprint_of,
    package_lines,
    text_of,
)

A, B = "a" * 64, "b" * 64
names = st.from_regex(r"[a-z][a-z0-9_-]{0,8}[a-z0-9]", fullmatch=True)
versions = st.from_regex(r"[0-9]{1,2}\.[0-9]{1,2}", fullmatch=True)
digests = st.sampled_from([A, B])
conda_packages = st.tuples(st.just("conda"), names, versions, st.sampled_from(["py311_0", "h1_1"]), digests)
# As files are called: a distribution's name holds no dash there.
distributions = st.tuples(st.just("pip"), names.map(lambda name: name.replace("-", "_")), versions, digests, digests)


def line(package: tuple[str, ...]) -> str:
    if package[0] == "conda":
        return "conda {1}-{2}-{3} {4}".format(*package)
    return "python {1}-{2}.dist-info {3} {4}".format(*package)


def installed(prefix: Path, packages: list[tuple[str, ...]]) -> Path:
    """A prefix with these packages' metadata, made in this order."""
    site = prefix / "lib/python3.11/site-packages"
    site.mkdir(parents=True)
    (prefix / "conda-meta").mkdir()
    for package in packages:
        if package[0] == "conda":
            record = {"files": ["x"] * 500, "name": package[1], "sha256": package[4], "url": "https://example.com"}
            text = json.dumps(record, indent=2, sort_keys=True)
            (prefix / "conda-meta" / "{1}-{2}-{3}.json".format(*package)).write_text(text)
        else:
            place = site / "{1}-{2}.dist-info".format(*package)
            place.mkdir()
            (place / "RECORD").write_text(package[3])
            (place / "METADATA").write_text(package[4])
    return prefix


def by_file(packages: list[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Without those that would be the same file."""
    return list({line(one).split(" ")[1] + one[0]: one for one in packages}.values())


@given(st.lists(conda_packages | distributions, max_size=12), st.randoms(use_true_random=False))
def test_the_fingerprint_does_not_depend_on_an_order(packages: list[tuple[str, ...]], chance: random.Random) -> None:
    lines = [line(one) for one in packages]
    mixed = list(lines)
    chance.shuffle(mixed)
    assert fingerprint_of(mixed) == fingerprint_of(lines)


@given(st.sets(conda_packages | distributions, max_size=8), st.sets(conda_packages | distributions, max_size=8))
def test_the_fingerprint_changes_if_and_only_if_a_line_does(one: set[tuple], other: set[tuple]) -> None:
    same = {line(package) for package in one} == {line(package) for package in other}
    assert (fingerprint_of(map(line, one)) == fingerprint_of(map(line, other))) == same


@given(data=st.data(), packages=st.lists(conda_packages | distributions, max_size=6), chance=st.randoms())
def test_what_is_on_disk_is_read_the_same_in_any_order(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, packages: list, chance: random.Random
) -> None:
    packages = by_file(packages)
    other = list(packages)
    chance.shuffle(other)
    base = tmp_path_factory.mktemp("prefixes")
    first, second = installed(base / "one", packages), installed(base / "two-of-another-length", other)
    assert fingerprint(str(first)) == fingerprint(str(second))
    lines = package_lines(str(first))
    assert len(lines) == len(packages)
    conda = sorted(line(one) for one in packages if one[0] == "conda")
    assert [text for text in lines if text.startswith("conda")] == conda
    if packages:
        gone = data.draw(st.sampled_from(packages))
        rest = installed(base / "rest", [one for one in packages if one != gone])
        assert fingerprint(str(rest)) != fingerprint(str(first))


@given(st.lists(conda_packages | distributions, max_size=10), st.lists(conda_packages | distributions, max_size=10))
def test_a_comparison_is_empty_only_for_the_same_lines_and_goes_both_ways(before: list, after: list) -> None:
    old, new = {line(one) for one in before}, {line(one) for one in after}
    there, back = drift.compare(old, new), drift.compare(new, old)
    assert drift.is_different(there) == (old != new)
    assert [there["added"], there["removed"]] == [back["removed"], back["added"]]
    assert len(there["changed"]) == len(back["changed"])
    assert len(drift.package_texts(there)) == sum(len(found) for found in there.values())


@given(st.lists(conda_packages, max_size=10, unique_by=lambda one: one[1]), st.data())
def test_each_edit_is_named_and_nothing_else(packages: list, data: st.DataObject) -> None:
    """With one package of a name, what is found is exactly what was done."""
    chosen = st.sets(st.sampled_from([one[1] for one in packages])) if packages else st.just(set())
    removed, bumped = data.draw(chosen), data.draw(chosen)
    after = [
        (one[0], one[1], one[2] + ".1", *one[3:]) if one[1] in bumped else one
        for one in packages
        if one[1] not in removed
    ]
    found = drift.compare(map(line, packages), map(line, after))
    assert {item["name"] for item in found["removed"]} == removed
    assert {item["name"] for item in found["changed"]} == bumped - removed
    assert found["added"] == []
    assert {item["what"] for item in found["changed"]} <= {"version"}


@pytest.mark.parametrize(
    ("before", "after", "text"),
    [
        ("python numpy-2.2.0.dist-info a a", "python numpy-2.1.0.dist-info b b", "numpy 2.1.0 instead of 2.2.0 (pip)"),
        ("python six-1.17.dist-info a a", "python six-1.17.dist-info b a", "six 1.17 with an edited RECORD (pip)"),
        ("python six-1.17.dist-info a a", "python six-1.17.dist-info a b", "six 1.17 with an edited METADATA (pip)"),
        ("python six-1.17.dist-info a a", "python six-1.17.dist-info b b",
         "six 1.17 with an edited RECORD and METADATA (pip)"),
        ("conda tqdm-4.70-h_0 a", "conda tqdm-4.69-h_0 a", "tqdm 4.69 h_0 instead of 4.70 h_0 (conda)"),
        ("conda tqdm-4.70-h_0 a", "conda tqdm-4.70-h_0 b", "tqdm 4.70 h_0 from another archive (conda)"),
        ("conda a-b-1-h_0 a", None, "a-b 1 h_0 removed (conda)"),
        (None, "python Ruamel.Yaml-0.18-py3.11.egg-info - a", "ruamel-yaml 0.18 added (pip)"),
        # conda changed it, and with it its dist-info: told once
        ("conda tqdm-1-0 a\npython tqdm-1.dist-info a a", "conda tqdm-2-0 a\npython tqdm-2.dist-info b b",
         "tqdm 2 0 instead of 1 0 (conda)"),
        ("conda typing_extensions-1-0 a\npython typing_extensions-1.dist-info a a", None,
         "typing_extensions 1 0 removed (conda)"),
    ],
)  # fmt: skip
def test_how_a_difference_is_said(before: str | None, after: str | None, text: str) -> None:
    found = drift.compare((before or "").splitlines(), (after or "").splitlines())
    assert drift.describe({"packages": found, "files": None}) == text


def test_long_lists_are_cut_and_counted() -> None:
    packages = drift.compare([], [f"python p{number}-1.dist-info a a" for number in range(9)])
    files = {
        "counts": {"changed": 7, "missing": 1, "added": 0},
        "changed": list("abcdefg"),
        "missing": ["x"],
        "added": [],
    }
    said = drift.describe({"packages": packages, "files": files, "notes": ["its list was edited"]})
    assert said.startswith("its list was edited, p0 1 added (pip), ")
    assert said.endswith("p4 1 added (pip), 4 packages more, 7 files changed (a, b, c, d, e, …), 1 file missing (x)")
    assert drift.describe(None) == ""


def test_a_script_of_another_prefix_makes_no_other_fingerprint(tmp_path: Path) -> None:
    """A script's first line holds its prefix: hash and size differ between generations of one lock."""
    found = {}
    for where, digest in (("one", "xxx,10"), ("another", "yyy,14"), ("edited", "xxx,10\nsix.py,sha256=zzz,1")):
        prefix = installed(tmp_path / where, [("pip", "six", "1.0", "", B)])
        record = prefix / "lib/python3.11/site-packages/six-1.0.dist-info/RECORD"
        record.write_text(
            f"six.py,sha256=abc,3\n../../../bin/six,sha256={digest}\nsix-1.0.dist-info/uv_cache.json,{where},3\n"
        )
        found[where] = fingerprint(str(prefix))
    assert found["one"] == found["another"] != found["edited"]


def test_the_lines_as_a_file_have_the_fingerprint_as_their_sha256(tmp_path: Path) -> None:
    prefix = installed(tmp_path / "p", [("conda", "six", "1.0", "0", A), ("pip", "tqdm", "1.0", A, B)])
    assert hashlib.sha256(text_of(package_lines(str(prefix)))).hexdigest() == fingerprint(str(prefix))


@pytest.mark.parametrize("files", [0, 500])
def test_where_there_is_no_sha256_the_md5_tells_one_archive_from_another(tmp_path: Path, files: int) -> None:
    """So conda leaves it that is given URLs with md5; the more files, the further it stands from the end."""
    folder = tmp_path / "conda-meta"
    folder.mkdir()
    paths = {"paths": [{"_path": f"lib/{number}", "sha256": A} for number in range(files)], "paths_version": 1}
    record = {"files": ["x"] * files, "md5": "c" * 32, "name": "six", "paths_data": paths, "url": "https://example.com"}
    (folder / "six-1.0-0.json").write_text(json.dumps(record, indent=2, sort_keys=True))
    assert package_lines(str(tmp_path)) == [f"conda six-1.0-0 {'c' * 32}"]


def test_what_is_no_package_does_not_stop_anyone(tmp_path: Path) -> None:
    prefix = installed(tmp_path / "p", [])
    (prefix / "conda-meta/folder-1-0.json").mkdir()
    (prefix / "conda-meta/lost-1-0.json").symlink_to("nowhere")
    (prefix / "conda-meta/history").write_text("")
    site = prefix / "lib/python3.11/site-packages"
    (site / "empty-1.dist-info").mkdir()
    (site / "old-1-py3.11.egg-info").write_text("Name: old")
    (site / "two words\n-1.dist-info").mkdir()
    lines = package_lines(str(prefix))
    assert [text.split(" ")[1] for text in lines] == [
        "folder-1-0", "lost-1-0", "empty-1.dist-info", "old-1-py3.11.egg-info", "two?words?-1.dist-info",
    ]  # fmt: skip
    assert drift.compare(lines, lines) == {"added": [], "removed": [], "changed": []}
