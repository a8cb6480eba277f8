# SPDX-License-Identifier: Apache-2.0
"""The condarc on disk, of an installation or of the whole node: what stands there, what would change, writing it.

What condafleet wrote into an installation is noted in that one's receipt. What it wrote into /etc/conda is noted there:
that folder is the node's own, and the installation may be one that other nodes share.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from typing import Any, Dict, List, Mapping, Optional

from ansible_collections.condafleet.core.plugins.module_utils import files, receipt
from ansible_collections.condafleet.core.plugins.module_utils.conda_run import check_candidate
from ansible_collections.condafleet.core.plugins.module_utils.condarc import text_for, without_credentials
from ansible_collections.condafleet.core.plugins.module_utils.errors import FleetError
from ansible_collections.condafleet.core.plugins.module_utils.keep_copy import first_kept, keep_copy

CONDARC = ".condarc"
SITE = "/etc/conda"
SITE_NOTE = ".condafleet.json"
# Our own former text; conda reads no file of this name.
PREVIOUS = ".previous"


def observe(prefix: str) -> Dict[str, Any]:
    """{condarc, condarc_sha256, condarc_site: {text, sha256, note}, solvers}; texts as they may be shown."""
    text, sha256 = _look(os.path.join(prefix, CONDARC))
    site_text, site_sha256 = _look(os.path.join(SITE, CONDARC))
    note = files.read_json(os.path.join(SITE, SITE_NOTE))
    return {
        "condarc": text,
        "condarc_sha256": sha256,
        "condarc_site": {
            "text": site_text,
            "sha256": site_sha256,
            "note": note if isinstance(note, dict) else None,
        },
        "solvers": _solvers(prefix),
    }


def plan(installation: Mapping[str, Any], declared: Mapping[str, Any]) -> List[Dict[str, Any]]:
    wanted = declared.get("condarc")
    if not wanted:
        return []
    text = text_for(wanted, installation.get("conda_version"))
    sha256 = files.sha256_bytes(text.encode("utf-8"))
    before = installation.get("condarc") or ""
    site = installation.get("condarc_site") or {}
    prefix = _prefix(declared, installation)
    own = os.path.join(prefix, CONDARC)
    ours = _is_ours(site.get("note"), prefix)
    if wanted["level"] == "site":
        changes = []
        if site.get("sha256") != sha256 or not ours:
            changes.append(
                {
                    "what": "condarc",
                    "path": os.path.join(SITE, CONDARC),
                    "before": site.get("text") or "",
                    "after": text,
                }
            )
        if installation.get("condarc") is not None:
            # conda would read it after the node's own, and let it win.
            changes.append({"what": "condarc", "path": own, "before": before, "after": ""})
        return changes
    changes = []
    if installation.get("condarc_sha256") != sha256:
        changes.append({"what": "condarc", "path": own, "before": before, "after": text})
    if ours:
        changes.append(
            {"what": "condarc", "path": os.path.join(SITE, CONDARC), "before": site.get("text") or "", "after": ""}
        )
    return changes


def carry_out(prefix: str, installation: Mapping[str, Any], declared: Mapping[str, Any]) -> List[str]:
    """Write what differs, once conda itself has read it; the copies that were kept of files that were not ours."""
    if not plan(installation, declared):
        return []
    wanted = declared["condarc"]
    text = text_for(wanted, installation.get("conda_version"))
    target = os.path.join(SITE if wanted["level"] == "site" else prefix, CONDARC)
    _check_solver(installation, wanted)
    check_candidate(prefix, target, _candidate(text, wanted.get("ca"), prefix))
    name = _prefix(declared, installation)
    if wanted["level"] == "site":
        return _write_site(text, name) + _clear_prefix(prefix)
    kept = _write_prefix(prefix, text)
    if _is_ours((installation.get("condarc_site") or {}).get("note"), name):
        _remove_site()
    return kept


def remove(prefix: str, installation: Mapping[str, Any]) -> List[str]:
    """Take the node's own file away again, and in an installation that was adopted the one in it; the paths.

    `prefix` may be the installation's own folder in PREFIX.d; /etc/conda's note has PREFIX, as `installation` does.
    """
    gone = []
    if _is_ours(files.read_json(os.path.join(SITE, SITE_NOTE)), _prefix(installation)):
        gone += _remove_site()
    known = receipt.read(prefix) or {}
    path = os.path.join(prefix, CONDARC)
    found = _look(path)[1]
    # Where the node's own file was wanted, a user's was moved out of its way, and nothing is what we left here.
    as_left = "condarc_sha256" in known and known["condarc_sha256"] == found
    if known.get("adopted") and as_left and (found or known.get("condarc_kept")):
        _put_back(path, known.get("condarc_kept"))
        files.remove_quietly(path + PREVIOUS)
        gone.append(path)
    return gone


def _write_prefix(prefix: str, text: str) -> List[str]:
    path = os.path.join(prefix, CONDARC)
    kept = _keep(path, _known_in(prefix))
    files.write_atomic(path, text, 0o644)
    _note(prefix, files.sha256_bytes(text.encode("utf-8")), kept)
    return [kept] if kept else []


def _clear_prefix(prefix: str) -> List[str]:
    """No file in the installation beside the node's own; one that was not ours is kept under another name."""
    path = os.path.join(prefix, CONDARC)
    kept = _keep(path, _known_in(prefix))
    files.remove_quietly(path)
    files.remove_quietly(path + PREVIOUS)
    if kept or receipt.read(prefix):
        _note(prefix, None, kept)
    return [kept] if kept else []


