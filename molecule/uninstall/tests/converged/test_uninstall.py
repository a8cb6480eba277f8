"""A provisioned node with users on it; then it is uninstalled, and looks as before. The tests stand in their order."""

from __future__ import annotations

import json
import re
import subprocess
from typing import Any

import scenario
from testinfra.host import Host

PREFIX = "/opt/miniconda3"

# All that may differ from before, and why.
LEFT = {
    # users' own data, and conda's notes of them
    r"/home/alice/\.conda(/.*)?",
    r"/home/alice/\.cache(/.*)?",
    # an environment that root made for users inside the installation, and the way to it under the path it was made with
    r"/opt/miniconda3",
    r"/opt/miniconda3\.d(/envs(/shared(/.*)?)?|/embedded-24\.7\.1-0-1(/envs)?)?",
    r"/root/\.conda(/environments\.txt)?",
}


def alice(node: str, command: str) -> subprocess.CompletedProcess[str]:
    return scenario.fleet().ssh(node, command, user="alice")


def changed_since(host: Host) -> list[str]:
    """The paths that are not as they were before condafleet came."""
    before = json.loads(host.file("/var/tmp/before.json").content_string)
    after = json.loads(host.check_output("python3 /var/tmp/snapshot.py"))
    return sorted(path for path in {*before, *after} if before.get(path) != after.get(path))


def uninstall(host: Host, *options: str) -> subprocess.CompletedProcess[str]:
    return scenario.play("condafleet.core.uninstall", f"--limit={host.backend.get_hostname()}", *options)


def recap(done: subprocess.CompletedProcess[str]) -> tuple[str, str]:
    found = re.search(r"changed=(\d+) .*failed=(\d+)", done.stdout)
    assert found, done.stdout + done.stderr
    return found[1], found[2]


def test_users_make_their_own(host: Host) -> None:
    node = host.backend.get_hostname()
    made = alice(
        node, "bash -lc 'conda create --yes --quiet --offline --name hers && conda activate plain && python -c pass'"
    )
    assert made.returncode == 0, made.stderr
    host.check_output(f"{PREFIX}/bin/conda create --yes --quiet --offline --name shared")
    host.check_output(f"touch {PREFIX}/envs/shared/data")
    assert len(changed_since(host)) > 1000


def test_while_a_job_runs_nothing_is_removed(host: Host) -> None:
    node = host.backend.get_hostname()
    sleeper = f"{PREFIX}/envs/plain/bin/python -c 'import time; time.sleep(300)'"
    job = alice(node, f"setsid {sleeper} < /dev/null > /dev/null 2>&1 & echo $!")
    host.run("sleep 1")
    before = changed_since(host)
    refused = uninstall(host)
    assert refused.returncode != 0
    assert "can't be removed while processes use it" in scenario.words(refused)
    assert changed_since(host) == before
    host.check_output(f"kill {job.stdout.strip()}")


def test_a_rehearsal_removes_nothing(host: Host) -> None:
    before = changed_since(host)
    done = uninstall(host, "--check", "--diff")
    assert int(recap(done)[0]) >= 3, done.stdout
    assert "-environment plain" in done.stdout
    assert changed_since(host) == before


def test_the_node_is_as_it_was_but_for_what_is_users(host: Host) -> None:
    done = uninstall(host)
    assert done.returncode == 0, done.stdout + done.stderr
    allowed = re.compile("|".join(LEFT))
    assert [path for path in changed_since(host) if not allowed.fullmatch(path)] == []
    # What is users' works on.
    assert host.file(f"{PREFIX}/envs/shared/data").exists
    assert host.file(f"{PREFIX}.d/embedded-24.7.1-0-1/envs/shared/conda-meta/history").exists
    assert host.file("/home/alice/.conda/envs/hers/conda-meta/history").exists


def test_a_second_time_there_is_nothing_to_do(host: Host) -> None:
    assert recap(uninstall(host)) == ("0", "0")


def test_purge_takes_what_was_inside_the_installation(host: Host) -> None:
    done = uninstall(host, '--extra-vars={"miniconda_purge": true}')
    assert done.returncode == 0, done.stdout + done.stderr
    left: list[str] = changed_since(host)
    assert [path for path in left if not path.startswith(("/home/alice/", "/root/.conda"))] == []


def test_the_controller_keeps_the_locks(host: Host) -> None:
    locks: Any = scenario.ROOT / "build" / "molecule" / "locks-uninstall" / "plain"
    assert sorted(path.name for path in locks.iterdir()) == ["linux-64-cpu.conda-lock.yml", "linux-64-cpu.pylock.toml"]
