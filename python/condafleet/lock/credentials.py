"""Credentials for the solvers' child: in files that only this user reads, as long as it runs, on no command line."""

import json
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import tomli_w

from ansible_collections.condafleet.core.plugins.module_utils.channel_terms import ALIAS
from ansible_collections.condafleet.core.plugins.module_utils.host_auth import ACCEPTED, Hosts, auth_for
from ansible_collections.condafleet.core.plugins.module_utils.url_secrets import masked
from condafleet.errors import LockError

# The variables by which py-rattler and uv find them.
FOR_CONDA = "RATTLER_AUTH_FILE"
FOR_PIP = "UV_CREDENTIALS_DIR"
# As uv and py-rattler say it.
_REFUSED_INDEX = re.compile(r"index URL \((?P<url>\S+)\) could not be queried.*\((?P<status>40[13] [A-Za-z ]+)\)")
_REFUSED_URL = re.compile(r"\((?P<status>40[13] [A-Za-z ]+)\) for url \((?P<url>\S+)\)")


@contextmanager
def credential_files(hosts: Hosts, channels: Iterable[str], indexes: Iterable[str]) -> Iterator[dict[str, str]]:
    """Variables for the child that name the files; both are gone afterwards. The URLs are what is to be read."""
    if not hosts:
        yield {}
        return
    # The folder is the user's alone (0700), wherever temporary files lie.
    with tempfile.TemporaryDirectory(prefix="condafleet-auth-") as folder:
        place = Path(folder)
        conda, pip = place / "channels.json", place / "credentials.toml"
        _write(conda, json.dumps(for_rattler(hosts, channels)))
        _write(pip, for_uv(hosts, indexes))
        yield {FOR_CONDA: str(conda), FOR_PIP: folder}


def for_rattler(hosts: Hosts, channels: Iterable[str]) -> dict[str, dict[str, object]]:
    """py-rattler's own form. It knows hosts only, without ports: so no more is in it than the channels need."""
    found: dict[str, Mapping[str, str] | None] = {}
    for channel in channels:
        host = urlsplit(channel).hostname
        if not host:
            continue
        auth = auth_for(channel, hosts)
        if host in found and found[host] != auth:
            raise LockError(
                f"environments_auth: two channels on {host} at different ports ask for different credentials, which "
                "conda's solver can't tell apart. Accepted: the same for all ports of a host that has channels. Next: "
                "give one of them a host name of its own."
            )
        found[host] = auth
    return {host: _rattler_entry(auth) for host, auth in found.items() if auth}


def for_uv(hosts: Hosts, indexes: Iterable[str]) -> str:
    """uv's own form, by scheme, host and port. What an index in plain http is declared for goes there too."""
    plain = {urlsplit(index).netloc for index in indexes if urlsplit(index).scheme == "http"}
    entries = []
    for host, auth in sorted(hosts.items()):
        for service in (f"https://{host}/", *([f"http://{host}/"] if host in plain else [])):
            if "token" in auth:
                entries.append({"service": service, "scheme": "bearer", "token": auth["token"]})
            else:
                entries.append(
                    {"service": service, "scheme": "basic", **{k: auth[k] for k in ("username", "password")}}
                )
    return tomli_w.dumps({"credential": entries})


def url_of(channel: str) -> str:
    """The URL of a channel that may be a name."""
    return channel if "://" in channel else f"{ALIAS}/{channel}"


def refusal(said: str, hosts: Hosts) -> LockError | None:
    """The clear error, where what a solver said comes from a channel or index that wants other credentials."""
    found = _REFUSED_INDEX.search(said) or _REFUSED_URL.search(said)
    if not found:
        return None
    return refused(found["url"], found["status"], hosts)


def refused(url: str, status: str, hosts: Hosts) -> LockError:
    """The clear error for a URL that wants other credentials; `status` is what was answered, as in 403 Forbidden."""
    host = urlsplit(url).netloc
    given = (
        "other credentials than those declared for it" if auth_for(url, hosts) else "credentials, and none are declared"
    )
    return LockError(
        f"environments_auth: {host} answers {status} for {masked(url)}: it wants {given}. "
        f"Accepted: {ACCEPTED}. Next: correct or add {host} there. Nothing was written."
    )


def _rattler_entry(auth: Mapping[str, str]) -> dict[str, object]:
    if "token" in auth:
        return {"BearerToken": auth["token"]}
    return {"BasicHTTP": {"username": auth["username"], "password": auth["password"]}}


def _write(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.write_text(text, encoding="utf-8")
