# SPDX-License-Identifier: Apache-2.0
"""Which limit a check has on a node: the site's own word, else the GPU model's figure, else the catalog's. Pure."""

from __future__ import annotations

import fnmatch
import math
from typing import Any, Dict, List, Mapping, NamedTuple, Optional

from ansible_collections.condafleet.core.plugins.module_utils import gpu_figures
from ansible_collections.condafleet.core.plugins.module_utils.check_catalog import CHECKS, LEVELS, Check
from ansible_collections.condafleet.core.plugins.module_utils.errors import InputError
from ansible_collections.condafleet.core.plugins.module_utils.figures import short

KEYS = ("enabled", "least", "most", "equal", "timeout")
BOUNDS = ("least", "most", "equal")
# Whose values are texts: they can only be equal to something. What YAML makes of such a text unasked, it is again.
TEXTS = {
    "gpu.model": {},
    "gpu.driver": {},
    "gpu.cuda": {},
    "gpu.nvlink": {},
    "gpu.pcie": {},
    "gpu.persistence": {True: "on", False: "off"},
}
YES_OR_NO = ("gpu.mig",)
# Of which what is bad is known, and no limit asked for.
WITHOUT_LIMIT = (
    "host.mounts", "host.driver", "gpu.recovery", "gpu.xid", "gpu.throttle", "gpu.dcgm", "env.smoke", "train.curve",
    "train.transformer", "serve.export",
)  # fmt: skip
ACCEPTED = "{CHECK or PATTERN: {enabled, least, most, equal, timeout}}"


class Limit(NamedTuple):
    """What a value has to be: at least, at most, or exactly. `source` says who says so."""

    least: Optional[float] = None
    most: Optional[float] = None
    equal: Any = None
    source: str = ""

    def complaint(self, value: Any, unit: str) -> Optional[str]:
        """Why this value is outside, None where it is not."""
        said = ("%s %s" % (short(value), unit)).strip()
        if self.equal is not None and value != self.equal:
            return "it is %s, not %s (%s)" % (said, short(self.equal), self.source)
        if self.least is not None and not value >= self.least:
            return "it is %s, less than %s (%s)" % (said, short(self.least), self.source)
        if self.most is not None and not value <= self.most:
            return "it is %s, more than %s (%s)" % (said, short(self.most), self.source)
        return None

    def to_dict(self) -> Dict[str, Any]:
        found = {key: getattr(self, key) for key in ("least", "most", "equal") if getattr(self, key) is not None}
        return {**found, "source": self.source}


class Asked(NamedTuple):
    """A check as it is to be carried out on a node."""

    check: Check
    limit: Optional[Limit]
    timeout: float


def asked(level: str, declared: Mapping[str, Any], model: Optional[str] = None) -> Dict[str, Asked]:
    """{NAME: check with its limits}: what of the catalog belongs to `level` and is not switched off.

    `declared` is `validation_checks`; a later entry goes before an earlier one, and a name before any pattern.
    `model` is the name of the node's GPUs, None where it has none or several.
    """
    height = LEVELS.index(level)
    found = {}
    for check in CHECKS:
        own = _own(check.name, declared)
        # A site that names a check by its full name wants it, whatever the level.
        named = declared.get(check.name, {}).get("enabled") is True
        if (LEVELS.index(check.level) > height and not named) or own.get("enabled") is False:
            continue
        found[check.name] = Asked(check, _limit(check, own, model), float(own.get("timeout") or check.timeout))
    return found


