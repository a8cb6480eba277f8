"""PyTorch's own index beside a site's: asked for what only PyTorch's has, where uv would ask it for its whole family.

uv's `--torch-backend` takes every project of FAMILY from PyTorch's index and looks at no other. Where a declared index
has some of them, though not torch itself, a folder takes its place: an index after the declared ones that holds
PyTorch's pages of the other projects, and of nothing else, since that index also has old copies of numpy and the like.
"""

import html
import http.client
import urllib.error
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ansible_collections.condafleet.core.plugins.module_utils.access import Access
from condafleet.errors import LockError
from condafleet.lock.reaching import why

PLACE = "https://download.pytorch.org/whl/{backend}"
# What uv 0.13 takes from PyTorch's index, but for builds for GPUs that no target stands for.
FAMILY = (
    "torch",
    "torchvision",
    "torchaudio",
    "fbgemm-gpu",
    "fbgemm-gpu-genai",
    "pytorch-triton",
    "torch-tensorrt",
    "torchao",
    "torcharrow",
    "torchcodec",
    "torchcsprng",
    "torchdistx",
    "torchrec",
    "torchserve",
    "torchtext",
    "torchtune",
    "triton",
    "xformers",
)
_AT_ONCE = 8


def of_family(has: Callable[[str], bool]) -> list[str]:
    """The projects of the family, but for torch, that an index has by `has`, which may raise."""
    others = [project for project in FAMILY if project != "torch"]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return [project for project, found in zip(others, pool.map(has, others), strict=True) if found]


def write_index(folder: Path, backend: str, without: Iterable[str]) -> str:
    """An index in this folder that has PyTorch's pages for a backend, but for those projects; its URL."""
    projects = [project for project in FAMILY if project not in set(without)]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for project, page in zip(projects, pool.map(lambda one: _page(one, backend), projects), strict=True):
            if page is not None:
                (folder / project).mkdir(parents=True)
                (folder / project / "index.html").write_text(page, encoding="utf-8")
    return folder.as_uri()


def _page(project: str, backend: str) -> str | None:
    """PyTorch's page of a project, its links as they are meant at its own place; None where it has none."""
    url = f"{PLACE.format(backend=backend)}/{project}/"
    try:
        with Access(timeout=30).open(url, {"Accept": "text/html"}) as answer:
            return f'<base href="{html.escape(answer.geturl())}">\n{answer.read().decode()}'
    except urllib.error.HTTPError as error:
        # Its storage says 403 for what it has not.
        if error.code in (403, 404, 410):
            return None
        raise _unreadable(url, f"it answers {error.code} {error.reason}") from error
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise _unreadable(url, why(error)) from error


def _unreadable(url: str, said: str) -> LockError:
    return LockError(
        f"environments_indexes: {url} can't be read: {said}. It is asked for what of PyTorch's projects the declared "
        "indexes have not. Accepted: that index, or a declared one that has torch. Next: try again, or have torch on a "
        "declared index. Nothing was written."
    )
