# SPDX-License-Identifier: Apache-2.0
"""An environment that was made by hand gives its place to a generation, and gets it back. Nothing of it is deleted.

What stood at `PREFIX/envs/NAME` is exchanged for the link in one step, and lies from then on in
`PREFIX.d/adopted-envs/NAME-N`, as it was. Where a file system knows no exchange, the name is missing for a moment; a
run that is cut short there leaves the place empty, which the next one fills.
"""

from __future__ import annotations

import contextlib
import os
import re
from typing import Any, Dict, List, Optional, Sequence

from ansible_collections.condafleet.core.plugins.module_utils import files, installations
from ansible_collections.condafleet.core.plugins.module_utils import generations as gen
from ansible_collections.condafleet.core.plugins.module_utils.dependants import SECONDS, dependants_of
from ansible_collections.condafleet.core.plugins.module_utils.errors import FleetError
from ansible_collections.condafleet.core.plugins.module_utils.exchange import exchange
from ansible_collections.condafleet.core.plugins.module_utils.installed_packages import (
    installed_packages,
    python_version,
)
from ansible_collections.condafleet.core.plugins.module_utils.observe_installation import user_name
from ansible_collections.condafleet.core.plugins.module_utils.process_uses import uses
from ansible_collections.condafleet.core.plugins.module_utils.processes import described, others_in
from ansible_collections.condafleet.core.plugins.module_utils.shared_files import is_shared

FOLDER = "adopted-envs"
# In the place of a generation's name: what was moved aside last.
ADOPTED = "adopted"
_NAME = re.compile(r"(?P<environment>.+)-(?P<serial>[1-9][0-9]*)")
SHOWN = 5


def folder(prefix: str) -> str:
    return os.path.join(installations.folder(prefix), FOLDER)


def adopted(prefix: str, root: str) -> List[Dict[str, Any]]:
    """[{environment, serial, path}] of what was moved aside, the oldest of each environment first."""
    found = []
    for name in _names(prefix):
        parsed = _NAME.fullmatch(name)
        path = os.path.join(folder(prefix), name)
        if parsed and not _leads_to_generation(path, root):
            found.append(
                {"environment": parsed.group("environment"), "serial": int(parsed.group("serial")), "path": path}
            )
    return sorted(found, key=lambda one: (one["environment"], one["serial"]))


def newest(prefix: str, root: str, name: str) -> Optional[str]:
    """The path of what was moved aside last for this environment."""
    paths = [one["path"] for one in adopted(prefix, root) if one["environment"] == name]
    return paths[-1] if paths else None


def observe_plain(
    prefix: str, root: str, name: str, seconds: float = SECONDS, system_root: str = "/"
) -> Dict[str, Any]:
    """What there is to know of an environment that is to be adopted, for the plan.

    {path, aside, owner, python, packages, refusal: why it can't be now, or None, warnings: [text]}.
    """
    path = os.path.join(prefix, installations.ENVS, name)
    return {
        "path": path,
        "aside": next_path(prefix, root, name),
        "owner": user_name(os.lstat(path).st_uid),
        "python": python_version(path),
        "packages": installed_packages(path),
        "refusal": refusal(prefix, name),
        "warnings": warnings(path, seconds, system_root),
    }


def refusal(prefix: str, name: str) -> Optional[str]:
    """Why an environment can't be moved aside now, in one message; None where it can."""
    path = os.path.join(prefix, installations.ENVS, name)
    aside = files.existing_parent(folder(prefix))
    if os.path.ismount(path) or os.stat(os.path.dirname(path)).st_dev != os.stat(aside).st_dev:
        return (
            "environments_adopt: %s can't be moved aside: it lies on another file system than %s, where it would be "
            "kept. Next: move it away yourself, or leave %s out of environments_adopt. Nothing was changed."
            % (path, folder(prefix), name)
        )
    busy = users(prefix, name)
    if busy:
        return (
            "environments_adopt: %s can't be moved aside while processes use it: %s. Next: wait until they end, or end "
            "them, and run again. Nothing was changed." % (path, busy)
        )
    return None


def users(prefix: str, name: str) -> Optional[str]:
    """Who uses an environment, in words; None for nobody, as far as can be seen from this node.

    Also who was activated in it and will start something from there next: unlike a generation, it can't be pinned, and
    would be another one from one command to the next.
    """
    path = os.path.join(prefix, installations.ENVS, name)
    if not os.path.exists(path):
        return None
    pids = others_in([path])
    if pids:
        return who(pids)
    # conda calls it by the installation that PREFIX leads to, or led to when it was activated.
    homes = [os.path.join(installations.folder(prefix), one) for one in installations.list_names(prefix)]
    return uses({path: [os.path.join(home, installations.ENVS, name) for home in homes]}).get(path)


