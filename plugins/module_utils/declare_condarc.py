# SPDX-License-Identifier: Apache-2.0
"""The check of what conda shall read: channels, their terms, and the rest of the condarc. Pure."""

from __future__ import annotations

import re
from typing import Any, Callable, Dict, List, Mapping, Optional
from urllib.parse import urlsplit

from ansible_collections.condafleet.core.plugins.module_utils import condarc
from ansible_collections.condafleet.core.plugins.module_utils.channel_terms import under_terms
from ansible_collections.condafleet.core.plugins.module_utils.declare_values import boolean, list_of, one_of, truth
from ansible_collections.condafleet.core.plugins.module_utils.errors import InputError
from ansible_collections.condafleet.core.plugins.module_utils.origins import join

EMBEDDED = "embedded"
LEVELS = ("prefix", "site")
TOS = ("decline", "accept")
PRIORITIES = ("strict", "flexible", "disabled")
# The solvers, by the package that brings them; conda itself has the classic one.
SOLVERS = {"libmamba": "conda-libmamba-solver", "rattler": "conda-rattler-solver", "classic": None}
# Where the certificates of miniconda_ca lie in an installation.
CA = "etc/condafleet/ca.pem"

Check = Callable[[str, Any], Any]


def check_condarc(
    values: Mapping[str, Any], manifest: Optional[Mapping[str, Any]], depot_url: Optional[str]
) -> Dict[str, Any]:
    """{channels, tos, condarc: {level, texts, solver, ca, terms}}, as the role was told.

    Two texts, since conda changed the name of one setting; `condarc.text_for` chooses by the installed version.
    `solver` is the package that the declared one needs, `ca` the file of ours that ssl_verify names, `terms` the
    addresses of declared channels whose terms of service the user accepted.
    """
    own: Dict[str, Any] = {"channels": _channels(values, manifest, depot_url)}
    own.update({name: check("miniconda_" + name, values.get(name)) for name, check in CHECKS.items()})
    ca = _ca(values, own["ssl_verify"])
    own["ssl_verify"] = ca or own["ssl_verify"]
    own["proxy_servers"] = proxy_servers(values.get("proxies") or {})
    extras = _extras(values.get("condarc") or {})
    _refuse_credentials({**own, **extras}, extras)
    settings = condarc.compose(own, extras)
    tos = _one_of(*TOS)("miniconda_tos", values.get("tos") or TOS[0])
    terms = check_terms(own["channels"], settings, tos)
    return {
        "channels": own["channels"],
        "tos": tos,
        "condarc": {
            "level": _one_of(*LEVELS)("miniconda_condarc_level", values.get("condarc_level") or LEVELS[0]),
            "texts": condarc.texts_of(settings),
            "solver": SOLVERS.get(str(settings.get("solver"))),
            "ca": ca if settings.get("ssl_verify") == ca else None,
            # conda that leaves the network alone asks for no terms.
            "terms": [] if settings.get("offline") is True else terms,
        },
    }


def check_terms(channels: List[str], settings: Mapping[str, Any], tos: str) -> List[str]:
    """The addresses that are under Anaconda's terms; InputError for the first one while they are declined."""
    found = {channel: under_terms(channel, settings) for channel in channels}
    for channel, urls in found.items():
        if urls and tos != "accept":
            leads = "" if channel in urls else " (it leads to %s)" % urls[0]
            raise InputError(
                "miniconda_channels",
                channel + leads,
                "channels without terms of their own, such as conda-forge, while miniconda_tos is decline",
                f"leave {channel} out, or read Anaconda's terms of service and set miniconda_tos: accept",
            )
    return sorted({url for urls in found.values() for url in urls})


def proxy_servers(proxies: Mapping[str, Any]) -> Dict[str, str]:
    """conda's form of {http, https, no_proxy}: an empty address keeps a host from being asked through a proxy."""
    servers = {scheme: str(proxies[scheme]) for scheme in ("http", "https") if proxies.get(scheme)}
    spared = proxies.get("no_proxy") or []
    for host in spared.split(",") if isinstance(spared, str) else spared:
        name = str(host).strip()
        # conda knows hosts only, neither domains nor networks; those are left to the variable no_proxy.
        if servers and re.fullmatch(r"[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*", name):
            servers.update({"%s://%s" % (scheme, name): "" for scheme in ("http", "https")})
    return servers


def _channels(values: Mapping[str, Any], manifest: Optional[Mapping[str, Any]], depot_url: Optional[str]) -> List[str]:
    """The declared channels; without a declaration, the depot's own where the conda comes from there."""
    declared = values.get("channels")
    if declared not in (None, []):
        return _list_of(check_channel, "a list of channels (names, or http, https or file URLs)")(
            "miniconda_channels", declared
        )
    place = ((manifest or {}).get("channels") or {}).get("conda") or {}
    if depot_url and values.get("distribution") == EMBEDDED and place.get("path"):
        return [join(depot_url, place["path"])]
    return ["conda-forge"]


