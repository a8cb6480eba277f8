"""The training's process group, with real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ansible_collections.condafleet.core.plugins.module_utils import validation_child as child
from ansible_collections.condafleet.core.plugins.module_utils.errors import InputError

# Starts a grandchild that shrugs at being asked, tells its number, and sleeps.
STUBBORN = """
import os, signal, subprocess, sys, time
code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); time.sleep(60)"
grandchild = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
grandchild.stdout.readline()
open("numbers.new", "w").write("%d %d" % (os.getpid(), grandchild.pid))
os.rename("numbers.new", "numbers")
time.sleep(60)
"""


def lives(number: int) -> bool:
    try:
        # A zombie answers signals too; it is no longer running.
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def gone(numbers: list[int]) -> bool:
    deadline = time.monotonic() + 10
    while any(lives(number) for number in numbers) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not any(lives(number) for number in numbers)


def run(folder: Path, code: str, timeout: float = 30, **options: object) -> int | None:
    environ = {"PATH": os.environ["PATH"]}
    argv = [sys.executable, "-c", code]
    return child.run_group(
        argv, environ=environ, folder=str(folder), log=str(folder / "log"), timeout=timeout, **options
    )  # type: ignore[arg-type]


def test_output_and_status_are_kept(tmp_path: Path) -> None:
    looks: list[int] = []
    status = run(tmp_path, "print('hello'); raise SystemExit(3)", watch=lambda: looks.append(1))
    assert status == 3 and looks
    assert (tmp_path / "log").read_text() == "hello\n"


def test_a_time_limit_ends_the_whole_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child, "GRACE", 0.3)
    began = time.monotonic()
    assert run(tmp_path, STUBBORN, timeout=2) is None
    assert time.monotonic() - began < 15
    numbers = [int(word) for word in (tmp_path / "numbers").read_text().split()]
    assert len(numbers) == 2 and gone(numbers)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=["asked", "killed"])
def test_nothing_is_left_when_the_caller_ends(tmp_path: Path, number: int) -> None:
    code = "import time; open('numbers', 'w').write(str(__import__('os').getpid())); time.sleep(60)"
    caller = f"""
import sys
sys.path[:0] = {sys.path!r}
from ansible_collections.condafleet.core.plugins.module_utils import validation_child as child
argv = [sys.executable, "-c", {code!r}]
child.run_group(argv, environ=dict(), folder={str(tmp_path)!r}, log={str(tmp_path / "log")!r}, timeout=60)
"""
    process = subprocess.Popen([sys.executable, "-c", caller])
    deadline = time.monotonic() + 20
    while not (tmp_path / "numbers").exists() or not (tmp_path / "numbers").read_text():
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.05)
    trained = int((tmp_path / "numbers").read_text())
    process.send_signal(number)
    process.wait(timeout=20)
    assert gone([trained])


def test_it_stands_back_behind_other_processes(tmp_path: Path) -> None:
    run(tmp_path, "import os; print(os.nice(0))", nice=7)
    assert int((tmp_path / "log").read_text()) >= 7


def test_nothing_of_the_callers_settings_reaches_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    monkeypatch.setenv("PYTHONPATH", "/home/someone")
    found = child.variables_for("/gen/e-1", "/work", 2, None, {"KERAS_BACKEND": "jax"})
    assert found["CUDA_VISIBLE_DEVICES"] == "" and "PYTHONPATH" not in found
    assert found["KERAS_BACKEND"] == "jax" and found["PYTHONNOUSERSITE"] == "1"
    assert found["PATH"].startswith("/gen/e-1/bin:")
    assert {found[name] for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "TF_NUM_INTRAOP_THREADS")} == {"2"}


def test_one_gpu_is_used_and_no_more_of_it_than_needed() -> None:
    declared = {"CUDA_VISIBLE_DEVICES": "0", "TF_FORCE_GPU_ALLOW_GROWTH": "false", "XLA_PYTHON_CLIENT_PREALLOCATE": "1"}
    found = child.variables_for("/gen/e-1", "/work", 2, "GPU-1", declared)
    # TensorFlow takes all of a GPU's memory by default, JAX three quarters: the server of an exported model would
    # find none beside the process that exported it.
    wanted = {"CUDA_VISIBLE_DEVICES": "GPU-1", "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
    wanted |= {"TF_FORCE_GPU_ALLOW_GROWTH": "true", "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
    assert wanted.items() <= found.items() and "JAX_PLATFORMS" not in found


def test_without_a_free_gpu_none_is_used_of_any_maker() -> None:
    declared = {"CUDA_VISIBLE_DEVICES": "0", "HIP_VISIBLE_DEVICES": "0", "JAX_PLATFORMS": "cuda"}
    found = child.variables_for("/gen/e-1", "/work", 2, None, declared)
    assert {"CUDA_VISIBLE_DEVICES": "", "HIP_VISIBLE_DEVICES": "", "JAX_PLATFORMS": "cpu"}.items() <= found.items()


@pytest.mark.parametrize(("wanted", "usable", "expected"), [(0, 64, 1), (4, 64, 4), (4, 2, 2), (0, 1, 1)])
def test_threads(wanted: int, usable: int, expected: int) -> None:
    assert child.threads_for(wanted, usable) == expected


def test_an_unknown_account_is_named() -> None:
    with pytest.raises(InputError, match="validation_user: no-such-account-here is not accepted"):
        child.account("no-such-account-here")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may run a training as another account")
def test_it_runs_as_another_account(tmp_path: Path) -> None:
    # A shell, since this python may lie where only root can read.
    log = tmp_path / "log"
    argv = ["/bin/sh", "-c", "id -u; id -G"]
    environ = {"PATH": "/usr/bin:/bin"}
    child.run_group(argv, environ=environ, folder="/", log=str(log), timeout=30, owner=child.account("nobody"))
    assert log.read_text().split()[0] != "0" and "0" not in log.read_text().split()
