# SPDX-License-Identifier: Apache-2.0
"""How this machine reaches others: proxies, the authorities it trusts, and credentials that go to one place only."""

from __future__ import annotations

import base64
import functools
import netrc
import os
import re
import ssl
import urllib.request
from dataclasses import dataclass, field
from typing import Any, Dict, Mapping, Optional, Tuple
from urllib.parse import unquote, urlsplit, urlunsplit

from ansible_collections.condafleet.core.plugins.module_utils.errors import FleetError
from ansible_collections.condafleet.core.plugins.module_utils.host_auth import auth_for

# What fetching an installer may take in all, over a slow line: for the limits of who waits for it.
FETCH_SECONDS = 3600


@dataclass(frozen=True)
class Access:
    """`proxies` is {http, https}; without any, the environment's count. `ca` is trusted beside the system's own.

    `auth` is {username, password}, {token} or {netrc: FILE}, sent to URLs below `auth_base` and to no other; `hosts` is
    {HOST or HOST:PORT: {username, password}, {token} or {basic}}, each sent to that host and port (host_auth.py).
    """

    proxies: Mapping[str, str] = field(default_factory=dict)
    no_proxy: Tuple[str, ...] = ()
    ca: Optional[str] = None
    retries: int = 4
    timeout: float = 60
    auth: Optional[Mapping[str, str]] = field(default=None, repr=False)
    auth_base: str = ""
    hosts: Mapping[str, Mapping[str, str]] = field(default_factory=dict, repr=False)

    @classmethod
    def of(
        cls,
        declared: Optional[Mapping[str, Any]],
        auth: Optional[Mapping[str, Any]] = None,
        auth_base: Optional[str] = None,
        hosts: Optional[Mapping[str, Mapping[str, str]]] = None,
    ) -> Access:
        """From what declare_access.check_access made. `auth_base` is the mirror, which may hold `{version}`."""
        declared = declared or {}
        proxies: Dict[str, Any] = dict(declared.get("proxies") or {})
        no_proxy = proxies.pop("no_proxy", None) or ()
        # What stands before the first variable part of the mirror's URL, up to a slash.
        base = (auth_base or "").split("{")[0] if auth else ""
        return cls(
            proxies=proxies,
            no_proxy=tuple(no_proxy),
            ca=declared.get("ca") or None,
            retries=int(declared.get("retries", 4)),
            timeout=float(declared.get("timeout", 60)),
            auth=_checked(auth) if auth else None,
            auth_base=base.rpartition("/")[0] + "/" if "{" in (auth_base or "") else base.rstrip("/") + "/",
            hosts=dict(hosts or {}),
        )

    def open(self, url: str, headers: Mapping[str, str]) -> Any:
        """An open answer; the errors are urllib's. `url` may hold a user and a password of its own."""
        parts = urlsplit(url)
        user, at, host = parts.netloc.rpartition("@")
        plain = urlunsplit((parts.scheme, host, parts.path or "/", parts.query, ""))
        request = urllib.request.Request(plain, headers=dict(headers))
        authorization = _basic(unquote(user)) if at else self.authorization(plain)
        if authorization:
            # Unredirected: credentials are not handed on; _Redirects gives them to places below the base again.
            request.add_unredirected_header("Authorization", authorization)
        return self._opener().open(request, timeout=self.timeout)

    def authorization(self, url: str) -> Optional[str]:
        """The header for this URL; None for every place that is neither below the base nor on one of the hosts."""
        if self.auth and self.auth_base and _below(url, self.auth_base):
            return _header(self.auth, url)
        known = auth_for(url, self.hosts) if self.hosts else None
        return _header(known, url) if known else None

    def proxy_for(self, url: str) -> Optional[str]:
        """The proxy that this URL is asked from, or None."""
        parts = urlsplit(url)
        if self.proxies:
            return None if self.bypasses(parts.netloc) else self.proxies.get(parts.scheme)
        proxy = urllib.request.getproxies().get(parts.scheme)
        return None if not proxy or urllib.request.proxy_bypass(parts.netloc) else proxy

    def bypasses(self, host: str) -> bool:
        names = ",".join(self.no_proxy)
        return bool(names) and bool(urllib.request.proxy_bypass_environment(host, {"no": names}))  # type: ignore[attr-defined]

    def _opener(self) -> urllib.request.OpenerDirector:
        proxies = _Proxies(self) if self.proxies else urllib.request.ProxyHandler()
        return urllib.request.build_opener(
            proxies,
            urllib.request.HTTPSHandler(
                context=_context(self.ca, *map(os.environ.get, ("SSL_CERT_FILE", "SSL_CERT_DIR")))
            ),
            _Redirects(self),
        )


