# SPDX-License-Identifier: Apache-2.0
"""The validation job in PyTorch."""

from __future__ import annotations

import os

import devices
import mnist_job


def network(weights, dropout=mnist_job.DROPOUT):
    """Return (model, first linear layer, second one) that begins with `weights`."""
    import torch
    from torch import nn

    first, second = nn.Linear(784, 128), nn.Linear(128, 10)
    with torch.no_grad():
        # PyTorch keeps a layer's matrix as (outputs, inputs).
        for layer, name in ((first, "dense1"), (second, "dense2")):
            layer.weight.copy_(torch.from_numpy(weights[name + "_kernel"].T.copy()))
            layer.bias.copy_(torch.from_numpy(weights[name + "_bias"].copy()))
    return nn.Sequential(nn.Flatten(), first, nn.ReLU(), nn.Dropout(dropout), second), first, second


def train(job, data):
    device, versions = devices.torch(job)
    import torch
    from torch import nn

    torch.manual_seed(job.seed)
    place = torch.device(device["kind"])
    train_images, train_labels, test_images, test_labels = (torch.from_numpy(array).to(place) for array in data)
    model, first, second = network(mnist_job.first_weights(job.seed), job.dropout)
    model.to(place)
    # CrossEntropyLoss works on the scores before the softmax, which is the stable form of the same network.
    measure = nn.CrossEntropyLoss()
    # Keras adds epsilon before the second moment is corrected, PyTorch after: that matters in the first steps only.
    optimizer = torch.optim.Adam(
        model.parameters(), lr=mnist_job.RATE, betas=(mnist_job.BETA1, mnist_job.BETA2), eps=mnist_job.EPSILON
    )
    count = len(train_images)

    for epoch in range(job.epochs):
        job.epoch_begins()
        model.train()
        # Kept as tensors until the epoch ends: reading a figure at each step would make the GPU wait.
        loss_sum = torch.zeros((), device=place)
        right = torch.zeros((), device=place, dtype=torch.int64)
        order = torch.from_numpy(mnist_job.order_of(job.seed, epoch, count)).to(place)
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
        "device": device,
        "versions": {"framework": versions["torch"], "cuda": versions["cuda"]},
        "native_weights": {"path": native, "format": "torch state_dict"},
        "weights": {
            "dense1_kernel": first.weight.detach().cpu().numpy().T,
            "dense1_bias": first.bias.detach().cpu().numpy(),
            "dense2_kernel": second.weight.detach().cpu().numpy().T,
            "dense2_bias": second.bias.detach().cpu().numpy(),
        },
    }


if __name__ == "__main__":
    mnist_job.run(train)
