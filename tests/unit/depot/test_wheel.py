"""A wheel becomes a conda package: same files as pip would install, same needs, nothing outside the prefix."""

from __future__ import annotations

import csv
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet

from condafleet.depot import wheel
from condafleet.depot.condapkg import PLACEHOLDER
from condafleet.depot.interpreter import Interpreter
from condafleet.errors import DepotError

from .conftest import WheelMaker, record_digest


def test_layout_of_a_pure_wheel(make_wheel: WheelMaker, tmp_path: Path, python: Interpreter) -> None:
    made = make_wheel(
        "tiny",
        members={"tiny/__init__.py": "ANSWER = 42\n", "tiny-1.0.dist-info/licenses/LICENSE": "be nice\n"},
        metadata="License-Expression: MIT\nSummary: A tiny thing\nProject-URL: Source, https://example.org/tiny",
    )
    package = wheel.convert(made, tmp_path / "stage", interpreter=python)
    site = tmp_path / "stage" / python.site_packages
    assert (site / "tiny/__init__.py").read_text() == "ANSWER = 42\n"
    assert (site / "tiny-1.0.dist-info/INSTALLER").read_text() == "conda\n"
    assert list((site / "tiny/__pycache__").glob("__init__.*.pyc")), "modules are shipped compiled"
    assert (package.name, package.version, package.build) == ("tiny", "1.0", f"{python.tag}_0")
    assert package.depends == [f"python >={python.short},<{python.next_minor}"]
    assert (package.license, package.summary, package.home) == ("MIT", "A tiny thing", "https://example.org/tiny")
    assert package.licenses == {"LICENSE": b"be nice\n"}
    assert package.prefix_files == set()


def test_data_folders_go_where_pip_puts_them(make_wheel: WheelMaker, tmp_path: Path, python: Interpreter) -> None:
    made = make_wheel(
        "tiny",
        members={
            "tiny-1.0.data/purelib/pure.py": "",
            "tiny-1.0.data/platlib/plat.py": "",
            "tiny-1.0.data/data/share/tiny/notes.txt": "notes",
            "tiny-1.0.data/headers/tiny.h": "/* */",
            "tiny-1.0.data/scripts/tool": "#!python -s\nprint(1)\n",
            "tiny-1.0.data/scripts/shell-tool": "#!/bin/sh\n",
        },
    )
    package = wheel.convert(made, tmp_path / "stage", interpreter=python)
    stage = tmp_path / "stage"
    assert (stage / python.site_packages / "pure.py").is_file()
    assert (stage / python.site_packages / "plat.py").is_file()
    assert (stage / "share/tiny/notes.txt").read_text() == "notes"
    assert (stage / f"include/python{python.short}/tiny/tiny.h").is_file()
    assert (stage / "bin/tool").read_text() == f"#!{PLACEHOLDER}/bin/python{python.short}\nprint(1)\n"
    assert (stage / "bin/shell-tool").read_text() == "#!/bin/sh\n"
    assert (stage / "bin/tool").stat().st_mode & 0o111
    assert package.prefix_files == {"bin/tool"}


def test_an_unknown_data_folder_is_an_error(make_wheel: WheelMaker, tmp_path: Path, python: Interpreter) -> None:
    made = make_wheel("tiny", members={"tiny-1.0.data/attic/x": ""})
    with pytest.raises(
        DepotError, match=r"'tiny-1\.0\.data/attic/x' belongs to no known part of a wheel; known: purelib"
    ):
        wheel.convert(made, tmp_path / "stage", interpreter=python)


@pytest.mark.parametrize("member", ["../evil.py", "/etc/evil", "a/../../evil", "tiny-1.0.data/data/../../../evil"])
def test_nothing_is_written_outside(make_wheel: WheelMaker, tmp_path: Path, python: Interpreter, member: str) -> None:
    made = make_wheel("tiny", members={member: "x"})
    with pytest.raises(DepotError, match="not a path inside"):
        wheel.convert(made, tmp_path / "deep/er/stage", interpreter=python)
    assert not list(tmp_path.rglob("evil*"))


