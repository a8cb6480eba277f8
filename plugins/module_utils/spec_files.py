# SPDX-License-Identifier: Apache-2.0
"""A spec as it is declared, by path or inline, as one document that `lockspec.normalise` takes.

Reads files, on the controller only. The readers of YAML and TOML are handed in, so that this stays standard library.
"""

from __future__ import annotations

import os
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence

from ansible_collections.condafleet.core.plugins.module_utils.errors import FleetError, SpecError
from ansible_collections.condafleet.core.plugins.module_utils.lockspec import pair_of
from ansible_collections.condafleet.core.plugins.module_utils.spec_explicit import is_explicit, lines_of
from ansible_collections.condafleet.core.plugins.module_utils.spec_requirements import parse_requirements

Reader = Callable[[str], Any]

DEFAULT_PYTHON = ">=3.10,<3.14"
ACCEPTED = (
    "an environment.yml, a requirements.txt, a pylock.toml, an explicit list, a pair of locks (x.conda-lock.yml), or "
    "inline conda: and pip: lists"
)
# By the name's end. An explicit list has its mark, whatever it is called.
REQUIREMENTS = ".txt"
PYLOCK = ".toml"


def document_of(environment: str, spec: Any, python: str, read_yaml: Reader, read_toml: Reader) -> Any:
    """The document of a path or of inline lists. `python` is for the kinds that name no python of their own."""
    if not isinstance(spec, str):
        return spec
    what = "environments_list: %s: spec" % environment
    text = read_text(spec, what)
    if is_explicit(text):
        return {"explicit": lines_of(text)}
    if spec.endswith(REQUIREMENTS):
        # pip, because a node without uv installs the wheels by it.
        own = {"conda": ["pip", python_spec(python)]}
        return {**own, **parse_requirements(environment, spec, lambda path: read_text(path, what))}
    if spec.endswith(PYLOCK):
        if not os.path.basename(spec).endswith("pylock.toml") and not os.path.basename(spec).startswith("pylock."):
            raise SpecError(
                "%s: %s is not accepted. Accepted: %s. Next: lock that project with its own tool, and name the "
                "pylock.toml." % (what, spec, ACCEPTED)
            )
        return {"conda": ["pip", python_spec(python)], "pylock": parsed(text, read_toml, spec, what)}
    return parsed(text, read_yaml, spec, what)


def takes_python(document: Any) -> bool:
    """Whether the declared python counts for a document of `document_of`."""
    return isinstance(document, Mapping) and ("hashes" in document or "pylock" in document)


def python_spec(python: str) -> str:
    """The conda spec of a declared python: `3.11` means any 3.11, `>=3.10,<3.14` what it says."""
    return "python %s" % (python + ".*" if python.replace(".", "").isdigit() and python.count(".") < 2 else python)


def spec_for(entry: Mapping[str, Any], target: str) -> Any:
    """The spec of an entry of environments_list for a target: the target's own, where it has one."""
    own = entry.get("target_specs")
    return own[target] if isinstance(own, Mapping) and target in own else entry.get("spec")


def with_specs_found(entry: Mapping[str, Any], folders: Sequence[str]) -> Dict[str, Any]:
    """The entry with the paths in its specs made absolute: a relative one is looked for in the folders, in order."""
    name = str(entry.get("name"))
    found = {**entry, "spec": _with_path_found(name, entry.get("spec"), folders)}
    own = entry.get("target_specs") or {}
    if own:
        found["target_specs"] = {target: _with_path_found(name, own[target], folders) for target in own}
    return found


def read_text(path: str, what: str) -> str:
    try:
        with open(path, encoding="utf-8") as handle:
            return handle.read()
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is no text"
        raise FleetError("%s: %s can't be read (%s). Next: correct the path." % (what, path, why)) from error


def parsed(text: str, reader: Reader, path: str, what: str) -> Any:
    try:
        return reader(text)
    except Exception as error:  # noqa: BLE001 - each reader has its own kind of error, all mean the same here
        raise FleetError("%s: %s is malformed: %s. Next: correct it." % (what, path, error)) from error


def _with_path_found(name: str, spec: Any, folders: Sequence[str]) -> Any:
    if isinstance(spec, str):
        return _find(name, spec, folders)
    pair: Optional[Dict[str, str]] = pair_of(spec)
    if pair:
        found = _find(name, pair["conda_lock"], folders)
        pylock = os.path.normpath(os.path.join(os.path.dirname(found), os.path.basename(pair["pylock"])))
        return {"conda_lock": found, "pylock": pylock}
    return spec


def _find(name: str, path: str, folders: Sequence[str]) -> str:
    places: List[str] = [path] if os.path.isabs(path) else [os.path.join(folder, path) for folder in folders or ["."]]
    for place in places:
        if os.path.isfile(place):
            return os.path.abspath(place)
    raise FleetError(
        "environments_list: %s: spec: %r is missing (looked for: %s). Accepted: %s. Next: correct the path."
        % (name, path, ", ".join(places), ACCEPTED)
    )
