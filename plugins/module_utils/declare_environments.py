# SPDX-License-Identifier: Apache-2.0
"""The check of what `roles/environments` is given: pure but for looking whether a spec file is there."""

from __future__ import annotations

import os
import re
from typing import Any, Dict, List, Mapping, Optional, Sequence

from ansible_collections.condafleet.core.plugins.module_utils.declare_access import check_access
from ansible_collections.condafleet.core.plugins.module_utils.declare_generations import check_generations
from ansible_collections.condafleet.core.plugins.module_utils.declare_indexes import (
    check_channels,
    check_indexes,
    check_python,
)
from ansible_collections.condafleet.core.plugins.module_utils.declare_values import (
    boolean,
    list_of,
    seconds,
    share,
    some_of,
)
from ansible_collections.condafleet.core.plugins.module_utils.errors import InputError
from ansible_collections.condafleet.core.plugins.module_utils.paths import SHEBANG_LIMIT
from ansible_collections.condafleet.core.plugins.module_utils.spec_files import ACCEPTED, DEFAULT_PYTHON
from ansible_collections.condafleet.core.plugins.module_utils.targets import version_key

FRAMEWORKS = ("jax", "keras", "keras-jax", "keras-tensorflow", "keras-torch", "tensorflow", "torch")
PLATFORMS = ("linux-64", "linux-aarch64")
RESERVED_NAMES = ("base", "root")
# In ROOT/validation the records of a node lie beside the folders of its environments: node.json, fleet.json.
RESERVED_ENDING = ".json"
# conda refuses spaces and / : # in names; what starts with a letter or digit is never taken for an option.
NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")
NAME_ACCEPTED = "letters, digits, dot, dash and underscore, at most 64, not base or root"
ENVIRONMENT_ACCEPTED = NAME_ACCEPTED + ", not ending in " + RESERVED_ENDING
VERSION = re.compile(r"^\d+(\.\d+){0,2}$")
VARIABLE = re.compile(r"^[A-Za-z_][A-Za-z0-9_]*$")


def check_environments(values: Mapping[str, Any], manifest: Optional[Mapping[str, Any]] = None) -> Dict[str, Any]:
    """The declaration: {environments, modulefiles, modulepath, prefix, root, target, targets, may_fail, …}, with
    what `check_generations` makes; InputError names what is wrong.

    `values` are the role's variables without `environments_`, with `spec_folders`: where relative specs are looked for.
    """
    prefix = _absolute("environments_prefix", values.get("prefix"))
    root = _absolute("environments_root", values.get("root"))
    if root == prefix or root.startswith(prefix + "/"):
        raise InputError(
            "environments_root",
            root,
            "a folder outside %s (environments_prefix)" % prefix,
            "choose one beside it, such as %s" % os.path.join(os.path.dirname(prefix), "condafleet"),
        )
    targets = raise_glibc(check_targets(values.get("targets")), manifest)
    entries = list_of("environments_list", values.get("list"), "a list of {name, spec, targets, frameworks}")
    declared = [
        check_entry(entry, "environments_list[%d]" % index, targets, list(values.get("spec_folders") or []))
        for index, entry in enumerate(entries)
    ]
    names = [entry["name"] for entry in declared]
    for name in names:
        if names.count(name) > 1:
            raise InputError(
                "environments_list", "two environments named %s" % name, "each name once", "rename or remove one"
            )
        check_length(root, name)
    return {
        "environments": declared,
        "modulefiles": boolean("environments_modulefiles", values.get("modulefiles", False)),
        "modulepath": _absolute(
            "environments_modulepath", values.get("modulepath") or os.path.join(root, "modulefiles")
        ),
        "prefix": prefix,
        "root": root,
        "target": check_target(values.get("target"), targets),
        "targets": targets,
        "access": check_access(values, "environments"),
        "indexes": check_indexes("environments_indexes", values.get("indexes") or []),
        # Of these a lock is made, so they are compared between nodes.
        "channels": check_channels("environments_channels", values.get("channels") or ["conda-forge"]),
        "tos": str(values.get("tos") or "decline"),
        "locks_dir": str(values.get("locks_dir") or "locks"),
        "python": check_python("environments_python", values.get("python") or DEFAULT_PYTHON),
        "may_fail": share("environments_may_fail", values.get("may_fail", 0), "0.05"),
        "timeout": seconds("environments_timeout", values.get("timeout", 3600)),
        **check_generations(values, names),
    }


