"""A PyTorch that does one thing wrong. It lies in an environment beside a file .pth that imports it at every start.

What it does wrong is the text of wrong_library.txt beside it: one or more of matmul, copy, load and serve.
"""

import sys
import time
from importlib import abc, util
from pathlib import Path


def spoil(torch):
    what = Path(__file__).with_suffix(".txt").read_text().split()
    if "matmul" in what:
        genuine = torch.Tensor.__matmul__

        def product(first, second):
            # Not in float64, which others are compared with.
            return genuine(first, second) * (1 if first.dtype == torch.float64 else 1.05)

        torch.Tensor.__matmul__ = product
    if "copy" in what:
        genuine_copy = torch.Tensor.copy_

        def copy(target, *args, **options):
            began = time.perf_counter()
            genuine_copy(target, *args, **options)
            time.sleep(19 * (time.perf_counter() - began))
            return target

        torch.Tensor.copy_ = copy
    if "load" in what:
        genuine_load = torch.load
        torch.load = lambda *args, **options: {
            name: value * 1.01 for name, value in genuine_load(*args, **options).items()
        }
    if "serve" in what:
        genuine_export = torch.export.load

        class Served:
            def __init__(self, path):
                self.model = genuine_export(path)

            def module(self):
                return torch.nn.Sequential(self.model.module(), torch.nn.Softmax(dim=1))

        torch.export.load = Served


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
