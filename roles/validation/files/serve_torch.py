# SPDX-License-Identifier: Apache-2.0
"""Serve the network as PyTorch exports it: an ExportedProgram (torch.export), and ONNX where onnx is installed.

PyTorch before 2.2 can't export for a free number of images: there it is TorchScript.
"""

from __future__ import annotations

import os
from importlib import util

import devices
import serve_job
import train_torch


def export(job, weights, folder):
    device, versions = devices.torch(job)
    import torch

    model = train_torch.network(weights)[0].eval()
    example = torch.zeros(2, 784)
    path, form = exported(torch, model, example, folder)
    notes = [onnx_note(torch, model, example, folder)]
    return path, form, notes, device, {"framework": versions["torch"], "cuda": versions["cuda"]}


def exported(torch, model, example, folder):
    """Write the model; return the path and its form in words."""
    if not hasattr(getattr(torch, "export", None), "Dim"):
        path = os.path.join(folder, "model.ts")
        torch.jit.trace(model, example).save(path)
        return path, "TorchScript (torch.jit.trace)"
    path = os.path.join(folder, "model.pt2")
    # A free number of images; an example with one image would have it taken for a constant.
    shapes = ({0: torch.export.Dim("images", min=1)},)
    torch.export.save(torch.export.export(model, (example,), dynamic_shapes=shapes), path)
    return path, "ExportedProgram (torch.export)"


def onnx_note(torch, model, example, folder):
    """Export as ONNX too, where that can be done, and let onnx itself check it. What is served is not that."""
    if not util.find_spec("onnx") or not util.find_spec("onnxscript"):
        return "no ONNX: onnx and onnxscript are not installed"
    import onnx

    path = os.path.join(folder, "model.onnx")
    try:
        torch.onnx.export(model, (example,), path, dynamo=True)
        onnx.checker.check_model(path)
    except Exception as error:  # noqa: BLE001 - versions of the three that don't fit each other fail in many ways
        return "no ONNX: its export failed: %s: %s" % (type(error).__name__, " ".join(str(error).split())[:200])
    return "exported as ONNX too, which onnx finds well-formed"


def load(artefact, threads):
    import torch

    torch.set_num_threads(threads)
    place = "cuda" if torch.cuda.is_available() else "cpu"
    if artefact.endswith(".ts"):
        model = torch.jit.load(artefact, map_location=place)
    else:
        model = torch.export.load(artefact).module().to(place)

    def answer(images):
        with torch.no_grad():
            return model(torch.from_numpy(images.copy()).to(place)).cpu().numpy()

    return answer


if __name__ == "__main__":
    serve_job.run(export, load, train_torch.train)
