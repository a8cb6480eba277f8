"""An installation on a real disk. The installer is a small shell script with the real ones' flags, habits and traps."""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args

from ansible_collections.condafleet.core.plugins.module_utils import installation_place, installation_removal
from ansible_collections.condafleet.core.plugins.module_utils.installer import (
    compare,
    plan_installation,
    refuse_installation,
)
from ansible_collections.condafleet.core.plugins.module_utils.observe_installation import observe_installation
from ansible_collections.condafleet.core.plugins.modules import conda_installation

ROOT = os.geteuid() == 0

# As constructor's installers do: refuses a prefix that exists unless -u is given, leaves an empty history when it is
# stopped half-way, writes to HOME, and follows the umask.
INSTALLER = r"""#!/bin/sh
update=0
while getopts bup: flag; do
    case $flag in u) update=1 ;; p) prefix=$OPTARG ;; *) ;; esac
done
case $0 in *.sh) ;; *) echo "Please run using bash/sh"; exit 1 ;; esac
if [ -e "$prefix" ] && [ $update = 0 ]; then echo "ERROR: File or directory already exists: '$prefix'"; exit 1; fi
mkdir -p "$prefix/conda-meta" "$prefix/bin" "$prefix/pkgs" "$HOME/.conda"
echo "$prefix" > "$HOME/.conda/environments.txt"
touch "$prefix/_conda"; : > "$prefix/conda-meta/history"
echo "unpacking payload"
@HALFWAY@
printf '#!/bin/sh\necho conda 24.7.1\n' > "$prefix/bin/conda"; printf '#!/bin/sh\n' > "$prefix/bin/python"
chmod 755 "$prefix/bin/conda" "$prefix/bin/python"
sum=$(sha256sum < "$prefix/bin/python" | cut -d' ' -f1)
cat > "$prefix/conda-meta/conda-24.7.1-py311_0.json" <<JSON
{"paths_data": {"paths": [{"_path": "bin/python", "path_type": "hardlink", "sha256": "$sum"}]}}
JSON
echo '{}' > "$prefix/conda-meta/python-3.11.7-h1_0.json"
echo "==> done <==" > "$prefix/conda-meta/history"
env > "$prefix/environment.txt"
"""


class Case:
    """One prefix, one installer, and the module run in this process."""

    def __init__(self, top: Path) -> None:
        self.top = top
        self.prefix = top / "miniconda3"
        self.options: dict[str, Any] = {"prefix": str(self.prefix)}
        self.installer()

    def installer(self, halfway: str = "", **changes: Any) -> None:
        path = self.top / "served" / "Fake3-24.7.1-0-Linux-x86_64.sh"
        path.parent.mkdir(exist_ok=True)
        path.write_text(INSTALLER.replace("@HALFWAY@", halfway))
        entry = {
            "url": path.as_uri(),
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            "version": "24.7.1-0",
            "distribution": "fake",
        }
        self.options["installers"] = {os.uname().machine: {**entry, **changes}}

    def run(self, capsys: pytest.CaptureFixture[str], check: bool = False, **options: Any) -> dict[str, Any]:
        arguments = {**self.options, **options, "_ansible_check_mode": check, "_ansible_diff": True}
        # The job that the action of this name would start.
        arguments.setdefault("job", "test")
        with patch_module_args(arguments), pytest.raises(SystemExit):
            conda_installation.main()
        return json.loads(capsys.readouterr().out)

    def names(self) -> list[str]:
        """The installations beside the prefix; a link in the place of a removed one has an arrow."""
        home = self.top / "miniconda3.d"
        others = ("envs", "jobs", "progress", "lock")
        found = sorted(path for path in home.iterdir() if path.name not in others)
        return [path.name + (" ->" if path.is_symlink() else "") for path in found]

    def version(self, version: str) -> None:
        """Declare another version; its installer differs by a line."""
        self.installer(f"echo {version}", version=version)


@pytest.fixture
def case(tmp_path: Path) -> Case:
    return Case(tmp_path)


def condarc(channel: str) -> dict[str, Any]:
    text = f"channels: [{channel}]\n"
    return {"level": "prefix", "texts": {"auto_activate": text, "auto_activate_base": text}}


Capture = pytest.CaptureFixture[str]


