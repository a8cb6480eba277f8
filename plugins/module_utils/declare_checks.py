# SPDX-License-Identifier: Apache-2.0
"""What of the validation's declaration says what is checked on a node, and how strictly. Pure."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Optional

from ansible_collections.condafleet.core.plugins.module_utils.check_catalog import LEVELS
from ansible_collections.condafleet.core.plugins.module_utils.check_limits import check_declared
from ansible_collections.condafleet.core.plugins.module_utils.declare_values import boolean, list_of, one_of, whole
from ansible_collections.condafleet.core.plugins.module_utils.errors import InputError

MOUNT_KEYS = ("path", "mounted", "writable", "least_free_gib")
MOUNTS_ACCEPTED = "a list of {%s} with an absolute path" % ", ".join(MOUNT_KEYS)
# Frameworks whose environments have PyTorch, which is what speed is measured with.
WITH_TORCH = ("torch", "keras-torch")


def check_checks(values: Mapping[str, Any]) -> Dict[str, Any]:
    """{level, checks, mounts, xid_hours, speed_environment (a name or null), deviations, gap_percent}.

    `values` are the role's variables without `validation_`. InputError names what is wrong.
    """
    return {
        "level": one_of("validation_level", values.get("level", "standard"), LEVELS),
        "checks": check_declared(values.get("checks") or {}),
        "mounts": _mounts(values.get("mounts") or []),
        "xid_hours": whole("validation_xid_hours", values.get("xid_hours", 24), 1),
        "speed_environment": _speed_environment(values.get("speed_environment"), values.get("environments") or []),
        "deviations": _above_zero("validation_deviations", values.get("deviations", 4)),
        "gap_percent": _above_zero("validation_gap_percent", values.get("gap_percent", 10)),
    }


def _mounts(declared: Any) -> List[Dict[str, Any]]:
    found = []
    for entry in list_of("validation_mounts", declared, MOUNTS_ACCEPTED):
        if not isinstance(entry, Mapping) or [key for key in entry if key not in MOUNT_KEYS]:
            raise InputError("validation_mounts", entry, "{%s}" % ", ".join(MOUNT_KEYS), "correct it")
        path = entry.get("path")
        if not isinstance(path, str) or not path.startswith("/"):
            raise InputError("validation_mounts.path", path, "an absolute path on the node", "correct it")
        kept: Dict[str, Any] = {"path": path}
        for key in ("mounted", "writable"):
            if entry.get(key) is not None:
                kept[key] = boolean("validation_mounts (%s).%s" % (path, key), entry[key])
        if entry.get("least_free_gib") is not None:
            kept["least_free_gib"] = _number("validation_mounts (%s).least_free_gib" % path, entry["least_free_gib"])
        found.append(kept)
    return found


def _speed_environment(name: Any, environments: Any) -> Optional[str]:
    """The environment that speed is measured in: the named one, else the first that trains with PyTorch."""
    known = [entry for entry in environments if isinstance(entry, Mapping)]
    if name in (None, ""):
        fit = [entry for entry in known if set(entry.get("frameworks") or ()) & set(WITH_TORCH)]
        return str(fit[0].get("name")) if fit else None
    names = [str(entry.get("name")) for entry in known]
    if name not in names:
        accepted = "the name of an environment with PyTorch (%s)" % (", ".join(names) or "none is declared")
        raise InputError("validation_speed_environment", name, accepted, "correct it, or leave it empty")
    return str(name)


def _above_zero(variable: str, value: Any) -> float:
    number = _number(variable, value)
    if not number:
        raise InputError(variable, value, "a number above 0", "correct it")
    return number


def _number(variable: str, value: Any) -> float:
    """A number from 0 up, also as text, since `-e KEY=VALUE` makes text of all."""
    try:
        number = -1.0 if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        number = -1.0
    if not 0 <= number < float("inf"):
        raise InputError(variable, value, "a number from 0 up", "correct it")
    return number
