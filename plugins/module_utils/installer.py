# SPDX-License-Identifier: Apache-2.0
"""What an installation still needs, and what a node must refuse. Pure: the module and the plan use the same."""

from __future__ import annotations

import re
from typing import Any, Dict, List, Mapping, Optional, Tuple

from ansible_collections.condafleet.core.plugins.module_utils import installation_settings
from ansible_collections.condafleet.core.plugins.module_utils.catalog import distribution_of, sort_key
from ansible_collections.condafleet.core.plugins.module_utils.installation_files import describe, is_damaged
from ansible_collections.condafleet.core.plugins.module_utils.installations import is_adopted
from ansible_collections.condafleet.core.plugins.module_utils.targets import version_key

Change = Dict[str, Any]

# What has to be done about the installation itself.
NONE = "none"
INSTALL = "install"
FINISH = "finish"
UPGRADE = "upgrade"
DOWNGRADE = "downgrade"
REPLACE = "replace"
REPAIR = "repair"


def choose(installers: Mapping[str, Mapping[str, Any]], architecture: str) -> Optional[Mapping[str, Any]]:
    """The installer for this machine; `any` is one whose URL does not say what it is for."""
    return installers.get(architecture) or installers.get("any")


def decide(observed: Mapping[str, Any], declared: Mapping[str, Any]) -> str:
    """Which of the actions above brings this node's installation to what was declared."""
    installation = observed["installation"]
    if installation["state"] == "absent":
        return INSTALL
    if installation["state"] != "present":
        return FINISH
    entry = choose(declared["installers"], observed["node"]["architecture"])
    relation = compare(installation, entry, bool(declared.get("newest"))) if entry else "same"
    if relation != "same":
        return {"older": UPGRADE, "newer": DOWNGRADE}.get(relation, REPLACE)
    return REPAIR if declared.get("repair") and is_damaged(installation.get("damage")) else NONE


def compare(installation: Mapping[str, Any], entry: Mapping[str, Any], newest: bool) -> str:
    """What is installed against an installer: same, older, newer, or other (no order between the two).

    `newest` means that no version was asked for: then whatever was made by hand will do.
    """
    receipt = installation.get("receipt") or {}
    if receipt.get("sha256"):
        if receipt["sha256"] == entry["sha256"]:
            return "same"
        distribution, version = receipt.get("distribution"), receipt.get("version")
    else:
        if newest:
            return "same"
        distribution, version = by_hand(installation)
    wanted = entry.get("version")
    if distribution and distribution != entry.get("distribution"):
        return "other"
    if not wanted or not version:
        return "other"
    if version == wanted or (not distribution and _names_conda(wanted, version)):
        return "same"
    return "older" if sort_key(version) < sort_key(wanted) else "newer"


def by_hand(installation: Mapping[str, Any]) -> Tuple[Optional[str], Optional[str]]:
    """(distribution, version) of an installation that condafleet did not make, as far as it tells."""
    info = installation.get("installer") or {}
    name, version = info.get("name"), info.get("version")
    if name and version:
        return distribution_of(str(name)), str(version)
    return None, installation.get("conda_version")


def brought_conda(entry: Mapping[str, Any]) -> Optional[str]:
    """The conda that an installer brings, by its name: 24.7.1 for py311_24.7.1-0; None where it tells none."""
    found = re.search(r"(?:^|_)(\d+\.\d+\.\d+)(?:-|$)", str(entry.get("version") or ""))
    return found.group(1) if found else None


def _names_conda(wanted: str, conda_version: str) -> bool:
    """Whether an installer's version names this conda: 24.7.1 is a part of py311_24.7.1-0."""
    return conda_version in re.split(r"[_-]", wanted)


