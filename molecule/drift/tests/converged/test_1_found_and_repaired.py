"""What people did to environments: found and named, then repaired by one run, down to the last file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

FILES = Path(__file__).parents[2] / "files"
ENVS = "/opt/miniconda3/envs"
HERE = {"dr-a": ("bypip", "byconda", "edited", "lost", "moved"), "dr-b": ("bypip", "moved")}
SITE = "lib/python3.11/site-packages"

On = Callable[[str, str], str]


@pytest.fixture(scope="module")
def whole(condafleet: Any) -> Any:
    """How the fleet stands before anybody did anything, every file looked at."""
    return condafleet("status", "--full")


def send(name: str) -> str:
    """The line that writes one of this scenario's programs to a node."""
    return f"cat > /var/tmp/{name} <<'PROGRAM'\n{(FILES / name).read_text(encoding='utf-8')}PROGRAM\n"


@pytest.fixture(scope="module")
def damaged(whole: Any, on: On) -> dict[str, str]:
    """The generations that were current, by environment, on the node where all is damaged."""
    names = on("dr-a", f"for name in {' '.join(HERE['dr-a'])}; do basename $(readlink {ENVS}/$name); done").split()
    before = dict(zip(HERE["dr-a"], names, strict=True))
    on(
        "dr-a",
        f"""
{send("wheel.py")}
{ENVS}/bypip/bin/python /var/tmp/wheel.py /var/tmp
{ENVS}/bypip/bin/python -m pip install --quiet --root-user-action=ignore --no-index --no-deps /var/tmp/six-1.16.0-*.whl
""",
    )
    on("dr-a", "/opt/miniconda3/bin/conda remove --yes --quiet --offline --name byconda tqdm")
    # In place, so that the cache gets it too: the files are hard links.
    on(
        "dr-a",
        f"""
cd $(readlink -f {ENVS}/edited)
for file in {SITE}/six.py {SITE}/six-*.dist-info/METADATA {SITE}/tqdm/std.py; do
  test "$(stat --format=%h "$file")" -gt 1
  echo '# edited' >> "$file"
done
rm lib/python3.11/textwrap.py
chmod 777 bin
echo no bytecode > lib/python3.11/unknown.pyc
mkdir -p lib/python3.11/__pycache__
echo no bytecode > lib/python3.11/__pycache__/normal.cpython-311.pyc
""",
    )
    # An archive in the cache too: what was unpacked of it must not be made anew from this.
    on(
        "dr-a",
        """
archive=$(ls /opt/condafleet/pkgs/tqdm-*.conda)
printf damage | dd of="$archive" bs=1 seek=1000 conv=notrunc status=none
""",
    )
    on("dr-a", f"rm {ENVS}/lost/.condafleet.json")
    on(
        "dr-a",
        f"""
former=$(ls -d /opt/condafleet/generations/moved-* | grep -v "$(readlink {ENVS}/moved)")
ln -sfn "$former" {ENVS}/moved
""",
    )
    on("dr-b", f"mkdir /srv/elsewhere; echo mine > /srv/elsewhere/file; ln -sfn /srv/elsewhere {ENVS}/moved")
    return before


def test_what_nobody_touched_is_ok_down_to_its_files(whole: Any) -> None:
    assert whole.code == 0, whole.text
    found = {(node, name): whole.environment(node, name) for node, names in HERE.items() for name in names}
    assert {(entry["state"], entry["files"]) for entry in found.values()} == {("ok", "ok")}
    # The same packages give the same fingerprint on both nodes.
    assert [(group["hosts"], group["state"]) for group in whole.fleet["groups"]["bypip"]] == [(["dr-a", "dr-b"], "ok")]
    assert whole.fleet["differences"] == []


@pytest.fixture(scope="module")
def quick(damaged: dict[str, str], condafleet: Any) -> Any:
    return condafleet("status")


