"""The speed scripts in a real PyTorch on CPUs, whole and with faults put into them."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.condafleet.core.plugins.module_utils import check_limits, speed_run
from ansible_collections.condafleet.core.plugins.module_utils.progress import Progress
from ansible_collections.condafleet.core.plugins.module_utils.speed_allreduce import allreduce
from ansible_collections.condafleet.core.plugins.module_utils.speed_process import Runner, SpeedRequest
from ansible_collections.condafleet.core.plugins.module_utils.validation_scripts import read_scripts

FILES = Path(__file__).parents[3] / "roles" / "validation" / "files"
FIGURES = ("speed.matmul.fp32", "speed.memory", "speed.loading")


@functools.cache
def torch_prefix() -> str:
    """The prefix of an environment with PyTorch, of those that CONDAFLEET_TEST_PYTHON names."""
    for python in os.environ.get("CONDAFLEET_TEST_PYTHON", "").split(":"):
        code = "import importlib.util, sys; sys.exit(importlib.util.find_spec('torch') is None)"
        if python and subprocess.run([python, "-c", code], check=False).returncode == 0:
            return str(Path(python).parent.parent)
    return ""


@pytest.fixture
def prefix(tmp_path: Path) -> Path:
    if not torch_prefix():
        pytest.skip("no python here has torch; name one in CONDAFLEET_TEST_PYTHON")
    (tmp_path / "conda" / "envs").mkdir(parents=True)
    (tmp_path / "conda" / "envs" / "e").symlink_to(torch_prefix())
    return tmp_path / "conda"


def request_for(prefix: Path, scripts: dict[str, str], **variables: str) -> SpeedRequest:
    return SpeedRequest(str(prefix), str(prefix.parent / "root"), "e", scripts, variables)


def measured(
    prefix: Path, names: tuple[str, ...], timeout: float = 120, gpus: Any = (), **changes: tuple[str, str]
) -> dict[str, dict[str, Any]]:
    """The findings of these checks. `changes` are {SCRIPT without .py: (text, what is put in its place)}."""
    scripts = read_scripts()
    for name, (old, new) in changes.items():
        assert scripts[name + ".py"].count(old) >= 1, old
        scripts[name + ".py"] = scripts[name + ".py"].replace(old, new)
    own = check_limits.check_declared(
        {"speed.*": False, **{name: {"enabled": True, "timeout": timeout} for name in names}}
    )
    asked = check_limits.asked("full", own)
    found = speed_run.speed_findings(request_for(prefix, scripts), asked, list(gpus), Progress(None))
    return {one["check"]: one for one in found}


def test_a_sound_cpu_has_figures_of_the_right_size(prefix: Path) -> None:
    found = measured(prefix, (*FIGURES, "speed.matmul.bf16", "speed.matmul.fp16"))
    for name in FIGURES:
        assert found[name]["verdict"] == "PASS", found[name]
        assert "median of" in found[name]["evidence"][0] or "workers" in found[name]["evidence"][0]
    # Wrong units show by a factor of a thousand: one core does 1e9 to 1e13 operations a second in fp32.
    assert 1e-3 < found["speed.matmul.fp32"]["value"] < 1e2
    assert 0.5 < found["speed.memory"]["value"] < 5e3
    assert 10 < found["speed.loading"]["value"] < 1e6
    for name in ("speed.matmul.bf16", "speed.matmul.fp16"):
        assert found[name]["verdict"] == "PASS" or "no instructions for" in found[name]["reason"]


FAULTS: dict[str, tuple[str, dict[str, tuple[str, str]], str, str]] = {
    "a product that is off by a thousandth": (
        "speed.matmul.fp32",
        {"speed_matmul": ("lambda: first @ second", "lambda: (first @ second) * 1.001")},
        "FAIL", "a product in fp32 is off by 0.001",
    ),
    "a product of another precision": (
        "speed.matmul.fp32",
        {"speed_matmul": ("lambda: first @ second", "lambda: (first.bfloat16() @ second.bfloat16()).float()")},
        "FAIL", "a product in fp32 is off by",
    ),
    "one element that goes wrong under load": (
        "speed.matmul.fp32",
        {"speed_matmul": ("away = float((product()", "away = float((product().index_put_((torch.tensor(7),"
                          " torch.tensor(9)), torch.tensor(1e4))")},
        "FAIL", "differs from its first run by",
    ),
    "a product that is no number": (
        "speed.matmul.fp32",
        {"speed_matmul": ("lambda: first @ second", "lambda: (first @ second) * float('nan')")},
        "FAIL", "is off by nan",
    ),
    "a copy with one wrong word": (
        "speed.memory",
        {"speed_copies": ("same(meter, target, source, ", "target[12345] += 1\n    same(meter, target, source, ")},
        "FAIL", "a copy within memory is not what was sent",
    ),
    "images in another order": (
        "speed.loading",
        {"speed_loading": ("self.pool[index % POOL,", "self.pool[(index + 1) % POOL,")},
        "FAIL", "batch 0 holds other images",
    ),
    "a small /dev/shm": (
        "speed.loading",
        {"speed_loading": ("free = status.f_bavail * status.f_frsize", "free = 1 << 20")},
        "FAIL", "/dev/shm has 1 MiB free",
    ),
    "a worker that dies": (
        "speed.loading",
        {"speed_loading": ("        if index % 2:", "        if index == 99: os._exit(7)\n        if index % 2:")},
        "ERROR", "DataLoader worker",
    ),
    "too little memory": (
        "speed.memory",
        {"speed_meter": ('return self.job["memory_bytes"]', "return 1 << 20")},
        "FAIL", "only 1 MiB of memory are free",
    ),
    "a library that crashes": (
        "speed.memory",
        {"speed_copies": ("seconds, line = meter.seconds(lambda: target.copy_(source), limit)",
                          "os.kill(os.getpid(), 11)")},
        "ERROR", "SIGSEGV",
    ),
    "an import that fails": (
        "speed.memory",
        {"speed_torch": ("        import torch\n", "        raise ImportError('libcudart.so.12: cannot open')\n")},
        "ERROR", "could not be started",
    ),
    "no PyTorch": (
        "speed.memory",
        {"speed_torch": ("        import torch\n", "        raise ModuleNotFoundError('No module', name='torch')\n")},
        "SKIP", "holds no PyTorch",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_seen(prefix: Path, name: str) -> None:
    check, changes, verdict, text = FAULTS[name]
    found = measured(prefix, (check,), **changes)
    assert found[check]["verdict"] == verdict, found[check]
    assert text in found[check]["reason"] and found[check]["next_step"]


def test_a_hang_ends_at_its_limit(prefix: Path) -> None:
    hang = ("away = float((product()", "import time; time.sleep(600); away = float((product()")
    found = measured(prefix, ("speed.matmul.fp32", "speed.memory"), timeout=8, speed_matmul=hang)
    assert found["speed.matmul.fp32"]["verdict"] == "ERROR" and "8 seconds" in found["speed.matmul.fp32"]["reason"]
    assert found["speed.memory"]["verdict"] == "PASS"


def test_a_build_for_cpus_measures_no_gpu(prefix: Path) -> None:
    free = {"index": 0, "uuid": "GPU-0", "processes": [], "bus_id": None, "errors": {}}
    found = measured(prefix, ("speed.h2d",), gpus=[free])
    assert found["speed.h2d"]["verdict"] == "SKIP" and "a build without CUDA" in found["speed.h2d"]["reason"]


def test_an_all_reduce_of_two_processes(prefix: Path) -> None:
    work = prefix.parent / "root" / "work"
    work.mkdir(parents=True)
    for name, text in read_scripts().items():
        (work / name).write_text(text)
    runner = Runner(request_for(prefix, {}), str(work), None, ())
    figure = allreduce(runner, 2, "gloo", 120, 1 << 28)
    assert figure.get("value", 0) > 0.001 and figure["evidence"][0] == "2 ranks, gloo", figure
    text = (work / "collective_torch.py").read_text()
    wrong = "world * (world + 1) / 2)"
    assert wrong in text
    # Of the second process alone, whose word counts: the first one only sees that it is gone.
    (work / "collective_torch.py").write_text(text.replace(wrong, "world * (world + 1) / 2 + number)"))
    assert "are wrong after an all-reduce" in allreduce(runner, 2, "gloo", 120, 1 << 28)["wrong"]


PURE = """
import speed_copies, speed_loading, speed_matmul, types
class Switch:
    pass
