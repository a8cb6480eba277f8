"""How the solvers reach channels, indexes and a depot: what they all read alike, which is the environment."""

import os
import ssl
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import certifi


@contextmanager
def access_environment(access: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    """Variables for a child process, as py-rattler, uv and httpx understand them; files they name last as long.

    Declared proxies replace those of this process. A private CA is trusted beside what this process trusts.
    """
    found = _proxies(access.get("proxies") or {})
    if not access.get("ca"):
        yield found
        return
    with tempfile.TemporaryDirectory(prefix="condafleet-ca-") as folder:
        bundle = Path(folder) / "ca.pem"
        bundle.write_text(_public() + str(access["ca"]), encoding="utf-8")
        yield {**found, "SSL_CERT_FILE": str(bundle), "REQUESTS_CA_BUNDLE": str(bundle)}


def why(error: BaseException) -> str:
    """What kept a request from its answer, in words; some errors have none."""
    return str(getattr(error, "reason", "") or error or type(error).__name__)


def _proxies(proxies: Mapping[str, Any]) -> dict[str, str]:
    values = {f"{scheme}_proxy": str(proxies.get(scheme) or "") for scheme in ("http", "https")}
    if not any(values.values()):
        return {}
    values |= {"no_proxy": ",".join(proxies.get("no_proxy") or []), "all_proxy": ""}
    # Some read the one spelling, some the other; what is empty takes back what this process had.
    return {name: value for lower, value in values.items() for name in (lower, lower.upper())}


def _public() -> str:
    trusted = os.environ.get("SSL_CERT_FILE") or ssl.get_default_verify_paths().cafile or certifi.where()
    return Path(trusted).read_text(encoding="utf-8").rstrip() + "\n"