def check_channel(variable: str, channel: Any) -> str:
    accepted = "a channel's name, or an http, https or file URL"
    if not isinstance(channel, str) or not channel or re.search(r"[\s,]", channel):
        raise InputError(variable, channel, accepted, "correct it")
    if channel == "nodefaults":
        raise InputError(variable, channel, accepted, "leave it out: defaults are never added here")
    return _url(variable, channel) if "://" in channel else channel


def _url(variable: str, value: Any) -> str:
    accepted = "an http, https or file URL"
    if not isinstance(value, str) or not re.fullmatch(r"(file:///|https?://[^/\s])\S*", value):
        raise InputError(variable, value, accepted, "correct it")
    # Everybody reads a condarc, and --diff shows it. The value is not repeated.
    if condarc.holds_credentials(value):
        raise InputError(
            variable,
            urlsplit(value).hostname or "a URL",
            "a URL without credentials",
            "take the password or token out, and let conda read it from each user's own .condarc or .netrc",
        )
    return value


def _mirrored(variable: str, value: Any) -> Dict[str, List[str]]:
    accepted = "{channel name: [URLs of its mirrors]}"
    if value in (None, {}):
        return {}
    if not isinstance(value, Mapping):
        raise InputError(variable, value, accepted, "correct it")
    for name, mirrors in value.items():
        if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*", name):
            raise InputError(variable, name, accepted, "name the channel as in miniconda_channels")
        if not isinstance(mirrors, (list, tuple)) or not mirrors:
            raise InputError("%s.%s" % (variable, name), mirrors, "a list of at least one URL", "correct it")
    return {name: [_url("%s.%s" % (variable, name), url) for url in mirrors] for name, mirrors in value.items()}


def _ssl_verify(variable: str, value: Any) -> Any:
    if value is None or value == "truststore":
        return value
    if truth(value) is not None:
        return truth(value)
    if isinstance(value, str) and re.fullmatch(r"/\S+", value):
        return value
    raise InputError(variable, value, "true, false, truststore, or the absolute path of a PEM file", "correct it")


def _ca(values: Mapping[str, Any], ssl_verify: Any) -> Optional[str]:
    if not values.get("ca") or ssl_verify is not None:
        return None
    return "%s/%s" % (str(values.get("prefix")).rstrip("/"), CA)


def _folder(variable: str, value: Any) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"(/|~/|~$|\$[A-Za-z_{])[^\n:,]*", value):
        raise InputError(variable, value, "an absolute path, or one that begins with ~ or $VARIABLE", "correct it")
    return value


def _boolean(variable: str, value: Any) -> bool:
    return False if value is None else boolean(variable, value)


def _one_of(*accepted: str) -> Check:
    return lambda variable, value: None if value is None else one_of(variable, value, accepted, "choose one")


def _list_of(check: Check, accepted: str) -> Check:
    def check_all(variable: str, value: Any) -> List[Any]:
        return [check(variable, one) for one in list_of(variable, [] if value is None else value, accepted)]

    return check_all


# The variables that become a setting of the same name, in the order in which they are written.
CHECKS: Dict[str, Check] = {
    "channel_alias": lambda variable, value: None if value in (None, "") else _url(variable, value),
    "mirrored_channels": _mirrored,
    "channel_priority": _one_of(*PRIORITIES),
    "ssl_verify": _ssl_verify,
    "pkgs_dirs": _list_of(_folder, "a list of folders"),
    "envs_dirs": _list_of(_folder, "a list of folders"),
    "solver": _one_of(*SOLVERS),
    # What is not offline is not written: it is what conda does anyway.
    "offline": lambda variable, value: _boolean(variable, value) or None,
    "auto_activate": _boolean,
}


def _extras(extras: Any) -> Mapping[str, Any]:
    if not isinstance(extras, Mapping):
        raise InputError("miniconda_condarc", extras, "a mapping of conda's settings", "correct it")
    names = [condarc.ALIASES.get(str(key), str(key)) for key in extras]
    if "channels" in names:
        raise InputError("miniconda_condarc", "channels", "any other setting", "write them in miniconda_channels")
    for name in names:
        if names.count(name) > 1:
            raise InputError("miniconda_condarc", "two names of %s" % name, "each setting once", "remove one")
    if "mirrored_channels" in names:
        _mirrored("miniconda_condarc.mirrored_channels", extras["mirrored_channels"])
    return extras


def _refuse_credentials(settings: Mapping[str, Any], extras: Mapping[str, Any]) -> None:
    for key, value in settings.items():
        if condarc.holds_credentials(value):
            raise InputError(
                "miniconda_condarc" if key in extras else "miniconda_proxies",
                f"a URL with a password or token in {key}",
                "settings that everybody may read",
                "take it out, and let conda read it from each user's own .condarc or .netrc",
            )
