"""The serving scripts, run as on a node: that the exported model answers, and that a bad server is seen and ended."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from tests.unit.validation.scripts import FILES, describe, need, run

from ansible_collections.condafleet.core.plugins.module_utils.validation_plan import scripts_for
from ansible_collections.condafleet.core.plugins.module_utils.validation_scripts import read_scripts

# A framework of numpy: what is exported are the weights as npz. Run as a file, since the server is the same file.
NUMPY_SERVING = """
import os, sys, time
sys.path.insert(0, {files!r})
import numpy, serve_job

def export(job, weights, folder):
    path = os.path.join(folder, "model.npz")
    numpy.savez(path, **weights)
    EXPORTED
    return path, "npz", ["a note"], {{"kind": "cpu", "name": None}}, {{"framework": "1"}}

def load(artefact, threads):
    LOADING
    weights = dict(numpy.load(artefact))
    asked = []
    def answer(images):
        asked.append(len(images))
        ANSWERING
        return serve_job.scores_of(weights, images)
    return answer

def train(job, data):
    return {{"weights": serve_job.mnist_job.first_weights(5)}}

serve_job.run(export, load, train)
"""
WEIGHTS = """
import sys, numpy, mnist_job
weights = mnist_job.first_weights(3)
numpy.savez(sys.argv[1], **weights)
"""


def trained(folder: Path) -> Path:
    """Weights as a training leaves them."""
    path = folder / "trained.npz"
    subprocess.run([need("numpy"), "-c", WEIGHTS, str(path)], env={"PYTHONPATH": str(FILES)}, check=True)
    return path


def serve(folder: Path, weights: Path | None, fault: dict[str, str] | None = None, **changes: Any) -> dict[str, Any]:
    code = NUMPY_SERVING.format(files=str(FILES))
    for place in ("EXPORTED", "LOADING", "ANSWERING"):
        code = code.replace(place, (fault or {}).get(place, "pass"))
    (folder / "serve_numpy.py").write_text(code)
    described = describe(folder, folder / "source", trained=str(weights) if weights else None, **changes)
    outcome = run(need("numpy"), [str(folder / "serve_numpy.py"), str(described)], folder)
    assert not (folder / "export").exists()
    assert servers(folder) == []
    return outcome


def servers(folder: Path) -> list[str]:
    """Command lines of servers that are left."""
    found = []
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = place.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
        except OSError:
            continue
        if "--serve" in line and str(folder) in line:
            found.append(line)
    return found


def test_answers_are_those_of_the_weights(tmp_path: Path, data: Any) -> None:
    outcome = serve(tmp_path, trained(tmp_path))
    assert outcome["kind"] == "done", outcome
    figures = outcome["figures"]
    assert figures["questions"] == 200 and figures["weights"] == "those of the training"
    assert figures["largest_difference"] < 1e-5
    assert 0 < figures["latency_ms"] <= figures["latency_worst_ms"] and figures["answers_per_second"] > 0
    assert (figures["form"], figures["notes"]) == ("npz", "a note")


def test_without_a_training_one_epoch_is_trained(tmp_path: Path, data: Any) -> None:
    assert serve(tmp_path, None)["figures"]["weights"].startswith("those of one epoch")


SHORT = {"start": 3.0, "answer": 1.5}
FAULTS: dict[str, tuple[dict[str, str], str]] = {
    "one score is wrong": ({"ANSWERING": "weights['dense2_bias'][4] += 0.01 * (len(asked) == 5)"}, "differ"),
    "answers are no numbers": ({"ANSWERING": "images = images * float('nan')"}, "differ"),
    "answers are of another model": (
        {"EXPORTED": "numpy.savez(path, **{n: a * 2 for n, a in weights.items()})"},
        "differ",
    ),
    "hangs at a question": ({"ANSWERING": "len(asked) == 9 and time.sleep(60)"}, "no answer within 1.5 seconds"),
    "dies while it loads": ({"LOADING": "sys.exit(3)"}, "the server ended with status 3 before it could answer"),
    "dies at a question": ({"ANSWERING": "len(asked) == 9 and os._exit(4)"}, "broke the connection off"),
    "answers too little": ({"ANSWERING": "images = images[:-1] if len(asked) > 3 else images"}, "status 200 and"),
    "damaged artefact": ({"EXPORTED": "open(path, 'r+b').truncate(99)"}, "the server ended with status 1"),
}


def test_a_server_that_takes_too_long_to_start_tells_nothing_of_the_model(tmp_path: Path, data: Any) -> None:
    outcome = serve(tmp_path, trained(tmp_path), {"LOADING": "time.sleep(60)"}, limits=SHORT)
    assert outcome["kind"] == "error", outcome
    assert "did not load the exported model within 3 seconds" in outcome["reason"]


@pytest.mark.parametrize("name", FAULTS)
def test_a_bad_server_fails_and_is_ended(tmp_path: Path, data: Any, name: str) -> None:
    fault, text = FAULTS[name]
    began = time.monotonic()
    outcome = serve(tmp_path, trained(tmp_path), fault, limits=SHORT)
    assert outcome["kind"] == "unfit" and text in outcome["reason"], outcome
    assert time.monotonic() - began < 40


@pytest.mark.parametrize(
    ("damage", "text"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-2000]), "can't be read"),
        (lambda path: path.write_bytes(b"PK" + bytes(50)), "can't be read"),
    ],
    ids=["cut off", "no npz"],
)
def test_damaged_weights_are_error(tmp_path: Path, data: Any, damage: Any, text: str) -> None:
    weights = trained(tmp_path)
    damage(weights)
    outcome = serve(tmp_path, weights)
    assert outcome["kind"] == "error" and text in outcome["reason"], outcome


def test_damaged_data_are_error_and_nothing_is_served(tmp_path: Path, data: Any) -> None:
    (tmp_path / "source" / "t10k-labels-idx1-ubyte").write_bytes(b"<html>not found</html>")
    outcome = serve(tmp_path, trained(tmp_path))
    assert outcome["kind"] == "error" and "t10k-labels-idx1-ubyte is no IDX file" in outcome["reason"]


def test_a_server_ends_with_its_job(tmp_path: Path, data: Any) -> None:
    """Also where the job is killed, and nobody is left to end it."""
    serve(tmp_path, trained(tmp_path), {"ANSWERING": "len(asked) == 9 and time.sleep(60)"}, limits=SHORT)
    program = [need("numpy"), str(tmp_path / "serve_numpy.py"), str(tmp_path / "job.json")]
    job = subprocess.Popen(program, env={"PATH": "/usr/bin:/bin"}, stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 30
        while not servers(tmp_path):
            assert time.monotonic() < deadline and job.poll() is None
            time.sleep(0.02)
    finally:
        job.kill()
        job.wait()
    deadline = time.monotonic() + 20
    while servers(tmp_path):
        assert time.monotonic() < deadline, "the server outlives its job"
        time.sleep(0.05)


SERVED = ["torch", "tensorflow", "keras-torch", "keras-tensorflow", "keras-jax", "jax"]


def serve_with(framework: str, folder: Path, before: str = "", **changes: Any) -> dict[str, Any]:
    """Run the scripts that a node is sent for this job, and no others; with the code `before` in the job's process."""
    name, _, backend = framework.partition("-")
    python = need(*framework.split("-"), *(["flatbuffers"] if "jax" in framework else []))
    sent = folder / "sent"
    sent.mkdir()
    for file, text in scripts_for("serve", framework, read_scripts()).items():
        (sent / file).write_text(text)
    described = str(describe(folder, folder / "source", **{"trained": str(trained(folder)), **changes}))
    program = [str(sent / f"serve_{name}.py"), described]
    if before:
        runs = f"import runpy, sys; sys.argv = {program!r}; sys.path.insert(0, {str(sent)!r})"
        program = ["-c", f"{before}\n{runs}\nrunpy.run_path(sys.argv[0], run_name='__main__')"]
    outcome = run(python, program, folder, PYTHONPATH="", **({"KERAS_BACKEND": backend} if backend else {}))
    assert servers(folder) == []
    return outcome


