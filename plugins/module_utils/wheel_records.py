# SPDX-License-Identifier: Apache-2.0
"""Whether what was installed from wheels is what the wheels say: each file against its line in RECORD."""

from __future__ import annotations

import base64
import concurrent.futures
import csv
import hashlib
import os
from typing import Dict, List, Optional, Sequence, Tuple

from ansible_collections.condafleet.core.plugins.module_utils.fingerprint import site_packages
from ansible_collections.condafleet.core.plugins.module_utils.lockfile import Package
from ansible_collections.condafleet.core.plugins.module_utils.progress import Progress
from ansible_collections.condafleet.core.plugins.module_utils.projects import normal_name

READERS = 4


def damaged_wheels(prefix: str, wheels: Sequence[Package], progress: Progress) -> Dict[str, str]:
    """{name: what is wrong} of the wheels that are missing or differ from their RECORD; empty is good."""
    folders = distributions(prefix)
    found: Dict[str, str] = {}

    def check(wheel: Package) -> Optional[str]:
        place = folders.get((normal_name(wheel.name), wheel.version.lower()))
        return "not installed" if place is None else first_difference(*place)

    with concurrent.futures.ThreadPoolExecutor(READERS) as pool:
        for index, (wheel, wrong) in enumerate(zip(wheels, pool.map(check, wheels))):
            progress("verify", index + 1, len(wheels), "packages", wheel.name)
            if wrong:
                found[wheel.name] = wrong
    return found


def distributions(prefix: str) -> Dict[Tuple[str, str], Tuple[str, str]]:
    """{(name, version): (site-packages, name of its dist-info)}."""
    found = {}
    for folder in site_packages(prefix):
        for entry in os.listdir(folder):
            if entry.endswith(".dist-info"):
                name, _dummy, version = entry[: -len(".dist-info")].partition("-")
                found[(normal_name(name), version.lower())] = (folder, entry)
    return found


def first_difference(folder: str, dist_info: str) -> Optional[str]:
    try:
        with open(os.path.join(folder, dist_info, "RECORD"), encoding="utf-8", newline="") as stream:
            rows: List[List[str]] = list(csv.reader(stream))
    except OSError as error:
        return "RECORD can't be read: %s" % error.strerror
    for row in rows:
        if len(row) < 2 or not row[1].startswith("sha256="):
            continue
        try:
            with open(os.path.join(folder, row[0]), "rb") as stream:
                digest = hashlib.sha256()
                for piece in iter(lambda: stream.read(1 << 20), b""):  # noqa: B023 - used within the loop's turn
                    digest.update(piece)
        except OSError:
            return "%s is missing" % row[0]
        if base64.urlsafe_b64encode(digest.digest()).rstrip(b"=").decode("ascii") != row[1][len("sha256=") :]:
            return "%s differs" % row[0]
    return None
