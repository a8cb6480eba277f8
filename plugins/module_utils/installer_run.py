# SPDX-License-Identifier: Apache-2.0
"""Carrying out an installation: a new one is made beside what is there, proved, and put in place."""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import dataclass, field
from typing import Any, Callable, Dict, List, Mapping, Optional

from ansible_collections.condafleet.core.plugins.module_utils import (
    access,
    download,
    download_files,
    files,
    installation_settings,
    installations,
    installer,
    receipt,
)
from ansible_collections.condafleet.core.plugins.module_utils.clock import now
from ansible_collections.condafleet.core.plugins.module_utils.conda_run import prove
from ansible_collections.condafleet.core.plugins.module_utils.errors import FleetError
from ansible_collections.condafleet.core.plugins.module_utils.installation_collect import collect, remove_unfinished
from ansible_collections.condafleet.core.plugins.module_utils.installation_files import damaged_files, is_damaged
from ansible_collections.condafleet.core.plugins.module_utils.installation_owner import set_ownership
from ansible_collections.condafleet.core.plugins.module_utils.installation_place import put_in_place, share_envs
from ansible_collections.condafleet.core.plugins.module_utils.installer_program import run_installer
from ansible_collections.condafleet.core.plugins.module_utils.observe_installation import observe_installation
from ansible_collections.condafleet.core.plugins.module_utils.pin import python_pin_files, write_files
from ansible_collections.condafleet.core.plugins.module_utils.processes import listed, others_in
from ansible_collections.condafleet.core.plugins.module_utils.progress import Progress, node_lock, progress_file

Observe = Callable[[], Dict[str, Any]]


@dataclass
class Outcome:
    """What was done about an installation."""

    changes: List[installer.Change]
    kept: List[str] = field(default_factory=list)
    """The copies of files and folders that were replaced and not condafleet's."""
    notes: List[str] = field(default_factory=list)
    """What the people who look after the node should know."""


def carry_out(observe: Observe, declared: Mapping[str, Any], secrets: Optional[Mapping[str, Any]] = None) -> Outcome:
    """Bring the installation to what was declared.

    `observe` looks at the node: it is looked at once more under the lock, since on a shared file system another node
    may have done the work meanwhile.
    """
    prefix = declared["prefix"]
    home = installations.folder(prefix)
    make_home(home)
    progress = Progress(progress_file(home, declared["job"])) if declared.get("job") else Progress(None)

    def waiting(holder: str) -> None:
        progress("wait", 0, None, "", "for " + holder)

    # Whoever holds the lock may have to fetch the installer first, as this one would.
    limit = declared["timeout"] + access.FETCH_SECONDS
    with node_lock(home, "installation of %s" % prefix, limit, variable="miniconda_timeout", waiting=waiting):
        observed = observe()
        outcome = Outcome(installer.plan_installation(observed, declared))
        kinds = {change["what"] for change in outcome.changes}
        if "installation" in kinds:
            replace(observed, declared, secrets or {}, outcome, progress)
        elif outcome.changes:
            own = installations.own_folder(prefix)
            outcome.kept += installation_settings.carry_out(own, observed["installation"], declared)
            if (observed["installation"]["receipt"] or {}).get("sha256"):
                set_ownership(own, declared, whole=bool(kinds & {"owner", "group"}))
    return outcome


def make_home(home: str) -> None:
    if not os.path.isdir(home):
        os.makedirs(home)
        # Users pass through it, whatever the umask of whoever runs this.
        os.chmod(home, 0o755)  # noqa: S103


def replace(
    observed: Mapping[str, Any],
    declared: Mapping[str, Any],
    secrets: Mapping[str, Any],
    outcome: Outcome,
    progress: Progress,
) -> None:
    """A new installation (or a whole one that is there already) takes the place of what stands at the prefix."""
    prefix, installation = declared["prefix"], observed["installation"]
    check_nobody_works_in(prefix, installation)
    architecture = observed["node"]["architecture"]
    action = installer.decide(observed, declared)
    name = whole_former(observed, declared)
    envs = installations.envs_folder(prefix)
    new_envs = not os.path.lexists(envs)
    if name is None:
        name = make(prefix, installer.choose(declared["installers"], architecture) or {}, declared, secrets, progress)
    path = os.path.join(installations.folder(prefix), name)
    outcome.kept += installation_settings.carry_out(path, observe_installation(path), declared)
    set_ownership(path, declared, whole=True, new_envs=new_envs and not os.path.islink(envs))
    if action == installer.REPAIR:
        receipt.note(installations.own_folder(prefix), damaged=now())
    progress("switch", 0, None, "", name)
    aside = put_in_place(prefix, name)
    if aside:
        # Whoever made it: what stood at PREFIX is never thrown away.
        outcome.kept.append(aside)
    remove_unfinished(prefix, name)
    outcome.notes += collect(prefix, declared["keep"], name)


