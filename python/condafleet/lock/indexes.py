"""Which Python indexes uv asks, and in which order.

The first index that has a project at all is the only one that it is taken from (uv's `first-index`): so whoever puts a
project of the same name, in whatever version, on a later index is never asked. Declared ones come before the default.
"""

import urllib.error
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

from ansible_collections.condafleet.core.plugins.module_utils.access import Access
from ansible_collections.condafleet.core.plugins.module_utils.host_auth import Hosts
from condafleet.lock.sources import Sources


def index_options(sources: Sources, backend: str, hosts: Hosts) -> list[str]:
    """uv's options. `backend` is PyTorch's own index for the target, which has PyTorch in builds that no other has."""
    if sources.index is not None:
        # A depot, and nothing beside. It may be built again at the same place, and is near: nothing is cached.
        return [f"--default-index={sources.index}", "--no-cache"]
    options = [f"--index={url}" for url in sources.indexes] + ["--index-strategy=first-index"]
    # uv would ask PyTorch's own index before all others: a site's own builds, or its mirror, come first.
    if not any(has_project(url, "torch", hosts) for url in sources.indexes):
        options.append(f"--torch-backend={backend}")
    return options


def has_project(index: str, project: str, hosts: Hosts) -> bool:
    """Whether an index answers for a project. Whatever else is wrong with it, uv says in its own words."""
    if index.startswith("file:"):
        return Path(unquote(urlsplit(index).path), project).exists()
    access = Access(timeout=30, hosts=hosts)
    headers: Mapping[str, str] = {"Accept": "application/vnd.pypi.simple.v1+json, text/html;q=0.5"}
    try:
        with access.open(f"{index}/{project}/", headers) as answer:
            return bool(answer.status == 200)
    except (OSError, ValueError, urllib.error.URLError):
        return False
