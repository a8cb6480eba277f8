# SPDX-License-Identifier: Apache-2.0
"""Reading a depot's manifest: the controller trusts it because of a sha256 that was declared, not because it came."""

from __future__ import annotations

import json
import re
from typing import Any, Dict, Optional

from ansible_collections.condafleet.core.plugins.module_utils import download, files, origins
from ansible_collections.condafleet.core.plugins.module_utils.errors import FleetError, InputError
from ansible_collections.condafleet.core.plugins.module_utils.paths import check_url

MANIFEST = "manifest.json"


def check_depot(depot_url: Any, depot_sha256: Any) -> Optional[str]:
    """The depot's URL without a slash at its end, or None where none is declared."""
    if depot_url in (None, ""):
        if depot_sha256 not in (None, ""):
            raise InputError("depot_sha256", depot_sha256, "nothing, while depot_url is not set", "set depot_url too")
        return None
    check_url("depot_url", depot_url, "correct it", "take it out, and serve the depot where the nodes may read it")
    if not isinstance(depot_sha256, str) or not re.fullmatch(r"[0-9a-fA-F]{64}", depot_sha256):
        raise InputError(
            "depot_sha256",
            depot_sha256,
            "the sha256 of the depot's manifest.json, 64 hexadecimal digits",
            "run `condafleet depot verify DIR`, or `sha256sum DIR/manifest.json`, where the depot was built",
        )
    return depot_url.rstrip("/")


def read_manifest(
    depot_url: Any, depot_sha256: Any, access: Optional[download.Access] = None
) -> Optional[Dict[str, Any]]:
    """The manifest, verified; None where no depot is declared. FleetError where it can't be had or is another one."""
    base = check_depot(depot_url, depot_sha256)
    if base is None:
        return None
    url = origins.join(base, MANIFEST)
    try:
        content = download.read(url, access=access)
    except FleetError as error:
        raise FleetError(
            f"depot_url: {download.mask(base)} cannot be read: {error.message}. "
            "Next: see that the depot is there and served (`condafleet depot serve DIR`), and correct depot_url."
        ) from error
    found = files.sha256_bytes(content)
    if found != depot_sha256.lower():
        raise FleetError(
            f"depot_sha256: the manifest of {download.mask(base)} has sha256 {found}, expected {depot_sha256}: "
            "the depot is damaged, or another one than was declared. Next: `condafleet depot verify DIR` where it was "
            "built, and declare what that prints."
        )
    try:
        manifest = json.loads(content.decode("utf-8"))
        if manifest["schema_version"] != 1:
            raise ValueError(f"schema_version {manifest['schema_version']}")
    except (ValueError, KeyError, TypeError) as error:
        raise FleetError(
            f"depot_url: the manifest of {download.mask(base)} is none that this version reads ({error}). "
            "Next: build the depot again with this version of condafleet."
        ) from error
    return dict(manifest)
