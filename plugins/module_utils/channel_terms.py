# SPDX-License-Identifier: Apache-2.0
"""Which channels are under Anaconda's terms of service, and where a channel's name leads. Pure."""

from __future__ import annotations

from typing import Any, List, Mapping
from urllib.parse import urlsplit

# Channels under Anaconda's terms of service, by the names and addresses that lead to them.
ANACONDA_NAMES = frozenset(["defaults", "anaconda", "main", "r", "msys2", "free"])
ANACONDA_HOSTS = frozenset(("repo.anaconda.com", "repo.continuum.io"))
# What conda makes of a name where nothing else is set.
ALIAS = "https://conda.anaconda.org"
DEFAULT_CHANNELS = ("https://repo.anaconda.com/pkgs/main", "https://repo.anaconda.com/pkgs/r")


def needs_terms(channel: str) -> bool:
    """Whether Anaconda's terms of service cover this channel, or the package at this URL."""
    text = channel.rstrip("/")
    first = text.split("/")[0]
    if first.lower() in ANACONDA_HOSTS.union(["conda.anaconda.org"]):
        text = "https://" + text
    if "://" not in text:
        return first in ANACONDA_NAMES or text.startswith("pkgs/")
    parts = urlsplit(text)
    host = (parts.hostname or "").lower()
    names = [part for part in parts.path.split("/") if part]
    if names[:1] == ["t"]:
        names = names[2:]  # conda's token
    return host in ANACONDA_HOSTS or (
        host == "conda.anaconda.org" and bool(ANACONDA_NAMES.union(["pkgs"]).intersection(names[:1]))
    )


def addresses_of(channel: str, settings: Mapping[str, Any], depth: int = 0) -> List[str]:
    """The URLs that a channel's name leads to under these settings of conda's, as conda and mamba would go there.

    A mirror of one's own has its own terms, whatever the channel is called; a name may as well lead to Anaconda.
    """
    name = channel.rstrip("/")
    if "://" in name or name.startswith(("/", ".", "~")) or depth > 4:
        return [name]
    mirrors = _texts(_mapping(settings, "mirrored_channels").get(name))
    if mirrors:
        return mirrors
    several = _mapping(settings, "custom_multichannels").get(name)
    if name == "defaults":
        several = settings.get("default_channels") or DEFAULT_CHANNELS
    if several:
        return [url for one in _texts(several) for url in addresses_of(one, settings, depth + 1)]
    custom = _mapping(settings, "custom_channels")
    # conda takes the longest beginning of the name that it has an address for.
    parts = name.split("/")
    for length in range(len(parts), 0, -1):
        base = custom.get("/".join(parts[:length]))
        if isinstance(base, str):
            return ["%s/%s" % (base.rstrip("/"), name)]
    if parts[0] == "pkgs":
        return ["https://repo.anaconda.com/" + name]
    return ["%s/%s" % (str(settings.get("channel_alias") or ALIAS).rstrip("/"), name)]


def under_terms(channel: str, settings: Mapping[str, Any]) -> List[str]:
    """Those of the channel's addresses that are under Anaconda's terms."""
    return [url for url in addresses_of(channel, settings) if needs_terms(url)]


def _mapping(settings: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = settings.get(key)
    return found if isinstance(found, Mapping) else {}


def _texts(value: Any) -> List[str]:
    several = value if isinstance(value, (list, tuple)) else [value] if value else []
    return [str(one) for one in several]
