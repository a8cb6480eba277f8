"""Kinds of specs beside environment.yml: requirements.txt, explicit lists, other tools' pylock.toml. Pure parts."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.condafleet.core.plugins.module_utils import lockspec, spec_files
from ansible_collections.condafleet.core.plugins.module_utils.errors import SpecError
from ansible_collections.condafleet.core.plugins.module_utils.spec_explicit import normal_entries
from ansible_collections.condafleet.core.plugins.module_utils.spec_pylock import normal_pylock
from ansible_collections.condafleet.core.plugins.module_utils.spec_requirements import parse_requirements

A, B = "a" * 64, "b" * 64


def parse(files: dict[str, str] | str) -> dict[str, Any]:
    files = {"/s/r.txt": files} if isinstance(files, str) else files
    return parse_requirements("x", "/s/r.txt", files.__getitem__)


def test_a_file_with_all_that_pip_knows() -> None:
    found = parse(
        {
            "/s/r.txt": "\ufeff# about\r\n"
            "torch>=2  # the framework\r\n"
            "numpy==2.1 \\\n    --hash=sha256:" + A + " \\\n  --hash=sha256:" + B + "\n"
            "\n"
            "six  ;  python_version < '4'\n"
            "# a comment that ends in a backslash \\\n"
            "-r more/other.txt\n-claim.txt\n--constraint=more/limits.txt\n--require-hashes\n--only-binary :all:\n",
            "/s/more/other.txt": "keras[torch]~=3.0\n--requirement deeper.txt\n",
            "/s/more/deeper.txt": "Ruamel.YAML\n",
            "/s/laim.txt": "torch<3\n",
            "/s/more/limits.txt": "protobuf<6\n-r more.txt\n",
            "/s/more/more.txt": "h5py<4 --hash sha256:" + A + "\n",
        }
    )
    assert found == {
        "pip": ["Ruamel.YAML", "keras[torch]~=3.0", "numpy==2.1", "six ; python_version < '4'", "torch>=2"],
        "constraints": ["h5py<4", "protobuf<6", "torch<3"],
        "hashes": {"h5py": [A], "numpy": [A, B]},
    }


@pytest.mark.parametrize(
    ("line", "part"),
    [
        (
            "--index-url https://u:secret@h.invalid/simple",
            "is an index option.*environments_indexes.*environments_auth",
        ),
        ("-i https://h.invalid", "is an index option"),
        ("--extra-index-url=https://h.invalid", "is an index option"),
        ("-f ./wheels", "is an index option"),
        ("-e .", "is an editable project.*build a wheel"),
        ("--editable=git+https://h.invalid/x", "is an editable project"),
        ("--pre", "name the pre-release itself"),
        ("--no-binary :all:", "is an option"),
        ("-r https://h.invalid/r.txt", "'-r' is an option"),
        ("git+https://token@h.invalid/x.git", "is a URL, a repository or a path.*name that in indexes"),
        ("x @ https://u:secret@h.invalid/x.whl", "is a URL"),
        ("x@file:///x.whl", "is a URL"),
        ("./local", "is a URL, a repository or a path"),
        ("folder/local", "is a URL, a repository or a path"),
        ("x-1.0-py3-none-any.whl", "is a URL, a repository or a path"),
        ("x==1 --global-option=y", "' --global-option' is an option"),
        ("x==1 --hash=md5:" + "0" * 32, "x has no hash of an accepted kind"),
        ("x==1 --hash=sha256:short", "x has no hash of an accepted kind"),
    ],
)
def test_what_can_not_be_held_to_a_hash_is_refused_by_line(line: str, part: str) -> None:
    with pytest.raises(SpecError, match=f"environments_list: x: /s/r.txt, line 2: .*{part}") as caught:
        parse("six\n" + line + "\n")
    assert "Next: " in str(caught.value)
    assert "secret" not in str(caught.value)
    assert "token" not in str(caught.value)


def test_files_that_name_each_other_end() -> None:
    with pytest.raises(SpecError, match=r"/s/r\.txt names itself, by way of /s/r\.txt → /s/b\.txt → /s/r\.txt"):
        parse({"/s/r.txt": "-r b.txt\n", "/s/b.txt": "-r r.txt\n"})


NAMES = st.from_regex(r"[a-z][a-z0-9]{0,6}(-[a-z0-9]{1,4})?", fullmatch=True)
VERSIONS = st.sampled_from(["", "==1.0", ">=2,<3", "~=1.4", "!=2.0.*"])
MARKERS = st.sampled_from(["", "; python_version < '3.12'", "; sys_platform == 'linux'"])
DIGESTS = st.integers(0, 2**32).map("{:064x}".format)
HASHES = st.lists(DIGESTS, max_size=2, unique=True)
LINES = st.lists(st.tuples(NAMES, VERSIONS, MARKERS, HASHES), max_size=8, unique_by=lambda one: one[0])


def written(line: tuple[str, str, str, list[str]], draw: Any) -> str:
    """A requirement, spelled in one of the many ways that mean the same."""
    name, version, marker, hashes = line
    parts = [f"{name}{version}{marker}", *(f"--hash=sha256:{one}" for one in hashes)]
    gap = draw(st.sampled_from([" ", "  ", " \\\n    ", " \\\n"]))
    comment = draw(st.sampled_from(["", "  # why", " #", "\n# alone", "\n\n"]))
    return gap.join(parts) + comment + "\n"


@given(st.data())
def test_requirements_come_back_however_they_are_written(data: st.DataObject) -> None:
    lines = data.draw(LINES)
    limits = [(name, "<9", "", []) for name in data.draw(st.lists(NAMES, max_size=3, unique=True))]
    cut = data.draw(st.integers(0, len(lines)))
    order = data.draw(st.permutations(lines))
    files = {
        "/s/r.txt": "".join(written(one, data.draw) for one in order[:cut]) + "-r sub/more.txt\n-c limits.txt\n",
        "/s/sub/more.txt": "".join(written(one, data.draw) for one in order[cut:]),
        "/s/limits.txt": "".join(written(one, data.draw) for one in limits),
    }
    expected = {
        "pip": sorted(name + version + marker for name, version, marker, _ in lines),
        "constraints": sorted({f"{name}<9" for name, *_ in limits}),
        "hashes": {name: sorted(hashes) for name, _, _, hashes in sorted(lines) if hashes},
    }
    assert parse(files) == expected
    # And what was read is a spec in normal form already, whatever the order.
    spec = lockspec.normalise("x", {"conda": ["python"], **expected})
    assert lockspec.normalise("x", spec) == spec


TEXTS = st.lists(st.sampled_from(["python=3.11", "numpy  >=1", "zlib", "pip", "a"]), min_size=1, max_size=9)
PROJECTS = st.lists(st.sampled_from(["torch", "keras>=3", "six ; python_version<'4'", "x[y]==1"]), max_size=9)
PINNED = st.lists(st.tuples(NAMES, DIGESTS), max_size=3, unique_by=lambda one: one[0]).map(dict)


@given(TEXTS, PROJECTS, PROJECTS, PINNED, st.permutations(range(9)))
def test_the_normal_form_is_its_own_and_knows_no_order(
    conda: list[str], pip: list[str], constraints: list[str], pinned: dict[str, str], order: list[int]
) -> None:
    hashes = {name: [digest] for name, digest in pinned.items()}
    document = {"conda": conda, "pip": pip, "constraints": constraints, "hashes": hashes, "variables": {"B": 1, "A": 2}}
    spec = lockspec.normalise("x", document, channels=["b", "a"])
    assert lockspec.normalise("x", spec) == spec
    other = {key: list(value) if isinstance(value, list) else value for key, value in reversed(document.items())}
    for part in ("conda", "pip", "constraints"):
        other[part] = [other[part][index] for index in order if index < len(other[part])]
    assert lockspec.normalise("x", other, channels=["b", "a"]) == spec
    assert lockspec.inputs_of(lockspec.normalise("x", other)) == lockspec.inputs_of(spec)


CHANNEL = "https://conda.anaconda.org/conda-forge"


def test_an_explicit_list_is_read_as_conda_writes_it(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text(
        "# This file may be used to create an environment using:\n# platform: linux-64\n@EXPLICIT\n"
        f"{CHANNEL}/linux-64/zlib-1.3.1-h0_0.conda#{'0' * 32}\n"
        f"{CHANNEL}/noarch/pip-25.1-pyh_0.tar.bz2#sha256:{A}\n"
        f"{CHANNEL}/linux-64/python-3.11.9-h0_0.conda#{B}\n\n"
        f"file:///srv/channel/linux-64/a-b-1-h.conda\n"
    )
    document = spec_files.document_of("x", str(tmp_path / "x.txt"), "3.11", yaml.safe_load, tomllib.loads)
    spec = lockspec.normalise("x", document)
    assert spec["explicit"] == [
        "file:///srv/channel/linux-64/a-b-1-h.conda",
        f"{CHANNEL}/linux-64/python-3.11.9-h0_0.conda#sha256:{B}",
        f"{CHANNEL}/linux-64/zlib-1.3.1-h0_0.conda#md5:{'0' * 32}",
        f"{CHANNEL}/noarch/pip-25.1-pyh_0.tar.bz2#sha256:{A}",
    ]
    assert lockspec.normalise("x", spec) == spec
    assert not spec_files.takes_python(document)


@pytest.mark.parametrize(
    ("entry", "part"),
    [
        ("zlib=1.3", "'zlib=1.3' is not accepted. Accepted: URLs of conda packages"),
        (f"{CHANNEL}/linux-64/zlib-1.3.1-h0_0.conda#0123", "is not accepted"),
        (f"{CHANNEL}/linux-64/zlib.conda", "'zlib.conda' is no conda package"),
        ("https://u:secret@h.invalid/c/linux-64/a-1-0.conda", r"environments_auth as \{h.invalid: \{token"),
        ("https://h.invalid/t/tk-secret/c/linux-64/a-1-0.conda", "a login or a token in it"),
        ("https://h.invalid/simple/x-1-py3-none-any.whl", "is not accepted"),
    ],
)
def test_an_explicit_entry_that_is_none_is_refused(entry: str, part: str) -> None:
    with pytest.raises(SpecError, match=part) as caught:
        normal_entries("x", [entry])
    assert "secret" not in str(caught.value)


def test_a_mirror_by_first_letter_is_no_token_and_a_login_is_one_in_any_form() -> None:
    def pylock(url: str) -> dict[str, Any]:
        return {"lock-version": "1.0", "packages": [{"name": "torch", "wheels": [{"url": url, "hashes": {}}]}]}

    url = "https://h.invalid/packages/cp311/t/torch/torch-2.7.1-cp311-cp311-manylinux_2_28_x86_64.whl"
    assert normal_pylock("x", pylock(url))["packages"][0]["wheels"][0]["url"] == url
    for login in ("u:secret@", "u:sec@secret@", "u:se/secret@", "u:1/secret@"):
        with pytest.raises(SpecError, match=r"has a login in it.*environments_auth as \{h.invalid: ") as caught:
            normal_pylock("x", pylock(f"https://{login}h.invalid/t/x-1-py3-none-any.whl"))
        assert "secret" not in str(caught.value)


def test_a_package_in_two_versions_is_no_list() -> None:
    with pytest.raises(SpecError, match="has zlib twice"):
        normal_entries("x", [f"{CHANNEL}/linux-64/zlib-1-0.conda", f"{CHANNEL}/linux-64/zlib-2-0.conda"])


PYLOCK = f"""
lock-version = "1.0"
created-by = "another tool"
requires-python = ">=3.11"
environments = ["sys_platform == 'linux'"]
default-groups = ["main"]
[[packages]]
name = "Typing_Extensions"
version = "4.12"
marker = "python_version < '3.13'"
[[packages.wheels]]
url = "https://h.invalid/t.whl?sig=secret"
upload-time = 2024-01-01T00:00:00Z
size = 3
hashes.sha256 = "{A}"
[packages.tool.another]
x = 1
[[packages]]
name = "old"
version = "1"
sdist.url = "https://h.invalid/old.tar.gz"
sdist.hashes.sha256 = "{B}"
"""


def test_of_a_pylock_only_what_decides_counts() -> None:
    found = normal_pylock("x", tomllib.loads(PYLOCK))
    assert found == {
        "requires_python": ">=3.11",
        "environments": ["sys_platform == 'linux'"],
        "groups": ["main"],
        "packages": [
            {
                "name": "old",
                "version": "1",
                "marker": "",
                "requires_python": "",
                "source": "sdist",
                "wheels": [],
            },
            {
                "name": "typing-extensions",
                "version": "4.12",
                "marker": "python_version < '3.13'",
                "requires_python": "",
                "source": "wheels",
                "wheels": [{"name": "t.whl", "url": "https://h.invalid/t.whl", "sha256": A, "size": 3}],
            },
        ],
    }
    assert normal_pylock("x", found) == found
    other = PYLOCK.replace("another tool", "a third").replace("x = 1", "x = 2")
    assert normal_pylock("x", tomllib.loads(other)) == found
    inputs = [
        lockspec.inputs_of(lockspec.normalise("x", {"conda": ["python"], "pylock": tomllib.loads(text)}))
        for text in (
            PYLOCK,
            other,
            PYLOCK.replace("4.12", "4.13"),
            PYLOCK.replace(A, B),
            PYLOCK.replace("3.11", "3.12"),
        )
    ]
    assert inputs[0] == inputs[1]
    assert len({str(one) for one in inputs}) == 4
    assert "secret" not in str(inputs)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ('lock-version = "2.0"', "lock-version '2.0' is not known"),
        ('lock-version = "1.0"', "it names no package"),
        ('lock-version = "1.0"\npackages = [{version = "1"}]', "an entry of packages has no name"),
        (
            'lock-version = "1.0"\npackages = [{name = "x", wheels = [{url = "https://u:secret@h.invalid/x.whl"}]}]',
            "a login",
        ),
    ],
)
def test_a_pylock_that_is_none_is_refused(text: str, part: str) -> None:
    with pytest.raises(SpecError, match=f"environments_list: x: pylock.toml.*{part}") as caught:
        normal_pylock("x", tomllib.loads(text))
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("document", "part"),
    [
        (
            {"explicit": [f"{CHANNEL}/linux-64/a-1-0.conda"], "conda": ["python"]},
            "'explicit' and other packages beside",
        ),
        ({"pylock": tomllib.loads(PYLOCK), "conda": ["python"], "pip": ["six"]}, "'pylock' and other packages beside"),
        ({"conda": ["python"], "pip": ["six"], "hashes": {"six": ["short"]}}, "hashes has 'six'"),
    ],
)
def test_parts_that_exclude_each_other(document: Any, part: str) -> None:
    with pytest.raises(SpecError, match=part):
        lockspec.normalise("x", document)


@pytest.mark.parametrize(
    ("python", "spec"),
    [("3.11", "python 3.11.*"), ("3.11.7", "python 3.11.7"), (">=3.10,<3.14", "python >=3.10,<3.14")],
)
def test_the_declared_python_is_for_what_names_none(tmp_path: Path, python: str, spec: str) -> None:
    (tmp_path / "r.txt").write_text("six\n")
    document = spec_files.document_of("x", str(tmp_path / "r.txt"), python, yaml.safe_load, tomllib.loads)
    assert document["conda"] == ["pip", spec]
    assert spec_files.takes_python(document)


def test_a_pyproject_is_no_lock(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("")
    with pytest.raises(SpecError, match="lock that project with its own tool"):
        spec_files.document_of("x", str(tmp_path / "pyproject.toml"), "3.11", yaml.safe_load, tomllib.loads)
