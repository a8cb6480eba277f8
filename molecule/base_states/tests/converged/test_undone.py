"""Going back, in a file of its own: its node is not as declared afterwards."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import scenario
from testinfra.host import Host

PREFIX = "/opt/miniconda3"
VERSION = "24.7.1-0"
Only = Callable[[str], None]


def receipt(host: Host, place: str = PREFIX) -> dict[str, Any]:
    return dict(json.loads(host.file(f"{place}/.condafleet-installation.json").content_string))


def test_going_back_has_to_be_asked_for(host: Host, only: Only) -> None:
    only("bs-older")
    path = scenario.ROOT / "build" / "molecule" / "base_states" / "Condafleet-24.5.0-0-Linux-x86_64.sh"
    older = json.dumps({"miniconda_installer_path": str(path), "miniconda_installer_sha256": scenario.sha256(path)})
    refused = scenario.play("condafleet.core.install", "--limit=bs-older", f"--extra-vars={older}")
    assert refused.returncode != 0
    assert (
        "miniconda_version: 24.5.0-0 is not accepted. This node has embedded 24.7.1-0, which is newer."
        in scenario.words(refused)
    )
    assert receipt(host)["version"] == VERSION
    done = scenario.play(
        "condafleet.core.install", "--limit=bs-older", f"--extra-vars={older}", "--extra-vars=miniconda_downgrade=true"
    )
    assert done.returncode == 0, scenario.words(done)
    # It was still there: the link moved back, and nothing was fetched or run.
    assert host.check_output(f"readlink {PREFIX}") == "miniconda3.d/embedded-24.5.0-0-1"
