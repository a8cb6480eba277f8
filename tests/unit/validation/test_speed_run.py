"""Speed measured by real processes: a script of the standard library stands for PyTorch's, and breaks as it is told."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.condafleet.core.plugins.module_utils import check_limits, speed_run, validation_place
from ansible_collections.condafleet.core.plugins.module_utils import validation_child as children
from ansible_collections.condafleet.core.plugins.module_utils.bounded_call import NoAnswerError
from ansible_collections.condafleet.core.plugins.module_utils.progress import Progress, node_lock
from ansible_collections.condafleet.core.plugins.module_utils.speed_process import near_cpus, short_folder

# What speed_torch.py writes, and how it goes on: a figure, or a fault for each check by its name.
SCRIPT = """
import json, os, signal, sys, time
job = json.load(open(sys.argv[1]))
faults = json.loads(os.environ.get("FAULTS", "{}"))
open(os.environ["HEARD"], "a").write(json.dumps([os.environ["CUDA_VISIBLE_DEVICES"], job["kind"], job["cpus"]]) + "\\n")
print("it has begun", flush=True)
if "start" in faults:
    exec(faults["start"])
outcome = {"figures": [], "refused": faults.get("refused")}
def write(name, value):
    open(name + ".new", "w").write(json.dumps(value))
    os.replace(name + ".new", name)
for done, one in enumerate([] if outcome["refused"] else job["work"]):
    write(job["progress"], {"step": "speed", "done": done, "total": 1, "unit": "", "message": "", **one})
    figure = {"value": 5.0, "evidence": ["seen"]}
    exec(faults.get(one["check"], ""))
    outcome["figures"].append({**figure, "check": one["check"], "subject": one["subject"], "seconds": 0.1})
    write(job["outcome"], outcome)
    if "error" in figure:
        break
write(job["outcome"], outcome)
"""
HANG = "import subprocess; subprocess.Popen(['/bin/sleep', '600']); time.sleep(600)"
CRASH = "print('about to fall', flush=True); os.kill(os.getpid(), signal.SIGSEGV)"
CPU_CHECKS = {"speed.matmul.fp32", "speed.matmul.bf16", "speed.matmul.fp16", "speed.memory", "speed.loading"}


def gpu(number: int, **changes: Any) -> dict[str, Any]:
    told = {"index": number, "uuid": f"GPU-{number}", "processes": [], "bus_id": None, "slowed": 3.0, "errors": {}}
    return {**told, **changes}


class Node:
    """An environment `e` whose python is this one, and what is measured there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        bin_folder = folder / "generation" / "bin"
        bin_folder.mkdir(parents=True)
        (bin_folder / "python").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
        (bin_folder / "python").chmod(0o755)
        (folder / "conda" / "envs").mkdir(parents=True)
        (folder / "conda" / "envs" / "e").symlink_to(folder / "generation")
        self.heard = folder / "heard"

    def findings(self, faults: dict[str, Any] | None = None, **options: Any) -> dict[tuple[str, str], dict[str, Any]]:
        gpus = options.pop("gpus", [])
        request = speed_run.SpeedRequest(
            prefix=str(self.folder / "conda"),
            root=str(self.folder / "root"),
            environment=options.pop("environment", "e"),
            scripts=options.pop("scripts", {"speed_torch.py": SCRIPT}),
            variables={"FAULTS": json.dumps(faults or {}), "HEARD": str(self.heard), "CUDA_VISIBLE_DEVICES": "7"},
            user=options.pop("user", None),
            look_again=options.pop("look_again", lambda: gpus),
        )
        asked = check_limits.asked(options.pop("level", "standard"), options.pop("checks", {}))
        found = speed_run.speed_findings(request, asked, gpus, options.pop("told", Progress(None)))
        pairs = {(one["check"], one["subject"]): one for one in found}
        assert len(pairs) == len(found), "one finding for each check and subject"
        home = self.folder / "root" / "validation" / ".speed"
        assert not home.exists() or [path.name for path in home.iterdir()] == ["lock"]
        return pairs

    def visible(self) -> list[str]:
        return [line.split('"')[1] for line in self.heard.read_text().splitlines()]


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Node:
    monkeypatch.setattr(children, "GRACE", 0.2)
    monkeypatch.setattr(speed_run, "GRACE_SECONDS", 0.5)
    return Node(tmp_path)


def verdicts(found: dict[tuple[str, str], dict[str, Any]], *verdict: str) -> set[tuple[str, str]]:
    return {pair for pair, one in found.items() if one["verdict"] in verdict}


