# SPDX-License-Identifier: Apache-2.0
"""Carrying out an installation: fetch, verify, run the installer, look at the disk, write condarc and receipt."""

from __future__ import annotations

import contextlib
import datetime
import grp
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from typing import Any, Dict, List, Mapping, Optional

from ansible_collections.condafleet.core.plugins.module_utils import download, files
from ansible_collections.condafleet.core.plugins.module_utils.clock import now
from ansible_collections.condafleet.core.plugins.module_utils.errors import FleetError
from ansible_collections.condafleet.core.plugins.module_utils.installer import choose, is_ours
from ansible_collections.condafleet.core.plugins.module_utils.observe_installation import (
    CONDARC,
    RECEIPT,
    observe_installation,
)

TAIL_LINES = 20
# Long enough for a cold disk, short enough to notice a program that hangs.
START_LIMIT = 120


def carry_out(observed: Mapping[str, Any], declared: Mapping[str, Any], changes: List[Dict[str, Any]]) -> List[str]:
    """Do what plan_installation said; return the copies that were kept of files which were not ours."""
    prefix = declared["prefix"]
    kinds = {change["what"] for change in changes}
    installation = observed["installation"]
    if "installation" in kinds:
        install(prefix, choose(declared["installers"], observed["node"]["architecture"]) or {}, declared["timeout"])
        # The installer may bring a condarc of its own: it is no user's.
        installation = {**observe_installation(prefix), "condarc": installation["condarc"]}
    kept = []
    text = declared.get("condarc")
    if text is not None and files.read_text(os.path.join(prefix, CONDARC)) != text:
        kept = write_condarc(prefix, installation, text)
    set_ownership(prefix, declared, "installation" in kinds or bool(kinds & {"owner", "group"}))
    return kept


def install(prefix: str, installer: Mapping[str, Any], timeout: int) -> None:
    """Fetch the installer, verify it, run it, and be content only with a whole installation on disk."""
    with tempfile.TemporaryDirectory(prefix="condafleet-", dir=scratch_parent()) as scratch:
        script = os.path.join(scratch, installer["filename"])
        # A damaged installer only warns, and leaves half an installation: it is never started unverified.
        download.fetch(installer["url"], script, sha256=installer["sha256"], size=installer.get("size"), mode=0o600)
        code, tail = run_installer(script, prefix, scratch, timeout)
    found = observe_installation(prefix)
    if code != 0 or found["state"] != "present":
        lacks = ", ".join(found["missing"])
        ended = "was stopped after %d s (miniconda_timeout)" % timeout if code is None else "ended with code %s" % code
        raise FleetError(
            f"{prefix}: the installer {installer['filename']} {ended}"
            + (f" and left no whole installation (missing: {lacks})" if lacks else "")
            + ". Next: mend the cause and run again: what was left is then repaired. Its last lines:\n"
            + (tail or "(it said nothing)")
        )
    conda = prove(prefix)
    files.write_json(
        os.path.join(prefix, RECEIPT),
        {
            "schema_version": 1,
            "distribution": installer["distribution"],
            "version": installer["version"],
            "filename": installer["filename"],
            "url": download.mask(installer["url"]),
            "sha256": installer["sha256"],
            "conda": conda,
            "installed": now(),
        },
    )


def run_installer(script: str, prefix: str, scratch: str, timeout: int) -> "tuple[Optional[int], str]":
    """(exit code or None where it was stopped, the end of what it said)."""
    command = ["bash", script, "-b", "-p", prefix]
    if os.path.lexists(prefix):
        # -u is the only way to make it enter a folder that exists, be it empty or half installed.
        command.insert(3, "-u")
    log = os.path.join(scratch, "output")
    former = os.umask(0o022)
    try:
        with open(log, "wb") as output:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=scratch,
                env=clean_environment(scratch),
                start_new_session=True,
            )
            try:
                code: Optional[int] = process.wait(timeout)
            except subprocess.TimeoutExpired:
                code = None
            finally:
                stop_group(process)
    finally:
        os.umask(former)
    text = files.read_text(log) or ""
    return code, "\n".join(text.rstrip().splitlines()[-TAIL_LINES:])


