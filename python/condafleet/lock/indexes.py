"""Which Python indexes uv asks, and in which order.

The first index that has a project at all is the only one that it is taken from (uv's `first-index`): so whoever puts a
project of the same name, in whatever version, on a later index is never asked. Declared ones come before the default.
"""

import http.client
import urllib.error
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from urllib.parse import unquote, urlsplit

from ansible_collections.condafleet.core.plugins.module_utils.access import Access
from ansible_collections.condafleet.core.plugins.module_utils.host_auth import Hosts
from ansible_collections.condafleet.core.plugins.module_utils.url_secrets import masked
from condafleet.errors import LockError
from condafleet.lock import pytorch
from condafleet.lock.credentials import refused
from condafleet.lock.reaching import why
from condafleet.lock.sources import Sources

_ACCEPT: Mapping[str, str] = {"Accept": "application/vnd.pypi.simple.v1+json, text/html;q=0.5"}


def index_options(sources: Sources, backend: str, hosts: Hosts, scratch: Path) -> list[str]:
    """uv's options. `backend` is PyTorch's own index for the target, which has PyTorch in builds that no other has;
    `scratch` is a folder for this call, in which an index may be made."""
    if sources.index is not None:
        # A depot, and nothing beside. It may be built again at the same place, and is near: nothing is cached.
        return [f"--default-index={sources.index}", "--no-cache"]
    options = [f"--index={url}" for url in sources.indexes]
    # uv would ask PyTorch's own index, and no other: a site's own builds, or its mirror, come first.
    if any(has_project(url, "torch", hosts) for url in sources.indexes):
        return [*options, "--index-strategy=first-index"]
    theirs = {one for url in sources.indexes for one in pytorch.of_family(partial(has_project, url, hosts=hosts))}
    if theirs:
        # torch itself from PyTorch's, and with it what else no declared index has.
        rest = pytorch.write_index(scratch / "pytorch", backend, theirs)
        return [*options, f"--index={rest}", "--index-strategy=first-index"]
    return [*options, "--index-strategy=first-index", f"--torch-backend={backend}"]


def has_project(index: str, project: str, hosts: Hosts) -> bool:
    """Whether an index has a project. LockError where it does not say so: then no other may be asked in its place."""
    url = f"{index}/{project}/"
    try:
        if index.startswith("file:"):
            return Path(unquote(urlsplit(index).path), project).exists()
        with Access(timeout=30, hosts=hosts).open(url, _ACCEPT):
            return True
    except urllib.error.HTTPError as error:
        if error.code in (404, 410):
            return False
        said = f"{error.code} {error.reason}"
        if error.code in (401, 403):
            raise refused(url, said, hosts) from error
        raise _unreadable(url, f"it answers {said}") from error
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise _unreadable(url, why(error)) from error


def _unreadable(url: str, said: str) -> LockError:
    return LockError(
        f"environments_indexes: {masked(url)} can't be read: {masked(said)}. Accepted: indexes that answer, since what "
        "one of them may have is never taken from another. Next: try again, correct it, or take it out. Nothing was "
        "written."
    )
