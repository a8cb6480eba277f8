"""The block and the edits of start-up files, as bytes in and bytes out."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.condafleet.core.plugins.module_utils.declare_shell_init import check_shell_init
from ansible_collections.condafleet.core.plugins.module_utils.errors import InputError
from ansible_collections.condafleet.core.plugins.module_utils.shell_block import (
    END,
    START,
    block,
    drop,
    inspect,
    plan_shells,
    put,
    refuse_shells,
)

OURS, THEIRS = "/opt/miniconda3", "/home/alice/miniforge3"
# What `conda init` 24.7 writes, for THEIRS.
CONDA_S_OWN = b"""# >>> conda initialize >>>
# !! Contents within this block are managed by 'conda init' !!
__conda_setup="$('/home/alice/miniforge3/bin/conda' 'shell.bash' 'hook' 2> /dev/null)"
if [ $? -eq 0 ]; then
    eval "$__conda_setup"
else
    if [ -f "/home/alice/miniforge3/etc/profile.d/conda.sh" ]; then
        . "/home/alice/miniforge3/etc/profile.d/conda.sh"
    else
        export PATH="/home/alice/miniforge3/bin:$PATH"
    fi
fi
unset __conda_setup
# <<< conda initialize <<<
"""

lines = st.sampled_from([b"# a comment", b"export A=1", b"", b"if true; then", b"\xff\xfe", b"# conda initialize"])
contents = st.builds(
    lambda parts, end, tail: end.join(parts) + (end if tail else b""),
    st.lists(lines, max_size=6),
    st.sampled_from([b"\n", b"\r\n"]),
    st.booleans(),
)


@settings(deadline=None)
@given(st.none() | contents)
def test_taking_the_block_out_restores_the_file_to_the_byte(content: bytes | None) -> None:
    changed = put(content, OURS)
    assert inspect(changed, OURS)["block"] == "present"
    assert put(changed, OURS) == changed
    assert changed.startswith(content or b"")
    assert drop(changed, OURS) == content


@settings(deadline=None)
@given(contents)
def test_what_is_added_after_the_block_stays(content: bytes) -> None:
    changed = put(content, OURS) + b"alias ll='ls -l'\n"
    assert inspect(changed, OURS)["block"] == "present"
    rest = drop(changed, OURS)
    assert rest is not None
    assert rest.startswith(content)
    assert rest.endswith(b"\nalias ll='ls -l'\n") or rest == content + b"alias ll='ls -l'\n"


def test_a_file_made_for_the_block_stays_if_something_was_added() -> None:
    assert drop(put(None, OURS) + b"x=1\n", OURS) == b"x=1\n"


def test_another_installation_is_recognised_and_left() -> None:
    content = b"a\n" + CONDA_S_OWN + b"b\n"
    assert inspect(content, OURS) == {
        "block": "other",
        "prefix": THEIRS,
        "blocks": [{"prefix": THEIRS, "text": CONDA_S_OWN.decode()}],
    }
    assert drop(content, OURS) == content


def test_replacing_keeps_the_place_and_leaves_one_block() -> None:
    content = b"a\n" + CONDA_S_OWN + b"b\n" + block(OURS) + b"c\n"
    assert put(content, OURS) == b"a\n" + block(OURS) + b"b\nc\n"


def test_conda_s_own_block_for_the_same_installation_is_ours_to_replace() -> None:
    content = CONDA_S_OWN.replace(THEIRS.encode(), OURS.encode())
    found = inspect(content, OURS)
    assert (found["block"], found["prefix"]) == ("other", OURS)
    assert refuse_shells(shells(content), DECLARED) is None
    assert put(content, OURS) == block(OURS)


def test_windows_line_ends_around_a_block_are_kept() -> None:
    content = b"a\r\n" + CONDA_S_OWN.replace(b"\n", b"\r\n") + b"b\r\n"
    assert inspect(content, OURS)["prefix"] == THEIRS
    # Ours has none: a shell would read them as a part of its words.
    assert put(content, OURS) == b"a\r\n" + block(OURS) + b"b\r\n"


@pytest.mark.parametrize("content", [START + b"\nx\n", b"x\n" + END + b"\n", START + b"\n" + CONDA_S_OWN])
def test_half_a_block_is_damaged(content: bytes) -> None:
    assert inspect(content, OURS)["block"] == "damaged"


DECLARED: dict[str, Any] = {
    "prefix": OURS,
    "shells": ["bash"],
    "scope": "system",
    "users": [],
    "state": "present",
    "replace": False,
}


def shells(content: bytes | None, **changes: Any) -> dict[str, Any]:
    entry = {"path": "/etc/bash.bashrc", "shell": "bash", "scope": "system", "user": None, "problem": None}
    return {"files": [{**entry, **inspect(content, OURS), **changes}], "problems": [], "user": "root"}


def test_the_plan_shows_blocks_and_is_empty_when_nothing_is_to_do() -> None:
    assert plan_shells(shells(b"x\n"), DECLARED) == [
        {"what": "/etc/bash.bashrc", "before": "", "after": block(OURS).decode()}
    ]
    assert plan_shells(shells(put(b"x", OURS)), DECLARED) == []
    absent = {**DECLARED, "state": "absent"}
    assert plan_shells(shells(b"x\n"), absent) == []
    assert plan_shells(shells(CONDA_S_OWN), absent) == []
    (change,) = plan_shells(shells(CONDA_S_OWN + block(OURS)), absent)
    assert (change["before"], change["after"]) == (block(OURS).decode(), "")


def test_only_the_declared_shells_and_users_count() -> None:
    assert plan_shells(shells(None, shell="zsh"), DECLARED) == []  # noqa: S604 - no process is started here
    users = {**DECLARED, "scope": "users", "users": ["alice"]}
    assert plan_shells(shells(None), users) == []
    assert plan_shells(shells(None, scope="users", user="bob"), users) == []
    assert len(plan_shells(shells(None, scope="users", user="alice"), users)) == 1
    assert len(plan_shells(shells(None, scope="users", user="root"), {**users, "users": []})) == 1


def test_what_is_refused_says_the_next_step() -> None:
    told = refuse_shells(shells(CONDA_S_OWN), DECLARED)
    assert told is not None
    assert "/etc/bash.bashrc: holds the `conda initialize` block of /home/alice/miniforge3" in told
    assert "shell_init_replace: true" in told
    assert refuse_shells(shells(CONDA_S_OWN), {**DECLARED, "replace": True}) is None
    assert refuse_shells(shells(CONDA_S_OWN), {**DECLARED, "state": "absent"}) is None
    assert "by hand" in str(refuse_shells(shells(START + b"\n"), DECLARED))
    assert refuse_shells({**shells(None), "problems": ["no home"]}, {**DECLARED, "scope": "users"}) == "no home"
    assert refuse_shells({**shells(None), "problems": ["no home"]}, DECLARED) is None
    assert refuse_shells(shells(None, problem="cannot be read"), DECLARED) == "cannot be read"


VALUES = {"prefix": OURS, "shells": ["bash", "zsh"], "scope": "system", "users": [], "state": "present"}


def test_a_declaration_is_resolved() -> None:
    declared = check_shell_init({**VALUES, "scope": "users", "users": ["bob", "bob"], "shells": ["zsh", "zsh"]})
    assert declared == {
        "prefix": OURS,
        "shells": ["zsh"],
        "scope": "users",
        "users": ["bob"],
        "state": "present",
        "replace": False,
        "system_root": "/",
    }


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"shells": ["fish"]}, "shell_init_shells: fish is not accepted. Accepted: bash, zsh"),
        ({"shells": []}, "name at least one shell"),
        ({"scope": "everyone"}, "shell_init_scope: everyone .*system, users"),
        ({"state": "gone"}, "shell_init_state: gone .*present, absent"),
        ({"users": ["alice"]}, "shell_init_users: alice .*set the scope to users"),
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