class _Proxies(urllib.request.ProxyHandler):
    """The declared proxies and exceptions, and nothing of the environment."""

    def __init__(self, access: Access) -> None:
        super().__init__(dict(access.proxies))
        self.access = access

    def proxy_open(self, req: Any, proxy: str, type: str) -> None:  # noqa: A002 - urllib's own name
        if not self.access.bypasses(req.host):
            # Both schemes are asked from an http proxy: by absolute URL, or through a tunnel.
            req.set_proxy(urlsplit(proxy).netloc, "http")


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows a redirect with credentials only where it leads below their own base again."""

    def __init__(self, access: Access) -> None:
        self.access = access

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        following = super().redirect_request(req, fp, code, msg, headers, newurl)
        # Never from https to http, where others can read along: a host's credentials count for both.
        weaker = urlsplit(req.full_url).scheme == "https" and urlsplit(newurl).scheme != "https"
        authorization = self.access.authorization(newurl) if following is not None and not weaker else None
        if following is not None and authorization:
            following.add_unredirected_header("Authorization", authorization)
        return following


@functools.lru_cache(maxsize=4)
def _context(ca: Optional[str], *_environment: Optional[str]) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if ca:
        context.load_verify_locations(cadata=ca)
    return context


def _below(url: str, base: str) -> bool:
    asked, own = urlsplit(url), urlsplit(base)
    steps = unquote(asked.path).split("/")
    same = (asked.scheme, asked.hostname, _port(asked)) == (own.scheme, own.hostname, _port(own))
    return same and ".." not in steps and asked.path.startswith(own.path or "/")


def _port(parts: Any) -> Optional[int]:
    return parts.port or {"http": 80, "https": 443}.get(parts.scheme)


def _header(auth: Mapping[str, str], url: str) -> str:
    if auth.get("token"):
        return "Bearer " + auth["token"]
    if auth.get("basic"):
        return "Basic " + auth["basic"]
    if auth.get("netrc"):
        return _basic(_from_netrc(auth["netrc"], urlsplit(url).hostname or ""))
    return _basic("%s:%s" % (auth["username"], auth["password"]))


def _basic(user_and_password: str) -> str:
    return "Basic " + base64.b64encode(user_and_password.encode("utf-8")).decode("ascii")


def packed(auth: Mapping[str, Any]) -> Dict[str, str]:
    """Credentials as a module takes them. Ansible masks each value in whatever the module says, and a user's name may
    well be a part of a path: so user and password go as the one word that they are sent as."""
    given = _checked(auth)
    if "password" not in given:
        return given
    return {"basic": _basic("%s:%s" % (given["username"], given["password"]))[len("Basic ") :]}


def _checked(auth: Mapping[str, Any]) -> Dict[str, str]:
    """The credentials as text; FleetError, which holds none of them, where they have no known form."""
    forms = (("username", "password"), ("token",), ("netrc",), ("basic",))
    known = next((form for form in forms if set(form) == set(auth)), None)
    usable = known and all(isinstance(auth[name], str) and auth[name] for name in known)
    if (
        not usable
        or any(re.search(r"[\r\n\0]", str(value)) for value in auth.values())
        or ":" in auth.get("username", "")
    ):
        raise FleetError(
            "miniconda_mirror_auth: what was given is not accepted. Accepted: {username, password} (no colon in the "
            "username), {token} or {netrc: FILE}, each a text in one line. Next: correct it. Nothing was fetched."
        )
    return {name: auth[name] for name in known or ()}


def _from_netrc(path: str, host: str) -> str:
    place = os.path.expanduser(path)
    try:
        found = netrc.netrc(place).authenticators(host)
    except OSError as error:
        why = error.strerror or "it cannot be read"
    except netrc.NetrcParseError as error:
        # Its own words may quote what stands in the file.
        why = f"line {error.lineno} is malformed"
    else:
        if found and found[0] and found[2]:
            return "%s:%s" % (found[0], found[2])
        why = f"it has no login and password for {host}"
    raise FleetError(
        f"miniconda_mirror_auth: netrc {place}: {why}. Accepted: a netrc file, on the machine that fetches, with "
        f"`machine {host} login … password …`. Next: correct it."
    )