old, new = Switch(), Switch()
old.allow_tf32 = None
new.fp32_precision = None
for switch, key, values in ((old, "allow_tf32", (True, False)), (new, "fp32_precision", ("tf32", "ieee"))):
    torch = types.SimpleNamespace(backends=types.SimpleNamespace(cuda=types.SimpleNamespace(matmul=switch)))
    for wanted, value in zip((True, False), values):
        speed_matmul.choose_tf32(torch, wanted)
        assert getattr(switch, key) == value, (key, wanted)
    assert vars(switch).keys() == {key}
assert speed_loading.speeds_of([0.0, 1.0, 2.0, 4.0]) == [32.0, 32.0, 16.0]
"""


def test_what_needs_no_torch(tmp_path: Path) -> None:
    for index, (level, size) in enumerate((("1", "32K"), ("3", "32768K"), ("3", "what"))):
        folder = tmp_path / "cpu0" / "cache" / f"index{index}"
        folder.mkdir(parents=True)
        for name, text in (("level", level), ("size", size), ("shared_cpu_list", f"0-{index}")):
            (folder / name).write_text(text + "\n")
    code = PURE + f"assert speed_copies.cache_bytes({str(tmp_path)!r}) == 32 << 20\n"
    environ = {"PYTHONPATH": str(FILES), "PYTHONDONTWRITEBYTECODE": "1"}
    subprocess.run([sys.executable, "-c", code], env=environ, check=True, timeout=60)
