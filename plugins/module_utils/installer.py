# SPDX-License-Identifier: Apache-2.0
"""What an installation still needs, and what a node must refuse. Pure: the module and the plan use the same."""

from __future__ import annotations

import re
from typing import Any, Dict, List, Mapping, Optional

Change = Dict[str, Any]


def choose(installers: Mapping[str, Mapping[str, Any]], architecture: str) -> Optional[Mapping[str, Any]]:
    """The installer for this machine; `any` is one whose URL does not say what it is for."""
    return installers.get(architecture) or installers.get("any")


def refuse_installation(observed: Mapping[str, Any], declared: Mapping[str, Any]) -> Optional[str]:
    """Why this node can't have the declared installation, in one message with the next step; None where it can.

    `observed` is what conda_facts returns under `conda` (its `node` and `installation` are read).
    """
    node, installation = observed["node"], observed["installation"]
    prefix, state = declared["prefix"], installation["state"]
    if state == "foreign":
        return (
            f"miniconda_prefix: {prefix} is not accepted. It exists, is not empty and is no conda installation. "
            "Accepted: a path where nothing is, an empty folder, or a conda installation. "
            "Next: choose another miniconda_prefix, or move that folder away. Nothing was changed."
        )
    if state == "present":
        return None
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
    if wanted and _numbers(node.get("glibc")) < _numbers(wanted):
        return (
            f"miniconda_distribution: {declared.get('distribution')} {declared.get('version')} is not accepted. "
            f"It was made for glibc {wanted} or newer, and this node has {node.get('glibc')}. "
            "Next: build the depot on an older system, or choose miniforge. Nothing was changed."
        )
    return None


def plan_installation(installation: Mapping[str, Any], declared: Mapping[str, Any]) -> List[Change]:
    """What would change, in the order in which it is done; empty where there is nothing to do."""
    changes: List[Change] = []
    wanted = " ".join(str(part) for part in (declared.get("distribution"), declared.get("version")) if part)
    if installation["state"] != "present":
        lacks = ", ".join(installation.get("missing") or [])
        before = "nothing" if installation["state"] == "absent" else "unfinished: no " + lacks
        changes.append({"what": "installation", "before": before, "after": wanted})
    text = declared.get("condarc")
    if text is not None and text != installation["condarc"]:
        changes.append({"what": "condarc", "before": installation["condarc"] or "", "after": text})
    if installation["state"] == "absent":
        # What is new has owner, group and mode from the start.
        return changes
    for what in ("owner", "group"):
        # Only the superuser may give files away.
        if declared.get(what) and installation["superuser"] and installation[what] != declared[what]:
            changes.append({"what": what, "before": installation[what] or "", "after": declared[what]})
    if declared.get("mode") and installation["mode"] != declared["mode"]:
        changes.append({"what": "mode", "before": installation["mode"] or "", "after": declared["mode"]})
    return changes


def differing_version(installation: Mapping[str, Any], declared: Mapping[str, Any]) -> Optional[str]:
    """The version found, where an installation stands that is another one than declared; it is left as it is."""
    if installation["state"] != "present" or not declared.get("version"):
        return None
    found, wanted = found_version(installation), declared["version"]
    # Where only conda's own version is known, it is a part of the installer's: 24.7.1 in py311_24.7.1-0.
    if not found or found == wanted or (found == installation.get("conda_version") and found in wanted):
        return None
    return found


def found_version(installation: Mapping[str, Any]) -> Optional[str]:
    """The installer's version as the receipt or the installer's own note says it, else conda's."""
    receipt, info = installation.get("receipt") or {}, installation.get("installer") or {}
    return receipt.get("version") or info.get("version") or installation.get("conda_version")


def is_ours(installation: Mapping[str, Any], sha256: str) -> bool:
    """Whether condafleet wrote the condarc that has this sha256, so that no copy of it has to be kept."""
    return (installation.get("receipt") or {}).get("condarc_sha256") == sha256


def render_diff(prefix: str, changes: List[Change]) -> List[Dict[str, str]]:
    """The changes as Ansible shows them with --diff."""
    shown = []
    for change in changes:
        what = change["what"]
        header = prefix + "/.condarc" if what == "condarc" else f"{prefix} ({what})"
        before, after = (_line(str(change[side])) for side in ("before", "after"))
        shown.append({"before": before, "after": after, "before_header": header, "after_header": header})
    return shown


def _line(text: str) -> str:
    return text if not text or text.endswith("\n") else text + "\n"


def _numbers(version: Any) -> List[int]:
    return [int(number) for number in re.findall(r"\d+", str(version or "0"))]
