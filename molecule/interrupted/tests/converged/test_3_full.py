"""A disk that is too small is named in numbers, before anything is fetched or in the middle; then one run converges."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable

import pytest
import scenario

NODE = "in-full"
PLACE = "/srv/full"
SMALL, ENOUGH = "40m", "420m"
# Something else takes all that is left, once a build has begun to unpack.
BALLAST = (
    f"for i in $(seq 2400); do ls {PLACE}/root/pkgs/python-*/info >/dev/null 2>&1 && break; sleep 0.02; done; "
    f"head -c 1G /dev/zero > {PLACE}/ballast"
)
Root = Callable[..., str]
Inside = Callable[..., None]
Play = Callable[[], subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module", autouse=True)
def place(inside: Inside) -> None:
    """A small file system of its own, which only the machine's root can mount; it goes with the node."""
    scenario.fleet().ssh(NODE, f"mkdir -p {PLACE}")
    inside(NODE, "mount", "-t", "tmpfs", "-o", f"size={SMALL},mode=755", "tmpfs", PLACE)


@pytest.fixture(scope="module")
def play(tmp_path_factory: pytest.TempPathFactory) -> Play:
    """Run the site with a ROOT on it."""
    path = tmp_path_factory.mktemp("full") / "variables.json"
    declared = {
        "environments_root": f"{PLACE}/root",
        "environments_locks_dir": str(path.parent / "locks"),
        "environments_list": [
            {"name": "full", "spec": {"conda": ["python", "pip"], "pip": ["six"]}, "targets": ["linux-64-cpu"]}
        ],
    }
    path.write_text(json.dumps(declared), encoding="utf-8")
    return lambda: scenario.play("condafleet.core.site", f"--limit={NODE}", f"--extra-vars=@{path}")


def test_what_can_be_foreseen_is_said_before_anything_is_fetched(play: Play, root: Root) -> None:
    done = play()
    words = scenario.words(done)
    assert done.returncode == 2, words
    assert re.search(rf"environments_root: .*{PLACE}/root.*\d+ MB", words), words
    assert re.search(r"[Nn]othing was (fetched|changed|switched)", words)
    assert "Traceback" not in words
    assert root(NODE, f"find {PLACE} -name '*.conda*' -o -name '*.whl*' -o -name '*.part'") == ""


def test_what_comes_in_between_is_named_too(play: Play, root: Root, inside: Inside) -> None:
    inside(NODE, "mount", "-o", f"remount,size={ENOUGH}", PLACE)
    root(NODE, f"setsid sh -c '{BALLAST}' </dev/null >/dev/null 2>&1 &")
    done = play()
    words = scenario.words(done)
    assert done.returncode == 2, words
    assert f"the file system of {PLACE}/root was full (No space left on device) at the step: build full-" in words, (
        words[-2500:]
    )
    assert re.search(r"It has 440 MB, and \d+ MB are free now\. About \d+ MB are needed\.", words), words
    assert "Nothing was switched." in words
    assert "Traceback" not in words
    assert root(NODE, f"ls {PLACE}/root/generations; ls /opt/miniconda3/envs") == "plain"


def test_with_room_again_one_run_converges(play: Play, root: Root) -> None:
    root(NODE, f"rm -f {PLACE}/ballast")
    done = play()
    assert done.returncode == 0, scenario.words(done)
    assert root(NODE, "/opt/miniconda3/envs/full/bin/python -c 'import six; print(six.__name__)'") == "six"
    assert re.search(rf"{NODE} .*changed=0 .*failed=0", play().stdout)
