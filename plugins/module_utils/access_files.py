# SPDX-License-Identifier: Apache-2.0
"""Proxies and a private CA for conda and pip themselves: a bundle of certificates and a pip.conf in a prefix.

Both read certificates from one file, `etc/condafleet/ca.pem`: the site's own, then the public ones that this Python
brings. conda's condarc names it, and so does `pip.conf`, which pip reads for the Python of this prefix. conda takes its
proxies from the condarc.
"""

from __future__ import annotations

import contextlib
import glob
import os
from typing import Any, Dict, List, Mapping, Optional

from ansible_collections.condafleet.core.plugins.module_utils import files, receipt
from ansible_collections.condafleet.core.plugins.module_utils.keep_copy import first_kept, keep_copy

CA = os.path.join("etc", "condafleet", "ca.pem")
PIP_CONF = "pip.conf"
OWN = "# Written by condafleet (miniconda_ca). The site's own certificates:\n"
PUBLIC = "# The public ones, as this Python brought them:\n"
# Where a prefix has the public certificates; conda and pip take certifi's by themselves.
BUNDLES = (
    "lib/python3*/site-packages/certifi/cacert.pem",
    "lib/python3*/site-packages/pip/_vendor/certifi/cacert.pem",
    "ssl/cacert.pem",
)


def observe(prefix: str) -> Dict[str, Any]:
    """{access: {root, ca_sha256, ca_whole, pip_conf_sha256, pip_conf_ours}}; no content, which may hold secrets."""
    # The folder itself: what is written names it, and has to be right for those who stay on it when a link moves.
    root = os.path.realpath(prefix)
    text = files.read_text(os.path.join(root, CA))
    own = own_part(text)
    pip_conf = files.read_bytes(os.path.join(root, PIP_CONF))
    sha256 = None if pip_conf is None else files.sha256_bytes(pip_conf)
    known = (receipt.read(root) or {}).get("pip_conf_sha256")
    return {
        "access": {
            "root": root,
            "ca_sha256": None if text is None else files.sha256_bytes((own or "").encode("utf-8")),
            "ca_whole": own is not None and text == bundle(root, own),
            "pip_conf_sha256": sha256,
            "pip_conf_ours": sha256 is not None and sha256 == known,
        }
    }


def plan(installation: Mapping[str, Any], declared: Mapping[str, Any]) -> List[Dict[str, Any]]:
    found = installation.get("access") or {}
    wanted = declared.get("access") or {}
    changes = []
    own = wanted.get("ca")
    sha256 = files.sha256_bytes(own.encode("utf-8")) if own else None
    if found.get("ca_sha256") != sha256 or (own and not found.get("ca_whole")):
        changes.append({"what": "ca", "before": _certificates(found.get("ca_sha256")), "after": _certificates(sha256)})
    text = pip_conf(found.get("root") or str(installation.get("prefix")), wanted)
    if text is None and not found.get("pip_conf_ours"):
        return changes
    if text is None or files.sha256_bytes(text.encode("utf-8")) != found.get("pip_conf_sha256"):
        there = found.get("pip_conf_sha256")
        before = (
            ""
            if not there
            else "as condafleet wrote it"
            if found.get("pip_conf_ours")
            else "not condafleet's (is kept)"
        )
        changes.append({"what": "pip.conf", "before": before, "after": text or ""})
    return changes


def carry_out(prefix: str, installation: Mapping[str, Any], declared: Mapping[str, Any]) -> List[str]:
    """Write or take away both files; the copy that was kept of a pip.conf which was not ours."""
    root = os.path.realpath(prefix)
    kinds = {change["what"] for change in plan(installation, declared)}
    wanted = declared.get("access") or {}
    if "ca" in kinds:
        write_ca(root, wanted.get("ca"))
    if "pip.conf" not in kinds:
        return []
    text = pip_conf(root, wanted)
    if text is None:
        _take_away(root)
        return []
    kept = _keep(root)
    files.write_atomic(os.path.join(root, PIP_CONF), text, 0o644)
    back = first_kept((receipt.read(root) or {}).get("pip_conf_kept"), kept)
    receipt.note(root, pip_conf_sha256=files.sha256_bytes(text.encode("utf-8")), pip_conf_kept=back)
    return [kept] if kept else []


