# SPDX-License-Identifier: Apache-2.0
"""The validation job in PyTorch."""

from __future__ import annotations

import os

import mnist_job


def train(job, data):
    import torch
    from torch import nn

    cuda_build = bool(torch.version.cuda or getattr(torch.version, "hip", None))
    job.claim_device(cuda_build)
    seen = torch.cuda.is_available()
    job.expect_gpu(cuda_build, seen)
    device = torch.device("cuda" if seen else "cpu")
    name = torch.cuda.get_device_name(device) if seen else None

    torch.manual_seed(job.seed)
    torch.set_num_threads(job.threads)
    train_images, train_labels, test_images, test_labels = (torch.from_numpy(array).to(device) for array in data)
    first, second = nn.Linear(784, 128), nn.Linear(128, 10)
    # CrossEntropyLoss works on the scores before the softmax, which is the stable form of the same network.
    model = nn.Sequential(nn.Flatten(), first, nn.ReLU(), nn.Dropout(0.2), second).to(device)
    measure = nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.001)
    count = len(train_images)

    for _dummy in range(job.epochs):
        job.epoch_begins()
        model.train()
        # Kept as tensors until the epoch ends: reading a figure at each step would make the GPU wait.
        loss_sum = torch.zeros((), device=device)
        right = torch.zeros((), device=device, dtype=torch.int64)
        order = torch.randperm(count).to(device)
        for start in range(0, count, job.batch_size):
            chosen = order[start : start + job.batch_size]
            labels = train_labels[chosen]
            scores = model(train_images[chosen])
            loss = measure(scores, labels)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            loss_sum += loss.detach() * len(chosen)
            right += (scores.detach().argmax(dim=1) == labels).sum()
        job.epoch_ends(loss_sum.item() / count, right.item() / count)

    model.eval()
    with torch.no_grad():
        scores = torch.cat([model(part) for part in test_images.split(1000)])
        test_loss = measure(scores, test_labels).item()
        test_accuracy = (scores.argmax(dim=1) == test_labels).double().mean().item()
    native = os.path.join(job.native, "weights.pt")
    torch.save({key: value.cpu() for key, value in model.state_dict().items()}, native)
    return {
        "test_loss": test_loss,
        "test_accuracy": test_accuracy,
        "device": {"kind": device.type, "name": name},
        "versions": {"framework": torch.__version__, "cuda": torch.version.cuda},
        "native_weights": {"path": native, "format": "torch state_dict"},
        # PyTorch keeps a layer's matrix as (outputs, inputs).
        "weights": {
            "dense1_kernel": first.weight.detach().cpu().numpy().T,
            "dense1_bias": first.bias.detach().cpu().numpy(),
            "dense2_kernel": second.weight.detach().cpu().numpy().T,
            "dense2_bias": second.bias.detach().cpu().numpy(),
        },
    }


if __name__ == "__main__":
    mnist_job.run(train)