def check_declared(declared: Any) -> Dict[str, Dict[str, Any]]:
    """`validation_checks` as it was declared, or InputError: the first thing that is wrong."""
    if not isinstance(declared, Mapping):
        raise InputError("validation_checks", declared, ACCEPTED, "correct it")
    found: Dict[str, Dict[str, Any]] = {}
    for name, entry in declared.items():
        variable = "validation_checks.%s" % name
        if not matching(str(name)):
            part = str(name).partition(".")[0]
            close = ", ".join(sorted(one.name for one in CHECKS if one.name.partition(".")[0] == part))
            accepted = "a check's name, or a pattern such as gpu.*" + (" (%s)" % close if close else "")
            raise InputError("validation_checks", name, accepted, "see docs/checks.md for all of them")
        if isinstance(entry, bool):
            entry = {"enabled": entry}
        if not isinstance(entry, Mapping) or not entry or [key for key in entry if key not in KEYS]:
            raise InputError(variable, entry, "{%s}" % ", ".join(KEYS), "correct it")
        for key, value in entry.items():
            if key == "enabled" and not isinstance(value, bool):
                raise InputError("%s.enabled" % variable, value, "true or false", "correct it")
            if key in ("least", "most", "timeout") and not _number(value):
                raise InputError("%s.%s" % (variable, key), value, "a number", "correct it")
            if key == "timeout" and not value > 0:
                raise InputError("%s.timeout" % variable, value, "seconds, more than 0", "correct it")
            if key == "equal" and value is None:
                raise InputError("%s.equal" % variable, value, "a value", "give one, or leave it out")
        if entry.get("least", -math.inf) > entry.get("most", math.inf):
            why = "no value is at least %s and at most %s" % (entry["least"], entry["most"])
            raise InputError(variable, dict(entry), "a least that is not above most: %s" % why, "correct it")
        for check in matching(str(name)):
            _expect_fitting(check.name, variable, entry)
        found[str(name)] = dict(entry)
    return found


def _expect_fitting(check: str, variable: str, entry: Mapping[str, Any]) -> None:
    """InputError for a limit that a check's values can't be held against."""
    for key in BOUNDS:
        if entry.get(key) is None:
            continue
        accepted = ""
        if check in WITHOUT_LIMIT:
            accepted = "no limit for %s, but enabled and timeout" % check
        elif key != "equal" and (check in TEXTS or check in YES_OR_NO):
            accepted = "equal for %s, whose values are no numbers" % check
        elif key == "equal" and check in YES_OR_NO and not isinstance(entry[key], bool):
            accepted = "true or false for %s" % check
        elif key == "equal" and check not in TEXTS and check not in YES_OR_NO and _figure(entry[key]) is None:
            accepted = "a number for %s" % check
        if accepted:
            raise InputError("%s.%s" % (variable, key), entry[key], accepted, "correct it, or see docs/checks.md")


def matching(pattern: str) -> List[Check]:
    return [check for check in CHECKS if fnmatch.fnmatchcase(check.name, pattern)]


def _own(name: str, declared: Mapping[str, Any]) -> Dict[str, Any]:
    own: Dict[str, Any] = {}
    for pattern, entry in declared.items():
        if pattern != name and fnmatch.fnmatchcase(name, pattern):
            own.update(entry)
    own.update(declared.get(name) or {})
    return own


def _limit(check: Check, own: Mapping[str, Any], model: Optional[str]) -> Optional[Limit]:
    bounds = {key: own[key] for key in BOUNDS if own.get(key) is not None}
    if bounds:
        if "equal" in bounds:
            bounds["equal"] = _meant(check.name, bounds["equal"])
        return Limit(source="validation_checks", **bounds)
    figure = gpu_figures.figure_of(model, check.name) if model else None
    if figure:
        return Limit(least=figure.least, source=figure.source)
    if check.least is None and check.most is None and check.equal is None:
        return None
    return Limit(check.least, check.most, check.equal, check.source)


def _meant(check: str, value: Any) -> Any:
    """What `equal` means for a check: YAML makes a number of 12.8, a boolean of on, and templates texts of numbers."""
    if check in TEXTS:
        return TEXTS[check].get(value, str(value)) if isinstance(value, bool) else str(value)
    return value if check in YES_OR_NO else _figure(value)


def _figure(value: Any) -> Any:
    """The number that this is, also as text; None for none."""
    if isinstance(value, str):
        try:
            number = float(value)
        except ValueError:
            return None
        value = int(number) if number.is_integer() else number
    return value if _number(value) else None


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