def test_an_installation_is_made_once(case: Case, capsys: Capture) -> None:
    promised = case.run(capsys, check=True, condarc=condarc("a"), mode="0755")
    assert not case.prefix.exists()
    first = case.run(capsys, condarc=condarc("a"), mode="0755")
    second = case.run(capsys, condarc=condarc("a"), mode="0755")
    assert (promised["changed"], first["changed"], second["changed"]) == (True, True, False)
    assert promised["changes"] == first["changes"] == ["installation", "condarc"]
    assert set(promised) == set(first) == set(second)
    assert promised["diff"] == first["diff"]
    assert second["diff"] == []
    assert first["installation"]["state"] == "present"
    assert (case.prefix / ".condarc").read_text() == "channels: [a]\n"
    receipt = json.loads((case.prefix / ".condafleet-installation.json").read_text())
    assert (receipt["distribution"], receipt["version"], receipt["conda"]) == ("fake", "24.7.1-0", "conda 24.7.1")
    assert not list((case.prefix / "conda-meta").glob("*fleet*"))


def test_the_installer_sees_no_user_s_settings_and_an_open_umask(
    case: Case, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(case.top / "home"))
    monkeypatch.setenv("PYTHONPATH", "/nowhere")
    former = os.umask(0o077)
    try:
        case.run(capsys)
        assert os.umask(0o077) == 0o077
    finally:
        os.umask(former)
    assert stat.S_IMODE((case.prefix / "bin").stat().st_mode) == 0o755
    said = (case.prefix / "environment.txt").read_text()
    assert "CONDA_REGISTER_ENVS=false" in said
    assert "PYTHONPATH" not in said
    assert not (case.top / "home").exists()


def test_an_empty_folder_gives_way(case: Case, capsys: Capture) -> None:
    case.prefix.mkdir()
    assert observe_installation(str(case.prefix))["state"] == "absent"
    assert case.run(capsys)["installation"]["state"] == "present"
    assert case.names() == ["fake-24.7.1-0-1"]


def test_what_an_installer_left_unfinished_gives_way_and_is_kept(case: Case, capsys: Capture) -> None:
    # Nobody knows what else lies there.
    for name in ("conda-meta/history", "pkgs/x", "_conda", "notebooks/thesis.ipynb"):
        (case.prefix / name).parent.mkdir(parents=True, exist_ok=True)
        (case.prefix / name).touch()
    assert observe_installation(str(case.prefix))["state"] == "unfinished"
    result = case.run(capsys)
    assert (result["action"], result["kept"]) == ("finish", [f"{case.prefix}.d/adopted-1"])
    assert case.names() == ["adopted-1", "fake-24.7.1-0-1"]
    assert (case.top / "miniconda3.d/adopted-1/notebooks/thesis.ipynb").exists()


def test_a_folder_that_only_looks_like_part_of_one_is_refused(case: Case, capsys: Capture) -> None:
    (case.prefix / "pkgs").mkdir(parents=True)
    (case.prefix / "pkgs" / "thesis.tex").touch()
    assert "is no conda installation" in case.run(capsys)["msg"]


def test_an_unfinished_installation_that_holds_environments_is_kept_beside_the_new_one(
    case: Case, capsys: Capture
) -> None:
    (case.prefix / "envs/mine").mkdir(parents=True)
    (case.prefix / "envs/mine/data").write_text("all of it")
    (case.prefix / "_conda").touch()
    result = case.run(capsys)
    assert result["kept"] == [f"{case.prefix}.d/adopted-1"]
    assert (case.prefix / "envs/mine/data").read_text() == "all of it"


@pytest.mark.parametrize(
    ("halfway", "told"),
    [
        ("kill -9 $$", r"ended with code -9 and left no whole installation \(missing: conda-meta/history, bin/conda"),
        ("echo disk is full >&2; exit 1", "code 1 .*\nunpacking payload\ndisk is full"),
        ("exit 0", "ended with code 0 and left no whole installation"),
    ],
)
def test_an_installer_that_does_not_finish_is_told_and_repaired_by_the_next_run(
    case: Case, capsys: Capture, halfway: str, told: str
) -> None:
    case.installer(halfway)
    failed = case.run(capsys)
    assert failed["failed"]
    assert re.search(told, failed["msg"], re.DOTALL), failed["msg"]
    assert not (case.prefix / ".condafleet-installation.json").exists()
    case.installer()
    repaired = case.run(capsys)
    assert (repaired["changed"], repaired["installation"]["state"]) == (True, "present")


