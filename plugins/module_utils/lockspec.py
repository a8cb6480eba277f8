# Copyright condafleet maintainers
# SPDX-License-Identifier: Apache-2.0
"""What an environment's spec asks for, in one normal form: the same request always looks the same.

Pure: takes documents that are parsed already and returns data. The solver takes only this form.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any, Dict, List, Mapping, Optional, Sequence

from ansible_collections.condafleet.core.plugins.module_utils.channel_terms import DEFAULT_CHANNELS, needs_terms
from ansible_collections.condafleet.core.plugins.module_utils.errors import SpecError
from ansible_collections.condafleet.core.plugins.module_utils.host_auth import refuse_login
from ansible_collections.condafleet.core.plugins.module_utils.projects import normal_name
from ansible_collections.condafleet.core.plugins.module_utils.spec_explicit import normal_entries
from ansible_collections.condafleet.core.plugins.module_utils.spec_pylock import normal_pylock
from ansible_collections.condafleet.core.plugins.module_utils.url_secrets import masked, without_secrets

__all__ = ["SpecError"]

# environment.yml has further keys that say nothing about packages; what other kinds of specs come to has a few more.
_KEYS = ("name", "prefix", "channels", "dependencies", "conda", "pip", "variables", "platforms")
_KEYS += ("constraints", "hashes", "explicit", "pylock")
_PARTS = ("constraints", "hashes", "explicit", "pylock")
# What a part can't stand beside.
_ALONE = {
    "explicit": ("conda", "pip", "constraints", "hashes", "pylock"),
    "pylock": ("pip", "constraints", "hashes"),
}
_SHA256 = re.compile(r"^[0-9a-f]{64}$")
_PROJECT = re.compile(r"^[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?\s*(?:\[[^\]]*\])?\s*(?:[<>=!~(;].*)?$")


def normalise(
    environment: str,
    document: Any,
    *,
    variables: Optional[Mapping[str, Any]] = None,
    channels: Optional[Sequence[str]] = None,
) -> Dict[str, Any]:
    """`{conda: [..], pip: [..], channels: [..], variables: {..}}` of an environment.yml or of inline lists, and where
    it has them, `constraints` and `hashes` of its pip part, or `explicit` or `pylock` instead of one (spec_files.py).

    `variables` and `channels` are the declaration's; they add to and replace what the document says. What comes out is
    a document too, and its own normal form.
    """
    where = "environments_list: {0}".format(environment)
    if not isinstance(document, Mapping):
        raise SpecError(
            "{0}: spec is {1}, not a mapping. Accepted: an environment.yml with dependencies:, or lists conda: and "
            "pip:. Next: correct the spec.".format(where, type(document).__name__)
        )
    unknown = sorted(str(key) for key in document if key not in _KEYS)
    if unknown:
        raise SpecError(
            "{0}: spec has {1!r}, which is not known. Accepted: {2}. Next: correct the spelling.".format(
                where, unknown[0], ", ".join(_KEYS)
            )
        )
    conda: List[Any] = []
    pip: List[Any] = list(_list(document, "pip", where))
    for entry in [*_list(document, "dependencies", where), *_list(document, "conda", where)]:
        if isinstance(entry, Mapping) and list(entry) == ["pip"]:
            pip += _list(entry, "pip", where)
        else:
            conda.append(entry)
    merged = dict(variables_of(document.get("variables"), where))
    merged.update(variables_of(variables, where))
    chosen = list(channels) if channels else _list(document, "channels", where)
    spec = {
        "conda": sorted({_conda_spec(entry, where) for entry in conda}),
        "pip": sorted({_requirement(entry, where) for entry in pip}),
        "channels": [_text(channel, where + ": channels") for channel in chosen],
        "variables": merged,
    }
    spec.update(_parts(environment, document, where))
    wrong = next((part for part in _ALONE if part in spec and any(spec.get(other) for other in _ALONE[part])), None)
    if wrong:
        raise SpecError(
            "{0}: spec has {1!r} and other packages beside it. Accepted: nothing beside (with a pylock, a python from "
            "conda). Next: drop one of them.".format(where, wrong)
        )
    if not spec["conda"] and "explicit" not in spec:
        raise SpecError(
            "{0}: spec names no conda package. Accepted: at least a Python. Next: add for example 'python=3.11' to "
            "dependencies: or conda:.".format(where)
        )
    return spec


def inputs_of(spec: Mapping[str, Any]) -> Dict[str, Any]:
    """What of a spec decides a solve, as a lock carries it: one text for each entry, long ones as a sha256."""
    found = {key: spec[key] for key in ("conda", "pip", "variables", "constraints", "explicit") if key in spec}
    if "hashes" in spec:
        found["hashes"] = ["{0} {1}".format(name, _sha256(spec["hashes"][name])) for name in sorted(spec["hashes"])]
    if "pylock" in spec:
        rest = {key: value for key, value in spec["pylock"].items() if key != "packages"}
        found["pylock"] = ["{name} {version} ".format(**one) + _sha256(one) for one in spec["pylock"]["packages"]]
        found["pylock"].append("with " + _sha256(rest))
    return found


def check_channels(environment: str, spec: Mapping[str, Any], channels: Sequence[str], tos: str) -> List[str]:
    """The channels to solve from, in order. Anaconda's are refused unless their terms are accepted."""
    inner = [found for found in map(_channel_in, spec["conda"]) if found]
    for channel in [*channels, *inner]:
        refuse_login("environments_list: {0}: channel".format(environment), channel)
    for channel in [*channels, *inner]:
        if tos != "accept" and is_anaconda(channel):
            hint = "Drop it: only the declared channels are used. " if channel == "nodefaults" else ""
            raise SpecError(
                "environments_list: {0}: channel {1!r} is under Anaconda's terms of service, which are not accepted "
                "(miniconda_tos: {2}). Accepted: conda-forge or another channel, or miniconda_tos: accept. Next: {3}"
                "Replace the channel, or accept the terms.".format(environment, masked(channel), tos, hint)
            )
    expanded: List[str] = []
    for channel in channels:
        if channel == "defaults":
            expanded += DEFAULT_CHANNELS
        elif channel != "nodefaults":
            expanded.append(channel)
    return expanded


