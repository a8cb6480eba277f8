"""Users make environments, virtual environments and kernels of their own, and change nothing that is not theirs."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import scenario
from testinfra.host import Host

PREFIX = "/opt/miniconda3"
ROOT = "/opt/condafleet"
USERS = ("alice", "bob")
KERNEL = ".local/share/jupyter/kernels/small"


def ok(done: Any) -> str:
    assert done.returncode == 0, done.stdout + done.stderr
    return str(done.stdout).strip()


def generation(host: Host) -> str:
    return host.check_output(f"readlink -f {PREFIX}/envs/small")


def test_both_make_an_environment_at_the_same_time(at_once: Any, as_user: Any) -> None:
    for user, done in at_once(f"{PREFIX}/bin/conda create --yes --quiet --name mine python").items():
        ok(done)
        home = f"/home/{user}/.conda"
        assert (
            ok(as_user(user, f"{home}/envs/mine/bin/python -c 'import sys; print(sys.prefix)'")) == f"{home}/envs/mine"
        )
        # A cache of one's own: conda locks none, and two users in one would harm each other.
        assert "python-3.11" in ok(as_user(user, f"ls {home}/pkgs"))
        listed = json.loads(ok(as_user(user, f"{PREFIX}/bin/conda env list --json")))["envs"]
        assert sorted(Path(path).name for path in listed if "/envs/" in path) == ["mine", "small"]
        assert ok(as_user(user, f"{PREFIX}/bin/conda run -n small python -c 'print(6 * 7)'")) == "42"


def test_both_build_on_the_shared_environment(host: Host, at_once: Any, as_user: Any) -> None:
    python = f"{PREFIX}/envs/small/bin/python"
    kernel = json.dumps({"argv": [python, "-m", "ipykernel_launcher", "-f", "{connection_file}"], "language": "python"})
    command = f"{python} -m venv venvs/v && mkdir -p {KERNEL} && echo '{kernel}' > {KERNEL}/kernel.json"
    for user, done in at_once(command).items():
        ok(done)
        said = ok(as_user(user, "venvs/v/bin/python -c 'import sys; print(sys.prefix, sys.base_prefix)'"))
        assert said == f"/home/{user}/venvs/v {generation(host)}"
        assert "pip" in ok(as_user(user, "venvs/v/bin/python -m pip --version"))
        # It stays with the generation, wherever the environment's link leads later.
        assert f"home = {generation(host)}/bin\n" in host.file(f"/home/{user}/venvs/v/pyvenv.cfg").content_string
        assert ok(as_user(user, "readlink venvs/v/bin/python")) == f"{generation(host)}/bin/python"


@pytest.mark.parametrize("user", USERS)
def test_nothing_of_root_s_or_of_the_other_s_can_be_changed(user: str, as_user: Any) -> None:
    other = USERS[1 - USERS.index(user)]
    places = f"{PREFIX}/ {PREFIX}.d/ {ROOT}/ /etc/conda /home/{other}"
    found = as_user(user, f"find {places} -writable ! -type l 2>/dev/null").stdout.split()
    assert found == []
    for command in (
        f"{PREFIX}/bin/conda install --yes --offline --prefix {PREFIX} pip",
        f"{PREFIX}/bin/conda create --yes --offline --prefix {PREFIX}/envs/theirs",
        f"rm -f {PREFIX}/envs/small",
        f"{PREFIX}/envs/small/bin/python -m pip install --no-index --no-deps --target {ROOT} pip",
    ):
        assert as_user(user, command).returncode != 0, command
    # conda says that it went well, and could not.
    as_user(user, f"{PREFIX}/bin/conda env remove --yes --name small")
    assert ok(as_user(user, f"{PREFIX}/envs/small/bin/python -c 'print(1)'")) == "1"


def test_whose_it_is(host: Host, node: str) -> None:
    group, mode, strangers = ("ml", 0o750, False) if node == "mu-group" else ("root", 0o755, True)
    own = host.check_output(f"readlink -f {PREFIX}")
    for place in (own, f"{PREFIX}.d/envs"):
        assert (host.file(place).user, host.file(place).group, host.file(place).mode) == ("root", group, mode)
    assert host.check_output(f"find {own}/ ! -user root -o ! -group {group} | head") == ""
    assert (host.run(f"cd / && HOME=/ runuser -u nobody -- {PREFIX}/bin/conda --version").rc == 0) == strangers
    if node == "mu-group":
        # The umask: what lies inside is closed to strangers too.
        assert host.check_output(f"find {own}/ -type d -perm /o=rwx | head") == ""


def test_the_settings_are_where_they_were_declared(host: Host, node: str, as_user: Any) -> None:
    place, other = f"{PREFIX}/.condarc", "/etc/conda/.condarc"
    if node == "mu-group":
        place, other = other, place
    assert host.file(place).mode == 0o644
    assert not host.file(other).exists
    sources = json.loads(ok(as_user("alice", f"{PREFIX}/bin/conda config --show-sources --json")))
    read = {str(Path(path)): settings for path, settings in sources.items() if "condarc" in path}
    (settings,) = read.values()
    assert settings["auto_activate_base"] is False
    assert settings["channels"][0].endswith("/channel")
    assert settings.get("show_channel_urls", False) == (node == "mu-group")


def test_a_second_run_leaves_users_files_alone(host: Host, node: str, tmp_path: Path) -> None:
    look = "find /home/alice /home/bob -path '*/.ssh' -prune -o -printf '%p %i %m %U:%G %T@ %C@\\n' | sort"
    before = host.check_output(look)
    assert "/home/alice/venvs/v/pyvenv.cfg" in before
    done = scenario.play("condafleet.core.site", "--limit", node)
    assert done.returncode == 0, scenario.words(done)
    assert re.findall(rf"^{node}\s*: ok=\d+\s+changed=(\d+)\s", done.stdout, re.MULTILINE) == ["0"], done.stdout
    assert host.check_output(look) == before


def test_a_status_names_what_users_built(host: Host, node: str, tmp_path: Path) -> None:
    found = scenario.status(tmp_path)[node]["dependants"]
    assert (found["complete"], found["why"]) == (True, None)
    on = generation(host)
    assert [(one["kind"], one["path"], one["user"], one["stands_on"], one["there"]) for one in found["found"]] == [
        (kind, f"/home/{user}/{path}", user, on, True)
        for user in USERS
        for kind, path in (("kernel", KERNEL), ("venv", "venvs/v"))
    ]