def test_cpus_are_measured_by_one_process_and_no_gpu_is_shown_to_it(node: Node) -> None:
    found = node.findings()
    assert verdicts(found, "PASS") == {(name, "node") for name in CPU_CHECKS}
    assert {one["verdict"] for pair, one in found.items() if pair[0] not in CPU_CHECKS} == {"SKIP"}
    # Whatever the environment's own variables say.
    assert node.visible() == [""]
    one = found["speed.memory", "node"]
    assert (one["value"], one["evidence"], one["seconds"]) == (5.0, ["seen"], 0.1)


def test_each_gpu_is_shown_alone_by_its_uuid(node: Node) -> None:
    found = node.findings(gpus=[gpu(0), gpu(1)])
    assert node.visible() == ["", "GPU-0", "GPU-1"]
    assert {subject for _check, subject in verdicts(found, "PASS")} == {"node", "GPU-0", "GPU-1"}


def test_a_gpu_in_use_is_not_shown_to_anybody(node: Node) -> None:
    found = node.findings(gpus=[gpu(0, processes=[99]), gpu(1)], level="full")
    assert node.visible() == ["", "GPU-1"]
    assert "process 99" in found["speed.h2d", "GPU-0"]["reason"]
    assert found["speed.p2p", "GPU-1"]["verdict"] == found["speed.allreduce", "node"]["verdict"] == "SKIP"


def test_a_gpu_that_was_taken_meanwhile_is_left_alone(node: Node) -> None:
    looks: list[int] = []

    def look() -> list[dict[str, Any]]:
        looks.append(1)
        # Before and after the first one is measured.
        return [gpu(0), gpu(1, processes=[77] if len(looks) > 2 else [])]

    found = node.findings(gpus=[gpu(0), gpu(1)], look_again=look)
    assert node.visible() == ["", "GPU-0"]
    assert found["speed.h2d", "GPU-1"]["verdict"] == "SKIP" and "process 77" in found["speed.h2d", "GPU-1"]["reason"]


def test_a_driver_that_no_longer_answers_is_error_and_takes_no_gpu(node: Node) -> None:
    def look() -> list[dict[str, Any]]:
        raise NoAnswerError("NVML did not answer within 30 seconds")

    found = node.findings(gpus=[gpu(0)], look_again=look)
    assert node.visible() == [""]
    assert found["speed.h2d", "GPU-0"]["verdict"] == "ERROR" and "NVML did not" in found["speed.h2d", "GPU-0"]["reason"]
    assert found["speed.loading", "node"]["verdict"] == "PASS"


def test_a_gpu_that_vanished_is_error(node: Node) -> None:
    found = node.findings(gpus=[gpu(0), gpu(1)], look_again=lambda: [gpu(0)])
    assert found["speed.h2d", "GPU-1"]["verdict"] == "ERROR" and "no longer names it" in str(found)
    assert node.visible() == ["", "GPU-0"]


def looks(*told: list[dict[str, Any]] | str) -> Any:
    """One look after the other; a text is why the driver did not answer."""
    left = list(told)

    def look() -> list[dict[str, Any]]:
        one = left.pop(0)
        if isinstance(one, str):
            raise NoAnswerError(one)
        return one

    return look


def test_a_gpu_that_heat_slowed_down_while_it_was_measured_is_named(node: Node) -> None:
    cool, hot = [gpu(0), gpu(1)], [gpu(0), gpu(1, slowed=4.5)]
    found = node.findings(gpus=cool, look_again=looks(cool, cool, cool, hot))
    assert found["speed.slowdown", "GPU-0"]["verdict"] == "PASS"
    one = found["speed.slowdown", "GPU-1"]
    assert (one["verdict"], one["value"]) == ("FAIL", 1.5) and "4.500 s since the driver was loaded" in str(one)
    assert found["speed.h2d", "GPU-1"]["verdict"] == "PASS"


def test_a_driver_that_dies_under_load_takes_no_figure_away(node: Node) -> None:
    found = node.findings(gpus=[gpu(0)], look_again=looks([gpu(0)], "NVML did not answer within 30 seconds"))
    assert found["speed.h2d", "GPU-0"]["verdict"] == "PASS"
    one = found["speed.slowdown", "GPU-0"]
    assert one["verdict"] == "ERROR" and "NVML did not answer" in one["reason"]


def test_a_gpu_that_nothing_was_measured_on_was_under_no_load(node: Node) -> None:
    found = node.findings({"start": "sys.exit(1)"}, gpus=[gpu(0)])
    assert found["speed.h2d", "GPU-0"]["verdict"] == "ERROR" and found["speed.slowdown", "GPU-0"]["verdict"] == "SKIP"
    only = node.findings(gpus=[gpu(0)], checks={"speed.*": {"enabled": False}, "speed.slowdown": {"enabled": True}})
    assert {pair: one["verdict"] for pair, one in only.items()} == {("speed.slowdown", "GPU-0"): "SKIP"}


