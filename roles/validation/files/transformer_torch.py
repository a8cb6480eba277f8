# SPDX-License-Identifier: Apache-2.0
"""The transformer job in PyTorch, of its own layers."""

from __future__ import annotations

import devices
import transformer_job as sizes


class Framework:
    form = "transformer.pt"

    def __init__(self, job):
        self.device, versions = devices.torch(job)
        self.versions = {"framework": versions["torch"], "cuda": versions["cuda"]}

    def fresh(self, seed):
        import torch
        from torch import nn

        class Network(nn.Module):
            def __init__(self):
                super().__init__()
                self.tokens = nn.Embedding(sizes.VOCABULARY, sizes.WIDTH)
                self.places = nn.Parameter(torch.randn(sizes.LENGTH, sizes.WIDTH) * 0.5)
                layer = nn.TransformerEncoderLayer(
                    sizes.WIDTH, sizes.HEADS, sizes.HIDDEN, dropout=0.0, batch_first=True, norm_first=True
                )
                self.layers = nn.TransformerEncoder(layer, sizes.LAYERS, enable_nested_tensor=False)
                self.norm = nn.LayerNorm(sizes.WIDTH)
                self.scores = nn.Linear(sizes.WIDTH, sizes.VOCABULARY)
                mask = nn.Transformer.generate_square_subsequent_mask(sizes.LENGTH)
                self.register_buffer("mask", mask, persistent=False)

            def forward(self, inputs):
                return self.scores(
                    self.norm(self.layers(self.tokens(inputs) + self.places, mask=self.mask, is_causal=True))
                )

        torch.manual_seed(seed)
        network = Network().to(self.device["kind"])
        network.optimizer = torch.optim.Adam(network.parameters(), lr=sizes.RATE)
        return network

    def train(self, network, inputs, targets):
        network.train()
        losses = []
        for batch in zip(inputs, targets):
            loss = self._loss(network, *batch)
            network.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            network.optimizer.step()
            losses.append(loss.detach())
        return [loss.item() for loss in losses]

    def loss(self, network, inputs, targets):
        import torch

        network.eval()
        with torch.no_grad():
            return self._loss(network, inputs, targets).item()

    def _loss(self, network, inputs, targets):
        import torch

        inputs, targets = (torch.from_numpy(array).long().to(self.device["kind"]) for array in (inputs, targets))
        scores = network(inputs)[:, sizes.FIRST :]
        return torch.nn.functional.cross_entropy(scores.flatten(0, 1), targets[:, sizes.FIRST :].flatten())

    def weights(self, network):
        return {name: value.detach().cpu().numpy().copy() for name, value in network.state_dict().items()}

    def store(self, network, path):
        import torch

        torch.save(network.state_dict(), path)

    def load(self, network, path):
        import torch

        network.load_state_dict(torch.load(path, map_location=self.device["kind"], weights_only=True))


if __name__ == "__main__":
    sizes.run(Framework)
