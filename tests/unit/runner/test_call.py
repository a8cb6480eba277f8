"""What is started: compared exactly, without starting it."""

from __future__ import annotations

import json
import os
import stat
import sys
from pathlib import Path

import pytest

from condafleet import environment, runner
from condafleet.collection import collection_root
from condafleet.errors import InputError, RunError
from condafleet.inventory import inventory_source
from condafleet.runner import Call, Secrets

HOSTS = inventory_source(["a", "b"], folder=Path("/site"))
SECRET = "open sesame"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "private"
    path.mkdir(mode=0o700)
    return path


@pytest.fixture
def path_inventory(tmp_path: Path) -> Path:
    path = tmp_path / "hosts.yml"
    path.write_text("all: {hosts: {a: {}}}\n")
    return path


def test_the_shortest_command_line(path_inventory: Path) -> None:
    call = Call(playbook="condafleet.core.site", inventory=inventory_source(path_inventory))
    assert call.argv(Path("/p")) == ["ansible-playbook", "-i", str(path_inventory), "condafleet.core.site"]
    assert set(call.files()) == {"env/settings"}


def test_the_longest_command_line() -> None:
    call = Call(
        playbook="condafleet.core.site",
        inventory=HOSTS,
        limit="gpu:!gpu7",
        extra_vars={"token": SECRET},
        extra_vars_files=(Path("/site/vars.yml"),),
        check=True,
        diff=True,
        forks=20,
        verbosity=2,
        secrets=Secrets(vault=SECRET, become=SECRET, connection=SECRET),
    )
    assert call.argv(Path("/p")) == [
        "ansible-playbook",
        *("-i", "/p/inventory/hosts.json"),
        *("--limit", "gpu:!gpu7"),
        *("-e", "@/site/vars.yml"),
        *("-e", "@/p/vars.json"),
        *("--vault-password-file", "/p/secrets/vault"),
        *("--become-password-file", "/p/secrets/become"),
        *("--connection-password-file", "/p/secrets/connection"),
        "--check",
        "--diff",
        *("--forks", "20"),
        "-vv",
        "condafleet.core.site",
    ]
    files = call.files()
    assert json.loads(files["vars.json"]) == {"token": SECRET}
    assert files["secrets/become"] == SECRET + "\n"
    assert json.loads(files["env/settings"]) == {"pexpect_timeout": 1, "suppress_output_file": True}


def test_a_secret_is_shown_nowhere() -> None:
    call = Call(playbook="x", inventory=HOSTS, secrets=Secrets(vault=SECRET, become=SECRET, connection=SECRET))
    assert SECRET not in repr(call)
    assert SECRET not in " ".join(call.argv(Path("/p")))


def test_private_files_are_only_the_callers(folder: Path) -> None:
    runner.write_private(folder, {"secrets/vault": SECRET, "vars.json": "{}"})
    assert stat.S_IMODE((folder / "secrets/vault").stat().st_mode) == 0o600
    assert stat.S_IMODE((folder / "vars.json").stat().st_mode) == 0o600
    assert stat.S_IMODE((folder / "secrets").stat().st_mode) == 0o700


