"""One job on a node, from the stored result to the new one; the training is a real child, with a small script."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.condafleet.core.plugins.module_utils import (
    validation_gpu,
    validation_place,
    validation_run,
)
from ansible_collections.condafleet.core.plugins.module_utils.errors import FleetError, InputError
from ansible_collections.condafleet.core.plugins.module_utils.progress import Progress, node_lock
from ansible_collections.condafleet.core.plugins.module_utils.validation_run import Task, validate, why_run

Options = dict[str, Any]

# Does what a training script does, without a framework.
SCRIPT = """
import json, os, sys, time
job = json.load(open(sys.argv[1]))
for done in (1, 2):
    record = {"step": "train", "done": done, "total": 2, "unit": "epochs", "message": "epoch %d/2" % done}
    json.dump(record, open(job["progress"] + ".tmp", "w"))
    os.replace(job["progress"] + ".tmp", job["progress"])
    time.sleep(0.4)
open(job["weights"], "wb").write(b"the weights")
native = os.path.join(job["native"], "weights.pt")
open(native, "wb").write(b"native")
epochs = [{"epoch": n, "loss": 0.1, "accuracy": 0.9, "seconds": 1.0, "images_per_second": 320.0} for n in (1, 2)]
outcome = {"kind": "done", "epochs": epochs, "test_loss": 0.1, "test_accuracy": ACCURACY,
    "recomputed_accuracy": ACCURACY, "train_images": 320, "test_images": 100, "images_per_second": 320.0,
    "images_per_second_of": "training, epochs 2 to 2",
    "training_seconds": 2.0, "device": {"kind": "cpu", "name": None}, "versions": {"python": "3"},
    "native_weights": {"path": native, "format": "torch state_dict"}, "peak_memory_bytes": 1}
json.dump(outcome, open(job["outcome"], "w"))
"""

RESULT_KEYS = {
    "schema_version", "environment", "framework", "generation", "interpreter", "job_digest", "verdict", "reason",
    "next_step", "started", "ended", "seconds", "epochs", "test_loss", "test_accuracy", "recomputed_accuracy",
    "train_images", "test_images", "images_per_second", "images_per_second_of", "training_seconds", "device",
    "versions", "threads", "cpu_quota", "peak_memory_bytes", "seed", "batch_size", "least_accuracy", "data", "weights",
    "native_weights", "log", "kind", "figures", "driver",
}  # fmt: skip


@pytest.fixture(autouse=True)
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine that runs the tests may have GPUs, in use or not; these jobs want none."""
    monkeypatch.setattr(validation_gpu, "MARKS", ())


def script(options: Options, text: str = SCRIPT, accuracy: float = 0.95) -> Options:
    options["scripts"] = {"train_torch.py": text.replace("ACCURACY", str(accuracy))}
    return options


def carry_out(options: Options) -> dict[str, Any]:
    result = validate(Task(options), Progress(None))
    left = list(Path(Task(options).folder).glob(".job-*"))
    assert set(result) == RESULT_KEYS and left == []
    return result


def test_a_pass_is_stored_with_its_weights_and_holds(options: Options, tmp_path: Path) -> None:
    script(options)
    assert why_run(Task(options)) == "never validated"
    result = carry_out(options)
    assert (result["verdict"], result["reason"], result["next_step"]) == ("PASS", None, None)
    assert result["generation"] == "e-0123456789ab-1"
    assert json.loads((tmp_path / "root/validation/e/torch/result.json").read_text()) == result
    weights = Path(result["weights"]["path"])
    assert weights.read_bytes() == b"the weights"
    assert result["weights"]["sha256"] == hashlib.sha256(b"the weights").hexdigest()
    assert weights.stat().st_mode & 0o777 == 0o644
    assert result["data"]["sha256"] == {entry["name"]: entry["sha256"] for entry in options["data"]}
    assert why_run(Task(options)) is None
    assert why_run(Task({**options, "rerun": True})) == "asked for"
    # Another than this one was condemned by the fleet, then this one.
    record = Path(options["root"]) / "validation" / "node.json"
    for subject, why in (("other/torch", None), ("e/torch", "the last verdict on train.speed was bad")):
        finding = {"check": "train.speed", "subject": subject, "verdict": "FAIL"}
        record.write_text(json.dumps({"findings": [finding]}))
        assert why_run(Task(options)) == why
    assert why_run(Task({**options, "epochs": 3})) == "the job changed (scripts, data or schedule)"


def test_a_switch_makes_it_run_again(options: Options, tmp_path: Path) -> None:
    carry_out(script(options))
    link = tmp_path / "conda/envs/e"
    newer = tmp_path / "root/generations/e-0123456789ab-2"
    (newer / "bin").mkdir(parents=True)
    (newer / "bin/python").touch()
    link.unlink()
    link.symlink_to(newer)
    assert why_run(Task(options)) == "validated for e-0123456789ab-1, current is e-0123456789ab-2"