def test_an_installer_that_hangs_is_stopped_with_all_it_started(case: Case, capsys: Capture) -> None:
    case.installer(f"(sleep 30; touch {case.top}/late) & echo $! > {case.top}/child; sleep 30")
    began = time.monotonic()
    failed = case.run(capsys, timeout=1)
    assert time.monotonic() - began < 10
    assert "was stopped after 1 s (miniconda_timeout)" in failed["msg"]
    child = int((case.top / "child").read_text())
    for _ in range(100):
        state = Path(f"/proc/{child}/stat")
        if not state.exists() or state.read_text().split(") ")[1][0] == "Z":
            break
        time.sleep(0.02)
    else:
        pytest.fail("the installer's child still runs")


def test_a_damaged_installer_is_never_run(case: Case, capsys: Capture) -> None:
    case.installer(f"touch {case.top}/ran", sha256="0" * 64)
    failed = case.run(capsys)
    assert f"expected {'0' * 64}" in failed["msg"]
    assert not (case.top / "ran").exists()
    assert not case.prefix.exists()


def test_a_folder_that_is_something_else_is_refused(case: Case, capsys: Capture) -> None:
    case.prefix.mkdir()
    (case.prefix / "thesis.tex").write_text("all of it")
    for check in (True, False):
        failed = case.run(capsys, check=check)
        assert "miniconda_prefix: " in failed["msg"]
        assert "is no conda installation" in failed["msg"]
    assert [path.name for path in case.prefix.iterdir()] == ["thesis.tex"]


def test_an_environment_in_the_place_of_an_installation_is_refused(case: Case, capsys: Capture) -> None:
    # -u would install a base over it.
    (case.prefix / "conda-meta").mkdir(parents=True)
    (case.prefix / "conda-meta/history").write_text("==> created <==\n")
    (case.prefix / "conda-meta/python-3.11.7-h1_0.json").write_text("{}")
    assert "is no conda installation" in case.run(capsys)["msg"]


def test_a_file_in_the_place_of_an_installation_is_refused(case: Case, capsys: Capture) -> None:
    case.prefix.write_text("x")
    assert "is no conda installation" in case.run(capsys)["msg"]


def by_hand(case: Case, version: str = "23.1.0-0") -> None:
    """An installation that somebody made with an installer of that version."""
    script = case.top / "served" / "Fake3-24.7.1-0-Linux-x86_64.sh"
    subprocess.run(["sh", script, "-b", "-p", case.prefix], env={**os.environ, "HOME": str(case.top)}, check=True)
    (case.prefix / ".installer.info").write_text(json.dumps({"name": "Fake3", "version": version}))
    (case.prefix / "envs/mine/conda-meta").mkdir(parents=True)


def test_an_installation_made_by_hand_is_adopted_where_no_version_was_asked_for(case: Case, capsys: Capture) -> None:
    by_hand(case)
    before = sorted(case.prefix.rglob("*"))
    result = case.run(capsys, newest=True)
    assert result["changed"] is False
    assert result["version_found"] == "23.1.0-0"
    assert sorted(case.prefix.rglob("*")) == before
    assert case.run(capsys, newest=True, condarc=condarc("a"))["changes"] == ["condarc"]
    assert "adopted" in (case.prefix / ".condafleet-installation.json").read_text()
    assert not case.prefix.is_symlink()


def test_what_lies_beside_an_adopted_installation_is_left_alone(case: Case, capsys: Capture) -> None:
    by_hand(case)
    beside = case.top / "envs"
    beside.mkdir(mode=0o700)
    former = stat.S_IMODE(case.prefix.stat().st_mode)
    # Nor is the owner or the mode of what was adopted changed, only its condarc.
    assert case.run(capsys, newest=True, mode="0700", condarc=condarc("a"))["changes"] == ["condarc"]
    assert stat.S_IMODE(case.prefix.stat().st_mode) == former
    assert stat.S_IMODE(beside.stat().st_mode) == 0o700