def check_packages(where: str, urls: Sequence[str], tos: str) -> None:
    """SpecError where a lock, whoever made it, holds a package from Anaconda's servers without accepted terms."""
    held = [url for url in urls if needs_terms(url)] if tos != "accept" else []
    if held:
        raise SpecError(
            "{0}: it holds {1} from Anaconda's channels ({2}), whose terms of service are not accepted (miniconda_tos: "
            "{3}). Accepted: a lock from conda-forge or another channel, or miniconda_tos: accept. Next: lock again "
            "from another channel, or accept the terms.".format(
                where,
                "1 package" if len(held) == 1 else "{0} packages".format(len(held)),
                masked(held[0]),
                tos,
            )
        )


def _channel_in(entry: str) -> Optional[str]:
    """The channel that one conda spec asks for, as in `channel::name`, `name[channel=channel]` or `name[url=URL]`."""
    if "::" in entry:
        return entry.split("::", 1)[0]
    found = re.search(r"\b(?:channel|url)\s*=\s*['\"]?([^'\",\]]+)", entry)
    return found.group(1) if found else None


def is_anaconda(channel: str) -> bool:
    """Whether a channel, by name or URL, is one of Anaconda's own. `nodefaults` is taken for one by some readers."""
    plain = without_secrets(channel).strip().rstrip("/").lower()
    return plain == "nodefaults" or needs_terms(plain)


def pair_of(spec: Any) -> Optional[Dict[str, str]]:
    """The two paths, where a spec is a pair of locks (`x.conda-lock.yml`, or both by name), else None."""
    if isinstance(spec, str) and spec.endswith(".conda-lock.yml"):
        return {"conda_lock": spec, "pylock": spec[: -len(".conda-lock.yml")] + ".pylock.toml"}
    if isinstance(spec, Mapping) and "conda_lock" in spec:
        conda_lock = str(spec["conda_lock"])
        stem = conda_lock[: -len(".conda-lock.yml")] if conda_lock.endswith(".conda-lock.yml") else conda_lock
        return {"conda_lock": conda_lock, "pylock": str(spec.get("pylock") or stem + ".pylock.toml")}
    return None


def _parts(environment: str, document: Mapping[str, Any], where: str) -> Dict[str, Any]:
    """The parts that few specs have; none is there that is empty."""
    found = {
        "constraints": sorted({_requirement(entry, where) for entry in _list(document, "constraints", where)}),
        "hashes": _hashes(document.get("hashes") or {}, where),
        "explicit": normal_entries(environment, _list(document, "explicit", where)),
        "pylock": normal_pylock(environment, document["pylock"]) if document.get("pylock") else None,
    }
    return {part: found[part] for part in _PARTS if found[part]}


def _hashes(value: Any, where: str) -> Dict[str, List[str]]:
    given = value.items() if isinstance(value, Mapping) else [(None, value)]
    found: Dict[str, List[str]] = {}
    for name, hashes in given:
        if not isinstance(hashes, (list, tuple)) or not all(_SHA256.match(str(one)) for one in hashes) or not name:
            raise SpecError(
                "{0}: hashes has {1!r}. Accepted: {{PROJECT: [sha256, …]}}. Next: correct the spec.".format(where, name)
            )
        found[normal_name(str(name))] = sorted({*found.get(normal_name(str(name)), []), *map(str, hashes)})
    return found


def _sha256(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, ensure_ascii=True).encode("ascii")).hexdigest()


def _list(document: Mapping[str, Any], key: str, where: str) -> List[Any]:
    value = document.get(key)
    if value is None:
        return []
    if not isinstance(value, (list, tuple)):
        raise SpecError("{0}: {1} is {2!r}. Accepted: a list. Next: correct the spec.".format(where, key, value))
    return list(value)


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise SpecError("{0}: {1!r} is no text. Next: correct the spec.".format(where, value))
    return " ".join(value.split())


def _conda_spec(entry: Any, where: str) -> str:
    text = _text(entry, where + ": conda")
    if text.startswith(("http://", "https://", "file:", "/", "@")):
        raise SpecError(
            "{0}: conda: {1!r} is a place. Accepted: a package name with a version, as in 'python=3.11'. "
            "Next: name the package.".format(where, masked(text))
        )
    return text


def _requirement(entry: Any, where: str) -> str:
    text = _text(entry, where + ": pip")
    if not _PROJECT.match(text):
        raise SpecError(
            "{0}: pip: {1!r} is not accepted. Accepted: a project with a version, as in 'torch>=2.4' (no options, "
            "files, URLs or repositories). Next: list the projects themselves.".format(where, masked(text))
        )
    return text


def variables_of(value: Any, where: str) -> Dict[str, str]:
    """Environment variables as texts; SpecError where they are none."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise SpecError("{0}: variables is {1!r}. Accepted: a mapping.".format(where, value))
    for name, text in value.items():
        if not re.match(r"^[A-Za-z_][A-Za-z0-9_]*$", str(name)) or isinstance(text, (Mapping, list, bool, type(None))):
            raise SpecError(
                "{0}: variables: {1!r}: {2!r} is not accepted. Accepted: NAME: text or number. Next: put the value in "
                "quotes.".format(where, name, text)
            )
    return {str(name): str(text) for name, text in value.items()}
