"""The smoke test as processes: which GPU they are shown, and each fault of an environment, real ones among them."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.condafleet.core.plugins.module_utils import smoke_test as smoke
from ansible_collections.condafleet.core.plugins.module_utils import validation_smoke
from ansible_collections.condafleet.core.plugins.module_utils.smoke_judged import SmokeError
from ansible_collections.condafleet.core.plugins.module_utils.smoke_programs import FRAMEWORKS
from ansible_collections.condafleet.core.plugins.module_utils.validation_child import account

SOUND = {
    "version": "1.0", "cuda": "12.8", "seen": True, "device": "NVIDIA H100", "wrong": 0, "elements": 4096,
    "gradient": [-9.0, -13.0], "losses": [4.25, 0.7432],
}  # fmt: skip
# The python of an environment in which every program prints one record, after what FAULT tells it to do first.
PYTHON = """#!{python}
import json, os, signal, sys, time
seen = os.environ["CUDA_VISIBLE_DEVICES"]
with open({heard!r}, "a") as stream:
    stream.write(json.dumps({{key: os.environ.get(key) for key in {keys!r}}}) + "\\n")
record = dict({record!r}, seen=bool(seen), device="NVIDIA H100" if seen else "cpu")
exec(os.environ.get("FAULT", ""))
print("a framework says hello")
print(json.dumps(record))
"""
KEYS = ("CUDA_VISIBLE_DEVICES", "JAX_PLATFORMS", "KERAS_BACKEND", "TF_FORCE_GPU_ALLOW_GROWTH", "PYTHONPATH")
FREE = {"state": "free", "why": None, "uuid": "GPU-1"}
OTHER = {"state": "free", "why": None, "uuid": "GPU-2"}
BUSY = {"state": "busy", "why": "all 1 GPU(s) are in use (4711)", "uuid": None}
UNKNOWN = {"state": "unknown", "why": "nvidia-smi did not answer", "uuid": None}
NONE = {"state": "none", "why": None, "uuid": None}


class Environment:
    def __init__(self, folder: Path) -> None:
        self.prefix, self.scratch, self.heard = folder / "prefix", folder / "scratch", folder / "heard"
        (self.prefix / "bin").mkdir(parents=True)
        self.scratch.mkdir()
        text = PYTHON.format(python=sys.executable, heard=str(self.heard), keys=KEYS, record=SOUND)
        (self.prefix / "bin" / "python").write_text(text)
        (self.prefix / "bin" / "python").chmod(0o755)

    def run(self, name: str = "torch", fault: str = "", cuda: bool = True, timeout: float = 20, **options: Any) -> Any:
        variables = {"FAULT": fault, "CUDA_VISIBLE_DEVICES": "0,1", "KERAS_BACKEND": "torch"}
        return smoke.run_program(str(self.prefix), name, variables, cuda, timeout, str(self.scratch), **options)

    def told(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.heard.read_text().splitlines()]


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    return Environment(tmp_path)


def observing(*answers: dict[str, Any]) -> Any:
    left = list(answers)
    return lambda: left.pop(0)


def test_a_free_gpu_is_shown_alone(environment: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    record = environment.run(observe=observing(FREE))
    assert record["gpu"] == {"state": "PASS", "why": None, "uuid": "GPU-1", "name": "NVIDIA H100"}
    (told,) = environment.told()
    assert told["CUDA_VISIBLE_DEVICES"] == "GPU-1" and told["TF_FORCE_GPU_ALLOW_GROWTH"] == "true"
    assert told["JAX_PLATFORMS"] is None and told["PYTHONPATH"] is None


@pytest.mark.parametrize(
    ("observed", "state", "why"),
    [
        (BUSY, "SKIP", "all 1 GPU(s) are in use (4711)"),
        (UNKNOWN, "SKIP", "nvidia-smi did not answer"),
        (NONE, "none", "there is no NVIDIA driver here"),
    ],
)
def test_no_other_gpu_is_taken_and_the_cpu_is_tested(
    environment: Environment, observed: dict[str, Any], state: str, why: str
) -> None:
    record = environment.run(observe=observing(observed))
    assert (record["gpu"]["state"], record["gpu"]["why"], record["device"]) == (state, why, "cpu")
    (told,) = environment.told()
    # Whatever the environment's own variables say.
    assert told["CUDA_VISIBLE_DEVICES"] == "" and told["JAX_PLATFORMS"] == "cpu"


def test_nobody_is_asked_for_a_gpu_where_the_target_is_for_cpus(environment: Environment) -> None:
    def never() -> Any:
        pytest.fail("asked for a GPU")

    options: dict[str, Any] = {"conda": None, "frameworks": ["torch"], "variables": {}, "scratch": "/tmp"}
    found = smoke.smoke_test(str(environment.prefix), cuda=False, observe=never, **options)
    assert found["torch"]["gpu"] is None and environment.told()[0]["CUDA_VISIBLE_DEVICES"] == ""


def test_a_free_gpu_that_is_not_seen_fails(environment: Environment) -> None:
    with pytest.raises(SmokeError, match="GPU-1 is free, but it sees no GPU") as caught:
        environment.run(fault="record['seen'] = False", observe=lambda: FREE)
    assert caught.value.verdict == "FAIL"


@pytest.mark.parametrize(("now", "state", "shown"), [(BUSY, "SKIP", ""), (OTHER, "PASS", "GPU-2")])
def test_what_fails_on_a_gpu_that_was_taken_meanwhile_is_tried_again(
    environment: Environment, now: dict[str, Any], state: str, shown: str
) -> None:
    record = environment.run(fault="seen == 'GPU-1' and sys.exit('out of memory')", observe=observing(FREE, now))
    assert record["gpu"]["state"] == state
    assert [told["CUDA_VISIBLE_DEVICES"] for told in environment.told()] == ["GPU-1", shown]


def test_what_fails_on_a_gpu_that_stays_free_is_not_tried_again(environment: Environment) -> None:
    with pytest.raises(SmokeError, match="no kernel image"):
        environment.run(fault="sys.exit('no kernel image is available')", observe=lambda: FREE)
    assert len(environment.told()) == 1


@pytest.mark.parametrize(
    ("fault", "verdict", "text"),
    [
        ("record['wrong'] = 3", "FAIL", "3 of 4096 elements"),
        ("record['losses'] = [4.25, 9.0]", "FAIL", "training step are 4.25, 9"),
        ("os.kill(os.getpid(), signal.SIGSEGV)", "FAIL", "ended with -11"),
        ("sys.exit('ImportError: libcudart.so.12')", "FAIL", "libcudart"),
        ("sys.exit(0)", "FAIL", "without a result"),
        ("time.sleep(60)", "ERROR", "no end after 1 seconds"),
    ],
)
def test_a_fault_is_told(environment: Environment, fault: str, verdict: str, text: str) -> None:
    began = time.monotonic()
    with pytest.raises(SmokeError, match=text) as caught:
        environment.run(fault=fault, timeout=1 if "sleep" in fault else 20)
    assert caught.value.verdict == verdict and time.monotonic() - began < 20


def test_a_framework_that_nobody_knows_is_named(environment: Environment) -> None:
    with pytest.raises(SmokeError, match="'caffe' is not accepted"):
        environment.run("caffe")


def test_each_framework_is_told_with_its_place(environment: Environment) -> None:
    told: list[Any] = []
    options: dict[str, Any] = {"conda": None, "variables": {}, "scratch": str(environment.scratch), "cuda": False}
    found = smoke.smoke_test(
        str(environment.prefix), frameworks=["torch", "jax"], progress=lambda *words: told.append(words), **options
    )
    assert told == [(0, 2, "torch"), (1, 2, "jax")] and list(found) == ["torch", "jax"]


# Frameworks, where there are any.

NAMED = [python for python in os.environ.get("CONDAFLEET_TEST_PYTHON", "").split(":") if python]
BACKENDS = {"keras-tensorflow": "tensorflow", "keras-torch": "torch", "keras-jax": "jax", "keras": "torch"}


@functools.cache
def prefix_with(*modules: str) -> str:
    code = f"import importlib.util as i, sys; sys.exit(not all(map(i.find_spec, {modules!r})))"
    for python in NAMED:
        if subprocess.run([python, "-c", code], check=False).returncode == 0:
            return str(Path(python).parent.parent)
    return ""


def real(name: str, folder: Path) -> dict[str, Any]:
    modules = ("keras", BACKENDS[name]) if name in BACKENDS else (name,)
    prefix = sys.prefix if name == "python" else prefix_with(*modules)
    if not prefix:
        pytest.skip(f"no python here has {' and '.join(modules)}; name one in CONDAFLEET_TEST_PYTHON")
    variables = {"KERAS_BACKEND": BACKENDS[name]} if name == "keras" else {}
    return smoke.run_program(prefix, name, variables, False, 120, str(folder), observe=lambda: NONE)


@pytest.mark.parametrize("name", sorted(FRAMEWORKS))
def test_a_framework_passes_within_seconds(name: str, tmp_path: Path) -> None:
    record = real(name, tmp_path)
    assert record["version"] and record["seconds"] < 90
    if name != "python":
        assert (record["device"], record["gpu"]["state"], record["wrong"]) == ("cpu", "none", 0)


FAULTS = [
    (
        "torch",
        "torch.tensor(a, device=device) @",
        "torch.tensor(a, device=device) * 2 @",
        "elements of a matrix product",
    ),
    ("torch", "before.backward()", "before.backward(); w.grad.mul_(-1)", "the gradient is 9, 13"),
    ("tensorflow", "w.assign_sub(rate * gradient)", "w.assign_add(rate * gradient)", "training step are 4.25, "),
    ("tensorflow", "tf.matmul(tf.constant(a)", "tf.matmul(tf.constant(b)", "elements of a matrix product"),
    ("jax", "jnp.array(a) @", "(jnp.array(a) + 0.1) @", "elements of a matrix product"),
    ("jax", "loss(w - rate * gradient)", "loss(w)", "training step are 4.25, 4.25"),
    ("keras-torch", "SGD(rate)", "SGD(0.0)", "training step are 4.25, 4.25"),
    ("keras-tensorflow", 'loss="mse"', 'loss="mae"', "training step are 2, "),
    ("keras-jax", "backend=backend", "backend='numpy'", "Keras took the backend numpy, not jax"),
]


@pytest.mark.parametrize(("name", "old", "new", "text"), FAULTS)
def test_a_framework_that_reckons_wrongly_fails(
    name: str, old: str, new: str, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program, backend = FRAMEWORKS[name]
    assert program.count(old) == 1
    monkeypatch.setitem(FRAMEWORKS, name, (program.replace(old, new), backend))
    with pytest.raises(SmokeError, match=text):
        real(name, tmp_path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may run a smoke test as another account")
def test_a_validations_smoke_test_runs_as_the_declared_account() -> None:
    if not Path("/usr/bin/python3").exists():
        pytest.skip("no python that others may run")
    nobody = account("nobody")
    assert nobody
    # Not below pytest's folder, which only its owner may enter.
    with tempfile.TemporaryDirectory(dir="/tmp") as place:
        Path(place).chmod(0o755)
        environment = Environment(Path(place))
        os.chown(environment.scratch, nobody.pw_uid, nobody.pw_gid)
        python = environment.prefix / "bin" / "python"
        python.write_text(python.read_text().replace(f"#!{sys.executable}", "#!/usr/bin/python3"))
        environment.heard.touch()
        environment.heard.chmod(0o666)
        variables = {"FAULT": "record['who'] = [os.geteuid(), os.getegid(), os.nice(0)]"}
        told = validation_smoke.smoke(
            str(environment.prefix), "torch", variables, str(environment.scratch), 20, 7, nobody
        )
    assert told["kind"] == "done", told
    assert told["figures"]["who"] == [nobody.pw_uid, nobody.pw_gid, os.nice(0) + 7]
