# SPDX-License-Identifier: Apache-2.0
"""The check of how downloads go: proxies, a private CA, limits, what a mirror asks for. Pure; no secret comes here."""

from __future__ import annotations

import re
import ssl
from typing import Any, Dict, List, Mapping, Optional
from urllib.parse import urlsplit

from ansible_collections.condafleet.core.plugins.module_utils import declare_values
from ansible_collections.condafleet.core.plugins.module_utils.errors import InputError

AUTH_FORMS = (["password", "username"], ["token"], ["netrc"])
PROXY = re.compile(r"http://(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:\d{1,5})?/?")
NO_PROXY = re.compile(r"\*|\.?[A-Za-z0-9._:-]+")
CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----\s[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----")
NO_RETRIES_ABOVE = 20


def check_access(values: Mapping[str, Any], role: str = "miniconda") -> Dict[str, Any]:
    """{proxies: {http, https, no_proxy}, ca: PEM text or null, retries, timeout}, as download.Access takes it.

    `values` has proxies, retries, download_timeout, ca (a path) and ca_text, which the action has read from there.
    """
    return {
        "proxies": _proxies(f"{role}_proxies", values.get("proxies")),
        "ca": _ca(f"{role}_ca", values.get("ca"), values.get("ca_text")),
        "retries": declare_values.whole(f"{role}_retries", values.get("retries", 4), 0, NO_RETRIES_ABOVE),
        "timeout": declare_values.seconds(f"{role}_download_timeout", values.get("download_timeout", 60)),
    }


def check_auth(names: Any, mirror: Optional[str]) -> None:
    """InputError where the keys of miniconda_mirror_auth are none of the forms. Only their names come here."""
    given = sorted(str(name) for name in names or [])
    if not given:
        return
    if given not in AUTH_FORMS:
        # Names that are no keys may be a secret that was written in the wrong place.
        shown = [name if any(name in form for form in AUTH_FORMS) else "(another)" for name in given]
        raise InputError(
            "miniconda_mirror_auth",
            "a dictionary with " + ", ".join(shown),
            "{username, password}, {token} or {netrc: FILE}",
            "give one of these forms",
        )
    if mirror is None or mirror.startswith("file:"):
        raise InputError(
            "miniconda_mirror_auth", f"given with miniconda_mirror {mirror or 'unset'}", "an http(s) mirror", "set it"
        )


def _proxies(variable: str, declared: Any) -> Dict[str, Any]:
    if declared in (None, "", {}):
        return {}
    accepted = "{http: http://HOST:PORT, https: http://HOST:PORT, no_proxy: [HOST, .DOMAIN]}"
    if not isinstance(declared, Mapping):
        raise InputError(variable, f"a {type(declared).__name__}", accepted, "correct it")
    unknown = sorted(str(name) for name in declared if name not in ("http", "https", "no_proxy"))
    if unknown:
        raise InputError(variable, ", ".join(unknown), accepted, "correct it")
    found: Dict[str, Any] = {}
    for scheme in ("http", "https"):
        value = declared.get(scheme)
        if value in (None, ""):
            continue
        if "@" in str(value):
            raise InputError(
                f"{variable}.{scheme}",
                "a proxy with a password" + _host_of(str(value)),
                "a proxy without credentials, since conda's and pip's own files, which everybody reads, name it",
                "let the proxy know the nodes by their addresses, or run one on each node that logs in for it",
            )
        if not isinstance(value, str) or not PROXY.fullmatch(value):
            raise InputError(f"{variable}.{scheme}", value, "http://HOST:PORT", "correct it")
        found[scheme] = value.rstrip("/")
    if not found and declared.get("no_proxy"):
        raise InputError(variable, "no_proxy alone", accepted, "name the proxies too")
    if found:
        found["no_proxy"] = _no_proxy(f"{variable}.no_proxy", declared.get("no_proxy"))
    return found


def _host_of(url: str) -> str:
    try:
        host = urlsplit(url).hostname
    except ValueError:
        host = None
    return f" (host {host})" if host else ""


def _no_proxy(variable: str, declared: Any) -> List[str]:
    names = declared.split(",") if isinstance(declared, str) else declared or []
    if not isinstance(names, (list, tuple)):
        raise InputError(variable, declared, "a list of hosts and .domains", "correct it")
    found = [str(name).strip() for name in names if str(name).strip()]
    for name in found:
        if not NO_PROXY.fullmatch(name):
            raise InputError(variable, name, "a host, an address or a .domain (no ranges of addresses)", "correct it")
    return found


def _ca(variable: str, path: Any, text: Any) -> Optional[str]:
    if path in (None, ""):
        return None
    accepted = "a PEM file on the controller with certificates (-----BEGIN CERTIFICATE-----)"
    if not isinstance(path, str) or not isinstance(text, str):
        raise InputError(variable, path, accepted, "correct the path")
    if "PRIVATE KEY" in text:
        raise InputError(variable, f"{path} (it holds a private key)", accepted, "give the certificates alone")
    # Comments and whatever else stands between the certificates stay behind: this goes to every node.
    found = CERTIFICATE.findall(text)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        if not found:
            raise ValueError("it holds no certificate")
        certificates = "".join(certificate + "\n" for certificate in found)
        context.load_verify_locations(cadata=certificates)
        if not context.cert_store_stats()["x509"]:
            raise ValueError("none of its certificates can be used")
    except (ssl.SSLError, ValueError) as error:
        why = getattr(error, "reason", None) or error
        raise InputError(
            variable, f"{path} ({why})", accepted, "see what `openssl x509 -in FILE -text` says"
        ) from error
    return certificates
