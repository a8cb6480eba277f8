"""All-reduce by torchrun for real, gloo over the loopback: several nodes' parts on this machine, each with a root of
its own. Judged by what judges a fleet."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.condafleet.core.plugins.module_utils import (
    collective_findings,
    collective_guard,
    collective_job,
    collective_node,
    collective_plan,
    marked_processes,
)
from ansible_collections.condafleet.core.plugins.module_utils.check_limits import asked
from ansible_collections.condafleet.core.plugins.module_utils.collective_job import Job
from ansible_collections.condafleet.core.plugins.module_utils.collective_plan import Node
from ansible_collections.condafleet.core.plugins.module_utils.errors import FleetError
from ansible_collections.condafleet.core.plugins.module_utils.validation_scripts import read_scripts

DEMO = Path(__file__).parents[3] / "build" / "demo" / "root" / "generations"
SECONDS = 45


def with_torch() -> Path:
    """An environment with PyTorch: of the pythons that CONDAFLEET_TEST_PYTHON names, or of `make demo`."""
    named = [Path(one).parents[1] for one in os.environ.get("CONDAFLEET_TEST_PYTHON", "").split(":") if one]
    for place in [*named, *sorted(DEMO.glob("pytorch-*"))]:
        if list(place.glob("lib/python*/site-packages/torch/distributed")) and (place / "bin" / "python").exists():
            return place
    pytest.skip("no environment with PyTorch; run make demo, or name its python in CONDAFLEET_TEST_PYTHON")


class Nodes:
    """The parts of so many nodes, as collective_plan.py plans them, started as the module starts them."""

    def __init__(self, folder: Path, count: int) -> None:
        (folder / "prefix" / "envs").mkdir(parents=True)
        (folder / "prefix" / "envs" / "torch").symlink_to(with_torch())
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        brought = collective_node.brought(str(folder / "prefix"), "torch", "127.0.0.1", None)
        assert (brought["interface"], brought["problem"]) == ("lo", None)
        wanted = {
            name: one
            for name, one in asked("full", {"group.*": {"timeout": SECONDS}}).items()
            if name.startswith("group.")
        }
        self.nodes = {
            f"n{number}": Node("fleet", port, 3, "torch", wanted, {**brought, "gpus": {"state": "none", "uuids": []}})
            for number in range(1, count + 1)
        }
        (group,) = collective_plan.groups(self.nodes).values()
        (self.attempt,) = collective_plan.next_attempts(group, self.nodes, [], 4, 10)
        options = {
            "prefix": str(folder / "prefix"), "environment": "torch", "seconds": SECONDS, "scripts": read_scripts(),
            "threads": 1, "nice": 0, "user": None,
        }  # fmt: skip
        # One word for all to meet by, and one of its own for each, since all processes are on this machine.
        word = os.urandom(4).hex()
        self.jobs = {}
        for host, job in self.attempt["jobs"].items():
            token, part = f"try-{host}-{word}", {**job, "pairs": self.attempt["pairs"]}
            self.jobs[host] = Job({**options, "root": str(folder / host), "token": token, "job": part})
            (folder / host).mkdir()

    def start(self) -> None:
        for job in self.jobs.values():
            collective_job.start(job)

    def processes(self, host: str) -> list[int]:
        return marked_processes.marked(self.jobs[host].token)

    def wait(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while any(collective_guard.guard_of(job.guard) for job in self.jobs.values()):
            assert time.monotonic() < deadline, "still running"
            time.sleep(0.1)

    def findings(self) -> dict[str, dict[str, Any]]:
        results = {host: collective_job.finish(job) for host, job in self.jobs.items()}
        assert [job.folder for job in self.jobs.values() if Path(job.folder).exists()] == []
        played = [{**self.attempt, "results": results}]
        found = collective_findings.findings_of(self.nodes, played, 4, 90)
        return {host: {one["check"]: one for one in own} for host, own in found.items()}


@pytest.fixture
def three(tmp_path: Path) -> Iterator[Nodes]:
    nodes = Nodes(tmp_path, 3)
    yield nodes
    for job in nodes.jobs.values():
        collective_job.finish(job)


def worker(nodes: Nodes, host: str) -> int:
    """The process that reduces, which torchrun has started in a session of its own, once it is at work."""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        progress = Path(nodes.jobs[host].progress)
        if progress.exists() and "together" in progress.read_text():
            (_agent, *workers) = nodes.processes(host)
            assert len(workers) == 1 and os.getsid(workers[0]) != os.getsid(0)
            return workers[0]
        time.sleep(0.05)
    raise AssertionError("it never came to it")


def test_three_nodes_and_their_pairs(three: Nodes) -> None:
    three.start()
    three.wait(SECONDS)
    for own in three.findings().values():
        assert (own["group.allreduce"]["verdict"], own["group.pair"]["verdict"]) == ("PASS", "PASS")
        assert own["group.allreduce"]["value"] > 0.001
        assert len(own["group.pair"]["evidence"]) == 2


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_one_that_dies_or_hangs_in_the_middle_is_named_and_nobody_is_left(three: Nodes, number: int) -> None:
    three.start()
    os.kill(worker(three, "n2"), number)
    three.wait(SECONDS + 20)
    assert [three.processes(host) for host in three.jobs] == [[], [], []]
    found = three.findings()
    assert {own["group.allreduce"]["verdict"] for own in found.values()} == {"ERROR"}
    words = "signal 9" if number == signal.SIGKILL else "it hung at the step"
    assert words in found["n2"]["group.allreduce"]["reason"]


def test_a_second_job_is_refused_while_one_runs(three: Nodes) -> None:
    job = three.jobs["n1"]
    collective_job.start(job)
    with pytest.raises(FleetError, match="another validation's all-reduce is under way"):
        collective_job.start(Job({**job.options, "token": "try-other-0a1b2c3d"}))
    told = collective_job.finish(job)
    assert (told["state"], told["why"]) == ("failed", "asked")
    assert three.processes("n1") == []


def test_a_port_that_somebody_uses_is_told_and_nobody_is_left_waiting(three: Nodes) -> None:
    job = three.jobs["n1"]
    with socket.create_server(("", job.options["job"]["port"])):
        with pytest.raises(FleetError, match=r"validation_port: nobody can be met at port .*: Address already in use"):
            collective_job.start(job)
        # The others only connect to that port.
        collective_node.expect_free(three.jobs["n2"].options["job"])
    assert three.processes("n1") == []
    assert collective_job.finish(job)["state"] == "lost"


@pytest.mark.parametrize("token", ["a", "together", "", "/", "together-0a1b2c3d/..", "Together-0a1b2c3d"])
def test_no_word_that_others_may_have_is_a_token(three: Nodes, token: str) -> None:
    """What has this word in its environment or command line is ended."""
    with pytest.raises(FleetError, match=r"token: .* is not accepted"):
        Job({**three.jobs["n1"].options, "token": token})


def test_a_folder_that_is_no_jobs_is_left_alone_with_all_that_names_it(three: Nodes) -> None:
    job = three.jobs["n1"]
    other = Path(job.above) / "sleep"
    other.mkdir(parents=True)
    with subprocess.Popen(["sleep", "60"]) as innocent:
        collective_job.start(job)
        collective_job.finish(job)
        assert innocent.poll() is None
        innocent.kill()
    assert other.is_dir()


def test_what_a_job_says_is_read_from_its_end(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b"first" + b"x" * (1 << 20) + b"\xfflast")
    assert collective_job._tail(str(tmp_path / "log")).endswith("xlast".replace("x", "\ufffd"))
    assert len(collective_job._tail(str(tmp_path / "log"))) <= collective_job.LOG_BYTES
    assert collective_job._tail(str(tmp_path / "nosuch")) == ""


def test_an_environment_that_is_not_there_is_told(three: Nodes) -> None:
    with pytest.raises(FleetError, match="no environment with a python at"):
        collective_job.start(Job({**three.jobs["n1"].options, "environment": "nosuch"}))