def test_an_installation_made_by_hand_is_replaced_where_another_version_was_named_and_kept(
    case: Case, capsys: Capture
) -> None:
    by_hand(case)
    (case.prefix / "notes.txt").write_text("mine")
    result = case.run(capsys)
    assert (result["changed"], result["action"]) == (True, "upgrade")
    assert result["kept"] == [f"{case.prefix}.d/adopted-1"]
    assert (case.top / "miniconda3.d/adopted-1/notes.txt").read_text() == "mine"
    assert (case.prefix / "envs/mine/conda-meta").is_dir()
    assert case.run(capsys)["changed"] is False


def test_an_upgrade_stands_beside_the_former_one_and_a_downgrade_has_to_be_asked_for(
    case: Case, capsys: Capture
) -> None:
    case.run(capsys)
    (case.prefix / "envs/mine").mkdir()
    case.version("24.9.0-0")
    promised, upgraded = case.run(capsys, check=True), case.run(capsys)
    assert (promised["action"], upgraded["action"]) == ("upgrade", "upgrade")
    assert promised["diff"] == upgraded["diff"]
    assert upgraded["version_found"] == "24.9.0-0"
    assert (case.prefix / "envs/mine").is_dir()
    assert case.names() == ["fake-24.7.1-0-1", "fake-24.9.0-0-1"]
    case.installer()
    refused = case.run(capsys)
    assert "miniconda_version: 24.7.1-0 is not accepted. This node has fake 24.9.0-0, which is newer." in refused["msg"]
    assert "miniconda_downgrade: true" in refused["msg"]
    back = case.run(capsys, downgrade=True)
    # It is still there, so nothing is fetched or run.
    assert (back["action"], back["version_found"]) == ("downgrade", "24.7.1-0")
    assert case.names() == ["fake-24.7.1-0-1", "fake-24.9.0-0-1"]


def test_only_so_many_are_kept_and_a_link_stands_for_what_was_removed(case: Case, capsys: Capture) -> None:
    for version in ("24.7.1-0", "24.9.0-0", "24.9.1-0", "24.9.2-0"):
        case.version(version)
        case.run(capsys, keep=2)
    assert case.names() == ["fake-24.7.1-0-1 ->", "fake-24.9.0-0-1 ->", "fake-24.9.1-0-1", "fake-24.9.2-0-1"]
    assert (case.top / "miniconda3.d/fake-24.7.1-0-1/bin/conda").samefile(case.prefix / "bin/conda")


def test_what_a_process_uses_is_kept(case: Case, capsys: Capture) -> None:
    case.run(capsys)
    with subprocess.Popen(["sleep", "60"], cwd=case.prefix.resolve()) as sleeper:
        case.version("24.9.0-0")
        upgraded = case.run(capsys, keep=1)
        assert f"is kept beyond miniconda_keep, since it is in use: processes {sleeper.pid}." in str(
            upgraded["warnings"]
        )
        assert case.names() == ["fake-24.7.1-0-1", "fake-24.9.0-0-1"]
        refused = case.run(capsys, state="absent")
        assert (
            f"miniconda_state: absent is not possible while processes use {case.prefix}: {sleeper.pid}"
            in (refused["msg"])
        )
        sleeper.terminate()
    case.version("24.9.1-0")
    case.run(capsys, keep=1)
    assert case.names() == ["fake-24.7.1-0-1 ->", "fake-24.9.0-0-1 ->", "fake-24.9.1-0-1"]


def test_a_folder_made_by_hand_is_not_replaced_under_its_processes(case: Case, capsys: Capture) -> None:
    by_hand(case)
    with subprocess.Popen(["sleep", "60"], cwd=case.prefix / "bin") as sleeper:
        refused = case.run(capsys)
        assert f"can't be replaced while processes run from its base environment: {sleeper.pid}" in refused["msg"]
        assert not case.prefix.is_symlink()
        sleeper.terminate()
    # Whoever works in an environment is not disturbed by it.
    with subprocess.Popen(["sleep", "60"], cwd=case.prefix / "envs/mine") as sleeper:
        assert case.run(capsys)["changed"]
        sleeper.terminate()


