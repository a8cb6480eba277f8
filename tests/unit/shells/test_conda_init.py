"""Start-up files on a real disk, read by real shells."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args

from ansible_collections.condafleet.core.plugins.module_utils import observe_shells
from ansible_collections.condafleet.core.plugins.modules import conda_facts, conda_init

ROOT = os.geteuid() == 0
Capture = pytest.CaptureFixture[str]
ME = pwd.getpwuid(os.geteuid()).pw_name


class System:
    """A root folder with an /etc and homes, and an installation that has what shells source."""

    def __init__(self, top: Path) -> None:
        self.root = top / "system"
        self.prefix = top / "miniconda3"
        (self.prefix / "etc/profile.d").mkdir(parents=True)
        (self.prefix / "etc/profile.d/conda.sh").write_text(
            f"conda() {{ echo conda of $CONDA_MARK; }}\nCONDA_MARK=here\nexport CONDA_EXE={self.prefix}/bin/conda\n"
        )
        (self.root / "etc/profile.d").mkdir(parents=True)
        for folder in ("usr/local/bin", "var/lib"):
            (self.root / folder).mkdir(parents=True)
        (self.root / "etc/bash.bashrc").write_text("# Debian's\n")

    def user(self, name: str, uid: int, home: bool = True) -> Path:
        path = self.root / "home" / name
        if home:
            path.mkdir(parents=True)
            if ROOT:
                os.chown(path, uid, uid)
        with (self.root / "etc/passwd").open("a") as stream:
            stream.write(f"{name}:x:{uid}:{uid}::/home/{name}:/bin/bash\n")
        return path

    def run(self, capsys: Capture, check: bool = False, **options: Any) -> dict[str, Any]:
        arguments = {
            "prefix": str(self.prefix),
            "system_root": str(self.root),
            **options,
            "_ansible_check_mode": check,
            "_ansible_diff": True,
        }
        with patch_module_args(arguments), pytest.raises(SystemExit):
            conda_init.main()
        return json.loads(capsys.readouterr().out)


@pytest.fixture
def system(tmp_path: Path) -> System:
    # Another user has to be able to pass down to a home below it.
    # pytest's own folders are private, and tests side by side have one more of them.
    for folder in (tmp_path, *tmp_path.parents):
        mode = stat.S_IMODE(folder.stat().st_mode)
        if ROOT and mode & 0o001 == 0:
            folder.chmod(mode | 0o011)
    return System(tmp_path)


def tree(top: Path) -> dict[str, tuple[bytes | None, int, int]]:
    return {
        str(path.relative_to(top)): (
            path.read_bytes() if path.is_file() else None,
            stat.S_IMODE(path.lstat().st_mode),
            path.lstat().st_uid,
        )
        for path in top.rglob("*")
    }


def changed(result: dict[str, Any]) -> list[str]:
    return [Path(entry["path"]).name for entry in result["files"] if entry["changed"]]


ALL = {"shells": ["bash", "zsh", "fish", "tcsh", "posix"], "starts": ["login", "interactive", "noninteractive"]}


def test_system_scope_writes_once_and_is_undone_to_the_byte(system: System, capsys: Capture) -> None:
    before = tree(system.root)
    promised = system.run(capsys, check=True)
    assert tree(system.root) == before
    first, second = system.run(capsys), system.run(capsys)
    assert (promised["changed"], first["changed"], second["changed"]) == (True, True, False)
    assert promised["diff"] == first["diff"]
    assert set(promised) == set(second)
    assert changed(first) == ["zz-condafleet.sh", "bash.bashrc"]
    assert first["diff"][1]["before"] == ""
    assert str(system.prefix) in first["diff"][1]["after"]
    assert system.run(capsys, state="absent")["changed"] is True
    assert tree(system.root) == before
    assert system.run(capsys, state="absent")["changed"] is False


def test_el_and_zsh_have_their_own_places(system: System, capsys: Capture) -> None:
    (system.root / "etc/bash.bashrc").rename(system.root / "etc/bashrc")
    (system.root / "etc/zsh").mkdir()
    assert changed(system.run(capsys)) == ["zz-condafleet.sh", "bashrc", "zprofile", "zshrc"]
    assert (system.root / "etc/zsh/zshrc").is_file()


@pytest.mark.parametrize(
    ("existing", "login"),
    [
        ([], ".profile"),
        ([".profile"], ".profile"),
        ([".profile", ".bash_profile"], ".bash_profile"),
        ([".bash_login", ".profile"], ".bash_login"),
    ],
)
def test_no_login_file_is_hidden_by_a_new_one(system: System, capsys: Capture, existing: list[str], login: str) -> None:
    home = system.user("alice", os.geteuid())
    for name in existing:
        (home / name).touch()
    result = system.run(capsys, scope="users", users=["alice"], shells=["bash"])
    assert changed(result) == [".bashrc", login]
    assert {path.name for path in home.iterdir()} == {".bashrc", login, *existing}


def test_links_and_modes_are_kept(system: System, capsys: Capture) -> None:
    home = system.user("alice", os.geteuid())
    (home / "dotfiles").mkdir()
    (home / "dotfiles/bashrc").write_text("a=1")
    (home / "dotfiles/bashrc").chmod(0o600)
    (home / ".bashrc").symlink_to("dotfiles/bashrc")
    system.run(capsys, scope="users", users=["alice"], shells=["bash"])
    assert (home / ".bashrc").is_symlink()
    assert stat.S_IMODE((home / "dotfiles/bashrc").stat().st_mode) == 0o600
    system.run(capsys, scope="users", users=["alice"], shells=["bash"], state="absent")
    assert (home / "dotfiles/bashrc").read_bytes() == b"a=1"


@pytest.mark.skipif(not ROOT, reason="only root works for other users")
def test_a_user_s_files_belong_to_the_user(system: System, capsys: Capture) -> None:
    home = system.user("alice", 23456)
    system.run(capsys, scope="users", users=["alice"])
    assert {(path.stat().st_uid, path.stat().st_gid) for path in home.iterdir()} == {(23456, 23456)}
    assert os.geteuid() == 0


@pytest.mark.skipif(not ROOT, reason="only root works for other users")
def test_a_link_in_a_home_leads_root_to_nothing_that_the_user_could_not_write(system: System, capsys: Capture) -> None:
    home = system.user("alice", 23456)
    secret = system.root / "etc" / "shadow"
    secret.write_text("root:x\n")
    secret.chmod(0o644)
    (home / ".bashrc").symlink_to(secret)
    failed = system.run(capsys, scope="users", users=["alice"], shells=["bash"])
    assert ".bashrc: cannot be written as user 23456: Permission denied" in failed["msg"]
    assert secret.read_text() == "root:x\n"


@pytest.mark.parametrize(
    ("name", "told"),
    [("bob", "The home folder .*/home/bob does not exist"), ("nobodyhere", "This node has no such user")],
)
def test_a_user_without_a_home_is_one_clear_error(system: System, capsys: Capture, name: str, told: str) -> None:
    import re

    system.user("alice", os.geteuid())
    system.user("bob", os.geteuid(), home=False)
    before = tree(system.root)
    failed = system.run(capsys, scope="users", users=["alice", name])
    assert failed["failed"]
    assert re.search(f"shell_init_users: {name} is not accepted. {told}", failed["msg"])
    assert tree(system.root) == before


def test_another_installation_s_block_is_replaced_on_request_only(system: System, capsys: Capture) -> None:
    other = System(system.root / "other")
    other.root = system.root
    other.run(capsys)
    before = tree(system.root)
    failed = system.run(capsys)
    assert f"block of {other.prefix}, not of {system.prefix}" in failed["msg"]
    assert tree(system.root) == before
    assert system.run(capsys, replace=True)["changed"] is True
    assert system.run(capsys)["changed"] is False


def test_what_is_no_regular_file_is_not_opened(system: System, capsys: Capture) -> None:
    (system.root / "etc/bash.bashrc").unlink()
    os.mkfifo(system.root / "etc/bash.bashrc")
    assert "bash.bashrc: is no regular file" in system.run(capsys)["msg"]


def test_the_user_that_runs_is_meant_by_an_empty_list(
    system: System, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = system.root / "mine"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    result = system.run(capsys, scope="users", system_root="/")
    assert {entry["user"] for entry in result["files"]} == {ME}
    assert {path.name for path in home.iterdir()} == {".bashrc", ".profile", ".zprofile", ".zshrc"}


def test_conda_facts_sees_the_same_and_changes_nothing(system: System, capsys: Capture, tmp_path: Path) -> None:
    system.user("alice", os.geteuid())
    system.run(capsys)
    before = tree(tmp_path)
    arguments = {
        "prefix": str(system.prefix),
        "root": str(tmp_path / "root"),
        "users": ["alice", "nobodyhere"],
        "system_root": str(system.root),
    }
    with patch_module_args(arguments), pytest.raises(SystemExit):
        conda_facts.main()
    result = json.loads(capsys.readouterr().out)
    assert result["changed"] is False
    conda = result["conda"]
    assert conda["schema_version"] == 1
    assert conda["installation"]["state"] == "foreign"
    states = {Path(entry["path"]).name: entry["block"] for entry in conda["shells"]["files"]}
    assert {name for name, state in states.items() if state == "present"} == {"zz-condafleet.sh", "bash.bashrc"}
    assert {".bashrc", ".profile", ".zshenv", "config.fish", ".tcshrc", "environment"} <= set(states)
    assert "nobodyhere" in conda["shells"]["problems"][0]
    assert tree(tmp_path) == before


def listing(top: Path) -> dict[str, bytes]:
    return {str(path.relative_to(top)): path.read_bytes() for path in top.rglob("*") if path.is_file()}


def test_every_place_of_the_system_and_back(system: System, capsys: Capture) -> None:
    for folder in ("etc/zsh", "etc/fish", "etc/csh"):
        (system.root / folder).mkdir()
    (system.root / "etc/csh.cshrc").write_text("# csh\r\n")
    before = tree(system.root)
    result = system.run(capsys, **ALL)
    assert changed(result) == [
        "zz-condafleet.sh", "bash.bashrc", "env.sh", "environment", "zshenv", "zprofile", "zshrc",
        "condafleet.fish", "csh.cshrc", "conda",
    ]  # fmt: skip
    # Behind Debian's early return, a script would not get there; an administrator's own line comes last and wins.
    assert (system.root / "etc/bash.bashrc").read_text().endswith("<<<\n# Debian's\n")
    assert "BASH_ENV=/etc/condafleet/env.sh\n" in (system.root / "etc/environment").read_text()
    assert (system.root / "usr/local/bin/conda").readlink() == system.prefix / "condabin/conda"
    assert system.run(capsys, **ALL)["changed"] is False
    # One choice after the other is taken away.
    assert changed(system.run(capsys, **{**ALL, "shells": ["bash", "posix"]})) == [
        "zshenv", "zprofile", "zshrc", "condafleet.fish", "csh.cshrc",
    ]  # fmt: skip
    assert changed(system.run(capsys, shells=["bash", "posix"], starts=["login"])) == [
        "zz-condafleet.sh", "bash.bashrc", "env.sh", "environment", "conda",
    ]  # fmt: skip
    assert changed(system.run(capsys, shells=["bash"], starts=["login"], mode="off")) == ["zz-condafleet.sh"]
    assert tree(system.root) == before


@pytest.mark.skipif(not ROOT, reason="only root works for other users")
def test_who_leaves_the_declaration_loses_the_block(system: System, capsys: Capture) -> None:
    homes = {name: system.user(name, 23456 + number) for number, name in enumerate(("alice", "bob", "carol"))}
    (system.root / "etc/group").write_text("ml:x:900:alice,ghost\nsudo:x:901:\n")
    system.user("dave", 24000, home=False)
    with (system.root / "etc/passwd").open("a") as stream:
        stream.write("erin:x:23999:900::/home/erin:/bin/sh\n")
    (system.root / "home/erin").mkdir()
    os.chown(system.root / "home/erin", 23999, 900)
    before = tree(system.root)
    system.run(capsys, scope="users", users=["alice", "bob"], **ALL)
    assert {path.stat().st_uid for path in homes["bob"].rglob("*")} == {23457}
    assert listing(homes["carol"]) == {}

    # alice by name, erin by her first group; ghost is no account here.
    grouped = system.run(capsys, scope="group", group="ml", shells=["bash"])
    assert [one["user"] for one in grouped["skipped"]] == ["ghost"]
    assert "no such user" in grouped["skipped"][0]["why"]
    # Warnings of this process' other tests may be there too.
    assert [text for text in grouped.get("warnings", []) if "ghost" in str(text)] == []
    assert {path.name for path in homes["alice"].iterdir()} == {".bashrc", ".profile"}
    assert {path.name for path in (system.root / "home/erin").iterdir()} == {".bashrc", ".profile"}
    assert listing(homes["bob"]) == {}
    assert {one["after"] for one in grouped["diff"] if "/bob/" in one["before_header"]} == {""}
    assert system.run(capsys, scope="group", group="ml", shells=["bash"])["changed"] is False

    assert system.run(capsys, shells=["bash"])["changed"] is True
    assert listing(homes["alice"]) == {}
    system.run(capsys, state="absent")
    assert tree(system.root) == before


def test_a_group_that_is_not_there_is_one_clear_error(system: System, capsys: Capture) -> None:
    (system.root / "etc/group").write_text("ml:x:900:\n")
    before = tree(system.root)
    failed = system.run(capsys, scope="group", group="mx")
    assert "shell_init_group: mx is not accepted. This node has no such group. Next: create" in failed["msg"]
    assert tree(system.root) == before
    assert system.run(capsys, scope="group", group="ml")["changed"] is False


def test_a_program_that_is_there_is_not_lost(system: System, capsys: Capture) -> None:
    program = system.root / "usr/local/bin/conda"
    program.write_text("#!/bin/sh\n")
    before = tree(system.root)
    assert "usr/local/bin/conda: is no link. Next: move it away" in system.run(capsys, **ALL)["msg"]
    assert tree(system.root) == before
    program.unlink()
    program.symlink_to("/opt/other/condabin/conda")
    assert "is a link to the conda of /opt/other, not of" in system.run(capsys, **ALL)["msg"]
    assert system.run(capsys, replace=True, **ALL)["changed"] is True
    assert system.run(capsys, state="absent")["changed"] is True
    assert not os.path.lexists(program)


def test_folders_made_for_a_system_can_be_entered_by_all(system: System, capsys: Capture) -> None:
    (system.root / "etc/fish").mkdir()
    former = os.umask(0o077)
    try:
        system.run(capsys, shells=["fish"])
    finally:
        os.umask(former)
    assert stat.S_IMODE((system.root / "etc/fish/conf.d").stat().st_mode) == 0o755
    assert stat.S_IMODE((system.root / "etc/fish/conf.d/condafleet.fish").stat().st_mode) == 0o644


def test_a_tcsh_user_s_cshrc_is_not_hidden(system: System, capsys: Capture) -> None:
    home = system.user("alice", os.geteuid())
    (home / ".cshrc").write_text("# mine\n")
    result = system.run(capsys, scope="users", users=["alice"], shells=["tcsh"])
    assert changed(result) == [".cshrc"]
    assert not (home / ".tcshrc").exists()


def test_an_image_s_links_do_not_lead_out_of_it(system: System, capsys: Capture, tmp_path: Path) -> None:
    outside = tmp_path / "hostfile"
    outside.write_text("# the host's\n")
    (system.root / "etc/bash.bashrc").unlink()
    (system.root / "etc/bash.bashrc").symlink_to(outside)
    host = tree(tmp_path / "miniconda3")
    assert system.run(capsys)["changed"] is True
    assert outside.read_text() == "# the host's\n"
    inside = system.root / str(outside).lstrip("/")
    assert str(system.prefix) in inside.read_text()
    assert system.run(capsys)["changed"] is False
    system.run(capsys, state="absent")
    assert not inside.exists()
    assert (system.root / "etc/bash.bashrc").is_symlink()
    assert tree(tmp_path / "miniconda3") == host


OWN_BLOCK = """# >>> conda initialize >>>
export PATH="/home/x/miniconda3/condabin:$PATH"
# <<< conda initialize <<<
"""


def group(system: System, *members: str) -> dict[str, Any]:
    (system.root / "etc/group").write_text(f"ml:x:900:{','.join(members)}\n")
    return {"scope": "group", "group": "ml", "shells": ["bash"]}


@pytest.mark.skipif(not ROOT, reason="only root works for other users")
def test_one_member_s_own_conda_does_not_stop_the_group(system: System, capsys: Capture) -> None:
    homes = {name: system.user(name, 23456 + number) for number, name in enumerate(("alice", "bob", "carol"))}
    (homes["alice"] / ".bashrc").write_text(OWN_BLOCK)
    (homes["bob"] / ".profile").write_text("# >>> conda initialize >>>\n")
    before = {name: listing(homes[name]) for name in ("alice", "bob")}
    ml = group(system, *homes)
    promised, done = system.run(capsys, check=True, **ml), system.run(capsys, **ml)
    assert promised["files"] == done["files"]
    assert {entry["user"] for entry in done["files"]} == {"carol"}
    assert {path.name for path in homes["carol"].iterdir()} == {".bashrc", ".profile"}
    assert {name: listing(homes[name]) for name in before} == before
    reasons = {one["user"]: one["why"] for one in done["skipped"]}
    assert "block of /home/x/miniconda3, not of" in reasons["alice"]
    assert "without its counterpart" in reasons["bob"]
    assert promised["skipped"] == done["skipped"]
    assert "alice: left out. " in str(done["warnings"])
    assert system.run(capsys, **ml)["changed"] is False
    # Who is named has to be answered for.
    failed = system.run(capsys, scope="users", users=["alice"], shells=["bash"])
    assert "block of /home/x/miniconda3, not of" in failed["msg"]
    # What can be taken out is.
    (homes["carol"] / ".bashrc").write_text((homes["carol"] / ".bashrc").read_text() + "# <<< conda initialize <<<\n")
    system.run(capsys, state="absent", **ml)
    assert {path.name for path in homes["carol"].iterdir()} == {".bashrc"}


@pytest.mark.skipif(not ROOT, reason="only root works for other users")
def test_a_home_that_can_not_be_written_does_not_stop_the_group(
    system: System, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    service, carol = system.user("aservice", 23456), system.user("carol", 23457)
    os.chown(service, 0, 0)
    theirs = system.user("dave", 23458) / ".bashrc"
    theirs.write_text("# root's\n")
    ml = group(system, "aservice", "carol", "dave")
    promised = system.run(capsys, check=True, **ml)
    reasons = {one["user"]: one["why"] for one in promised["skipped"]}
    assert ".bashrc: cannot be written as user 23456: Permission denied" in reasons["aservice"]
    assert "it belongs to user 0, group 0" in reasons["dave"]
    named = {"scope": "users", "users": ["aservice"], "shells": ["bash"]}
    for check in (True, False):
        assert "cannot be written as user 23456" in system.run(capsys, check=check, **named)["msg"]
    # What only shows when it is done, such as a quota that is used up.
    with monkeypatch.context() as patched:
        patched.setattr(observe_shells, "unwritable", lambda *_words, **_more: None)
        surprised = system.run(capsys, **ml)
    assert {one["user"]: one["why"] for one in surprised["skipped"]}.keys() == reasons.keys()
    done = {(entry["user"], Path(entry["path"]).name) for entry in surprised["files"] if entry["changed"]}
    assert surprised["changed"] is True
    assert done == {("carol", ".bashrc"), ("carol", ".profile"), ("dave", ".profile")}
    assert listing(service) == {}
    assert {path.name for path in carol.iterdir()} == {".bashrc", ".profile"}
    again = system.run(capsys, **ml)
    assert (again["changed"], len(again["skipped"])) == (False, 2)


@pytest.mark.skipif(not ROOT, reason="only root works for other users")
def test_who_has_no_home_today_is_not_forgotten(system: System, capsys: Capture) -> None:
    system.user("alice", 23456)
    bob = system.user("bob", 23457)
    system.run(capsys, scope="users", users=["alice", "bob"])
    away = bob.rename(system.root / "unmounted")
    narrowed = system.run(capsys, scope="users", users=["alice"], shells=["bash"])
    assert (narrowed["changed"], [one["user"] for one in narrowed["skipped"]]) == (True, ["bob"])
    gone = system.run(capsys, state="absent")
    assert "bob: a block of" in str(gone["warnings"])
    assert "may remain" in str(gone["warnings"])
    again = system.run(capsys, state="absent")
    assert (again["changed"], again["skipped"]) == (False, gone["skipped"])
    away.rename(bob)
    assert system.run(capsys, state="absent")["changed"] is True
    assert listing(bob) == {}
    assert not (system.root / "var/lib/condafleet").exists()


@pytest.mark.skipif(not ROOT, reason="only root works for other users")
def test_a_user_s_files_are_looked_for_with_that_user_s_rights(system: System) -> None:
    home = system.user("alice", 23456)
    (home / ".bash_profile").touch()
    (home / ".cshrc").touch()
    home.chmod(0o700)
    ask = (
        "import json, sys; from ansible_collections.condafleet.core.plugins.module_utils.shell_files import candidates;"
        "print(json.dumps([one['path'] for one in candidates(['alice'], sys.argv[1])[0] "
        "if one['user'] and one['shells']]))"
    )
    # As root is on a file system of another machine: without any rights of its own.
    done = subprocess.run(
        ["setpriv", "--bounding-set=-dac_override,-dac_read_search", sys.executable, "-c", ask, system.root],
        env={"PYTHONPATH": os.pathsep.join(sys.path)}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert {".bash_profile", ".cshrc"} < {Path(path).name for path in json.loads(done.stdout)}


@pytest.mark.skipif(not shutil.which("unshare"), reason="there is no unshare")
def test_a_user_whom_the_system_can_not_be_is_named(system: System) -> None:
    system.user("alice", 23456)
    ask = (
        "import sys; from ansible_collections.condafleet.core.plugins.module_utils.shell_files import candidates;"
        "print(candidates(['alice'], sys.argv[1])[1]['alice'])"
    )
    done = subprocess.run(
        ["unshare", "--user", "--map-root-user", sys.executable, "-c", ask, system.root],
        env={"PYTHONPATH": os.pathsep.join(sys.path)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if "unshare failed" in done.stderr:
        pytest.skip("this system makes no user namespaces")
    assert "this process can't work as user alice (uid 23456, gid 23456): " in done.stdout, done


def test_an_administrator_s_own_link_stays(system: System, capsys: Capture) -> None:
    program = system.root / "usr/local/bin/conda"
    program.symlink_to(system.prefix / "condabin/conda")
    assert changed(system.run(capsys)) == ["zz-condafleet.sh", "bash.bashrc"]
    system.run(capsys, **ALL)
    assert system.run(capsys, **ALL)["changed"] is False
    system.run(capsys, state="absent")
    assert program.is_symlink()
    # Ours is noted, by whoever makes it.
    program.unlink()
    system.run(capsys, **ALL)
    assert changed(system.run(capsys, shells=["bash"], starts=["login"]))[-1] == "conda"
    assert not os.path.lexists(program)
