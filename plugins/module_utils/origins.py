# SPDX-License-Identifier: Apache-2.0
"""Where a canonical URL, as locks hold it, is really fetched from."""

from __future__ import annotations

from typing import Mapping, Optional
from urllib.parse import urlsplit

from ansible_collections.condafleet.core.plugins.module_utils.errors import FleetError


def rewrite(url: str, origins: Optional[Mapping[str, str]], depot_url: Optional[str]) -> str:
    """The depot's place for a canonical URL, or the URL itself where no depot holds it.

    `origins` is the depot manifest's map of canonical URL prefix to path prefix in the depot.
    Hosts in `.invalid` name nothing that could be reached: they exist in a depot only.
    """
    if depot_url:
        # The longest prefix is the most particular one.
        for prefix in sorted(origins or {}, key=len, reverse=True):
            if url.startswith(prefix):
                return join(join(depot_url, (origins or {})[prefix]), url[len(prefix) :])
    if (urlsplit(url).hostname or "").endswith(".invalid"):
        if depot_url:
            raise FleetError(
                f"depot_url: {depot_url} does not hold {url} (its manifest names no such origin). "
                "Next: declare the depot that this lock was made with."
            )
        raise FleetError(
            f"depot_url: not set, but {url} is found in a depot only. "
            "Next: set depot_url (and depot_sha256) to the depot that this lock was made with."
        )
    return url


def join(base: str, path: str) -> str:
    """A path below a base URL, with exactly one slash between them."""
    return base.rstrip("/") + "/" + path.lstrip("/")