def whole_former(observed: Mapping[str, Any], declared: Mapping[str, Any]) -> Optional[str]:
    """A former installation of the declared version that can be taken back, by name. It reads all of its files."""
    if installer.decide(observed, declared) == installer.REPAIR:
        return None
    name = installer.reusable(observed["installation"], declared, observed["node"]["architecture"])
    if name and is_damaged(damaged_files(os.path.join(installations.folder(declared["prefix"]), name))):
        return None
    return name


def make(
    prefix: str,
    entry: Mapping[str, Any],
    declared: Mapping[str, Any],
    secrets: Mapping[str, Any],
    progress: Progress,
) -> str:
    """Fetch the installer, verify it, run it at its final path, and be content only with a whole installation."""
    home = installations.folder(prefix)
    wanted = installations.label(entry["distribution"], entry["version"])
    name = installations.next_name(os.listdir(home), wanted)
    path = os.path.join(home, name)
    timeout = declared["timeout"]
    with tempfile.TemporaryDirectory(prefix="condafleet-", dir=download_files.disk_folder()) as scratch:
        script = os.path.join(scratch, entry["filename"])
        source = obtain(entry, script, declared, secrets, progress)
        progress("install", 0, None, "", entry["filename"])
        code, tail = run_installer(script, path, scratch, timeout, declared["umask"], progress)
    found = observe_installation(path)
    if code != 0 or found["state"] != "present":
        lacks = ", ".join(found["missing"])
        ended = "was stopped after %d s (miniconda_timeout)" % timeout if code is None else "ended with code %s" % code
        raise FleetError(
            f"{path}: the installer {entry['filename']} {ended}"
            + (f" and left no whole installation (missing: {lacks})" if lacks else "")
            + f". What stood at {prefix} is as it was. Next: mend the cause and run again: what was left is then "
            "removed. Its last lines:\n" + (tail or "(it said nothing)")
        )
    share_envs(prefix, path)
    # A python that was started through PREFIX stays on this installation when the link moves.
    write_files(python_pin_files(path, user_packages=True))
    conda = prove(path)
    files.write_json(
        os.path.join(path, receipt.RECEIPT),
        {
            "schema_version": 1,
            "distribution": entry["distribution"],
            "version": entry["version"],
            "filename": entry["filename"],
            "url": download.mask(source),
            "sha256": entry["sha256"],
            "conda": conda,
            "architecture": os.uname().machine,
            "installed": now(),
            # The installer may bring one; it is no user's.
            "condarc_sha256": installers_condarc(path),
        },
    )
    return name


def installers_condarc(path: str) -> Optional[str]:
    content = files.read_bytes(os.path.join(path, ".condarc"))
    return None if content is None else files.sha256_bytes(content)


def obtain(
    entry: Mapping[str, Any],
    script: str,
    declared: Mapping[str, Any],
    secrets: Mapping[str, Any],
    progress: Progress,
) -> str:
    """Have the installer at `script`, verified; where it came from. A damaged one would leave half an installation."""
    given = declared.get("installer_path")
    if given:
        shutil.copyfile(given, script)
        os.chmod(script, 0o600)
        found = files.sha256_file(script)
        if found != entry["sha256"]:
            raise FleetError(
                f"{entry['filename']}: what the controller sent has sha256 {found}, expected {entry['sha256']}. "
                "Next: run again; nothing was changed."
            )
        return str(entry["sources"][0]["url"])
    return download.fetch_any(
        entry["sources"],
        script,
        sha256=entry["sha256"],
        size=entry.get("size"),
        access=download.Access.of(declared["access"], secrets.get("mirror_auth"), declared.get("mirror")),
        progress=lambda done, total: progress("fetch", done, total, "bytes", entry["filename"]),
        mode=0o600,
    )


def check_nobody_works_in(prefix: str, installation: Mapping[str, Any]) -> None:
    """FleetError where processes run from a folder that has to be replaced.

    It has no version of its own that they could stay on: they would find other files suddenly.
    """
    if installation.get("place") != "folder" or installation["state"] == "absent":
        return
    apart = [os.path.join(prefix, name) for name in ("envs", "pkgs")]
    busy = others_in([prefix], apart)
    if busy:
        raise FleetError(
            f"miniconda_prefix: {prefix} can't be replaced while processes run from its base environment: "
            f"{listed(busy)}. It was made by hand, so they can't be left on the old one. "
            "Next: wait until they end, or end them, and run again. Nothing was changed."
        )