def test_entry_points_become_scripts_that_run(make_wheel: WheelMaker, tmp_path: Path, python: Interpreter) -> None:
    made = make_wheel(
        "tiny",
        members={
            "tiny.py": "class App:\n    @staticmethod\n    def main():\n        print('hello')\n        return 3\n"
        },
        entry_points="[console_scripts]\nTiny-Run = tiny:App.main [extra]\n[other]\nx = y\n",
    )
    package = wheel.convert(made, tmp_path / "stage", interpreter=python)
    script = tmp_path / "stage/bin/Tiny-Run"
    assert package.prefix_files == {"bin/Tiny-Run"}
    assert script.read_text().startswith(f"#!{PLACEHOLDER}/bin/python{python.short}\n")
    done = subprocess.run(
        [sys.executable, str(script)],
        env={"PYTHONPATH": str(tmp_path / "stage" / python.site_packages)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (3, "hello\n")


def test_record_lists_what_lies_in_the_prefix(make_wheel: WheelMaker, tmp_path: Path, python: Interpreter) -> None:
    made = make_wheel("tiny", entry_points="[console_scripts]\ntiny = tiny:x\n")
    wheel.convert(made, tmp_path / "stage", interpreter=python)
    site = tmp_path / "stage" / python.site_packages
    with (site / "tiny-1.0.dist-info/RECORD").open() as stream:
        rows = {row[0]: row[1:] for row in csv.reader(stream)}
    assert rows["tiny.py"] == [record_digest(b"ANSWER = 42\n"), "12"]
    assert rows["../../../bin/tiny"] == ["", ""], "linking changes it"
    assert all((site / name).exists() for name in rows)


def test_local_version_moves_into_the_build(make_wheel: WheelMaker, tmp_path: Path, python: Interpreter) -> None:
    made = make_wheel("torchlet", "2.13.0+cpu.cxx11", tag="py3-none-manylinux_2_28_x86_64")
    package = wheel.convert(made, tmp_path / "stage", interpreter=python)
    assert (package.version, package.build) == ("2.13.0", f"cpu_cxx11_{python.tag}_0")


def test_needs_are_decided_for_this_interpreter(make_wheel: WheelMaker, tmp_path: Path, python: Interpreter) -> None:
    made = make_wheel(
        "tiny",
        metadata="\n".join(
            (
                "Requires-Dist: Ruamel_Yaml (<0.19,>=0.17)",
                'Requires-Dist: colorama; platform_system == "Windows"',
                'Requires-Dist: pysocks; extra == "socks"',
                "Requires-Dist: numpy[all]~=2.1",
                'Requires-Dist: wheel; python_version >= "3"',
            )
        ),
    )
    package = wheel.convert(
        made,
        tmp_path / "stage",
        interpreter=python,
        renamed={"ruamel-yaml": "ruamel.yaml"},
        extra_depends=["setuptools"],
    )
    assert package.depends[1:] == ["numpy 2.*,>=2.1", "ruamel.yaml <0.19,>=0.17", "wheel", "setuptools"]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("", ""),
        ("==1.2", "==1.2"),
        ("==1.2+cpu", "==1.2"),
        ("==1.*", "1.*"),
        ("===1.2", "==1.2"),
        ("~=1.4.2", "1.4.*,>=1.4.2"),
        (">=1,<2,!=1.5", "!=1.5,<2,>=1"),
        ("!=1.5.*", "!=1.5.*"),
    ],
)
def test_specifiers_in_conda_language(given: str, expected: str) -> None:
    assert wheel.match_version(SpecifierSet(given)) == expected


@pytest.mark.parametrize(
    ("tag", "expected"),
    [
        ("py3-none-any", []),
        ("cp311-cp311-manylinux_2_27_x86_64.manylinux_2_28_x86_64", ["__glibc >=2.27"]),
        ("cp311-cp311-manylinux2014_x86_64.manylinux_2_17_x86_64", ["__glibc >=2.17"]),
        ("cp311-cp311-linux_x86_64", ["__glibc >=2.36"]),
    ],
)
def test_glibc_from_the_wheels_own_tags(
    make_wheel: WheelMaker, tmp_path: Path, python: Interpreter, tag: str, expected: list[str]
) -> None:
    package = wheel.convert(make_wheel("tiny", tag=tag), tmp_path / "stage", interpreter=python)
    assert package.depends[1:] == expected


def test_files_that_name_the_prefix_are_not_compiled(tmp_path: Path, python: Interpreter) -> None:
    lib = tmp_path / f"lib/python{python.short}"
    lib.mkdir(parents=True)
    (lib / "config_data.py").write_text(f"PREFIX = {PLACEHOLDER!r}\n")
    (lib / "other.py").write_text("X = 1\n")
    wheel.byte_compile(tmp_path, python, leave=[f"lib/python{python.short}/config_data.py"])
    assert [path.name.split(".")[0] for path in lib.glob("__pycache__/*.pyc")] == ["other"]


def test_a_file_without_metadata_is_no_wheel(tmp_path: Path, make_wheel: WheelMaker, python: Interpreter) -> None:
    made = make_wheel("tiny", members={"second-1.0.dist-info/METADATA": "Name: second\n"})
    with pytest.raises(
        DepotError, match=r"tiny-1\.0-py3-none-any\.whl is not a sound wheel: it holds 2 dist-info folders"
    ):
        wheel.convert(made, tmp_path / "stage", interpreter=replace(python))


def test_a_license_text_is_no_license_name() -> None:
    raw = (
        b"Metadata-Version: 2.1\nName: x\nVersion: 1\nLicense: "
        + b"word " * 50
        + (b"\nClassifier: License :: OSI Approved :: BSD License\n")
    )
    assert wheel.parse_metadata(raw).license == "BSD License"
