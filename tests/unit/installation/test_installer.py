"""An installation on a real disk. The installer is a small shell script with the real ones' flags, habits and traps."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import time
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args

from ansible_collections.condafleet.core.plugins.module_utils.installer import (
    differing_version,
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
echo '{}' > "$prefix/conda-meta/conda-24.7.1-py311_0.json"
echo '{}' > "$prefix/conda-meta/python-3.11.7-h1_0.json"
echo "==> done <==" > "$prefix/conda-meta/history"
env > "$prefix/environment.txt"; echo "update=$update" >> "$prefix/environment.txt"
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
        with patch_module_args(arguments), pytest.raises(SystemExit):
            conda_installation.main()
        return json.loads(capsys.readouterr().out)


@pytest.fixture
def case(tmp_path: Path) -> Case:
    return Case(tmp_path)


Capture = pytest.CaptureFixture[str]


def test_an_installation_is_made_once(case: Case, capsys: Capture) -> None:
    promised = case.run(capsys, check=True, condarc="channels: [a]\n", mode="0755")
    assert not case.prefix.exists()
    first = case.run(capsys, condarc="channels: [a]\n", mode="0755")
    second = case.run(capsys, condarc="channels: [a]\n", mode="0755")
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


@pytest.mark.parametrize("content", [[], ["conda-meta/history", "pkgs/x", "_conda"], ["pkgs/half.conda"]])
def test_an_empty_folder_and_an_unfinished_installation_are_filled(
    case: Case, capsys: Capture, content: list[str]
) -> None:
    case.prefix.mkdir()
    for name in content:
        (case.prefix / name).parent.mkdir(exist_ok=True)
        (case.prefix / name).touch()
    assert observe_installation(str(case.prefix))["state"] == ("unfinished" if content else "absent")
    assert case.run(capsys)["installation"]["state"] == "present"
    assert "update=1" in (case.prefix / "environment.txt").read_text()


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
    import re

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


def test_an_installation_made_by_hand_is_kept_and_its_version_told(case: Case, capsys: Capture) -> None:
    case.run(capsys)
    (case.prefix / ".condafleet-installation.json").unlink()
    (case.prefix / ".installer.info").write_text('{"name": "Fake", "version": "23.1.0-0", "platform": "linux-64"}')
    before = sorted(case.prefix.rglob("*"))
    result = case.run(capsys)
    assert result["changed"] is False
    assert (result["version_wanted"], result["version_found"]) == ("24.7.1-0", "23.1.0-0")
    assert "holds 23.1.0-0, and 24.7.1-0 was declared" in str(result["warnings"])
    assert sorted(case.prefix.rglob("*")) == before


def test_a_condarc_of_someone_else_is_kept_and_ours_is_replaced(case: Case, capsys: Capture) -> None:
    case.run(capsys)
    (case.prefix / ".condarc").write_text("channels: [theirs]\n")
    first = case.run(capsys, condarc="channels: [ours]\n")
    assert [Path(path).read_text() for path in first["kept"]] == ["channels: [theirs]\n"]
    assert case.run(capsys, condarc="channels: [new]\n")["kept"] == []
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


NODE = {"architecture": "x86_64", "libc": "glibc", "glibc": "2.31"}
ABSENT = {"state": "absent", "condarc": None, "owner": None, "group": None, "mode": None, "superuser": True}
DECLARED = {
    "prefix": "/opt/x",
    "distribution": "embedded",
    "version": "24.7.1-0",
    "installers": {"x86_64": {"glibc": "2.36"}},
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
    import re

    message = refuse_installation({"node": {**NODE, **node}, "installation": ABSENT}, DECLARED)
    assert message is not None
    assert re.search(told, message)
    # What is there already may stay.
    present = {**ABSENT, "state": "present"}
    assert refuse_installation({"node": {**NODE, **node}, "installation": present}, DECLARED) is None


def test_any_installer_serves_every_architecture() -> None:
    declared = {**DECLARED, "installers": {"any": {}}}
    assert refuse_installation({"node": {**NODE, "architecture": "riscv64"}, "installation": ABSENT}, declared) is None


def test_owner_is_not_planned_where_nobody_could_change_it() -> None:
    found = {**ABSENT, "state": "present", "owner": "alice", "group": "alice", "mode": "0755", "superuser": False}
    declared = {**DECLARED, "owner": "root", "group": "root", "mode": "0755"}
    assert plan_installation(found, declared) == []
    assert [change["what"] for change in plan_installation({**found, "superuser": True}, declared)] == [
        "owner",
        "group",
    ]


def test_versions_differ_only_where_both_are_known() -> None:
    found = {**ABSENT, "state": "present", "installer": {"version": None}, "conda_version": None}
    assert differing_version(found, DECLARED) is None
    assert differing_version({**found, "conda_version": "23.1.0"}, DECLARED) == "23.1.0"
    assert differing_version({**found, "conda_version": "24.7.1"}, DECLARED) is None
