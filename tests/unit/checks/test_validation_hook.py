"""A site's command for nodes with bad verdicts: filled in, never through a shell, and really run."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.condafleet.core.plugins.action.validation_hook import carry_out
from ansible_collections.condafleet.core.plugins.module_utils import findings, hook_command
from ansible_collections.condafleet.core.plugins.module_utils.check_catalog import BY_NAME
from ansible_collections.condafleet.core.plugins.module_utils.declare_validation import check_validation

DRAIN = ["scontrol", "update", "NodeName={host}", "State=DRAIN", "Reason={reason}"]
BAD: dict[str, Any] = {"verdict": "FAIL", "complaints": ["FAIL gpu.ecc (GPU-1): 2 errors."], "bad": ["gpu.ecc"]}


def test_words_are_filled_in() -> None:
    assert hook_command.filled(DRAIN, "n1", BAD) == [
        "scontrol", "update", "NodeName=n1", "State=DRAIN", "Reason=condafleet: FAIL gpu.ecc (GPU-1): 2 errors.",
    ]  # fmt: skip
    more = {**BAD, "bad": ["gpu.ecc", "gpu.xid"]}
    assert hook_command.filled(["{host}{host}", "{verdict}:{checks}", "{x} {}"], "n1", more) == [
        "n1n1", "FAIL:gpu.ecc,gpu.xid", "{x} {}",
    ]  # fmt: skip


def test_only_nodes_with_these_verdicts_are_acted_on() -> None:
    judged = {name: {**BAD, "verdict": name.upper()} for name in ("fail", "error", "pass", "skip")}

    def acted_on(*verdicts: str) -> list[str]:
        return list(hook_command.commands(dict.fromkeys(judged, hook_command.Hook(DRAIN, verdicts)), judged))

    assert acted_on("FAIL") == ["fail"]
    assert acted_on("FAIL", "ERROR") == ["error", "fail"]
    assert hook_command.commands({}, {}) == {}


def test_each_host_has_the_hook_that_is_declared_for_it() -> None:
    declared = check_validation({"environments": [], "hook": ["mail", "{host}"], "hook_verdicts": ["ERROR"]})
    mail = hook_command.declared_for(declared)
    assert mail == hook_command.Hook(["mail", "{host}"], ["ERROR"], False, 20, 60)
    hooks = {"a": hook_command.declared_for({}), "b": mail, "c": hook_command.Hook(DRAIN)}
    judged = {"a": BAD, "b": {**BAD, "verdict": "ERROR"}, "c": BAD}
    assert {host: words[0] for host, words in hook_command.commands(hooks, judged).items()} == {
        "b": "mail", "c": "scontrol",
    }  # fmt: skip


def test_what_a_node_said_stays_one_word_and_is_no_field() -> None:
    one = {**BAD, "complaints": ["$(touch x); `id` {host}\n\x1b[31mred\x00"]}
    words = hook_command.filled(DRAIN, "n1", one)
    assert len(words) == len(DRAIN)
    assert words[-1] == "Reason=condafleet: $(touch x); `id` {host} [31mred "


def test_nothing_that_a_node_says_keeps_its_command_from_being_run(tmp_path: Path) -> None:
    told = tmp_path / "told"
    command = [script(tmp_path, f'printf %s "$1" > {told}'), "{reason}"]
    words = hook_command.filled(command, "n1", {**BAD, "complaints": ["odd \ud800 \x9b2J \u202e words\u2028here"]})
    assert carry_out(words, 30)["problem"] is None
    assert told.read_text() == "condafleet: odd    2J   words here"


@given(st.text(max_size=2000))
def test_a_reason_is_one_short_line(text: str) -> None:
    (word,) = hook_command.filled(["{reason}"], "n1", {**BAD, "complaints": [text]})
    assert len(word) <= hook_command.LONGEST
    assert not any(ord(letter) < 32 for letter in word)


def test_checks_are_named_once_fail_first() -> None:
    error = findings.unknown(BY_NAME["gpu.xid"], "node", "no log", "run as root")
    ecc = [findings.failed(BY_NAME["gpu.ecc"], f"GPU-{number}", 2, "2 errors", "drain it") for number in range(3)]
    sound = findings.passed(BY_NAME["host.cpus"], "node", 8)
    assert hook_command.bad_checks([sound, error, *ecc]) == ["gpu.ecc", "gpu.xid"]


def script(folder: Path, text: str) -> str:
    path = folder / "hook.sh"
    path.write_text("#!/bin/sh\n" + text)
    path.chmod(0o755)
    return str(path)


def test_a_command_gets_its_words_as_they_are(tmp_path: Path) -> None:
    program = script(tmp_path, f'printf "%s\\n" "$#" "$2" > {tmp_path}/seen; echo drained "$1"')
    done = carry_out([program, "n1", "a  b; $(touch x) *"], 10)
    assert (tmp_path / "seen").read_text() == "2\na  b; $(touch x) *\n"
    assert (done["ran"], done["rc"], done["problem"], done["output"]) == (True, 0, None, "drained n1")


@pytest.mark.parametrize("text", ["echo no such node >&2; exit 3", "cat; echo no such node; exit 3"])
def test_a_command_that_fails_is_told_with_what_it_said(tmp_path: Path, text: str) -> None:
    done = carry_out([script(tmp_path, text)], 10)
    assert (done["rc"], done["problem"], done["output"]) == (3, "it ended with status 3", "no such node")


@pytest.mark.parametrize("words", [["/nonexistent/hook"], ["/etc/hostname"], ["a\x00b"]])
def test_a_command_that_cannot_be_started_is_told(words: list[str]) -> None:
    done = carry_out(words, 10)
    assert done["rc"] is None
    assert done["problem"].startswith("it could not be started (")


def test_a_command_that_hangs_ends_with_all_that_it_started(tmp_path: Path) -> None:
    began = time.monotonic()
    done = carry_out([script(tmp_path, f"sleep 300 & echo $! > {tmp_path}/child; echo waiting; wait")], 1)
    assert time.monotonic() - began < 10
    assert done["problem"] == "it took longer than 1 seconds (validation_hook_timeout) and was ended"
    assert done["output"] == "waiting"
    assert not alive(int((tmp_path / "child").read_text()))


def test_what_a_command_leaves_in_the_background_is_not_waited_for(tmp_path: Path) -> None:
    began = time.monotonic()
    done = carry_out([script(tmp_path, f"sleep 20 & echo $! > {tmp_path}/child")], 15)
    assert time.monotonic() - began < 10
    assert done["problem"] is None
    os.kill(int((tmp_path / "child").read_text()), 9)


def alive(process: int) -> bool:
    """A process that has ended, and that nobody has waited for yet, has no command line."""
    for _ in range(50):
        try:
            if not Path(f"/proc/{process}/cmdline").read_bytes():
                return False
        except OSError:
            return False
        time.sleep(0.1)
    return True


def test_results_are_json(tmp_path: Path) -> None:
    json.dumps(carry_out([script(tmp_path, "printf '\\377\\000x'")], 10))