def test_damage_is_told_and_repaired_on_request_only(case: Case, capsys: Capture) -> None:
    case.run(capsys)
    (case.prefix / "bin/python").write_text("#!/bin/sh\necho edited\n")
    assert case.run(capsys)["changed"] is False
    found = observe_installation(str(case.prefix), with_files=True)["damage"]
    assert (found["changed"], found["missing"]) == (["bin/python"], [])
    repaired = case.run(capsys, repair=True)
    assert (repaired["changed"], repaired["action"]) == (True, "repair")
    assert "damaged: 1 changed (bin/python)" in str(repaired["diff"])
    assert (case.prefix / "bin/python").read_text() == "#!/bin/sh\n"
    assert case.run(capsys, repair=True)["changed"] is False
    # A damaged one is never taken back.
    case.version("24.9.0-0")
    case.run(capsys)
    case.installer()
    (case.prefix.parent / "miniconda3.d/fake-24.7.1-0-2/bin/python").write_text("")
    case.run(capsys, downgrade=True, keep=5)
    assert str(case.prefix.readlink()) == "miniconda3.d/fake-24.7.1-0-3"


def test_removal_leaves_nothing_of_ours(case: Case, capsys: Capture) -> None:
    before = sorted(case.top.iterdir())
    case.run(capsys, condarc=condarc("a"))
    case.version("24.9.0-0")
    case.run(capsys)
    promised = case.run(capsys, check=True, state="absent")
    assert promised["changed"]
    assert case.prefix.exists()
    removed = case.run(capsys, state="absent")
    assert (removed["changed"], removed["left"]) == (True, [])
    assert sorted(case.top.iterdir()) == before
    assert case.run(capsys, state="absent")["changed"] is False


def test_removal_takes_what_an_installer_left_unfinished(case: Case, capsys: Capture) -> None:
    case.installer("kill -9 $$")
    assert case.run(capsys)["failed"]
    assert case.names() == ["fake-24.7.1-0-1"]
    assert case.run(capsys, state="absent")["changed"]
    assert sorted(path.name for path in case.top.iterdir()) == ["served"]
    assert case.run(capsys, state="absent")["changed"] is False


def test_removal_leaves_users_environments_where_they_were(case: Case, capsys: Capture) -> None:
    case.run(capsys)
    made_with = case.prefix.resolve() / "envs/mine"
    made_with.mkdir()
    (made_with / "data").write_text("all of it")
    removed = case.run(capsys, state="absent")
    assert removed["left"] == [f"{case.prefix}/envs/mine"]
    assert (made_with / "data").read_text() == "all of it"
    assert (case.prefix / "envs/mine/data").exists()
    assert not (case.prefix / "bin").exists()
    assert case.run(capsys, state="absent")["changed"] is False
    # They are there again with the next installation, under the path that they were made with too.
    case.run(capsys)
    assert (made_with / "data").exists()
    assert case.run(capsys, state="absent", purge=True)["left"] == []
    assert sorted(path.name for path in case.top.iterdir()) == ["served"]


def test_removal_gives_back_what_was_made_by_hand(case: Case, capsys: Capture) -> None:
    by_hand(case)
    before = sorted(str(path) for path in case.top.rglob("*"))
    case.run(capsys)
    assert case.prefix.is_symlink()
    assert case.run(capsys, state="absent")["changed"]
    assert sorted(str(path) for path in case.top.rglob("*")) == before
    assert case.run(capsys, state="absent")["changed"] is False


def test_a_condarc_of_someone_else_is_kept_and_ours_is_replaced(case: Case, capsys: Capture) -> None:
    case.run(capsys)
    (case.prefix / ".condarc").write_text("channels: [theirs]\n")
    first = case.run(capsys, condarc=condarc("ours"))
    assert [Path(path).read_text() for path in first["kept"]] == ["channels: [theirs]\n"]
    assert case.run(capsys, condarc=condarc("new"))["kept"] == []
    assert (case.prefix / ".condarc").read_text() == "channels: [new]\n"
    assert case.run(capsys)["changed"] is False


def test_the_mode_is_kept(case: Case, capsys: Capture) -> None:
    case.run(capsys, mode="0755")
    case.prefix.chmod(0o700)
    assert case.run(capsys, check=True, mode="0755")["changes"] == ["mode"]
    assert case.run(capsys, mode="0755")["installation"]["mode"] == "0755"