@pytest.mark.parametrize("framework", SERVED)
def test_a_framework_serves_what_it_exports(tmp_path: Path, data: Any, framework: str) -> None:
    outcome = serve_with(framework, tmp_path)
    assert outcome["kind"] == "done", outcome
    assert outcome["figures"]["largest_difference"] < 1e-4


def test_an_older_pytorch_exports_torchscript(tmp_path: Path, data: Any) -> None:
    outcome = serve_with("torch", tmp_path, "import torch.export; del torch.export.Dim")
    assert outcome["kind"] == "done", outcome
    assert outcome["figures"]["form"] == "TorchScript (torch.jit.trace)"


@pytest.mark.parametrize(
    ("framework", "module", "text"),
    [("jax", "jax.export", "older than 0.4.30"), ("keras-torch", "keras.src.export.torch", "too old to export")],
)
def test_an_older_version_that_exports_nothing_is_skip(
    tmp_path: Path, data: Any, framework: str, module: str, text: str
) -> None:
    hidden = f"""
from importlib import util
found = util.find_spec
util.find_spec = lambda name, *more: None if name == {module!r} else found(name, *more)
"""
    outcome = serve_with(framework, tmp_path, hidden)
    assert outcome["kind"] == "refused" and text in outcome["reason"] and "newer" in outcome["next_step"], outcome


def test_an_onnx_that_does_not_fit_is_a_note(tmp_path: Path, data: Any) -> None:
    for name in ("onnx", "onnxscript"):
        (tmp_path / f"{name}.py").touch()
    # What is served is another export: it answers as it should.
    outcome = serve_with("torch", tmp_path, f"import sys; sys.path.append({str(tmp_path)!r})")
    assert outcome["kind"] == "done" and "no ONNX: its export failed" in outcome["figures"]["notes"], outcome