@pytest.mark.parametrize("place", ["outcome", "progress", "weights"])
@pytest.mark.parametrize("what", ["os.mkfifo(path)", "os.symlink(SECRET, path)", "os.symlink('/dev/zero', path)"])
def test_what_a_job_leaves_is_read_as_a_plain_file_alone(
    options: Options, tmp_path: Path, place: str, what: str
) -> None:
    """The job may run as an account that wants root to hang, or to tell what only root may read."""
    secret = tmp_path / "secret"
    secret.write_text(json.dumps({"kind": "refused", "reason": "the secret"}))
    put = f"path = job['{place}']\nif os.path.lexists(path): os.unlink(path)\n" + what.replace(
        "SECRET", repr(str(secret))
    )
    result = carry_out(script(options, SCRIPT + put))
    assert "the secret" not in json.dumps(result)
    if place == "progress":
        assert result["verdict"] == "PASS"
    else:
        told = {"outcome": "left no outcome", "weights": "the training left no such file"}[place]
        assert result["verdict"] == "ERROR" and told in result["reason"]
    assert not (tmp_path / "root/validation/e/torch/weights.npz").exists() or place == "progress"


def test_too_low_an_accuracy_is_fail(options: Options) -> None:
    result = carry_out(script(options, accuracy=0.89))
    assert result["verdict"] == "FAIL"
    assert result["reason"] == "test accuracy is 0.8900, below 0.9 (validation_least_accuracy)"


def test_progress_is_handed_on(options: Options, tmp_path: Path) -> None:
    said: list[str] = []

    class Told(Progress):
        def __call__(self, step: str, done: int = 0, total: Any = None, unit: str = "", message: str = "") -> None:
            said.append(message)

    validate(Task(script(options)), Told(None))
    assert said[-2:] == ["epoch 1/2", "epoch 2/2"]


def test_a_crash_is_error_with_its_last_words(options: Options) -> None:
    result = carry_out(script(options, "raise SystemExit('libfoo.so.1: cannot open shared object file')"))
    assert result["verdict"] == "ERROR"
    assert "ended with status 1" in result["reason"] and "libfoo.so.1: cannot open" in result["reason"]
    assert result["log"] in result["next_step"]


def test_a_hanging_training_is_ended(options: Options) -> None:
    options["timeout"] = 1
    result = carry_out(script(options, "import time; time.sleep(60)"))
    assert result["verdict"] == "ERROR"
    assert "longer than 1 seconds (validation_timeout)" in result["reason"]


def test_no_environment_is_error(options: Options, tmp_path: Path) -> None:
    (tmp_path / "conda/envs/e").unlink()
    result = carry_out(script(options))
    assert result["verdict"] == "ERROR" and result["generation"] is None
    assert str(tmp_path / "conda/envs/e") in result["reason"]
    assert "create it first" in result["next_step"]


def test_wrong_data_are_error_and_nothing_is_trained(options: Options) -> None:
    options["data"][0]["sha256"] = "0" * 64
    result = carry_out(script(options))
    assert result["verdict"] == "ERROR" and result["epochs"] == []
    assert "sha256" in result["reason"] and "expected " + "0" * 64 in result["reason"]


def test_damaged_data_are_fetched_again(options: Options, tmp_path: Path) -> None:
    carry_out(script(options))
    kept = tmp_path / "root/datasets/mnist/train-images-idx3-ubyte"
    good = kept.read_bytes()
    kept.write_bytes(good[:-1] + b"\x00")
    options["rerun"] = True
    assert carry_out(options)["verdict"] == "PASS"
    assert kept.read_bytes() == good