def test_a_hanging_check_costs_itself_alone_and_nothing_of_it_is_left(node: Node) -> None:
    began = time.monotonic()
    found = node.findings({"speed.matmul.bf16": HANG}, checks={"speed.matmul.bf16": {"timeout": 1}})
    assert time.monotonic() - began < 30
    one = found["speed.matmul.bf16", "node"]
    assert one["verdict"] == "ERROR" and "no end within its time limit of 1 seconds" in one["reason"]
    assert "it has begun" in one["evidence"][0] and "validation_checks.speed.matmul.bf16.timeout" in one["next_step"]
    assert verdicts(found, "PASS") == {(name, "node") for name in CPU_CHECKS - {"speed.matmul.bf16"}}
    assert len(node.visible()) == 2
    left = [entry for entry in Path("/proc").iterdir() if entry.name.isdigit() and belongs(entry, node.folder)]
    assert left == []


def test_after_two_checks_that_hang_the_rest_is_left(node: Node) -> None:
    limits = {name: {"timeout": 0.5} for name in ("speed.matmul.fp32", "speed.matmul.bf16")}
    found = node.findings(dict.fromkeys(limits, HANG), checks=limits)
    assert verdicts(found, "ERROR") == {(name, "node") for name in CPU_CHECKS}
    assert "not measured: 2 checks before it did not end" in found["speed.memory", "node"]["reason"]
    assert len(node.visible()) == 2


def belongs(process: Path, folder: Path) -> bool:
    try:
        return str(folder).encode() in (process / "environ").read_bytes() and process.name != str(os.getpid())
    except OSError:
        return False


def test_a_crash_costs_itself_alone(node: Node) -> None:
    found = node.findings({"speed.memory": CRASH})
    one = found["speed.memory", "node"]
    assert one["verdict"] == "ERROR" and "signal 11 (SIGSEGV)" in one["reason"]
    assert "about to fall" in one["evidence"][0]
    assert verdicts(found, "PASS") == {(name, "node") for name in CPU_CHECKS - {"speed.memory"}}


@pytest.mark.parametrize(
    ("figure", "verdict"),
    [
        ({"wrong": "a product in bf16 is off by 0.3"}, "FAIL"),
        ({"error": "ValueError: what is this"}, "ERROR"),
        ({"error": "RuntimeError: CUDA error: unspecified launch failure"}, "FAIL"),
        ({"unfit": "/dev/shm has 1 MiB free", "step": "make it larger"}, "FAIL"),
    ],
)
def test_a_fault_that_the_script_tells_is_the_verdict(node: Node, figure: dict[str, str], verdict: str) -> None:
    found = node.findings({"speed.matmul.bf16": f"figure = {figure!r}"})
    one = found["speed.matmul.bf16", "node"]
    assert one["verdict"] == verdict and next(iter(figure.values())) in one["reason"]
    assert verdicts(found, "PASS") == {(name, "node") for name in CPU_CHECKS - {"speed.matmul.bf16"}}
    # After an error the rest is measured by a new process.
    assert len(node.visible()) == (2 if "error" in figure else 1)


def test_a_start_that_fails_is_every_checks_error(node: Node) -> None:
    found = node.findings({"start": "sys.exit('libtorch.so: cannot open shared object file')"})
    assert verdicts(found, "ERROR") == {(name, "node") for name in CPU_CHECKS}
    one = found["speed.memory", "node"]
    assert "could not be started: ended with status 1" in one["reason"] and "libtorch.so" in one["evidence"][0]


def test_a_start_that_hangs_has_its_own_limit(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed_run, "START_SECONDS", 1.0)
    found = node.findings({"start": HANG})
    assert "did not begin within 1 seconds" in found["speed.memory", "node"]["reason"]


@pytest.mark.parametrize(("kind", "verdict"), [("missing", "SKIP"), ("unseen", "FAIL")])
def test_an_environment_that_cannot_measure(node: Node, kind: str, verdict: str) -> None:
    found = node.findings({"refused": {"kind": kind, "why": "so it is"}}, gpus=[gpu(0)])
    assert found["speed.h2d", "GPU-0"]["verdict"] == verdict and "so it is" in found["speed.h2d", "GPU-0"]["reason"]