def remove(prefix: str, installation: Mapping[str, Any]) -> List[str]:
    """Out of an installation that was adopted, and stays; a removed one takes them along."""
    root = os.path.realpath(prefix)
    known = receipt.read(root) or {}
    if not known.get("adopted"):
        return []
    gone = []
    if own_part(files.read_text(os.path.join(root, CA))) is not None:
        write_ca(root, None)
        gone.append(os.path.join(root, CA))
    if known.get("pip_conf_sha256"):
        gone += _take_away(root)
    return gone


def write_access(root: str, access: Mapping[str, Any]) -> None:
    """Both files for a prefix that is being built, and that had none; nothing where nothing is declared."""
    text = pip_conf(root, access)
    if access.get("ca"):
        write_ca(root, access["ca"])
    if text is not None:
        files.write_atomic(os.path.join(root, PIP_CONF), text, 0o644)


def pip_conf(root: str, access: Mapping[str, Any]) -> Optional[str]:
    """What pip of the Python in `root` has to know; None where nothing is declared."""
    proxies = access.get("proxies") or {}
    # pip knows one proxy for all.
    proxy = proxies.get("https") or proxies.get("http")
    lines = ([f"proxy = {proxy}"] if proxy else []) + ([f"cert = {os.path.join(root, CA)}"] if access.get("ca") else [])
    if not lines:
        return None
    return "\n".join(["# Written by condafleet from the declared proxies and private CA.", "[global]", *lines]) + "\n"


def write_ca(root: str, own: Optional[str]) -> None:
    """The bundle at its place below a prefix, or nothing there."""
    path = os.path.join(root, CA)
    if own:
        if not os.path.isdir(os.path.dirname(path)):
            os.makedirs(os.path.dirname(path))
            # Everybody's conda reads it, whatever the umask of whoever runs this.
            os.chmod(os.path.dirname(path), 0o755)  # noqa: S103
        files.write_atomic(path, bundle(root, own), 0o644)
        return
    files.remove_quietly(path)
    with contextlib.suppress(OSError):
        os.rmdir(os.path.dirname(path))


def bundle(root: str, own: str) -> str:
    """The same for the same certificates and the same Python."""
    found = [path for pattern in BUNDLES for path in sorted(glob.glob(os.path.join(glob.escape(root), pattern)))]
    public = files.read_text(found[0]) if found else None
    return OWN + own + PUBLIC + (public or "")


def own_part(text: Optional[str]) -> Optional[str]:
    """The site's certificates in a bundle; None where it is not one of ours."""
    if text is None or not text.startswith(OWN) or PUBLIC not in text:
        return None
    return text[len(OWN) :].split(PUBLIC, 1)[0]


def _keep(root: str) -> Optional[str]:
    path = os.path.join(root, PIP_CONF)
    found = observe(root)["access"]
    if found["pip_conf_sha256"] is None or found["pip_conf_ours"]:
        return None
    return keep_copy(path)


def _take_away(root: str) -> List[str]:
    """Our pip.conf, if it still is what we wrote; what stood there before us comes back."""
    path = os.path.join(root, PIP_CONF)
    known = receipt.read(root) or {}
    if not observe(root)["access"]["pip_conf_ours"]:
        return []
    kept = known.get("pip_conf_kept")
    if kept and os.path.exists(kept):
        os.replace(kept, path)
    else:
        files.remove_quietly(path)
    receipt.note(root, pip_conf_sha256=None, pip_conf_kept=None)
    return [path]


def _certificates(sha256: Optional[str]) -> str:
    return f"private certificates {sha256[:12]}" if sha256 else ""
