"""Each node has its installer in its own way, and all that passed went through the proxy."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import scenario
from testinfra.host import Host

PREFIX = "/opt/miniconda3"
Seen = Callable[[str], list[dict[str, Any]]]


def installers(seen: Seen, rule: str) -> list[tuple[int, str | None]]:
    """Status and login of every request for the installer below /RULE/."""
    return [(one["status"], one["login"]) for one in seen("mirror") if one["path"].startswith(f"/{rule}/installers/")]


def test_the_installation_works_and_says_where_it_came_from(host: Host, node: str, site: dict[str, str]) -> None:
    assert host.check_output(f"{PREFIX}/bin/conda --version") == "conda 24.7.1"
    receipt = json.loads(host.file(f"{PREFIX}/.condafleet-installation.json").content_string)
    assert receipt["url"].startswith(site["mirror"] + "/")


def test_user_and_password_token_and_patience(seen: Seen) -> None:
    # mi-basic fetches for itself, the controller once for mi-once1 and mi-once2.
    assert installers(seen, "basic") == [(200, "basic")] * 2
    assert installers(seen, "token") == [(200, "token")]
    assert installers(seen, "busy") == [(429, None), (200, None)]


def test_the_controller_fetched_once_for_two_nodes(seen: Seen) -> None:
    size = [one["sent"] for one in seen("mirror") if one["path"].startswith("/basic/installers/")]
    assert len(size) == 2
    assert len(set(size)) == 1


def test_nobody_reached_the_mirror_but_by_the_proxy(seen: Seen, site: dict[str, str]) -> None:
    gateway = site["mirror"].removeprefix("https://").split(":")[0]
    records = seen("mirror")
    assert {one["client"] for one in records} == {gateway}
    passed = [one for one in seen("proxy") if one["method"] == "CONNECT"]
    assert {f"https://{one['target']}" for one in passed} == {site["mirror"]}
    assert sum(one["bytes"] for one in passed) > sum(one["sent"] for one in records) > 100_000_000


def test_no_secret_lies_on_the_node(host: Host, site: dict[str, str]) -> None:
    for secret in (site["password"], site["token"]):
        found = host.run(f"grep -rlF {secret} /opt /etc /root /home /var/log /var/tmp /tmp /srv")
        assert (found.rc, found.stdout) == (1, "")
        assert secret not in host.check_output("journalctl --no-pager --output=cat")
    assert not host.file("/var/tmp/condafleet-0").exists


@pytest.mark.parametrize("what", ["condarc", "pip.conf"])
def test_conda_and_pip_know_the_proxy_and_the_authority(host: Host, site: dict[str, str], what: str) -> None:
    real = host.check_output(f"readlink -f {PREFIX}")
    text = host.file(f"{PREFIX}/{'.condarc' if what == 'condarc' else 'pip.conf'}").content_string
    assert site["proxy"] in text
    assert (f"{PREFIX}/etc/condafleet/ca.pem" if what == "condarc" else f"{real}/etc/condafleet/ca.pem") in text


def test_a_user_s_conda_and_pip_go_through_both(
    seen: Seen, node: str, alice: Callable[[str], str], site: dict[str, str]
) -> None:
    if node not in ("mi-basic", "mi-once2"):
        pytest.skip("one of each image is enough")
    before = len(seen("proxy"))
    alice(f"{PREFIX}/bin/conda create --name mine --yes --quiet --no-deps idna")
    assert "idna" in alice(f"{PREFIX}/bin/conda list --name mine")
    alice(
        f"{PREFIX}/bin/python -m pip download --quiet --no-deps --dest /home/alice/wheels "
        f"--index-url {site['mirror']}/open/simple/ idna"
    )
    assert alice("ls /home/alice/wheels").strip().endswith(".whl")
    agents = {str(one["agent"]).split("/")[0] for one in seen("mirror")}
    assert {"conda", "pip", "condafleet"} <= agents
    assert len(seen("proxy")) > before


def test_what_is_no_longer_declared_is_taken_away(host: Host, node: str) -> None:
    if node != "mi-busy":
        pytest.skip("one node is enough")
    less = '{"miniconda_proxies": {}, "miniconda_ca": "", "miniconda_fetch": "node"}'
    done = scenario.play("condafleet.core.install", "--limit=mi-busy", f"--extra-vars={less}")
    assert done.returncode == 0, scenario.words(done)
    assert not host.file(f"{PREFIX}/pip.conf").exists
    assert not host.file(f"{PREFIX}/etc/condafleet").exists
    assert "proxy_servers" not in host.file(f"{PREFIX}/.condarc").content_string
