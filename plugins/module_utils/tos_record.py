# SPDX-License-Identifier: Apache-2.0
"""That the user accepted Anaconda's terms of service, recorded where conda looks, for all users of an installation.

conda's plugin conda-anaconda-tos asks for them, and keeps each answer with the text and its version in
`conda-meta/tos/<hash of the channel>/<version>.json`. Both are on the channel's server, so the record is made by the
plugin itself. Where an installation has no such plugin, nothing asks, and nothing is recorded.
"""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
from typing import Any, Dict, List, Mapping, Tuple

from ansible_collections.condafleet.core.plugins.module_utils import files, receipt
from ansible_collections.condafleet.core.plugins.module_utils.conda_run import run
from ansible_collections.condafleet.core.plugins.module_utils.errors import FleetError

FOLDER = "conda-meta/tos"
PLUGIN = re.compile(r"conda-anaconda-tos-[^-]+-[^-]+\.json")


def observe(prefix: str) -> Dict[str, Any]:
    """{terms: {plugin, accepted: [addresses of channels]}}."""
    return {"terms": {"plugin": _has_plugin(prefix), "accepted": sorted(_accepted(prefix))}}


def plan(installation: Mapping[str, Any], declared: Mapping[str, Any]) -> List[Dict[str, Any]]:
    missing, revoked = _difference(installation, declared)
    if not missing and not revoked:
        return []
    before = list((installation.get("terms") or {}).get("accepted") or [])
    after = sorted(set(before).union(missing).difference(revoked))
    return [{"what": "terms of service", "before": _lines(before), "after": _lines(after)}]


def carry_out(prefix: str, installation: Mapping[str, Any], declared: Mapping[str, Any]) -> List[str]:
    missing, revoked = _difference(installation, declared)
    noted = dict((receipt.read(prefix) or {}).get("terms") or {})
    for url in revoked:
        _take_out(prefix, noted.pop(url, []))
    try:
        for url in missing:
            noted[url] = _record(prefix, url)
    finally:
        if missing or revoked:
            receipt.note(prefix, terms=noted)
    return []


def remove(prefix: str, installation: Mapping[str, Any]) -> List[str]:
    """Records that condafleet made go; those of an installation of ours go with it anyway."""
    gone = [path for paths in ((receipt.read(prefix) or {}).get("terms") or {}).values() for path in paths]
    _take_out(prefix, gone)
    return [os.path.join(prefix, path) for path in gone]


def _difference(installation: Mapping[str, Any], declared: Mapping[str, Any]) -> Tuple[List[str], List[str]]:
    """(addresses to record, addresses whose record was made by condafleet and is declared no more)."""
    condarc = declared.get("condarc")
    if not condarc:
        return [], []
    found = installation.get("terms") or {}
    wanted = condarc.get("terms") or []
    noted = (installation.get("receipt") or {}).get("terms") or {}
    missing = [url for url in wanted if url not in (found.get("accepted") or [])] if found.get("plugin") else []
    return missing, sorted(url for url in noted if url not in wanted)


def _record(prefix: str, url: str) -> List[str]:
    """Let the plugin record that the terms of this channel are accepted; the files, below the prefix."""
    with tempfile.TemporaryDirectory(prefix="condafleet-") as home:
        command = [os.path.join(prefix, "bin", "conda"), "tos", "accept", "--system", "--override-channels"]
        try:
            code, said = run([*command, "--channel", url], home)
        except OSError as error:
            code, said = 126, str(error)
    # It ends with 0 where it found no terms: what counts is what it wrote.
    found = _accepted(prefix).get(url) or []
    if not found:
        raise FleetError(
            "miniconda_tos: accept could not be recorded for %s, which is on that channel's server with the "
            "text. conda %s: %s. Next: let this node reach %s/terms.json (miniconda_proxies, miniconda_ca), leave the "
            "channel out, or set miniconda_offline: true where users never reach it."
            % (url, "was stopped" if code is None else "ended with code %s" % code, said[-500:] or "(nothing)", url)
        )
    for path in found:
        # Users read it, whatever the umask of whoever runs this.
        place = os.path.join(prefix, path)
        os.chmod(place, 0o644)
        for folder in (os.path.dirname(place), os.path.join(prefix, FOLDER)):
            os.chmod(folder, 0o755)  # noqa: S103
    return found


def _accepted(prefix: str) -> Dict[str, List[str]]:
    """{address: [its files below the prefix]} of channels whose newest terms there were accepted."""
    newest: Dict[str, Tuple[str, bool]] = {}
    places: Dict[str, List[str]] = {}
    for channel in _names(os.path.join(prefix, FOLDER)):
        for name in _names(os.path.join(prefix, FOLDER, channel)):
            path = os.path.join(FOLDER, channel, name)
            record = files.read_json(os.path.join(prefix, path))
            if not isinstance(record, dict) or not isinstance(record.get("base_url"), str):
                continue
            url, version = record["base_url"].rstrip("/"), str(record.get("version"))
            places.setdefault(url, []).append(path)
            if url not in newest or version > newest[url][0]:
                newest[url] = (version, bool(record.get("tos_accepted")))
    return {url: paths for url, paths in places.items() if newest[url][1]}


def _take_out(prefix: str, paths: List[str]) -> None:
    for path in paths:
        files.remove_quietly(os.path.join(prefix, path))
    for path in paths:
        with contextlib.suppress(OSError):
            os.rmdir(os.path.join(prefix, os.path.dirname(path)))
    with contextlib.suppress(OSError):
        os.rmdir(os.path.join(prefix, FOLDER))


def _has_plugin(prefix: str) -> bool:
    return any(PLUGIN.fullmatch(name) for name in _names(os.path.join(prefix, "conda-meta")))


def _names(folder: str) -> List[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []


def _lines(texts: List[str]) -> str:
    return "".join("accepted for %s\n" % text for text in texts)