def test_quickly_each_is_named_with_its_state_and_what_differs(quick: Any, damaged: dict[str, str]) -> None:
    assert quick.code == 3
    found = {name: quick.environment("dr-a", name) for name in HERE["dr-a"]}
    assert {name: entry["state"] for name, entry in found.items()} == {
        "bypip": "drifted", "byconda": "drifted", "edited": "drifted", "lost": "unfinished", "moved": "replaced",
    }  # fmt: skip
    assert found["bypip"]["why"].endswith("has drifted from its receipt: six 1.16.0 instead of 1.17.0 (pip)")
    assert found["byconda"]["why"].endswith("has drifted from its receipt: tqdm 4.70.1 py311_0 removed (conda)")
    assert found["edited"]["why"].endswith("has drifted from its receipt: six 1.17.0 with an edited METADATA (pip)")
    assert found["lost"]["why"] == f"its generation {damaged['lost']} is unfinished: it has no receipt"
    assert (
        f"{damaged['moved']} is finished and not current: its link was moved by hand to moved-" in found["moved"]["why"]
    )
    assert {entry["files"] for entry in found.values()} == {None}
    planned = quick.report["hosts"]["dr-a"]["plan"]["environments"]
    assert {name: entry["action"] for name, entry in planned.items()} == {
        "bypip": "repair", "byconda": "repair", "edited": "repair", "lost": "repair", "moved": "switch",
    }  # fmt: skip


def test_the_nodes_that_differ_are_named_and_the_others_not(quick: Any) -> None:
    assert quick.environment("dr-b", "bypip")["state"] == "ok"
    assert quick.environment("dr-b", "moved")["state"] == "replaced"
    said = quick.fleet["differences"]
    assert "bypip: 1 of 2 differs (drifted): dr-a: six 1.16.0 instead of 1.17.0 (pip)" in said
    assert any(
        line.startswith("moved: 1 of 2 differs (replaced): dr-b: ") and "/srv/elsewhere" in line for line in said
    )
    lines = [" ".join(line.split()) for line in quick.text.splitlines()]
    assert "bypip linux-64-cpu 1 of 2 drifted dr-a six 1.16.0 instead of 1.17.0 (pip)" in lines
    assert "bypip linux-64-cpu 1 of 2 ok dr-b" in lines


def test_every_edit_of_a_file_is_named_where_files_are_compared(damaged: dict[str, str], condafleet: Any) -> None:
    full = condafleet("status", "--full")
    assert full.code == 3
    edited = full.environment("dr-a", "edited")
    assert (edited["state"], edited["files"]) == ("drifted", "damaged")
    assert {key: edited["drift"]["files"][key] for key in ("changed", "missing", "added", "more")} == {
        "changed": ["bin/", f"{SITE}/six-1.17.0.dist-info/METADATA", f"{SITE}/six.py", f"{SITE}/tqdm/std.py"],
        "missing": ["lib/python3.11/textwrap.py"],
        "added": ["lib/python3.11/unknown.pyc"],
        "more": 0,
    }
    assert "4 files changed (bin/, " in edited["why"]
    assert full.environment("dr-b", "bypip")["files"] == "ok"


@pytest.fixture(scope="module")
def repaired(quick: Any, condafleet: Any) -> Any:
    return condafleet("provision", "-e", "environments_verify=full")


def test_one_run_repairs_all(repaired: Any, damaged: dict[str, str], on: On, condafleet: Any) -> None:
    assert repaired.code == 0, repaired.text
    for name in ("bypip", "byconda", "edited", "lost"):
        now = on("dr-a", f"basename $(readlink {ENVS}/{name})")
        assert now == damaged[name][:-1] + "2"
    assert on("dr-a", f"basename $(readlink {ENVS}/moved)") == damaged["moved"]
    assert on("dr-b", f"basename $(readlink {ENVS}/moved); cat /srv/elsewhere/file").split() == [
        damaged["moved"],
        "mine",
    ]
    after = condafleet("status", "--full")
    assert after.code == 0, after.text
    found = [after.environment(node, name) for node, names in HERE.items() for name in names]
    assert {(entry["state"], entry["files"]) for entry in found} == {("ok", "ok")}


@pytest.mark.parametrize(("node", "name"), [(node, name) for node, names in HERE.items() for name in names])
def test_every_file_is_what_its_package_says(repaired: Any, on: On, node: str, name: str) -> None:
    """By the lists in conda's archives and by the wheels' own, read by a program that knows nothing of condafleet."""
    prefix = on(node, f"readlink -f {ENVS}/{name}")
    command = f"/opt/miniconda3/bin/python /var/tmp/independent.py {prefix} /opt/condafleet/pkgs"
    said = on(node, f"{send('independent.py')}\n{command}").splitlines()
    assert len(said) == 1, said
    assert int(said[0].split()[1]) > 1500


def test_afterwards_there_is_nothing_to_do(repaired: Any, condafleet: Any) -> None:
    again = condafleet("provision", "-e", "environments_verify=full")
    assert again.code == 0, again.text
    assert again.fleet["changed"] == 0
