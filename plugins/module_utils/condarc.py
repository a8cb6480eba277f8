# SPDX-License-Identifier: Apache-2.0
"""What stands in a condarc, as text. Pure; written as a file, since `conda config` reorders and hides changes."""

from __future__ import annotations

import math
import re
from typing import Any, Dict, List, Mapping, Optional
from urllib.parse import urlsplit

from ansible_collections.condafleet.core.plugins.module_utils.errors import InputError

HEADER = "# Written by condafleet: change the variables miniconda_*, not this file.\n"
# The conda that renamed auto_activate_base to auto_activate. The older one does not know the new name; the newer one
# takes the old name for the new one, and says so here and there.
RENAMED = [25, 5]
OLD_NAME, NEW_NAME = "auto_activate_base", "auto_activate"
# conda takes these for the same setting, and refuses a file that has both.
ALIASES = {
    OLD_NAME: NEW_NAME,
    "verify_ssl": "ssl_verify",
    "experimental_solver": "solver",
    "envs_path": "envs_dirs",
    "channel": "channels",
}
PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_./@+-]*(?:://[A-Za-z0-9_./@+~:-]*[A-Za-z0-9_/])?")
# What YAML 1.1 would read as something other than text.
RESERVED = frozenset(["y", "n", "yes", "no", "true", "false", "on", "off", "null"])


def compose(own: Mapping[str, Any], extras: Mapping[str, Any]) -> Dict[str, Any]:
    """The settings: ours, what a shared installation wants, and the user's own, which win."""
    settings: Dict[str, Any] = {key: value for key, value in own.items() if value not in (None, [], {})}
    # Nobody but the owner could follow the advice.
    settings["notify_outdated_conda"] = False
    settings.update({ALIASES.get(str(key), str(key)): value for key, value in extras.items()})
    return _with_mirrors(settings)


def _with_mirrors(settings: Dict[str, Any]) -> Dict[str, Any]:
    """mirrored_channels for conda too: only mamba knows them, conda is led to each channel's first mirror."""
    mirrored = settings.get("mirrored_channels")
    if not isinstance(mirrored, Mapping):
        return settings
    custom: Dict[str, Any] = {}
    several: Dict[str, Any] = {}
    for name, mirrors in mirrored.items():
        first = str(mirrors[0]).rstrip("/")
        if name == "defaults":
            settings.setdefault("default_channels", [first])
        elif first.endswith("/" + name):
            custom[name] = first[: -len(name) - 1]
        else:
            # conda appends a channel's name to its address; a group of one channel has an address of any form.
            several[name] = [first]
    for key, found in (("custom_channels", custom), ("custom_multichannels", several)):
        if found:
            settings[key] = {**found, **(settings.get(key) or {})}
    return settings


def texts_of(settings: Mapping[str, Any]) -> Dict[str, str]:
    """The file for each name that a conda knows `auto_activate` by; `text_for` chooses."""
    old = {OLD_NAME if key == NEW_NAME else key: value for key, value in settings.items()}
    return {NEW_NAME: render(settings), OLD_NAME: render(old)}


def render(settings: Mapping[str, Any]) -> str:
    """Stable YAML: the same settings give the same bytes, in the order that they were declared."""
    return HEADER + "\n".join(_block(settings, 0)) + "\n"


def text_for(declared: Mapping[str, Any], conda_version: Optional[str]) -> str:
    """The text of `{level, texts}` for a conda; where its version is not known yet, for a new one."""
    known = [int(number) for number in re.findall(r"\d+", conda_version or "")[:2]]
    text: str = declared["texts"][OLD_NAME if known and known < RENAMED else NEW_NAME]
    return text


def holds_credentials(value: Any) -> bool:
    """Whether a text anywhere in `value` is a URL with a user part or conda's /t/TOKEN/."""
    if isinstance(value, Mapping):
        return any(holds_credentials(item) for item in value.values())
    if isinstance(value, (list, tuple)):
        return any(holds_credentials(item) for item in value)
    if not isinstance(value, str) or "://" not in value:
        return False
    parts = urlsplit(value)
    return "@" in parts.netloc or re.search(r"(^|/)t/[^/]+(/|$)", parts.path) is not None


def without_credentials(text: str) -> str:
    """A whole file's text, as it may be shown: URLs without user part and token."""
    return re.sub(r"/t/[^/\s\"']+(?=[/\s\"']|$)", "/t/***", re.sub(r"(?<=://)[^/@\s\"']+@", "***@", text))


def _block(value: Mapping[str, Any], depth: int) -> List[str]:
    lines: List[str] = []
    for key, item in value.items():
        lines.extend(_entry(" " * depth + _scalar(str(key)) + ":", item, depth))
    return lines


def _entry(start: str, item: Any, depth: int) -> List[str]:
    """One `key:` or `-` with what follows it."""
    if isinstance(item, Mapping) and item:
        return [start, *_block(item, depth + 2)]
    if isinstance(item, (list, tuple)) and item:
        lines = [start]
        for element in item:
            lines.extend(_entry(" " * (depth + 2) + "-", element, depth + 2))
        return lines
    if isinstance(item, Mapping):
        return [start + " {}"]
    if isinstance(item, (list, tuple)):
        return [start + " []"]
    return [start + " " + _scalar(item)]


def _scalar(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float) and math.isfinite(value):
        mantissa, _dummy, exponent = repr(value).partition("e")
        # YAML 1.1 wants a point in a number with an exponent, and a sign.
        return mantissa if not exponent else f"{mantissa if '.' in mantissa else mantissa + '.0'}e{int(exponent):+d}"
    if isinstance(value, str):
        return value if PLAIN.fullmatch(value) and value.lower() not in RESERVED else _quoted(value)
    raise InputError("miniconda_condarc", value, "texts, numbers, booleans, lists and mappings", "correct it")


def _quoted(text: str) -> str:
    out = []
    for char in text:
        number = ord(char)
        if char in '"\\':
            out.append("\\" + char)
        elif 0x20 <= number < 0x7F:
            out.append(char)
        elif number <= 0xFF:
            out.append(f"\\x{number:02x}")
        elif number <= 0xFFFF:
            out.append(f"\\u{number:04x}")
        else:
            out.append(f"\\U{number:08x}")
    return '"' + "".join(out) + '"'
