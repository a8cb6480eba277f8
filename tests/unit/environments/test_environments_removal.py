"""Removing what lies below ROOT: condafleet's own by its names, and nothing else."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args

from ansible_collections.condafleet.core.plugins.module_utils import metrics_file
from ansible_collections.condafleet.core.plugins.module_utils.errors import FleetError
from ansible_collections.condafleet.core.plugins.module_utils.observation import observe
from ansible_collections.condafleet.core.plugins.module_utils.package_cache import ensure_root
from ansible_collections.condafleet.core.plugins.module_utils.plan import plan
from ansible_collections.condafleet.core.plugins.modules import environments_removal

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "condafleet"
    for name in ("generations/plain-0123456789ab-1/bin", "pkgs", "wheels", "jobs", "validation/plain"):
        (root / name).mkdir(parents=True)
    envs = tmp_path / "mini" / "envs"
    (envs / "hers").mkdir(parents=True)
    (envs / "hers" / "data").write_text("all of it")
    (envs / "plain").symlink_to(root / "generations/plain-0123456789ab-1")
    (envs / "elsewhere").symlink_to(tmp_path)
    return root


def run(top: Path, capsys: Capture, check: bool = False, **options: Any) -> dict[str, Any]:
    arguments = {"prefix": str(top.parent / "mini"), "root": str(top), **options, "_ansible_check_mode": check}
    with patch_module_args(arguments), pytest.raises(SystemExit):
        environments_removal.main()
    return dict(json.loads(capsys.readouterr().out))


def paths(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_ours_goes_and_users_own_stays(root: Path, capsys: Capture) -> None:
    before = paths(root.parent)
    promised = run(root, capsys, check=True)
    assert paths(root.parent) == before
    done = run(root, capsys)
    assert promised["removed"] == done["removed"]
    assert done["removed"][:2] == ["environment plain", "generation plain-0123456789ab-1"]
    assert (promised["changed"], done["changed"], done["left"]) == (True, True, [])
    assert not root.exists()
    assert paths(root.parent) == ["mini", "mini/envs", "mini/envs/elsewhere", "mini/envs/hers", "mini/envs/hers/data"]
    assert run(root, capsys)["changed"] is False


def test_metrics_of_validations_go_too(root: Path, capsys: Capture) -> None:
    """They lie where node_exporter reads, and would be read for ever."""
    folder = root.parent / "textfile"
    folder.mkdir()
    metrics_file.put(str(root), str(folder), "condafleet_check_verdict 1\n")
    (folder / "other.prom").write_text("")
    assert str(folder / "condafleet.prom") in run(root, capsys, check=True)["removed"]
    assert run(root, capsys)["left"] == []
    assert paths(folder) == ["other.prom"]


def test_notes_of_generations_go_with_them(root: Path, capsys: Capture) -> None:
    for name in ("history.json", "spared.json"):
        (root / name).write_text("{}")
    done = run(root, capsys)
    assert str(root / "history.json") in done["removed"]
    assert done["left"] == []
    assert not root.exists()


def test_what_was_adopted_comes_back(root: Path, capsys: Capture) -> None:
    kept = root.parent / "mini.d" / "adopted-envs"
    for name, text in (("plain-1", "first"), ("plain-2", "second"), ("hers-1", "older"), ("gone-1", "alone")):
        (kept / name).mkdir(parents=True)
        (kept / name / "data").write_text(text)
    envs = root.parent / "mini" / "envs"
    promised = run(root, capsys, check=True)["removed"]
    assert f"adopted {kept}/plain-2, which comes back to its place" in promised
    assert (envs / "plain").is_symlink()
    done = run(root, capsys)
    assert done["removed"] == promised
    assert (envs / "plain" / "data").read_text() == "second"
    assert (envs / "gone" / "data").read_text() == "alone"
    assert (envs / "hers" / "data").read_text() == "all of it"
    assert done["left"] == [str(kept / "hers-1"), str(kept / "plain-1")]
    assert (kept / "plain-1" / "data").read_text() == "first"


def test_what_others_keep_below_the_root_is_told_and_left(root: Path, capsys: Capture) -> None:
    (root / "thesis.tex").write_text("all of it")
    assert run(root, capsys)["left"] == [f"{root}/thesis.tex"]
    assert paths(root) == ["thesis.tex"]


def test_a_folder_that_is_not_condafleet_s_is_left_alone(tmp_path: Path, capsys: Capture) -> None:
    for name in ("datasets/imagenet/train.tar", "tools/theirs", "pkgs/mine.conda"):
        (tmp_path / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "data" / name).touch()
    before = paths(tmp_path)
    assert run(tmp_path / "data", capsys)["changed"] is False
    assert paths(tmp_path) == before
    refused = r"It holds what condafleet did not put there \(datasets, pkgs, tools\)"
    with pytest.raises(FleetError, match=refused):
        ensure_root(str(tmp_path / "data"))
    # The plan says so before anything is changed.
    observed = observe(str(tmp_path / "mini"), str(tmp_path / "data"))
    declared = [{"name": "plain", "targets": ["linux-64-cpu"]}]
    desired = {"environments": {"declared": declared, "targets": {}, "locks": {}}}
    assert re.search(refused, " ".join(plan(observed, desired)["blocked"]))


def test_a_generation_in_use_stops_it_all(root: Path, capsys: Capture) -> None:
    before = paths(root.parent)
    with subprocess.Popen(["sleep", "60"], cwd=root / "generations/plain-0123456789ab-1/bin") as sleeper:
        for check in (True, False):
            said = run(root, capsys, check=check)["msg"]
            assert f"can't be removed while processes use it: {sleeper.pid}" in said
        sleeper.terminate()
    assert paths(root.parent) == before


@pytest.mark.parametrize("place", ["/", "/opt", "/usr"])
def test_a_folder_of_the_system_is_no_root(root: Path, capsys: Capture, place: str) -> None:
    assert f"environments_root: {place} is not accepted" in run(root, capsys, root=place)["msg"]