@pytest.mark.skipif(not ROOT, reason="only root may give files away")
def test_the_owner_is_kept_without_what_is_in_envs(case: Case, capsys: Capture) -> None:
    case.run(capsys, owner="root", group="root")
    own = case.prefix / "envs" / "alice"
    own.mkdir(parents=True)
    os.chown(own, 12345, 12345)
    result = case.run(capsys, owner="nobody", group="nogroup")
    assert result["changes"] == ["owner", "group"]
    assert (case.prefix / "bin/conda").owner() == "nobody"
    assert own.stat().st_uid == 12345
    assert case.run(capsys, owner="nobody", group="nogroup")["changed"] is False
    assert "miniconda_owner: nobodyhere is not accepted" in case.run(capsys, owner="nobodyhere")["msg"]


def test_a_process_is_seen_where_a_folder_on_the_way_is_a_link(case: Case, capsys: Capture) -> None:
    (case.top / "real").mkdir()
    (case.top / "opt").symlink_to(case.top / "real")
    prefix = case.top / "opt" / "mini"
    case.run(capsys, prefix=str(prefix))
    with subprocess.Popen(["sleep", "60"], cwd=prefix / "bin") as sleeper:
        for check in (True, False):
            refused = case.run(capsys, check=check, prefix=str(prefix), state="absent")
            assert f"while processes use {prefix}: {sleeper.pid}" in refused["msg"]
        sleeper.terminate()