def warnings(path: str, seconds: float = SECONDS, system_root: str = "/") -> List[str]:
    """What whoever adopts an environment has to know: what stands on it, and who can't be seen."""
    said = []
    found = dependants_of(path, seconds, system_root)
    if found:
        text = ", ".join("%s %s (%s)" % (one["kind"], one["path"], one["user"]) for one in found)
        said.append(
            "On %s, which is to be adopted, stands what users built: %s. From the switch on they find the new "
            "generation there." % (path, text)
        )
    if is_shared(path):
        said.append("%s may be shared with other nodes, whose processes can't be seen from this one." % path)
    return said


def who(pids: Sequence[int], proc: str = "/proc") -> str:
    """`1234 (alice: python), …`: the first of them, for a message. Without arguments, which may hold a secret."""
    shown = [described(pid, proc) for pid in pids[:SHOWN]]
    more = ["and %d more" % (len(pids) - SHOWN)] if len(pids) > SHOWN else []
    return ", ".join(shown + more)


def adopt(prefix: str, root: str, name: str, target: str) -> str:
    """Let `PREFIX/envs/NAME` lead to `target`; the new path of what stood there. Under the node's lock.

    FleetError, and nothing changed, where that can't be done now.
    """
    reason = refusal(prefix, name)
    if reason:
        raise FleetError(reason)
    path, aside = os.path.join(prefix, installations.ENVS, name), next_path(prefix, root, name)
    try:
        tidy(prefix, root)
        _make_folder(prefix)
        os.symlink(target, aside)
        if not exchange(path, aside):
            os.unlink(aside)
            os.rename(path, aside)
            os.symlink(target, path)
    except OSError as error:
        if not os.path.lexists(path) and os.path.lexists(aside):
            os.rename(aside, path)
        tidy(prefix, root)
        raise FleetError(
            "environments_adopt: %s can't be moved to %s: %s. Next: move it away yourself, or leave %s out of "
            "environments_adopt. It stays where it was." % (path, folder(prefix), error.strerror, name)
        ) from error
    return aside


def give_back(prefix: str, root: str, name: str) -> Optional[str]:
    """Put what was moved aside last where it stood, in place of our link, which goes; its path, None where none is.

    Where somebody has made an environment of that name since, it stays where it is. Under the node's lock.
    """
    path = os.path.join(prefix, installations.ENVS, name)
    tidy(prefix, root)
    kept = newest(prefix, root, name)
    state = gen.link_state(prefix, root, name)
    if kept is None or (state and not state["generation"]):
        return None
    if state and exchange(kept, path):
        os.unlink(kept)
    else:
        if state:
            os.unlink(path)
        os.rename(kept, path)
    _remove_folder(prefix)
    return path


def tidy(prefix: str, root: str) -> None:
    """Remove what an exchange that was cut short has left: links to generations, in place of what they stand for."""
    for name in _names(prefix):
        path = os.path.join(folder(prefix), name)
        if _leads_to_generation(path, root):
            files.remove_quietly(path)
    _remove_folder(prefix)


def next_path(prefix: str, root: str, name: str) -> str:
    """Where it will lie: with a serial above every one that is there."""
    serials = [one["serial"] for one in adopted(prefix, root) if one["environment"] == name]
    return os.path.join(folder(prefix), "%s-%d" % (name, max(serials, default=0) + 1))


def _names(prefix: str) -> List[str]:
    try:
        return sorted(os.listdir(folder(prefix)))
    except (FileNotFoundError, NotADirectoryError):
        return []


def _leads_to_generation(path: str, root: str) -> bool:
    """A link to a generation is no environment that somebody made by hand, so it is not one that was adopted."""
    return os.path.islink(path) and os.path.dirname(os.readlink(path)) == os.path.normpath(gen.generations_dir(root))


def _make_folder(prefix: str) -> None:
    for path in (installations.folder(prefix), folder(prefix)):
        if not os.path.isdir(path):
            os.mkdir(path)
            # Owners of what lies there have to reach it, whatever the umask of whoever runs this.
            os.chmod(path, 0o755)  # noqa: S103


def _remove_folder(prefix: str) -> None:
    for path in (folder(prefix), installations.folder(prefix)):
        with contextlib.suppress(OSError):
            os.rmdir(path)