def test_a_skip_takes_no_earlier_proof_away(options: Options, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # One script for both, since the digest is over the script.
    both = SCRIPT + 'if job["gpu"]["state"] == "busy":\n'
    both += '    json.dump({"kind": "refused", "reason": job["gpu"]["why"]}, open(job["outcome"], "w"))\n'
    carry_out(script(options, both))
    stored = (tmp_path / "root/validation/e/torch/result.json").read_text()
    busy = {"state": "busy", "why": "all 1 GPU(s) are in use (GPU-1, 4711, python)", "uuid": None}
    monkeypatch.setattr(validation_gpu, "observe", lambda: busy)
    result = carry_out({**options, "rerun": True})
    assert result["verdict"] == "SKIP" and "4711" in result["reason"]
    assert (tmp_path / "root/validation/e/torch/result.json").read_text() == stored


def test_variables_of_the_environment_reach_the_training(options: Options, tmp_path: Path) -> None:
    generation = tmp_path / "root/generations/e-0123456789ab-1"
    (generation / "etc/conda/env_vars.d").mkdir(parents=True)
    (generation / "etc/conda/env_vars.d/package.json").write_text('{"B": "of a package"}')
    (generation / "conda-meta").mkdir()
    (generation / "conda-meta/state").write_text('{"env_vars": {"KERAS_BACKEND": "torch", "A": "of the environment"}}')
    options["variables"] = {"A": "declared"}
    result = carry_out(
        script(options, "import os, sys; sys.exit(' '.join(map(os.environ.get, ('KERAS_BACKEND', 'A', 'B'))))")
    )
    assert "torch declared of a package" in result["reason"]


KIND_SCRIPT = """
import json, sys
job = json.load(open(sys.argv[1]))
json.dump({"kind": "KIND", "reason": "it did not", "figures": {"trained": job["trained"]}}, open(job["outcome"], "w"))
"""


def of_kind(options: Options, kind: str, outcome: str = "done") -> Options:
    text = KIND_SCRIPT.replace("KIND", outcome)
    return {**options, "kind": kind, "scripts": {**options["scripts"], f"{kind}_torch.py": text}}


def test_kinds_are_stored_beside_each_other(options: Options, tmp_path: Path) -> None:
    carry_out(script(options))
    folder = tmp_path / "root/validation/e/torch"
    before = (folder / "result.json").read_text()
    result = carry_out(of_kind(options, "transformer"))
    assert (result["verdict"], result["kind"], result["data"]) == ("PASS", "transformer", None)
    assert json.loads((folder / "transformer.json").read_text()) == result
    assert (folder / "result.json").read_text() == before
    assert why_run(Task(of_kind(options, "transformer"))) is None
    assert carry_out(of_kind(options, "serve", "unfit"))["verdict"] == "FAIL"


def test_serving_gets_the_weights_of_the_training(options: Options, tmp_path: Path) -> None:
    assert carry_out(of_kind(options, "serve"))["figures"] == {"trained": None}
    carry_out(script(options))
    found = carry_out({**of_kind(options, "serve"), "rerun": True})["figures"]["trained"]
    assert found.endswith("/trained.npz")


def test_weights_that_are_not_what_was_stored_are_error(options: Options, tmp_path: Path) -> None:
    carry_out(script(options))
    (tmp_path / "root/validation/e/torch/weights.npz").write_bytes(b"the weightz")
    result = carry_out(of_kind(options, "serve"))
    assert result["verdict"] == "ERROR"
    assert "weights.npz is not what the training has stored" in result["reason"]


def test_weights_of_a_training_that_failed_are_not_served(options: Options) -> None:
    carry_out(script(options, accuracy=0.5))
    assert carry_out(of_kind(options, "serve"))["figures"] == {"trained": None}


def test_a_kept_generation_is_stored_apart(options: Options, tmp_path: Path) -> None:
    carry_out(script(options))
    folder = tmp_path / "root/validation/e/torch"
    before = {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "lock"}
    kept = tmp_path / "root/generations/e-ba9876543210-1"
    (kept / "bin").mkdir(parents=True)
    (kept / "bin/python").symlink_to(tmp_path / "root/generations/e-0123456789ab-1/bin/python")
    former = {**options, "generation": kept.name}
    assert why_run(Task(former)) == "never validated"
    result = carry_out(former)
    assert (result["generation"], result["weights"]) == (kept.name, None)
    assert json.loads((folder / f"{kept.name}.train.json").read_text()) == result
    assert {name: (folder / name).read_bytes() for name in before} == before
    assert why_run(Task(former)) is None and why_run(Task(options)) is None


@pytest.mark.parametrize("name", ["../e-1", "x-ba9876543210-1", "e"])
def test_a_generation_of_another_environment_is_refused(options: Options, name: str) -> None:
    with pytest.raises(InputError, match=f"generation: {name} is not accepted"):
        Task({**options, "generation": name})


def test_a_smoke_test_fails_with_what_the_program_said(options: Options) -> None:
    # The python of these tests has no PyTorch, or one that works.
    result = carry_out({**options, "kind": "smoke", "timeout": 100})
    if result["verdict"] != "PASS":
        assert result["verdict"] == "FAIL" and "torch" in result["reason"] and "by hand" in result["next_step"]
    assert result["data"] is None


def test_the_backend_is_that_of_the_framework(options: Options) -> None:
    text = "import os, sys; sys.exit(os.environ['KERAS_BACKEND'])"
    options.update(framework="keras-jax", variables={"KERAS_BACKEND": "torch"}, scripts={"train_keras.py": text})
    assert carry_out(options)["reason"].endswith("jax")


def test_a_kind_that_hangs_is_ended_and_says_whose_limit_it_was(options: Options) -> None:
    hanging = {"transformer_torch.py": "import time; time.sleep(60)"}
    result = carry_out({**options, "kind": "transformer", "scripts": hanging, "timeout": 1})
    assert result["verdict"] == "ERROR"
    assert "took longer than 1 seconds (validation_checks.train.transformer.timeout)" in result["reason"]
    assert result["log"].endswith("/transformer.txt") and result["log"] in result["next_step"]


def test_nothing_is_trained_beside_what_loads_the_node(
    options: Options, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as the speed checks of a run whose controller was ended: each would make the other slow."""
    monkeypatch.setattr(validation_run, "LOCK_SECONDS", 0.3)
    home = Path(validation_place.speed_folder(options["root"]))
    home.mkdir(parents=True)
    script(options)
    with (
        node_lock(str(home), "measure the speed of this node"),
        pytest.raises(FleetError, match=r"validation_root: .* is held by process .*\(measure the speed of this node\)"),
    ):
        validate(Task(options), Progress(None))
    assert carry_out(options)["verdict"] == "PASS"


# It goes on only where somebody else holds the lock whose path is filled in.
TRY_LOCK = """
import fcntl, sys
try:
    fcntl.flock(open(LOCK), fcntl.LOCK_EX | fcntl.LOCK_NB)
    sys.exit("nobody holds it")
except BlockingIOError:
    pass
"""


def test_no_speed_is_measured_beside_a_training(options: Options) -> None:
    lock = Path(validation_place.speed_folder(options["root"])) / "lock"
    script(options, TRY_LOCK.replace("LOCK)", f"{str(lock)!r})", 1) + SCRIPT)
    assert carry_out(options)["verdict"] == "PASS"


def test_what_a_killed_job_has_left_goes_with_the_next(options: Options) -> None:
    left = Path(Task(options).folder) / ".job-killed"
    left.mkdir(parents=True)
    (left / "weights.npz").touch()
    assert carry_out(script(options))["verdict"] == "PASS" and not left.exists()


def test_another_driver_makes_it_run_again(options: Options, monkeypatch: pytest.MonkeyPatch) -> None:
    # A training on the CPU of a node whose driver was not loaded says nothing of its GPUs.
    monkeypatch.setattr(validation_run, "driver_version", lambda: None)
    assert carry_out(script(options))["driver"] is None
    monkeypatch.setattr(validation_run, "driver_version", lambda: "580.65.06")
    assert why_run(Task(options)) == "validated with GPU driver none, the node has 580.65.06"
    assert carry_out(options)["driver"] == "580.65.06"
    assert why_run(Task(options)) is None


def test_a_script_is_told_that_the_target_is_for_cuda(options: Options, tmp_path: Path) -> None:
    text = "import json, sys; sys.exit('for cuda: %s' % json.load(open(sys.argv[1]))['for_cuda'])"
    assert "for cuda: False" in carry_out(script(options, text))["reason"]
    receipt = tmp_path / "root/generations/e-0123456789ab-1/.condafleet.json"
    receipt.write_text('{"target": "linux-64-cuda12"}')
    assert "for cuda: True" in carry_out(options)["reason"]


SMI = """#!/bin/sh
case "$1" in
    *compute-apps*) test ! -e {taken} || echo "GPU-1, 4711, /opt/job/python";;
    *) echo GPU-1;;
esac
"""


@pytest.mark.parametrize(("taken", "verdict"), [(True, "SKIP"), (False, "ERROR")])
def test_a_gpu_that_another_took_meanwhile(
    options: Options, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, taken: bool, verdict: str
) -> None:
    smi = tmp_path / "bin" / "nvidia-smi"
    smi.parent.mkdir()
    smi.write_text(SMI.format(taken=tmp_path / "taken"))
    smi.chmod(0o755)
    monkeypatch.setenv("PATH", f"{smi.parent}:/usr/bin:/bin")
    monkeypatch.setattr(validation_gpu, "MARKS", (str(smi),))
    take = f"open({str(tmp_path / 'taken')!r}, 'w'); " if taken else ""
    result = carry_out(script(options, f"{take}raise MemoryError('CUDA out of memory')"))
    assert result["verdict"] == verdict
    assert ("took the GPU meanwhile (GPU-1, 4711, /opt/job/python)" in result["reason"]) is taken


def test_a_training_without_an_accuracy_is_no_pass(options: Options) -> None:
    result = carry_out(script(options, SCRIPT.replace('"test_accuracy": ACCURACY', '"test_accuracy": None')))
    assert result["verdict"] == "ERROR" and "left no accuracy" in result["reason"]