def reusable(installation: Mapping[str, Any], declared: Mapping[str, Any], architecture: str) -> Optional[str]:
    """A whole installation of the declared version that is there already and not in use, by name."""
    entry = choose(declared["installers"], architecture) or {}
    for version in reversed(installation.get("versions") or []):
        known = version["receipt"] or {}
        usable = known.get("sha256") and known["sha256"] == entry.get("sha256") and not known.get("damaged")
        if usable and version["name"] != installation.get("current"):
            return str(version["name"])
    return None


def refuse_installation(observed: Mapping[str, Any], declared: Mapping[str, Any]) -> Optional[str]:
    """Why this node can't have the declared installation, in one message with the next step; None where it can.

    `observed` is what conda_facts returns under `conda` (its `node` and `installation` are read).
    """
    node, installation = observed["node"], observed["installation"]
    prefix, state = declared["prefix"], installation["state"]
    if declared.get("state") == "absent":
        return None
    if state == "foreign":
        return (
            f"miniconda_prefix: {prefix} is not accepted. It exists, is not empty and is no conda installation. "
            "Accepted: a path where nothing is, an empty folder, or a conda installation. "
            "Next: choose another miniconda_prefix, or move that folder away. Nothing was changed."
        )
    made_for = (installation.get("receipt") or {}).get("architecture")
    if state == "present" and made_for and made_for != node["architecture"]:
        return (
            f"miniconda_prefix: {prefix} is not accepted. It holds an installation for {made_for}, and this node's "
            f"architecture is {node['architecture']}. Accepted: a path of its own for each architecture that shares a "
            "file system. Next: declare one for this node's group. Nothing was changed."
        )
    action = decide(observed, declared)
    if action == NONE:
        return None
    found = describe_found(installation)
    if installation.get("mounted"):
        return (
            f"miniconda_prefix: {prefix} is not accepted. A file system is mounted there, so that a link can't take "
            f"its place. Accepted: a folder below it. Next: declare one, such as {prefix}/conda. Nothing was changed."
        )
    if installation.get("place") == "foreign":
        return (
            f"miniconda_prefix: {prefix} is not accepted. It is a link that condafleet did not make, to an "
            f"installation that would have to be replaced ({found}). Accepted: a link of condafleet, a folder, or "
            "nothing. Next: declare the folder that it leads to as miniconda_prefix, or take the link away. "
            "Nothing was changed."
        )
    if action == DOWNGRADE and not declared.get("downgrade"):
        return (
            f"miniconda_version: {declared.get('version')} is not accepted. This node has {found}, which is newer. "
            f"Accepted: that version or a newer one. Next: declare it, or set miniconda_downgrade: true to go back. "
            "Nothing was changed."
        )
    return _refuse_installer(node, declared)


def _refuse_installer(node: Mapping[str, Any], declared: Mapping[str, Any]) -> Optional[str]:
    architecture = node["architecture"]
    installer = choose(declared["installers"], architecture)
    if installer is None:
        return (
            f"miniconda_distribution: {declared.get('distribution')} {declared.get('version')} is not accepted. "
            f"It has no installer for this machine's architecture, {architecture}. "
            f"Accepted here: an installer for {architecture}; this one exists for "
            f"{', '.join(sorted(declared['installers']))}. "
            "Next: choose another distribution or version, or set miniconda_installer_url. Nothing was changed."
        )
    if node.get("libc") != "glibc":
        return (
            f"miniconda_distribution: {declared.get('distribution')} is not accepted on a system with "
            f"{node.get('libc') or 'an unknown C library'}. Accepted: systems with glibc. "
            "Next: leave this node out. Nothing was changed."
        )
    wanted = installer.get("glibc")
    if wanted and version_key(node.get("glibc")) < version_key(wanted):
        return (
            f"miniconda_distribution: {declared.get('distribution')} {declared.get('version')} is not accepted. "
            f"It was made for glibc {wanted} or newer, and this node has {node.get('glibc')}. "
            "Next: build the depot on an older system, or choose miniforge. Nothing was changed."
        )
    return None


