"""What is to change for a declaration, and what is refused: observations in, changes out."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.condafleet.core.plugins.module_utils.declare_shell_init import check_shell_init
from ansible_collections.condafleet.core.plugins.module_utils.errors import InputError
from ansible_collections.condafleet.core.plugins.module_utils.shell_block import left_out, plan_shells, refuse_shells
from ansible_collections.condafleet.core.plugins.module_utils.shell_markers import START, block, inspect, put
from ansible_collections.condafleet.core.plugins.module_utils.shell_text import wanted

from .test_shell_markers import CONDA_S_OWN, OURS

DECLARED: dict[str, Any] = {
    "prefix": OURS,
    "shells": ["bash"],
    "scope": "system",
    "users": [],
    "group": None,
    "starts": ["login", "interactive"],
    "mode": "full",
    "state": "present",
    "replace": False,
}
RC = {"path": "/etc/bash.bashrc", "kind": "bash_rc", "shells": ["bash"], "scope": "system", "user": None, "env": "/e"}
LINES = wanted(RC, DECLARED) or []


def shells(content: bytes | None, **changes: Any) -> dict[str, Any]:
    entry = {**RC, "problem": None, "unwritable": None, **inspect(content, OURS), **changes}
    return {
        "files": [entry],
        "problems": [],
        "skipped": [],
        "noted": [],
        "group": None,
        "user": "root",
        "superuser": True,
    }


def test_a_plan_tells_the_block_that_goes_and_the_one_that_comes() -> None:
    (change,) = plan_shells(shells(b"x\n"), DECLARED)
    assert change == {"what": "/etc/bash.bashrc", "before": "", "after": block(OURS, LINES).decode()}
    (change,) = plan_shells(shells(CONDA_S_OWN), {**DECLARED, "replace": True})
    assert change["before"] == CONDA_S_OWN.decode()
    assert plan_shells(shells(put(b"x", OURS, LINES)), DECLARED) == []
    # A block of ours that says something else.
    assert len(plan_shells(shells(put(b"x", OURS, ["true"])), DECLARED)) == 1


@pytest.mark.parametrize("off", [{"state": "absent"}, {"mode": "off"}])
def test_absent_and_off_take_out_this_installation_s_blocks_and_no_other(off: dict[str, str]) -> None:
    absent = {**DECLARED, **off}
    assert plan_shells(shells(b"x\n"), absent) == []
    assert plan_shells(shells(CONDA_S_OWN), absent) == []
    (change,) = plan_shells(shells(CONDA_S_OWN + block(OURS, LINES)), absent)
    assert (change["before"], change["after"]) == (block(OURS, LINES).decode(), "")


@pytest.mark.parametrize(
    ("changes", "entry"),
    [
        ({"shells": ["zsh"]}, {}),
        ({"starts": ["login"]}, {}),
        ({"scope": "users", "users": ["bob"]}, {}),
        ({"scope": "users", "users": ["bob"]}, {"scope": "users", "user": "alice"}),
        ({}, {"scope": "users", "user": "alice"}),
        ({}, {"shells": []}),
    ],
)
def test_what_is_no_longer_declared_is_taken_out(changes: dict[str, Any], entry: dict[str, Any]) -> None:
    (change,) = plan_shells(shells(put(b"x\n", OURS, LINES), **entry), {**DECLARED, **changes})
    assert (change["before"], change["after"]) == (block(OURS, LINES).decode(), "")
    # What `conda init` wrote there is its user's.
    own = CONDA_S_OWN.replace(b"/home/alice/miniforge3", OURS.encode())
    assert plan_shells(shells(own, **entry), {**DECLARED, **changes}) == []
    # A user who is not root leaves the system's and others' files, unless they are what was declared.
    if changes == {"starts": ["login"]}:
        return
    seen = {**shells(put(b"x\n", OURS, LINES), **entry), "superuser": False, "user": "carol"}
    assert plan_shells(seen, {**DECLARED, **changes}) == []


def test_the_users_of_a_scope() -> None:
    one = {"scope": "users", "user": "alice"}
    users = {**DECLARED, "scope": "users", "users": ["alice"]}
    assert plan_shells(shells(None), users) == []
    assert plan_shells(shells(None, scope="users", user="bob"), users) == []
    assert len(plan_shells(shells(None, **one), users)) == 1
    assert len(plan_shells(shells(None, scope="users", user="root"), {**users, "users": []})) == 1
    group = {**DECLARED, "scope": "group", "group": "ml"}
    assert len(plan_shells({**shells(None, **one), "group": {"name": "ml", "members": ["alice"]}}, group)) == 1
    assert plan_shells({**shells(None, **one), "group": {"name": "ml", "members": []}}, group) == []


def test_a_block_behind_an_early_return_is_moved_for_scripts() -> None:
    both = {**DECLARED, "starts": ["interactive", "noninteractive"]}
    text = block(OURS, wanted(RC, both) or [])
    assert len(plan_shells(shells(b"return\n" + text), both)) == 1
    assert plan_shells(shells(b"# x\n" + text + b"return\n"), both) == []


def test_what_is_refused_says_the_next_step() -> None:
    told = refuse_shells(shells(CONDA_S_OWN), DECLARED)
    assert told is not None
    assert "/etc/bash.bashrc: holds the `conda initialize` block of /home/alice/miniforge3" in told
    assert "shell_init_replace: true" in told
    assert refuse_shells(shells(CONDA_S_OWN), {**DECLARED, "replace": True}) is None
    assert refuse_shells(shells(CONDA_S_OWN), {**DECLARED, "state": "absent"}) is None
    assert refuse_shells(shells(CONDA_S_OWN), {**DECLARED, "starts": ["login"]}) is None
    assert "by hand" in str(refuse_shells(shells(START + b"\n"), DECLARED))
    assert refuse_shells({**shells(None), "problems": ["no home"]}, {**DECLARED, "scope": "users"}) == "no home"
    assert refuse_shells({**shells(None), "problems": ["no home"]}, DECLARED) is None
    assert refuse_shells(shells(None, problem="cannot be read"), DECLARED) == "cannot be read"
    link = {"kind": "program", "block": "other", "prefix": "/opt/x", "blocks": [{"prefix": "/opt/x"}]}
    scripts = {**DECLARED, "starts": ["noninteractive"]}
    assert "is a link to the conda of /opt/x, not of" in str(refuse_shells(shells(None, **link), scripts))


def test_a_member_of_a_group_is_no_refusal_of_the_node() -> None:
    group = {**DECLARED, "scope": "group", "group": "ml"}
    seen = shells(CONDA_S_OWN, scope="users", user="alice")
    seen["group"] = {"name": "ml", "members": ["alice", "bob"]}
    seen["files"].append({**seen["files"][0], "user": "bob", "path": "/home/bob/.bashrc", **inspect(None, OURS)})
    assert refuse_shells(seen, group) is None
    assert "of /home/alice/miniforge3, not of" in left_out(seen, group)["alice"]
    assert [change["what"] for change in plan_shells(seen, group)] == ["/home/bob/.bashrc"]
    named = {**DECLARED, "scope": "users", "users": ["alice"]}
    assert "of /home/alice/miniforge3, not of" in str(refuse_shells(seen, named))
    # A home that can't be written matters where something is to be written.
    locked = shells(None, scope="users", user="alice", unwritable="no")
    assert refuse_shells(locked, named) == "no"
    assert refuse_shells(locked, {**named, "state": "absent"}) is None
    assert refuse_shells(shells(None, unwritable="no"), DECLARED) == "no"


VALUES = {
    "prefix": OURS,
    "shells": ["bash", "zsh"],
    "scope": "system",
    "users": [],
    "group": "",
    "starts": ["login"],
    "mode": "full",
    "state": "present",
}


def test_a_declaration_is_resolved() -> None:
    declared = check_shell_init({**VALUES, "scope": "users", "users": ["bob", "bob"], "shells": ["zsh", "zsh"]})
    assert declared == {
        "prefix": OURS,
        "shells": ["zsh"],
        "scope": "users",
        "users": ["bob"],
        "group": None,
        "starts": ["login"],
        "mode": "full",
        "state": "present",
        "replace": False,
        "system_root": "/",
    }
    assert check_shell_init({**VALUES, "scope": "group", "group": "ml"})["group"] == "ml"
    # What YAML makes of a bare `off`.
    assert check_shell_init({**VALUES, "mode": False})["mode"] == "off"


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"shells": ["ksh"]}, "shell_init_shells: ksh is not accepted. Accepted: bash, zsh, fish, tcsh, posix"),
        ({"shells": []}, "name at least one"),
        ({"starts": ["ssh"]}, "shell_init_starts: ssh is not accepted. Accepted: login, interactive, noninteractive"),
        ({"starts": "login"}, "shell_init_starts: login is not accepted. Accepted: a list"),
        ({"mode": "half"}, "shell_init_mode: half is not accepted. Accepted: full, condabin, path, off"),
        ({"scope": "everyone"}, "shell_init_scope: everyone .*system, users, group"),
        ({"state": "gone"}, "shell_init_state: gone .*present, absent"),
        ({"users": ["alice"]}, "shell_init_users: alice .*set the scope to users"),
        ({"group": "ml"}, "shell_init_group: ml .*set the scope to group"),
        ({"scope": "group"}, "shell_init_group: an empty value .*name the group"),
        ({"scope": "users", "users": "alice"}, "write it as a list"),
        ({"scope": "users", "users": ["../x"]}, r"shell_init_users: \.\./x"),
        ({"replace": "maybe"}, "shell_init_replace"),
        ({"system_root": "image"}, "shell_init_system_root: image"),
        ({"prefix": "x"}, "shell_init_prefix: x"),
    ],
)
def test_bad_input_has_one_clear_error(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(InputError, match=told):
        check_shell_init({**VALUES, **changes})
