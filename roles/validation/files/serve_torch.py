# SPDX-License-Identifier: Apache-2.0
"""Serve the network as PyTorch exports it: an ExportedProgram (torch.export), and ONNX where onnx is installed."""

from __future__ import annotations

import os
from importlib import util

import devices
import serve_job


def export(job, weights, folder):
    device, versions = devices.torch(job)
    import torch
    import train_torch

    model = train_torch.network(weights)[0].eval()
    path = os.path.join(folder, "model.pt2")
    # A free number of images; an example with one image would have it taken for a constant.
    shapes = ({0: torch.export.Dim("images", min=1)},)
    torch.export.save(torch.export.export(model, (torch.zeros(2, 784),), dynamic_shapes=shapes), path)
    notes = [onnx_note(torch, model, folder)]
    versions = {"framework": versions["torch"], "cuda": versions["cuda"]}
    return path, "ExportedProgram (torch.export)", notes, device, versions


def onnx_note(torch, model, folder):
    """Export as ONNX too, where that can be done, and let onnx itself check it."""
    if not util.find_spec("onnx") or not util.find_spec("onnxscript"):
        return "no ONNX: onnx and onnxscript are not installed"
    import onnx

    path = os.path.join(folder, "model.onnx")
    torch.onnx.export(model, (torch.zeros(2, 784),), path, dynamo=True)
    onnx.checker.check_model(path)
    return "exported as ONNX too, which onnx finds well-formed"


def load(artefact, threads):
    import torch

    torch.set_num_threads(threads)
    place = "cuda" if torch.cuda.is_available() else "cpu"
    model = torch.export.load(artefact).module().to(place)

    def answer(images):
        with torch.no_grad():
            return model(torch.from_numpy(images.copy()).to(place)).cpu().numpy()

    return answer


if __name__ == "__main__":
    serve_job.run(export, load, "torch")