def stop_group(process: "subprocess.Popen[bytes]") -> None:
    """End the installer and what it started, if any of it still runs."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def clean_environment(home: str) -> Dict[str, str]:
    """What the installer sees: no user's settings, and a HOME that is thrown away with all it writes there."""
    return {
        "HOME": home,
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "LANG": "C.UTF-8",
        "CONDA_REGISTER_ENVS": "false",
    }


def prove(prefix: str) -> str:
    """Start the new conda once: `conda 24.7.1`. FleetError where it can't run on this machine."""
    with tempfile.TemporaryDirectory(prefix="condafleet-", dir=scratch_parent()) as home:
        try:
            done = subprocess.run(
                [os.path.join(prefix, "bin", "conda"), "--version"],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                cwd=home,
                env=clean_environment(home),
                timeout=START_LIMIT,
                check=False,
            )
            code, said = done.returncode, (done.stdout + done.stderr).decode("utf-8", "replace").strip()
        except subprocess.TimeoutExpired:
            code, said = 124, f"no answer within {START_LIMIT} s"
        except OSError as error:
            code, said = 126, str(error)
    if code != 0:
        raise FleetError(
            f"{prefix}: conda was installed but cannot start on this machine (code {code}): {said[-1000:]}. "
            f"Next: remove {prefix}, and choose an installer made for this system."
        )
    return said.splitlines()[-1] if said else "conda"


def write_condarc(prefix: str, installation: Mapping[str, Any], text: str) -> List[str]:
    """Write PREFIX/.condarc; a former one that condafleet did not write is kept beside it."""
    path = os.path.join(prefix, CONDARC)
    former = installation["condarc"]
    kept = []
    if former is not None and not is_ours(installation, files.sha256_bytes(former.encode("utf-8"))):
        copy = "%s.%s.bak" % (path, datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ"))
        shutil.copy2(path, copy)
        kept.append(copy)
    files.write_atomic(path, text, 0o644)
    receipt = dict(installation.get("receipt") or {"schema_version": 1, "adopted": now()})
    receipt["condarc_sha256"] = files.sha256_bytes(text.encode("utf-8"))
    files.write_json(os.path.join(prefix, RECEIPT), receipt)
    return kept


def set_ownership(prefix: str, declared: Mapping[str, Any], whole: bool) -> None:
    """Owner and group of the installation (not of envs/, which may be users' own), and the mode of its folder."""
    if os.geteuid() == 0 and (declared.get("owner") or declared.get("group")):
        owner = account("miniconda_owner", declared.get("owner"), pwd.getpwnam, "pw_uid")
        group = account("miniconda_group", declared.get("group"), grp.getgrnam, "gr_gid")
        if whole:
            _chown_tree(prefix, owner, group)
        for name in (CONDARC, RECEIPT):
            if os.path.lexists(os.path.join(prefix, name)):
                os.lchown(os.path.join(prefix, name), owner, group)
    if declared.get("mode"):
        os.chmod(prefix, int(declared["mode"], 8))


def _chown_tree(prefix: str, owner: int, group: int) -> None:
    os.chown(prefix, owner, group)
    for folder, folders, names in os.walk(prefix):
        if folder == prefix and "envs" in folders:
            os.lchown(os.path.join(prefix, "envs"), owner, group)
            folders.remove("envs")
        for name in folders + names:
            path = os.path.join(folder, name)
            status = os.lstat(path)
            if owner not in (-1, status.st_uid) or group not in (-1, status.st_gid):
                os.lchown(path, owner, group)


def account(variable: str, name: Optional[str], lookup: Any, field: str) -> int:
    """The number of an account; -1 where none is declared."""
    if not name:
        return -1
    try:
        return int(getattr(lookup(name), field))
    except KeyError:
        raise FleetError(
            f"{variable}: {name} is not accepted. This node has no such account. Next: create it, or choose another."
        ) from None


def check_accounts(declared: Mapping[str, Any]) -> None:
    """Say that an account is missing before anything is changed."""
    if os.geteuid() == 0:
        account("miniconda_owner", declared.get("owner"), pwd.getpwnam, "pw_uid")
        account("miniconda_group", declared.get("group"), grp.getgrnam, "gr_gid")


def scratch_parent() -> Optional[str]:
    """Where large temporary files go: /var/tmp is on disk where /tmp often is memory."""
    return "/var/tmp" if os.access("/var/tmp", os.W_OK | os.X_OK) else None  # noqa: S108 - mkdtemp makes a private folder