def _note(prefix: str, sha256: Optional[str], kept: Optional[str]) -> None:
    back = first_kept((receipt.read(prefix) or {}).get("condarc_kept"), kept)
    receipt.note(prefix, condarc_sha256=sha256, condarc_kept=back)


def _write_site(text: str, name: str) -> List[str]:
    path = os.path.join(SITE, CONDARC)
    known = files.read_json(os.path.join(SITE, SITE_NOTE)) or {}
    made = bool(known.get("folder_made"))
    if not os.path.isdir(SITE):
        os.mkdir(SITE)
        os.chmod(SITE, 0o755)  # noqa: S103 - everybody's conda reads it  # whatever the umask
        made = True
    kept = _keep(path, [known.get("sha256")])
    files.write_atomic(path, text, 0o644)
    note = {
        "schema_version": 1,
        "prefix": name,
        "sha256": files.sha256_bytes(text.encode("utf-8")),
        "kept": first_kept(known.get("kept"), kept),
        "folder_made": made,
    }
    files.write_json(os.path.join(SITE, SITE_NOTE), note)
    return [kept] if kept else []


def _remove_site() -> List[str]:
    """Take our file out of /etc/conda, and put back what stood there before; one that was changed since stays."""
    note_path, path = os.path.join(SITE, SITE_NOTE), os.path.join(SITE, CONDARC)
    note = files.read_json(note_path) or {}
    gone = [note_path]
    if _look(path)[1] == note.get("sha256"):
        _put_back(path, note.get("kept"))
        gone.append(path)
    files.remove_quietly(path + PREVIOUS)
    files.remove_quietly(note_path)
    if note.get("folder_made"):
        with contextlib.suppress(OSError):
            os.rmdir(SITE)
    return gone


def _keep(path: str, ours: List[Any]) -> Optional[str]:
    """Keep a copy of what stands there: our own under one name, anybody else's under its time, which is returned."""
    sha256 = _look(path)[1]
    if sha256 is None:
        return None
    if sha256 in ours:
        shutil.copy2(path, path + PREVIOUS)
        return None
    return keep_copy(path)


def _known_in(prefix: str) -> List[Any]:
    """The sha256 of what is no user's in this installation: what condafleet wrote, or the installer itself."""
    return [(receipt.read(prefix) or {}).get("condarc_sha256")]


def _put_back(path: str, kept: Optional[str]) -> None:
    if kept and os.path.exists(kept):
        os.replace(kept, path)
    else:
        files.remove_quietly(path)


def _candidate(text: str, ca: Optional[str], prefix: str) -> str:
    """The text as it can be checked now: PREFIX does not yet lead to an installation that is being made."""
    if not ca or os.path.exists(ca):
        return text
    place = os.path.join(prefix, ca[-len("etc/condafleet/ca.pem") :])
    return text.replace(ca, place) if os.path.exists(place) else re.sub(r"(?m)^ssl_verify: .*\n", "", text)


def _check_solver(installation: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    needed, there = wanted.get("solver"), installation.get("solvers")
    if needed and there is not None and needed not in there:
        raise FleetError(
            "miniconda_solver: %s needs the package %s, which this installation lacks. Accepted: %s. Next: choose "
            "another solver, or a distribution that has it. Nothing was changed."
            % (needed.split("-")[1], needed, ", ".join(["classic", *(name.split("-")[1] for name in there)]))
        )


def _solvers(prefix: str) -> List[str]:
    try:
        records = os.listdir(os.path.join(prefix, "conda-meta"))
    except OSError:
        return []
    found = [re.fullmatch(r"(conda-[a-z]+-solver)-[^-]+-[^-]+\.json", record) for record in records]
    return sorted(match.group(1) for match in found if match)


def _look(path: str) -> "tuple[Optional[str], Optional[str]]":
    content = files.read_bytes(path)
    if content is None:
        return None, None
    return without_credentials(content.decode("utf-8", "replace")), files.sha256_bytes(content)


def _is_ours(note: Any, prefix: str) -> bool:
    return isinstance(note, Mapping) and note.get("prefix") == prefix


def _prefix(*told: Mapping[str, Any]) -> str:
    """PREFIX itself, as it was declared or else looked at."""
    return next(str(one["prefix"]) for one in told if one.get("prefix")).rstrip("/")
