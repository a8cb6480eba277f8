# SPDX-License-Identifier: Apache-2.0
"""A pylock.toml of any tool (PEP 751) as a spec: what of it decides what is installed, in one normal form. Pure.

Which entries and wheels a target takes is chosen where it is locked (condafleet.lock.foreign).
"""

from __future__ import annotations

from typing import Any, Dict, List, Mapping

from ansible_collections.condafleet.core.plugins.module_utils.errors import SpecError
from ansible_collections.condafleet.core.plugins.module_utils.projects import normal_name
from ansible_collections.condafleet.core.plugins.module_utils.url_secrets import host_of, secret_in

# Where a package may come from beside wheels; what stands there is of no use, that it stands there is said.
_OTHER_SOURCES = ("vcs", "directory", "archive", "sdist")


def normal_pylock(environment: str, document: Any) -> Dict[str, Any]:
    """`{requires_python, environments, groups, packages: [{name, version, marker, requires_python, source, wheels}]}`.

    Wheels are `{name, url, sha256, size}`. Idempotent; comments, order and other tools' own tables make no difference.
    """
    where = "environments_list: %s: pylock.toml" % environment
    if not isinstance(document, Mapping):
        raise _wrong(where, "it is no mapping")
    if "lock-version" in document or "packages" not in document:
        version = str(document.get("lock-version", ""))
        if version.partition(".")[0] != "1":
            raise _wrong(where, "lock-version %r is not known" % version)
    packages = [_package(where, entry) for entry in _list(where, document, "packages")]
    if not packages:
        raise _wrong(where, "it names no package")
    return {
        "requires_python": str(document.get("requires-python") or document.get("requires_python") or ""),
        "environments": sorted(str(one) for one in _list(where, document, "environments")),
        "groups": sorted(str(one) for one in _list(where, document, "default-groups", "groups")),
        "packages": sorted(packages, key=lambda one: (one["name"], one["version"], one["marker"], str(one))),
    }


def _package(where: str, entry: Any) -> Dict[str, Any]:
    if not isinstance(entry, Mapping) or not isinstance(entry.get("name"), str):
        raise _wrong(where, "an entry of packages has no name")
    inside = "%s: %s" % (where, entry["name"])
    wheels = [_wheel(inside, wheel) for wheel in _list(inside, entry, "wheels")]
    others = [kind for kind in _OTHER_SOURCES if entry.get(kind)]
    return {
        "name": normal_name(entry["name"]),
        "version": str(entry.get("version") or ""),
        "marker": str(entry.get("marker") or ""),
        "requires_python": str(entry.get("requires-python") or entry.get("requires_python") or ""),
        "source": str(entry.get("source") or ("wheels" if wheels else others[0] if others else "nothing")),
        "wheels": sorted(wheels, key=lambda wheel: (str(wheel["name"]), str(wheel["url"]))),
    }


def _wheel(where: str, wheel: Any) -> Dict[str, Any]:
    if not isinstance(wheel, Mapping):
        raise _wrong(where, "a wheel is no mapping")
    url = str(wheel.get("url") or "")
    # Mirrors by first letter have wheels below /t/: no token is looked for.
    if secret_in(url, token=False):
        raise SpecError(
            "%s: the URL of a wheel has a login in it. Accepted: URLs without. Next: take it out, and give "
            "it in environments_auth as {%s: {username, password}} or {token}." % (where, host_of(url))
        )
    # A query is a signature that runs out, or a secret: neither belongs into a lock.
    url = url.split("#", 1)[0].split("?", 1)[0]
    hashes = wheel.get("hashes")
    sha256 = hashes.get("sha256") if isinstance(hashes, Mapping) else wheel.get("sha256")
    size = wheel.get("size")
    return {
        "name": str(wheel.get("name") or url.rsplit("/", 1)[-1] or str(wheel.get("path") or "").rsplit("/", 1)[-1]),
        "url": url,
        "sha256": str(sha256 or "").lower(),
        "size": size if isinstance(size, int) else None,
    }


def _list(where: str, document: Mapping[str, Any], *keys: str) -> List[Any]:
    value = next((document[key] for key in keys if document.get(key)), [])
    if not isinstance(value, (list, tuple)):
        raise _wrong(where, "%s is no list" % keys[0])
    return list(value)


def _wrong(where: str, what: str) -> SpecError:
    return SpecError(
        "%s: %s. Accepted: a pylock.toml by PEP 751, lock-version 1. Next: write it again with the tool that made it."
        % (where, what)
    )