def check_entry(entry: Any, where: str, targets: Mapping[str, Any], folders: Sequence[str]) -> Dict[str, Any]:
    if not isinstance(entry, Mapping):
        raise InputError(where, entry, "a mapping with name, spec and targets", "correct it")
    name = check_name(entry.get("name"), where + ".name")
    where = "environments_list (%s)" % name
    known = ("name", "spec", "targets", "frameworks", "variables", "channels")
    known += ("indexes", "python", "target_specs", "checks")
    for key in entry:
        if key not in known:
            raise InputError("%s.%s" % (where, key), entry[key], "the keys " + ", ".join(known), "correct the key")
    wanted = check_choice(entry.get("targets"), where + ".targets", sorted(targets), "environments_targets", False)
    return {
        **entry,
        "name": name,
        "targets": wanted,
        **check_specs(entry, where, wanted, folders),
        **({"indexes": check_indexes(where + ".indexes", entry["indexes"] or [])} if "indexes" in entry else {}),
        **({"channels": check_channels(where + ".channels", entry["channels"] or [])} if "channels" in entry else {}),
        **({"python": check_python(where + ".python", entry["python"])} if "python" in entry else {}),
        "frameworks": check_choice(entry.get("frameworks") or [], where + ".frameworks", FRAMEWORKS, "the list", True),
        "variables": check_variables(entry.get("variables") or {}, where + ".variables"),
        "checks": check_checks(entry.get("checks") or [], where + ".checks"),
    }


def check_name(name: Any, where: str) -> str:
    """The name of an environment: of conda's, and of folders beside which condafleet keeps files of its own."""
    if not isinstance(name, str) or not NAME.match(name) or name in RESERVED_NAMES or name.endswith(RESERVED_ENDING):
        raise InputError(where, name, ENVIRONMENT_ACCEPTED, "choose another name")
    return name


def check_specs(entry: Mapping[str, Any], where: str, targets: Sequence[str], folders: Sequence[str]) -> Dict[str, Any]:
    """{spec, target_specs}: a spec for each target, its own or the common one. What is not given is not there."""
    own = entry.get("target_specs")
    if own not in (None, {}) and not isinstance(own, Mapping):
        raise InputError(where + ".target_specs", own, "a mapping {TARGET: spec}", "correct it")
    found: Dict[str, Any] = {}
    for target in own or {}:
        if target not in targets:
            accepted = "targets of this environment: " + ", ".join(targets)
            raise InputError(where + ".target_specs", target, accepted, "correct it, or add it to targets")
        checked = check_spec((own or {})[target], "%s.target_specs.%s" % (where, target), folders)
        found.setdefault("target_specs", {})[target] = checked
    if entry.get("spec") is not None or set(found.get("target_specs", {})) != set(targets):
        found["spec"] = check_spec(entry.get("spec"), where + ".spec", folders)
    return found


def check_spec(spec: Any, where: str, folders: Sequence[str]) -> Any:
    """A path made absolute, or the inline lists as they are: what stands in them is the lock's to judge."""
    if isinstance(spec, Mapping):
        return dict(spec)
    accepted = "a path to " + ACCEPTED
    if not isinstance(spec, str) or not spec:
        raise InputError(where, spec, accepted, "name a spec")
    tried = [spec] if os.path.isabs(spec) else [os.path.join(folder, spec) for folder in folders if folder]
    for path in tried:
        if os.path.exists(path):
            return os.path.abspath(path)
    raise InputError(
        where, spec, accepted + "; there is no such file (looked for: %s)" % ", ".join(tried), "correct the path"
    )


def check_choice(value: Any, where: str, accepted: Sequence[str], source: str, empty: bool) -> List[str]:
    if empty and value == []:
        return []
    return some_of(where, value, accepted, "correct it" if empty else "correct it, or define it in %s" % source)


