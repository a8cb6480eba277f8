"""Where a solve takes its packages from: what the declaration names, or a depot and nothing else."""

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import httpx

from ansible_collections.condafleet.core.plugins.module_utils.url_secrets import (
    masked,
    without_login,
    without_secrets,
)
from condafleet.errors import LockError

MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Sources:
    """`index` is None where the Python index is uv's own default, beside which `indexes` are asked, each before the
    next; `files` is what a depot's manifest lists."""

    channels: list[str]
    index: str | None = None
    indexes: list[str] = field(default_factory=list)
    depot_url: str | None = None
    origins: dict[str, str] = field(default_factory=dict)
    files: dict[str, dict[str, Any]] = field(default_factory=dict)

    def canonical(self, url: str) -> str:
        """The URL that stays in the lock: the same wherever a depot lies, and without any secret."""
        if self.depot_url is None:
            # A query is a signature that runs out, or a secret, and nothing that a lock can hold.
            plain = url.split("#", 1)[0].split("?", 1)[0]
            return str(without_login(plain) if plain.endswith(".whl") else without_secrets(plain))
        relative = self._relative(url)
        for prefix, path in sorted(self.origins.items(), key=lambda item: -len(item[1])):
            if relative.startswith(path):
                return prefix + relative.removeprefix(path)
        raise LockError(
            f"depot_url: {self.depot_url}: its manifest has no origin for {relative}. Accepted: a depot whose origins "
            "cover its packages. Next: build the depot again."
        )

    def size_of(self, url: str, sha256: str) -> int | None:
        """The file's size by the manifest, which must know the file by the hash that the solve saw."""
        if self.depot_url is None:
            return None
        relative = self._relative(url)
        listed = self.files.get(relative)
        if listed is None or listed.get("sha256") != sha256:
            said = "does not list it" if listed is None else f"says sha256 {str(listed.get('sha256'))[:12]}…"
            raise LockError(
                f"depot_url: {self.depot_url}: {relative} has sha256 {sha256[:12]}… by the depot's index, but "
                f"manifest.json {said}. Accepted: a depot as it was built. Next: verify it, or build it again."
            )
        size = listed.get("size")
        return int(size) if size is not None else None

    def holding(self, sha256: str) -> tuple[str, int | None] | None:
        """URL and size of the depot's file with this sha256, whatever it is called there; None where it has none."""
        path = next((path for path, listed in sorted(self.files.items()) if listed.get("sha256") == sha256), None)
        if path is None:
            return None
        url = f"{self.depot_url}/{path}"
        return url, self.size_of(url, sha256)

    def _relative(self, url: str) -> str:
        base = _plain(f"{self.depot_url}/")
        place = _plain(url)
        if not place.startswith(base):
            raise LockError(
                f"depot_url: {self.depot_url}: the depot points to {masked(url)}, outside itself. "
                "Accepted: a depot that holds its packages. Next: build the depot again."
            )
        return place.removeprefix(base)


def upstream(channels: list[str], indexes: list[str] | None = None) -> Sources:
    return Sources(channels=channels, indexes=list(indexes or []))


def read_depot(url: str, sha256: str | None, platform: str) -> Sources:
    """A depot's channel and index. Its manifest must have the sha256 that the controller was told, if any."""
    url = url.rstrip("/")
    content = _fetch(f"{url}/{MANIFEST}", url)
    found = hashlib.sha256(content).hexdigest()
    if sha256 and found != sha256:
        raise LockError(
            f"depot_sha256: {sha256} is not the sha256 of {url}/{MANIFEST}, which is {found}. Accepted: the depot that "
            "was declared. Next: correct depot_sha256, or restore the depot."
        )
    try:
        manifest = json.loads(content)
        channels = [f"{url}/{channel['path']}" for _, channel in sorted(manifest["channels"].items())]
        sources = Sources(
            channels=channels,
            index=f"{url}/{manifest['index']['path']}",
            depot_url=url,
            origins=dict(manifest["origins"]),
            files=dict(manifest["files"]),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise LockError(
            f"depot_url: {url}/{MANIFEST} is malformed ({error!r}). Accepted: a depot's manifest. Next: build it again."
        ) from error
    if manifest.get("platform") not in (None, platform):
        raise LockError(
            f"depot_url: {url} is for {manifest['platform']}, but the target's platform is {platform}. Accepted: "
            "a depot for the target's platform. Next: leave that target out, or use another depot."
        )
    return sources


def _fetch(place: str, depot_url: str) -> bytes:
    parts = urlsplit(place)
    try:
        if parts.scheme == "file":
            return Path(unquote(parts.path)).read_bytes()
        if parts.scheme in ("http", "https"):
            answer = httpx.get(place, timeout=30, follow_redirects=True)
            answer.raise_for_status()
            return answer.content
    except (OSError, httpx.HTTPError, httpx.InvalidURL) as error:
        raise LockError(
            f"depot_url: {masked(place)} can't be read: {error}. Accepted: file:///… or http(s)://… of a "
            "depot. Next: correct depot_url, or serve the depot."
        ) from error
    raise LockError(
        f"depot_url: {masked(depot_url)} is not accepted. Accepted: file:///… or http(s)://… of a depot. "
        "Next: correct depot_url."
    )


def _plain(url: str) -> str:
    """One spelling for URLs that mean the same place."""
    parts = urlsplit(without_login(url))
    return f"{parts.scheme}://{parts.netloc}{unquote(parts.path)}"