def test_without_an_environment_it_is_skipped_with_the_next_step(node: Node) -> None:
    for name, text in (("", "no declared environment has PyTorch"), ("other", "environment other is not there")):
        found = node.findings(environment=name)
        assert {one["verdict"] for one in found.values()} == {"SKIP"} and text in str(found)
        assert "validation_speed_environment" in found["speed.memory", "node"]["next_step"]
    assert not node.heard.exists()


def test_two_do_not_measure_at_once(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed_run, "LOCK_SECONDS", 0.3)
    home = node.folder / "root" / "validation" / ".speed"
    home.mkdir(parents=True)
    with node_lock(str(home), "measure the speed of this node"):
        found = node.findings()
    assert {one["verdict"] for one in found.values() if one["check"] in CPU_CHECKS} == {"ERROR"}
    assert "is held by process" in found["speed.memory", "node"]["reason"] and not node.heard.exists()


def test_nodes_that_share_a_root_wait_for_no_other(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed_run, "LOCK_SECONDS", 0.3)
    monkeypatch.setattr(validation_place, "is_shared", lambda _path: True)
    home = node.folder / "root" / "validation" / ".nodes" / "another" / ".speed"
    home.mkdir(parents=True)
    with node_lock(str(home), "measure the speed of this node"):
        found = node.findings()
    assert {one["verdict"] for one in found.values() if one["check"] in CPU_CHECKS} == {"PASS"}
    # Nor in a folder in which all were at once, where each would hold up or tidy away the others.
    assert not (node.folder / "root" / "validation" / ".speed").exists()


def test_each_check_is_told(node: Node) -> None:
    told: list[tuple[Any, ...]] = []

    class Listening(Progress):
        def __call__(self, *words: Any, **_named: Any) -> None:
            told.append(words)

    slow = dict.fromkeys(CPU_CHECKS, "time.sleep(0.5)")
    node.findings(slow, told=Listening(None))
    assert {words[4] for words in told} == CPU_CHECKS
    assert [words[1] for words in told] == sorted(words[1] for words in told) and {words[2] for words in told} == {5}


def test_what_killed_runs_have_left_is_removed(node: Node) -> None:
    left = node.folder / "root" / "validation" / ".speed" / "job-old"
    left.mkdir(parents=True)
    node.findings()
    assert not left.exists()


def test_sockets_of_workers_have_short_paths(tmp_path: Path) -> None:
    with short_folder("/opt/condafleet/validation/.speed/job-12345678", None) as folder:
        assert folder == "/opt/condafleet/validation/.speed/job-12345678"
    with short_folder("/opt/" + 80 * "x", None) as folder:
        assert len(folder) < 60 and Path(folder).is_dir()
    assert not Path(folder).exists()


def test_a_gpus_own_cpus(tmp_path: Path) -> None:
    device = tmp_path / "bus/pci/devices/0000:1b:00.0"
    device.mkdir(parents=True)
    mine = sorted(os.sched_getaffinity(0))
    for text, expected in ((f"{mine[0]},4000-4007", [mine[0]]), ("4000-4007", None), ("", None), ("what", None)):
        (device / "local_cpulist").write_text(text + "\n")
        assert near_cpus("00000000:1B:00.0", str(tmp_path)) == expected
    assert near_cpus("00000000:2B:00.0", str(tmp_path)) is None and near_cpus(None, str(tmp_path)) is None


ACCOUNT = """
import json, os, sys
job = json.load(open(sys.argv[1]))
one = job["work"][0]
# As whoever wants to have a file of root's written to would.
os.symlink(os.environ["HEARD"], "job.json")
figure = {"value": 1.0, "evidence": ["%d" % os.geteuid()], "check": one["check"], "subject": "node", "seconds": 0.1}
figures = [figure, *({**figure, "check": other["check"]} for other in job["work"][1:])]
open(job["outcome"], "w").write(json.dumps({"figures": figures, "refused": None}))
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may run a measurement as another account")
def test_it_runs_as_another_account_which_can_have_nothing_written_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    # Not below pytest's folder, which only its owner may enter.
    with tempfile.TemporaryDirectory(dir="/tmp") as place:
        Path(place).chmod(0o755)
        node = Node(Path(place))
        python = node.folder / "generation" / "bin" / "python"
        python.write_text('#!/bin/sh\nexec /usr/bin/python3 "$@"\n')
        if not Path("/usr/bin/python3").exists():
            pytest.skip("no python that others may run")
        node.heard.write_text("mine")
        found = node.findings(scripts={"speed_torch.py": ACCOUNT}, user="nobody")
        assert found["speed.memory", "node"]["evidence"] not in (["0"], []), found["speed.memory", "node"]
        assert found["speed.memory", "node"]["verdict"] == "PASS" and node.heard.read_text() == "mine"
