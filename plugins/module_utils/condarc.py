# SPDX-License-Identifier: Apache-2.0
"""What stands in PREFIX/.condarc, as text. Pure; written as a file, since `conda config` reorders and hides changes."""

from __future__ import annotations

import math
import re
from typing import Any, Dict, List, Mapping, Sequence
from urllib.parse import urlsplit

from ansible_collections.condafleet.core.plugins.module_utils.errors import InputError

HEADER = "# Written by condafleet: change miniconda_channels and miniconda_condarc, not this file.\n"
# Channels under Anaconda's terms of service, by the names and addresses that lead to them.
ANACONDA_NAMES = frozenset(["defaults", "anaconda", "main", "r", "msys2", "free"])
ANACONDA_HOSTS = frozenset(("repo.anaconda.com", "repo.continuum.io"))
PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_./@+-]*(?:://[A-Za-z0-9_./@+~:-]*[A-Za-z0-9_/])?")
# What YAML 1.1 would read as something other than text.
RESERVED = frozenset(["y", "n", "yes", "no", "true", "false", "on", "off", "null"])


def compose(channels: Sequence[str], extras: Mapping[str, Any]) -> Dict[str, Any]:
    """The settings: channels, what a shared installation wants, and the user's own, which win."""
    settings: Dict[str, Any] = {
        "channels": list(channels),
        # The old name: 24.7 knows no other, and 26 takes it as an alias.
        "auto_activate_base": False,
        # Nobody but the owner could follow the advice.
        "notify_outdated_conda": False,
    }
    settings.update(extras)
    return settings


def render(settings: Mapping[str, Any]) -> str:
    """Stable YAML: the same settings give the same bytes, in the order that they were declared."""
    return HEADER + "\n".join(_block(settings, 0)) + "\n"


def check_channels(channels: Any, extras: Any, tos: Any) -> None:
    """InputError for channels that cannot be used, or whose terms were not accepted."""
    if tos not in ("accept", "decline"):
        raise InputError("miniconda_tos", tos, "accept, decline", "correct it")
    accepted = "a list of at least one channel (a name or an http, https or file URL)"
    if not isinstance(channels, (list, tuple)) or not channels:
        # conda 24.7 would add `defaults` by itself, 26 would refuse to work.
        raise InputError("miniconda_channels", channels, accepted, "write [conda-forge]")
    if not isinstance(extras, Mapping):
        raise InputError("miniconda_condarc", extras, "a mapping of conda's settings", "correct it")
    if "channels" in extras:
        raise InputError("miniconda_condarc", "channels", "any other setting", "write them in miniconda_channels")
    for key, value in extras.items():
        if _holds_credentials(value):
            raise InputError(
                "miniconda_condarc",
                f"a URL with a password or token in {key}",
                "settings that everybody may read",
                "take it out, and let conda read it from each user's own .condarc or .netrc",
            )
    for channel in channels:
        _check_channel(channel, accepted)
        # `defaults` is whatever default_channels says: a mirror of one's own has its own terms.
        meant = extras.get("default_channels", [channel]) if channel == "defaults" else [channel]
        for name in meant if isinstance(meant, (list, tuple)) else [meant]:
            if tos != "accept" and needs_terms(str(name)):
                raise InputError(
                    "miniconda_channels",
                    channel,
                    "channels without terms of their own, such as conda-forge, while miniconda_tos is decline",
                    f"leave {channel} out, or read Anaconda's terms of service and set miniconda_tos: accept",
                )


def _check_channel(channel: Any, accepted: str) -> None:
    if not isinstance(channel, str) or not channel or re.search(r"[\s,]", channel):
        raise InputError("miniconda_channels", channel, accepted, "correct it")
    if channel == "nodefaults":
        raise InputError("miniconda_channels", channel, accepted, "leave it out: defaults are never added here")
    parts = urlsplit(channel)
    if "://" in channel and parts.scheme not in ("http", "https", "file"):
        raise InputError("miniconda_channels", channel, accepted, "correct it")
    # PREFIX/.condarc is read by everybody, and its text is shown by --diff.
    if _holds_credentials(channel):
        raise InputError(
            "miniconda_channels",
            parts.hostname or "a channel",
            "a channel without credentials",
            "take the password or token out, and let conda read it from each user's own .condarc or .netrc",
        )


def _holds_credentials(value: Any) -> bool:
    """Whether a text anywhere in `value` is a URL with a user part or conda's /t/TOKEN/."""
    if isinstance(value, Mapping):
        return any(_holds_credentials(item) for item in value.values())
    if isinstance(value, (list, tuple)):
        return any(_holds_credentials(item) for item in value)
    if not isinstance(value, str) or "://" not in value:
        return False
    parts = urlsplit(value)
    return "@" in parts.netloc or re.search(r"(^|/)t/[^/]+(/|$)", parts.path) is not None


def needs_terms(channel: str) -> bool:
    """Whether Anaconda's terms of service cover this channel."""
    text = channel.rstrip("/")
    if "://" not in text:
        return text.split("/")[0] in ANACONDA_NAMES or text.startswith("pkgs/")
    parts = urlsplit(text)
    host = (parts.hostname or "").lower()
    first = parts.path.strip("/").split("/")[0]
    return host in ANACONDA_HOSTS or (host == "conda.anaconda.org" and first in ANACONDA_NAMES | {"pkgs"})


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