def test_what_ansible_runner_is_told(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("ANSIBLE_HOST_KEY_CHECKING", "ANSIBLE_CONFIG", "ANSIBLE_COLLECTIONS_PATH", "ANSIBLE_CACHE_PLUGIN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    call = Call(playbook="condafleet.core.site", inventory=HOSTS)
    runner.write_private(folder, call.files())
    config = runner.configure(call, folder)
    assert config.command == call.argv(folder)
    assert config.cwd == str(tmp_path)  # so that ./ansible.cfg is the caller's
    assert config.env["PATH"].split(os.pathsep)[0] == str(Path(sys.executable).parent)
    assert config.env["ANSIBLE_COLLECTIONS_PATH"].split(os.pathsep)[0] == str(collection_root())
    assert "ANSIBLE_HOST_KEY_CHECKING" not in config.env
    assert "ANSIBLE_CACHE_PLUGIN" not in config.env
    assert config.pexpect_timeout == 1
    assert not config.extra_vars
    assert config.suppress_ansible_output


def test_host_key_checking_stays_as_the_caller_set_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANSIBLE_HOST_KEY_CHECKING", "False")
    assert runner.configure(Call("x", HOSTS), folder).env["ANSIBLE_HOST_KEY_CHECKING"] == "False"


def test_the_users_collections_come_after_ours(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "ansible.cfg").write_text("[defaults]\ncollections_path = ./mine:/opt/theirs ; both\n")
    outer = {"HOME": "/nowhere", "PATH": "/bin"}
    found = environment.environment(Path("/ours"), outer, tmp_path)
    assert found["ANSIBLE_COLLECTIONS_PATH"] == f"/ours:{tmp_path}/mine:/opt/theirs"
    assert environment.user_collections({**outer, "ANSIBLE_COLLECTIONS_PATH": "/x:/y"}, tmp_path) == "/x:/y"
    assert environment.user_collections(outer, Path("/usr")) == environment.ANSIBLE_COLLECTIONS


def test_locks_beside_an_inventory_are_no_inventories(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    outer = {"HOME": "/nowhere", "PATH": "/bin"}
    assert environment.ignored(outer, Path("/usr")) == "^locks$,^environments$"
    (tmp_path / "ansible.cfg").write_text("[inventory]\nignore_patterns = ^old\n")
    found = environment.environment(Path("/ours"), outer, tmp_path)
    assert found["ANSIBLE_INVENTORY_IGNORE_REGEX"] == "^old,^locks$,^environments$"
    assert environment.ignored({**outer, "ANSIBLE_INVENTORY_IGNORE_REGEX": "x"}, tmp_path) == "x,^locks$,^environments$"


def test_which_ansible_cfg_counts(tmp_path: Path) -> None:
    home, work, other = (tmp_path / name for name in ("home", "work", "other"))
    for path in (home, work, other):
        path.mkdir(mode=0o755)
    (home / ".ansible.cfg").write_text("")
    outer = {"HOME": str(home)}
    assert environment.ansible_config(outer, work) == home / ".ansible.cfg"
    (work / "ansible.cfg").write_text("")
    assert environment.ansible_config(outer, work) == work / "ansible.cfg"
    work.chmod(0o777)  # as Ansible: not from a folder that everybody can write to
    assert environment.ansible_config(outer, work) == home / ".ansible.cfg"
    (other / "ansible.cfg").write_text("")
    assert environment.ansible_config({**outer, "ANSIBLE_CONFIG": str(other)}, work) == other / "ansible.cfg"


@pytest.mark.parametrize("layout", ["site-packages", "clone"])
def test_the_content_is_the_one_that_came_along(tmp_path: Path, layout: str) -> None:
    package = tmp_path / ("condafleet" if layout == "site-packages" else "python/condafleet")
    root = tmp_path if layout == "site-packages" else tmp_path / "collections"
    package.mkdir(parents=True)
    with pytest.raises(RunError, match=r"Ansible content was not found in .* Next: pip install"):
        collection_root(package)
    (root / "ansible_collections/condafleet/core/playbooks").mkdir(parents=True)
    assert collection_root(package) == root


def test_a_relative_path_becomes_absolute(path_inventory: Path) -> None:
    source = inventory_source("hosts.yml", folder=path_inventory.parent)
    assert source.argument == str(path_inventory)


def test_hosts_become_a_file_with_a_place_for_locks() -> None:
    assert HOSTS.argument is None
    assert json.loads(HOSTS.text or "") == {
        "all": {"hosts": {"a": {}, "b": {}}, "vars": {"environments_locks_dir": "/site/locks"}}
    }


def test_a_mapping_keeps_what_it_says() -> None:
    given = {"all": {"vars": {"environments_locks_dir": "/mine"}}, "gpu": {"hosts": {"a": None}}}
    assert json.loads(inventory_source(given).text or "") == given


@pytest.mark.parametrize(
    ("inventory", "said"),
    [
        ("no/such", "inventory: no/such is not accepted (there is no such file or folder). Accepted: a path"),
        ("", "an empty value is not accepted"),
        ([], "an empty list is not accepted"),
        (["a,b"], "'a,b' is not accepted"),
        ({}, "an empty mapping is not accepted"),
        ({"gpu": ["a"]}, "group gpu: ['a'] is not accepted"),
        ({"all": {"vars": {"x": object()}}}, "it cannot be written as JSON"),
    ],
)
def test_an_inventory_that_is_none(inventory: object, said: str) -> None:
    with pytest.raises(InputError) as caught:
        inventory_source(inventory)  # type: ignore[arg-type]
    assert said in caught.value.message
    assert "Next: " in caught.value.message


def test_a_fleet_gets_forks_and_pipelining_unless_the_user_says_otherwise(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    outer = {"HOME": "/nowhere", "PATH": "/bin"}
    found = environment.environment(Path("/ours"), outer, Path("/usr"))
    assert (found["ANSIBLE_FORKS"], found["ANSIBLE_PIPELINING"], found["ANSIBLE_SSH_RETRIES"]) == ("50", "True", "3")
    (tmp_path / "ansible.cfg").write_text("[defaults]\nforks = 7\n[ssh_connection]\npipelining = False\n")
    found = environment.environment(Path("/ours"), {**outer, "ANSIBLE_SSH_RETRIES": "0"}, tmp_path)
    assert not {"ANSIBLE_FORKS", "ANSIBLE_PIPELINING", "ANSIBLE_SSH_RETRIES"} & set(found)