def plan_installation(observed: Mapping[str, Any], declared: Mapping[str, Any]) -> List[Change]:
    """What would change, in the order in which it is done; empty where there is nothing to do.

    `observed` holds `node` and `installation`, as conda_facts returns them.
    """
    installation = observed["installation"]
    if declared.get("state") == "absent":
        return plan_removal(installation, bool(declared.get("purge")))
    changes: List[Change] = []
    action = decide(observed, declared)
    if action != NONE:
        wanted = " ".join(str(part) for part in (declared.get("distribution"), declared.get("version")) if part)
        changes.append(
            {"what": "installation", "action": action, "before": describe_found(installation), "after": wanted}
        )
        entry = choose(declared["installers"], observed["node"]["architecture"]) or {}
        installation = {**installation, "conda_version": brought_conda(entry)}
    changes += installation_settings.plan(installation, declared)
    if action in (INSTALL, FINISH):
        # What is new has owner, group and mode from the start.
        return changes
    if not (installation.get("receipt") or {}).get("sha256"):
        # Adopted as it is: whose it was, it stays.
        return changes
    for what in ("owner", "group"):
        # Only the superuser may give files away.
        if declared.get(what) and installation["superuser"] and installation[what] != declared[what]:
            changes.append({"what": what, "before": installation[what] or "", "after": declared[what]})
    if declared.get("mode") and installation["mode"] != declared["mode"]:
        changes.append({"what": "mode", "before": installation["mode"] or "", "after": declared["mode"]})
    return changes


def plan_removal(installation: Mapping[str, Any], purge: bool) -> List[Change]:
    """What an uninstallation would take away; an installation made by hand stays, without what condafleet added."""
    if purge and installation.get("place") == "link" and installation["state"] == "absent":
        return [_removal("users' environments of an installation that was removed")]
    if installation.get("place") in ("link", "broken") and installation["state"] != "absent":
        return [
            {"what": "installation", "action": "remove", "before": describe_found(installation), "after": "nothing"}
        ]
    left = [
        version["name"]
        for version in installation.get("versions") or []
        if not version["stub"] and not is_adopted(version["name"])
    ]
    left += installation.get("removing") or []
    if installation.get("receipt") or left:
        before = ", ".join(left) or "condafleet's settings in an installation made by hand"
        return [_removal(before)]
    return []


def _removal(before: str) -> Change:
    return {"what": "installation", "action": "remove", "before": before, "after": "nothing"}


def describe_found(installation: Mapping[str, Any]) -> str:
    """What stands at the prefix, in a few words."""
    if installation["state"] == "absent":
        return "nothing"
    if installation["state"] != "present":
        return "unfinished: no " + ", ".join(installation.get("missing") or ["installation where its link leads"])
    receipt = installation.get("receipt") or {}
    distribution, version = receipt.get("distribution"), receipt.get("version")
    if not version:
        distribution, version = by_hand(installation)
    text = f"{distribution or 'conda'} {version or ''}".strip()
    damage = installation.get("damage")
    return f"{text}, damaged: {describe(damage)}" if damage and is_damaged(damage) else text


def found_version(installation: Mapping[str, Any]) -> Optional[str]:
    """The installer's version as the receipt or the installer's own note says it, else conda's."""
    receipt, info = installation.get("receipt") or {}, installation.get("installer") or {}
    return receipt.get("version") or info.get("version") or installation.get("conda_version")


def render_diff(prefix: str, changes: List[Change]) -> List[Dict[str, str]]:
    """The changes as Ansible shows them with --diff."""
    shown = []
    for change in changes:
        header = change.get("path") or f"{prefix} ({change['what']})"
        before, after = (_line(str(change[side])) for side in ("before", "after"))
        shown.append({"before": before, "after": after, "before_header": header, "after_header": header})
    return shown


def _line(text: str) -> str:
    return text if not text or text.endswith("\n") else text + "\n"