def check_target(target: Any, targets: Mapping[str, Any]) -> Optional[str]:
    """The node's own target, or None where it is found out on the node."""
    if target in (None, ""):
        return None
    if target not in targets:
        raise InputError("environments_target", target, ", ".join(sorted(targets)), "define it in environments_targets")
    return str(target)


def check_variables(variables: Any, where: str) -> Dict[str, str]:
    if not isinstance(variables, Mapping):
        raise InputError(where, variables, "a mapping of names to texts", "correct it")
    for name in variables:
        if not VARIABLE.match(str(name)):
            raise InputError(where, name, "names of letters, digits and underscore", "correct the name")
    return {str(name): str(value) for name, value in variables.items()}


def check_checks(checks: Any, where: str) -> List[str]:
    """Commands as texts. Nothing is guessed: a number or a yes is no command, and an empty one would always pass."""
    accepted = "a list of commands for /bin/sh, each a text that is not empty"
    if not isinstance(checks, (list, tuple)):
        raise InputError(where, checks, accepted, "write a list, also for a single command")
    for command in checks:
        if not isinstance(command, str) or not command.strip() or "\0" in command:
            raise InputError(where, command, accepted, "correct it, or put it in quotes")
    return [str(command) for command in checks]


def check_targets(targets: Any) -> Dict[str, Dict[str, Any]]:
    if not isinstance(targets, Mapping) or not targets:
        raise InputError("environments_targets", targets, "{NAME: {platform, glibc, cuda?}}", "define at least one")
    checked: Dict[str, Dict[str, Any]] = {}
    for name, definition in targets.items():
        where = "environments_targets.%s" % name
        if not NAME.match(str(name)):
            raise InputError(where, name, NAME_ACCEPTED, "choose another name")
        if not isinstance(definition, Mapping) or definition.get("platform") not in PLATFORMS:
            found = definition.get("platform") if isinstance(definition, Mapping) else definition
            raise InputError(where + ".platform", found, ", ".join(PLATFORMS), "correct it")
        for key in ("glibc", "cuda"):
            value = definition.get(key)
            if value not in (None, "") and not VERSION.match(str(value)):
                raise InputError("%s.%s" % (where, key), value, "a version such as 2.28", "write it as text in quotes")
        checked[str(name)] = {key: str(value) for key, value in definition.items() if value not in (None, "")}
    return checked


def raise_glibc(
    targets: Mapping[str, Mapping[str, Any]], manifest: Optional[Mapping[str, Any]]
) -> Dict[str, Dict[str, Any]]:
    """The targets of a depot's platform need at least the glibc that its packages were made for."""
    least = (manifest or {}).get("glibc")
    raised: Dict[str, Dict[str, Any]] = {}
    for name, definition in targets.items():
        raised[name] = dict(definition)
        same = definition["platform"] == (manifest or {}).get("platform")
        if least and same and version_key(definition.get("glibc") or "0") < version_key(least):
            raised[name]["glibc"] = str(least)
    return raised


def check_length(root: str, name: str) -> None:
    """Scripts in a generation start with `#!PATH/bin/python3.x`, which a kernel cuts off at a limit."""
    longest = "#!" + os.path.join(root, "generations", "%s-%s-%s" % (name, "0" * 12, "000"), "bin", "python3.00")
    if len(os.fsencode(longest)) > SHEBANG_LIMIT:
        over = len(os.fsencode(longest)) - SHEBANG_LIMIT
        raise InputError(
            "environments_root",
            root,
            "a path that leaves the first line of scripts within %d bytes" % SHEBANG_LIMIT,
            "shorten it, or the name %s, by %d bytes" % (name, over),
        )


def _absolute(variable: str, path: Any) -> str:
    accepted = "an absolute path without spaces"
    if not isinstance(path, str) or not path.startswith("/") or re.search(r"\s", path) or path == "/":
        raise InputError(variable, path, accepted, "give one such as /opt/condafleet")
    return os.path.normpath(path)