def test_an_exchange_that_was_cut_short_is_made_good(
    case: Case, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    by_hand(case)

    def cut(one: str, other: str) -> None:
        raise OSError(5, "Input/output error", one)

    with monkeypatch.context() as patch:
        patch.setattr(installation_place, "swap", cut)
        assert "Input/output error" in case.run(capsys)["msg"]
    assert case.run(capsys)["kept"] == [f"{case.prefix}.d/adopted-1"]
    assert (case.prefix / "envs/mine/conda-meta").is_dir()


def test_a_removal_that_was_cut_short_is_finished_by_the_next(
    case: Case, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    case.run(capsys)
    made_with = case.prefix.resolve() / "envs/mine"
    made_with.mkdir()

    def cut(path: str) -> None:
        raise OSError(5, "Input/output error", path)

    with monkeypatch.context() as patch:
        patch.setattr(installation_removal.shutil, "rmtree", cut)
        assert "Input/output error" in case.run(capsys, state="absent")["msg"]
    # Users have lost nothing meanwhile.
    assert made_with.is_dir()
    assert (case.prefix / "envs/mine").is_dir()
    assert case.run(capsys, state="absent")["changed"]
    assert [path.name for path in (case.top / "miniconda3.d").iterdir() if path.name.startswith(".")] == []
    assert made_with.is_dir()
    assert case.run(capsys, state="absent")["changed"] is False


def test_environments_made_since_stay_where_what_was_made_by_hand_comes_back(case: Case, capsys: Capture) -> None:
    by_hand(case)
    case.run(capsys)
    made_with = case.prefix.resolve() / "envs/since"
    (made_with / "conda-meta").mkdir(parents=True)
    (made_with / "conda-meta/history").write_text(f"# cmd: {case.prefix.resolve()}/bin/conda create -n since\n")
    removed = case.run(capsys, state="absent")
    assert removed["left"] == [str(case.prefix), f"{case.prefix}/envs/mine", f"{case.prefix}/envs/since"]
    assert not case.prefix.is_symlink()
    # The path that is written into its scripts still leads to it.
    assert (made_with / "conda-meta/history").samefile(case.prefix / "envs/since/conda-meta/history")
    assert case.run(capsys, state="absent")["changed"] is False


def test_purge_leaves_the_environments_of_what_was_made_by_hand(case: Case, capsys: Capture) -> None:
    by_hand(case)
    case.run(capsys)
    case.run(capsys, state="absent", purge=True)
    assert (case.prefix / "envs/mine/conda-meta").is_dir()


def test_an_installation_without_its_receipt_is_not_removed_before_there_is_another(
    case: Case, capsys: Capture
) -> None:
    case.run(capsys)
    (case.prefix / ".condafleet-installation.json").unlink()
    case.installer("exit 1", version="24.9.0-0")
    assert case.run(capsys)["failed"]
    assert (case.prefix / "bin/conda").exists()


def test_an_adopted_installation_is_left_as_it_was(case: Case, capsys: Capture) -> None:
    by_hand(case)
    before = sorted(str(path) for path in case.top.rglob("*"))
    case.run(capsys, newest=True, condarc=condarc("a"))
    removed = case.run(capsys, state="absent")
    assert removed["left"] == [str(case.prefix), f"{case.prefix}/envs/mine"]
    assert sorted(str(path) for path in case.top.rglob("*")) == before
    assert case.run(capsys, state="absent")["changed"] is False


NODE = {"architecture": "x86_64", "libc": "glibc", "glibc": "2.31"}
ABSENT = {"state": "absent", "condarc": None, "owner": None, "group": None, "mode": None, "superuser": True}
DECLARED = {
    "prefix": "/opt/x",
    "distribution": "embedded",
    "version": "24.7.1-0",
    "installers": {"x86_64": {"glibc": "2.36", "sha256": "1" * 64}},
}


@pytest.mark.parametrize(
    ("node", "told"),
    [
        ({"architecture": "riscv64"}, "no installer for this machine's architecture, riscv64.* exists for x86_64"),
        ({"libc": "musl", "glibc": None}, "musl"),
        ({}, "made for glibc 2.36 or newer, and this node has 2.31"),
    ],
)
def test_a_node_that_cannot_have_it_is_told_why(node: dict[str, Any], told: str) -> None:
    message = refuse_installation({"node": {**NODE, **node}, "installation": ABSENT}, DECLARED)
    assert message is not None
    assert re.search(told, message)
    # What is there already may stay.
    present = {**ABSENT, "state": "present", "receipt": {"sha256": "1" * 64}}
    assert refuse_installation({"node": {**NODE, **node}, "installation": present}, DECLARED) is None


def test_any_installer_serves_every_architecture() -> None:
    declared = {**DECLARED, "installers": {"any": {"sha256": "1" * 64}}}
    assert refuse_installation({"node": {**NODE, "architecture": "riscv64"}, "installation": ABSENT}, declared) is None


def test_a_mount_point_and_another_architecture_are_refused() -> None:
    mounted = {**ABSENT, "mounted": True}
    message = refuse_installation({"node": {**NODE, "glibc": "2.36"}, "installation": mounted}, DECLARED)
    assert "A file system is mounted there" in str(message)
    other = {**ABSENT, "state": "present", "receipt": {"sha256": "1" * 64, "architecture": "aarch64"}}
    message = refuse_installation({"node": NODE, "installation": other}, DECLARED)
    assert "It holds an installation for aarch64, and this node's architecture is x86_64" in str(message)


def test_owner_is_not_planned_where_nobody_could_change_it() -> None:
    found = {**ABSENT, "state": "present", "owner": "alice", "group": "alice", "mode": "0755", "superuser": False}
    found["receipt"] = {"sha256": "1" * 64}
    declared = {**DECLARED, "owner": "root", "group": "root", "mode": "0755"}
    assert plan_installation({"node": NODE, "installation": found}, declared) == []
    seen = {"node": NODE, "installation": {**found, "superuser": True}}
    assert [change["what"] for change in plan_installation(seen, declared)] == [
        "owner",
        "group",
    ]


@pytest.mark.parametrize(
    ("info", "conda", "wanted", "relation"),
    [
        ({"name": "Miniforge3", "version": "24.7.1-0"}, "24.7.1", ("miniforge", "24.7.1-0"), "same"),
        ({"name": "Miniforge3", "version": "24.7.1-0"}, "24.7.1", ("miniforge", "24.7.1-2"), "older"),
        ({"name": "Miniforge3", "version": "24.11.0-0"}, "24.11.0", ("miniforge", "24.7.1-2"), "newer"),
        ({"name": "Miniconda3", "version": "py311_24.7.1-0"}, "24.7.1", ("miniforge", "24.7.1-2"), "other"),
        ({}, "24.7.1", ("miniconda", "py311_24.7.1-0"), "same"),
        ({}, "4.7.1", ("miniconda", "py311_24.7.1-0"), "older"),
        ({}, None, ("miniconda", "py311_24.7.1-0"), "other"),
    ],
)
def test_what_was_made_by_hand_is_compared_by_what_it_tells(
    info: dict[str, Any], conda: str | None, wanted: tuple[str, str], relation: str
) -> None:
    found = {**ABSENT, "state": "present", "receipt": None, "installer": info or None, "conda_version": conda}
    entry = {"sha256": "1" * 64, "distribution": wanted[0], "version": wanted[1]}
    assert compare(found, entry, newest=False) == relation
    assert compare(found, entry, newest=True) == "same"
