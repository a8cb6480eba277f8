"""What goes wrong is named with its place, and what broke off is taken up again."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import scenario

NODE = "mi-busy"
# Names of installations that can't be had, each declared for the same node beside the others.
WRONG: dict[str, dict[str, Any]] = {
    "dns": {"miniconda_proxies": {}, "miniconda_mirror": "https://mirror.nowhere.invalid/x"},
    "tls": {"mirror_rule": "open", "miniconda_ca": ""},
    "login": {"mirror_rule": "basic", "miniconda_mirror_auth": {"username": "me", "password": "n0t-the-right-one"}},
    "forbidden": {"mirror_rule": "forbidden"},
    "gone": {"mirror_rule": "nothing-here"},
    "refusing": {"mirror_rule": "refusing", "miniconda_retries": 1},
    "proxy": {"mirror_rule": "open", "miniconda_proxies": {"https": "http://127.0.0.1:9"}},
    "cut": {"mirror_rule": "cut"},
}
TOLD = {
    "dns": "https://mirror.nowhere.invalid/x/{name}: DNS: the host name could not be resolved",
    "tls": "certificate is not trusted (unable to get local issuer certificate)",
    "login": "{mirror}/basic/installers/{name}: HTTP 401: credentials are missing or wrong",
    "forbidden": "{mirror}/forbidden/installers/{name}: HTTP 403: access is refused",
    "gone": "{mirror}/nothing-here/installers/{name}: HTTP 404: there is no such file",
    "refusing": "HTTP 429: too many requests, Retry-After 9999 s, and no more than 120 s are waited",
    "proxy": "proxy http://127.0.0.1:9: connection: Connection refused",
    "cut": "{mirror}/cut/installers/{name}: the connection ended after",
}


@pytest.fixture(scope="module")
def troubled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An inventory in which one node is many, each of which wants an installation of its own."""
    path = tmp_path_factory.mktemp("troubled") / "troubled.yml"
    reach = {
        "ansible_host": scenario.fleet().address(NODE),
        "ansible_user": "root",
        "ansible_ssh_private_key_file": str(scenario.fleet().key),
    }
    hosts = {
        f"wrong-{name}": {**reach, "miniconda_prefix": f"/opt/wrong-{name}", "miniconda_retries": 0, **declared}
        for name, declared in WRONG.items()
    }
    path.write_text(json.dumps({"nodes": {"hosts": hosts}}), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def said(troubled: Path) -> str:
    done = scenario.play("condafleet.core.install", f"--inventory={troubled}", "--limit=wrong-*")
    assert done.returncode == 2
    return scenario.words(done)


@pytest.mark.parametrize("name", sorted(WRONG))
def test_the_message_names_place_and_cause(said: str, site: dict[str, str], name: str) -> None:
    installer = json.loads(Path(site["ca"]).with_name("catalog.json").read_text())["installers"][0]["file"]
    mine = said[said.index(f"fatal: [wrong-{name}]") :].split("fatal: [")[1]
    assert TOLD[name].format(mirror=site["mirror"], name=installer) in mine
    assert "n0t-the-right-one" not in said


def test_what_broke_off_is_taken_up_by_the_next_run(
    said: str, troubled: Path, seen: Callable[[str], list[dict[str, Any]]]
) -> None:
    done = scenario.play("condafleet.core.install", f"--inventory={troubled}", "--limit=wrong-cut")
    assert done.returncode == 0, scenario.words(done)
    first, second = [one for one in seen("mirror") if one["path"].startswith("/cut/")]
    size = Path(site_file()).stat().st_size
    assert (first["status"], second["status"]) == (200, 206)
    assert second["range"] == f"bytes={first['sent']}-"
    assert first["sent"] + second["sent"] == size


def site_file() -> str:
    """The installer that the mirror serves."""
    catalog = scenario.ROOT / "build" / "fleets" / "molecule-mirror" / "site" / "catalog.json"
    return str(json.loads(catalog.read_text(encoding="utf-8"))["installers"][0]["path"])
