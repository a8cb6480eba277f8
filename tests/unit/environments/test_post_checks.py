"""The checks that a declaration wants to see pass in a new generation, run by a real shell."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.condafleet.core.plugins.module_utils import environment_states as states
from ansible_collections.condafleet.core.plugins.module_utils import post_checks
from ansible_collections.condafleet.core.plugins.module_utils.activate_scripts import write_activation
from ansible_collections.condafleet.core.plugins.module_utils.environment_request import Request
from ansible_collections.condafleet.core.plugins.module_utils.errors import FleetError
from ansible_collections.condafleet.core.plugins.module_utils.fingerprint import fingerprint
from ansible_collections.condafleet.core.plugins.module_utils.observation import observe
from ansible_collections.condafleet.core.plugins.module_utils.package_cache import ensure_root
from ansible_collections.condafleet.core.plugins.module_utils.plan_environments import plan_environments
from ansible_collections.condafleet.core.plugins.module_utils.progress import Progress, node_lock

DIGEST = "a" * 64
NAME = f"x-{'a' * 12}-1"


@pytest.fixture
def request_(tmp_path: Path) -> Request:
    """A generation that is built and waits for its test, and a conda that can list it."""
    root, prefix = tmp_path / "it's root", tmp_path / "mini"
    ensure_root(str(root))
    generation = root / "generations" / NAME
    for folder in (generation / "bin", generation / "conda-meta", generation / "etc/conda/env_vars.d", prefix / "bin"):
        folder.mkdir(parents=True)
    variables = {"SITE": "north", "CUDA_VISIBLE_DEVICES": "0,1"}
    (generation / "conda-meta/state").write_text(json.dumps({"version": 1, "env_vars": variables}))
    (generation / "conda-meta/tool-1-0.json").write_text("{}")
    tool = generation / "bin/tool"
    tool.write_text("#!/bin/sh\necho a tool of $CONDA_PREFIX\n")
    tool.chmod(0o755)
    conda = prefix / "bin/conda"
    conda.write_text("#!/bin/sh\necho '[]'\n")
    conda.chmod(0o755)
    write_activation(str(generation), "x", str(prefix))
    draft = {"digest": DIGEST, "fingerprint": fingerprint(str(generation)), "packages": []}
    (generation / ".condafleet-built.json").write_text(json.dumps(draft))
    return Request(name="x", prefix=str(prefix), root=str(root), digest=DIGEST, smoke_timeout=20, job="job")


def receipt(request: Request) -> dict[str, Any] | None:
    path = Path(request.path(NAME), ".condafleet.json")
    return json.loads(path.read_text()) if path.exists() else None


def test_they_run_as_after_an_activation_and_without_anything_of_whoever_runs_them(
    request_: Request, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    monkeypatch.setenv("SECRET", "of the caller")
    request_.checks = [
        'test "$(tool)" = "a tool of $CONDA_PREFIX"',
        'test "$SITE" = north',
        'test "$CUDA_VISIBLE_DEVICES" = ""',
        'test -z "${SECRET:-}${PYTHONPATH:-}"',
        'test "$(ls -A "$HOME" | grep -vc "^\\(config\\|cache\\|data\\)$")" -eq 0 && test "$PWD" = "$HOME"',
        "if read line; then exit 1; fi",
        "cat >file <<END\nseveral lines\nEND\ngrep -q several file; rm file",
    ]
    outcome = states.tested(request_)
    found = receipt(request_)
    assert found
    assert outcome.details["checks"] == found["checks"]
    assert found["checks"]["digest"] == post_checks.digest_of(request_.checks)
    assert [one["command"] for one in found["checks"]["results"]] == request_.checks
    assert states.tested(request_).changed is False


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (
            "echo it is broken >&2; exit 7",
            r"check 2 of 2 \(echo it is broken >&2; exit 7\) in \S.* ended with 7\. It s",
        ),
        ("false\ntrue", r"\(false …\) in .* ended with 1\. It said: nothing"),
        ('echo "$UNKNOWN_VARIABLE"', "UNKNOWN_VARIABLE"),
        ("if then", r"(?i)syntax error"),
        ("kill -9 $$", "ended with -9"),
        ('touch "$CONDA_PREFIX/conda-meta/more-1-0.json"', "The checks of .* changed what is installed there"),
    ],
)
def test_one_that_fails_keeps_the_generation_out_of_use(request_: Request, command: str, said: str) -> None:
    request_.checks = ["true", command]
    with pytest.raises(FleetError, match=said) as caught:
        states.tested(request_)
    assert "It was not put in use" in caught.value.message
    assert receipt(request_) is None
    assert json.loads(Path(request_.path(NAME), ".condafleet-failed.json").read_text())["failure"]
    with pytest.raises(FleetError, match="Next: build it first"):
        states.tested(request_)


def test_one_that_does_not_end_is_ended_with_all_that_it_started(request_: Request, tmp_path: Path) -> None:
    request_.checks = [f"echo begun; (sleep 60; touch {tmp_path}/late) & echo $! >{tmp_path}/pid; wait"]
    request_.smoke_timeout = 1
    began = time.monotonic()
    with pytest.raises(FleetError, match=r"did not end within 1 seconds\. It said: begun"):
        states.tested(request_)
    assert time.monotonic() - began < 15
    child = Path("/proc", (tmp_path / "pid").read_text().strip(), "stat")
    assert not child.exists() or child.read_text().rpartition(")")[2].split()[0] == "Z"


def test_an_environment_that_cannot_be_activated_is_said_to_be_so(request_: Request) -> None:
    Path(request_.path(NAME), "etc/condafleet/activate").write_text("return 3\n")
    request_.checks = ["true"]
    with pytest.raises(FleetError, match="could not be activated"):
        states.tested(request_)


def test_how_far_it_is_can_be_seen(request_: Request, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[Any, ...]] = []
    monkeypatch.setattr(Progress, "__call__", lambda _self, *said: seen.append(said))
    request_.checks = ["true", "tool\ntool"]
    states.tested(request_)
    assert [one for one in seen if one[0] == "checks"] == [
        ("checks", 0, 2, "checks", "true"),
        ("checks", 1, 2, "checks", "tool …"),
        ("checks", 2, 2, "checks", ""),
    ]


def planned(request: Request) -> dict[str, Any]:
    observed = observe(request.prefix, request.root)
    declared = [{"name": "x", "targets": ["linux"], "checks": list(request.checks)}]
    targets = {"linux": {"platform": observed["node"]["platform"]}}
    return plan_environments(observed, declared, targets, {"x": {"linux": {"digest": DIGEST, "packages": []}}})["x"]


def test_other_checks_are_made_on_what_is_there_and_build_nothing(request_: Request) -> None:
    request_.checks = ["true"]
    states.tested(request_)
    states.current(request_)
    first = receipt(request_)
    assert first
    assert planned(request_)["action"] == "none"

    request_.checks = ["true", "tool >/dev/null"]
    entry = planned(request_)
    assert (entry["action"], entry["generation"], entry["why"]) == ("switch", NAME, "its checks have changed")
    request_.check = True
    assert states.tested(request_).changed
    assert receipt(request_) == first
    request_.check = False
    assert states.tested(request_).changed
    second = receipt(request_)
    assert second
    assert len(second["checks"]["results"]) == 2
    assert {key: value for key, value in second.items() if key != "checks"} == {
        key: value for key, value in first.items() if key != "checks"
    }
    assert (planned(request_)["action"], states.tested(request_).changed) == ("none", False)
    assert states.current(request_).changed is False

    request_.checks = []
    assert (planned(request_)["action"], states.tested(request_).changed) == ("none", False)


def test_a_generation_in_use_stays_in_use_where_a_new_check_fails(request_: Request) -> None:
    states.tested(request_)
    states.current(request_)
    before = receipt(request_)
    request_.checks = ["exit 4"]
    with pytest.raises(FleetError, match=r"ended with 4.* where it is in use already, it stays so"):
        states.tested(request_)
    assert receipt(request_) == before
    assert os.path.realpath(request_.link()) == os.path.realpath(request_.path(NAME))
    assert planned(request_)["action"] == "switch"


def test_what_a_check_leaves_running_holds_the_lock(request_: Request, tmp_path: Path) -> None:
    told = tmp_path / "told"
    path = str(Path(request_.root) / "generations" / NAME)
    with node_lock(request_.root, "a test"):
        post_checks.run_check(path, f"ls -l /proc/$$/fd > '{told}'", "it", str(tmp_path), 20)
    assert str(Path(request_.root) / "lock") in told.read_text()
