"""Edits of start-up files, as bytes in and bytes out."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.condafleet.core.plugins.module_utils.shell_markers import (
    END,
    START,
    block,
    drop,
    inspect,
    made_folders,
    put,
)

OURS, THEIRS = "/opt/miniconda3", "/home/alice/miniforge3"
LINES = ["echo never"]
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
FISH_S_OWN = b"""# >>> conda initialize >>>
# !! Contents within this block are managed by 'conda init' !!
if test -f /home/alice/miniforge3/bin/conda
    eval /home/alice/miniforge3/bin/conda "shell.fish" "hook" $argv | source
end
# <<< conda initialize <<<
"""
CONDABIN_S_OWN = b"""# >>> conda initialize >>>
# !! Contents within this block are managed by 'conda init' !!
export PATH="/home/alice/miniforge3/condabin:$PATH"
# <<< conda initialize <<<
"""
# How conda itself takes a block out, blank lines before it included.
REVERSE = re.compile(
    rb"^\s*# >>> conda initialize >>>(?:\n|\r\n)([\s\S]*?)# <<< conda initialize <<<(?:\n|\r\n)?", re.M | re.S
)

lines = st.sampled_from(
    [b"# a comment", b"export A=1", b"", b" ", b"if true; then", b"\xff\xfe", b"# conda initialize"]
)
contents = st.builds(
    lambda parts, end, tail: end.join(parts) + (end if tail else b""),
    st.lists(lines, max_size=6),
    st.sampled_from([b"\n", b"\r\n"]),
    st.booleans(),
)


@settings(deadline=None)
@given(st.none() | contents, st.booleans())
def test_taking_the_block_out_restores_the_file_to_the_byte(content: bytes | None, first: bool) -> None:
    changed = put(content, OURS, LINES, first)
    assert inspect(changed, OURS)["block"] == "present"
    assert put(changed, OURS, LINES, first) == changed
    assert drop(changed, OURS) == (content or b"")
    assert (made_folders(changed, OURS) is None) == (content is not None)


@settings(deadline=None)
@given(contents, st.booleans())
def test_conda_takes_it_out_to_the_byte_too(content: bytes, first: bool) -> None:
    assert REVERSE.sub(b"", put(content, OURS, LINES, first)) == content


@settings(deadline=None)
@given(contents)
def test_what_is_added_after_the_block_stays(content: bytes) -> None:
    changed = put(content, OURS, LINES) + b"\nalias ll='ls -l'\n"
    assert inspect(changed, OURS)["block"] == "present"
    assert drop(changed, OURS) == content + b"\nalias ll='ls -l'\n"


def test_the_block_stands_after_the_last_line_or_before_the_first() -> None:
    assert put(b"a\n\n", OURS, LINES) == b"a\n" + block(OURS, LINES) + b"\n"
    assert put(b"a\n", OURS, LINES, first=True) == block(OURS, LINES) + b"a\n"
    # A line without an end can't be completed: conda would not take that back.
    assert put(b"a\nb", OURS, LINES) == block(OURS, LINES) + b"a\nb"


def test_a_block_that_has_to_be_first_is_moved_there() -> None:
    late = b"case $- in *i*) ;; *) return ;; esac\n" + block(OURS, LINES) + b"b\n"
    assert put(late, OURS, LINES, first=True).startswith(block(OURS, LINES) + b"case")
    assert put(late, OURS, LINES) == late
    commented = b"# mine\n\n" + block(OURS, LINES) + b"b\n"
    assert put(commented, OURS, LINES, first=True) == commented
    assert [inspect(text, OURS)["blocks"][0]["leads"] for text in (late, commented)] == [False, True]


@pytest.mark.timeout(20)
@pytest.mark.parametrize("line", [b"# a comment\r\n", b"\r\n", b" \t\r\n", b"# a comment\n"])
def test_a_long_head_of_comments_takes_no_time(line: bytes) -> None:
    head = line * 5000
    assert inspect(head + block(OURS, LINES), OURS)["blocks"][0]["leads"] is True
    assert inspect(head + b"a=1\r\n" + block(OURS, LINES), OURS)["blocks"][0]["leads"] is False


def test_a_file_made_for_the_block_says_so_and_stays_if_something_was_added() -> None:
    made = put(None, OURS, LINES, folders=2)
    assert made_folders(made, OURS) == 2
    assert inspect(made, OURS)["blocks"][0]["text"] == block(OURS, LINES).decode()
    # Written again with other lines, the file is still one that was made.
    assert made_folders(put(made, OURS, ["true"]), OURS) == 2
    assert drop(made + b"x=1\n", OURS) == b"x=1\n"


@pytest.mark.parametrize("text", [CONDA_S_OWN, FISH_S_OWN, CONDABIN_S_OWN, CONDA_S_OWN.replace(b"\n", b"\r\n")])
def test_another_installation_is_recognised_and_left(text: bytes) -> None:
    content = b"a\r\n" + text + b"b\n"
    found = inspect(content, OURS)
    assert (found["block"], found["prefix"]) == ("other", THEIRS)
    assert [(one["prefix"], one["ours"], one["text"]) for one in found["blocks"]] == [(THEIRS, False, text.decode())]
    assert drop(content, OURS) == content


def test_replacing_keeps_the_place_and_leaves_one_block() -> None:
    content = b"a\r\n" + CONDA_S_OWN + b"b\n" + block(OURS, LINES) + b"c\n"
    assert put(content, OURS, LINES) == b"a\r\n" + block(OURS, LINES) + b"b\nc\n"


def test_conda_s_own_block_for_the_same_installation_can_be_left() -> None:
    content = CONDA_S_OWN.replace(THEIRS.encode(), OURS.encode()) + block(OURS, LINES)
    assert drop(content, OURS) == b""
    assert drop(content, OURS, ours_only=True) == content[: -len(block(OURS, LINES))]


@pytest.mark.parametrize("content", [START + b"\nx\n", b"x\n" + END + b"\n", START + b"\n" + CONDA_S_OWN])
def test_half_a_block_is_damaged(content: bytes) -> None:
    assert inspect(content, OURS)["block"] == "damaged"
