# SPDX-License-Identifier: Apache-2.0
"""Installers that the controller fetches once, for all nodes, into the cache of the user who runs Ansible."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ansible_collections.condafleet.core.plugins.module_utils import download, files
from ansible_collections.condafleet.core.plugins.module_utils.errors import FleetError

Say = Callable[[str], None]

SHOW_SECONDS = 6.0
MB = 1_000_000
# Beside a fetched file: where it came from.
ORIGIN = "origin"


def fetch_once(pending: Mapping[str, Any], access: download.Access, say: Say) -> tuple[Path, str | None]:
    """The verified file, and the URL that it came from, now or when it was fetched (None where nobody noted that).

    Ansible's forks wait for one of them. FleetError lists each place with its cause.
    """
    folder = cache_folder() / pending["sha256"]
    with _alone(folder):
        path = folder / pending["filename"]
        source = download.fetch_any(
            [on_controller(source) for source in pending["sources"]],
            str(path),
            sha256=pending["sha256"],
            size=pending.get("size"),
            access=access,
            progress=_shown(pending["filename"], say),
            say=say,
            partials=str(folder),
        )
        note = str(folder / ORIGIN)
        if source:
            files.write_atomic(note, source + "\n", 0o600)
        return path, source or (files.read_text(note) or "").strip() or None


def came_from(
    installers: Mapping[str, Mapping[str, Any]], pending: Mapping[str, Any], source: str | None
) -> dict[str, dict[str, Any]]:
    """The installers as the node's module takes them, with the place that `pending` really came from before its others.

    The node gets the file itself, and notes that place in its receipt.
    """
    told = {architecture: dict(entry) for architecture, entry in installers.items()}
    for entry in told.values():
        if source and entry.get("sha256") == pending["sha256"]:
            declared = [one for one in pending["sources"] if on_controller(one)["url"] == source]
            others = [one for one in pending["sources"] if one not in declared]
            # Its name, which may follow from the first place, is that of the file that is sent.
            first = declared or [{"kind": "url", "url": source}]
            entry.update(filename=pending["filename"], sources=[*first, *others])
    return told


def cache_folder() -> Path:
    """Where installers are kept; whatever is taken from here is verified again."""
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(home) / "condafleet" / "installers"


def on_controller(source: Mapping[str, str]) -> dict[str, str]:
    """A source as a URL here: a path is a file of the controller's."""
    if source["kind"] != "path":
        return dict(source)
    return {**source, "url": Path(source["url"]).absolute().as_uri()}


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise FleetError(
            f"XDG_CACHE_HOME: {folder} can't be used ({error.strerror}). Accepted: a folder for this user's caches. "
            "Next: set XDG_CACHE_HOME to one, or miniconda_fetch to node."
        ) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _shown(name: str, say: Say) -> download.Progress:
    last = [time.monotonic()]

    def show(have: int, total: int | None) -> None:
        if time.monotonic() - last[0] >= SHOW_SECONDS:
            last[0] = time.monotonic()
            say(f"fetch {have // MB} MB" + (f" of {total // MB} MB" if total else "") + f" {name}")

    return show
