"""The list of a generation's files: random edits to a tree are found, exactly; what is normal is not."""

from __future__ import annotations

import os
import shutil
import signal
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.condafleet.core.plugins.module_utils import generation_files as listed_files
from ansible_collections.condafleet.core.plugins.module_utils import parallel
from ansible_collections.condafleet.core.plugins.module_utils.errors import FleetError

LIMIT = 60.0
KINDS = ("changed", "missing", "added")

parts = st.sampled_from(["a", "b", "lib", "x.py", "x.pyc", "y.pyc", "é \udcff\n"])
paths = st.lists(parts, min_size=1, max_size=3).map("/".join)
contents = st.binary(max_size=20)


def make(base: Path, files: dict[str, bytes]) -> dict[str, bytes]:
    """Write what can be written (no file is a folder too); what was written."""
    made = {}
    for path, content in sorted(files.items()):
        if any(path.startswith(other + "/") for other in made) or (base / path).is_dir():
            continue
        (base / path).parent.mkdir(parents=True, exist_ok=True)
        (base / path).write_bytes(content)
        made[path] = content
    return made


def counted(files: dict[str, bytes], listed: set[str] = frozenset()) -> set[str]:
    """Those that count: a .pyc beside its .py does not, unless it is listed."""
    return {path for path in files if not path.endswith(".pyc") or path[:-1] not in files or path in listed}


def differences(found: dict) -> dict[str, list[str]]:
    return {kind: found[kind] for kind in KINDS}


@settings(max_examples=settings().max_examples * 2 // 5, deadline=None)
@given(
    files=st.dictionaries(paths, contents, max_size=8),
    edits=st.dictionaries(paths, contents | st.none(), max_size=6),
    modes=st.booleans(),
)
def test_random_edits_are_found_exactly(
    tmp_path_factory: pytest.TempPathFactory, files: dict, edits: dict, modes: bool
) -> None:
    base = tmp_path_factory.mktemp("tree")
    before = make(base, files)
    known = listed_files.list_files(str(base), LIMIT)
    assert listed_files.verify(str(base), known, LIMIT)["counts"] == dict.fromkeys(KINDS, 0)
    after = dict(before)
    changed_mode = set()
    for path, content in sorted(edits.items()):
        if content is None and path in after:
            (base / path).unlink()
            del after[path]
        elif content is not None and path in after:
            (base / path).write_bytes(content)
            after[path] = content
        elif content is not None:
            after.update(make(base, {path: content}) if not any(path.startswith(one + "/") for one in after) else {})
    if modes and after:
        path = sorted(after)[0]
        (base / path).chmod(0o755)
        changed_mode = {path}
    was = counted(before)
    now = counted(after, was)
    # what has become a folder is still there, but is no file any more
    folders = {path for path in was - now if (base / path).is_dir()}
    edited = {path for path in was & now if before[path] != after[path] or path in changed_mode}
    found = listed_files.verify(str(base), known, LIMIT)
    assert differences(found) == {
        "changed": sorted(edited | folders),
        "missing": sorted(was - now - folders),
        "added": sorted(now - was),
    }
    assert found["checked"] == len(was)
    assert found["more"] == 0


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    base = tmp_path / "prefix"
    make(base, {"bin/tool": b"#!", "lib/a.py": b"a", "lib/b.py": b"b", "lib/sub/c.so": b"c", ".condafleet.json": b"{}"})
    (base / "bin/link").symlink_to("tool")
    (base / "lib/big").write_bytes(b"x" * (listed_files.LARGE + 5))
    return base


def verified(base: Path, known: dict) -> dict[str, list[str]]:
    return differences(listed_files.verify(str(base), known, LIMIT))


NOTHING: dict[str, list[str]] = {"changed": [], "missing": [], "added": []}


def test_what_is_normal_is_left_out(tree: Path) -> None:
    known = listed_files.list_files(str(tree), LIMIT)
    make(tree, {"lib/__pycache__/a.cpython-311.pyc": b"1", "lib/a.pyc": b"2", ".condafleet-failed.json": b"{}"})
    (tree / "empty").mkdir()
    assert verified(tree, known) == NOTHING
    # without a source, Python imports it
    make(tree, {"lib/evil.pyc": b"3", "lib/.condafleet-no.json": b"not at the top"})
    assert verified(tree, known) == {**NOTHING, "added": ["lib/.condafleet-no.json", "lib/evil.pyc"]}


def edit_same_size(tree: Path) -> None:
    status = (tree / "lib/a.py").stat()
    (tree / "lib/a.py").write_bytes(b"z")
    os.utime(tree / "lib/a.py", ns=(status.st_atime_ns, status.st_mtime_ns))


def replace(path: Path, target: str) -> None:
    shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    path.symlink_to(target)


def make_pipe(path: Path) -> None:
    """A pipe in a file's place: who reads it waits for ever."""
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        (edit_same_size, {"changed": ["lib/a.py"]}),
        (lambda tree: (tree / "lib/big").write_bytes(b"x" * listed_files.LARGE + b"yyyyy"), {"changed": ["lib/big"]}),
        (lambda tree: (tree / "lib/big").write_bytes(b"x" * (listed_files.LARGE + 6)), {"changed": ["lib/big"]}),
        (lambda tree: (tree / "lib/big").unlink(), {"missing": ["lib/big"]}),
        (lambda tree: (tree / "bin/tool").chmod(0o777), {"changed": ["bin/tool"]}),
        (lambda tree: (tree / "lib/sub").chmod(0o777), {"changed": ["lib/sub/"]}),
        (lambda tree: tree.chmod(0o777), {"changed": ["/"]}),
        (lambda tree: replace(tree / "bin/link", "other"), {"changed": ["bin/link"]}),
        (lambda tree: replace(tree / "bin/tool", "/bin/sh"), {"changed": ["bin/tool"]}),
        (lambda tree: replace(tree / "lib/big", "a.py"), {"changed": ["lib/big"]}),
        (lambda tree: shutil.rmtree(tree / "lib/sub"), {"missing": ["lib/sub/c.so"]}),
        (lambda tree: replace(tree / "lib/sub", "/tmp"), {"added": ["lib/sub"], "missing": ["lib/sub/c.so"]}),
        (lambda tree: make(tree, {"new/deep/er": b"1", "new/x": b""}), {"added": ["new/deep/er", "new/x"]}),
        (lambda tree: make_pipe(tree / "lib/a.py"), {"changed": ["lib/a.py"]}),
    ],
)  # fmt: skip
def test_each_kind_of_edit(tree: Path, edit, expected: dict[str, list[str]]) -> None:
    known = listed_files.list_files(str(tree), LIMIT)
    edit(tree)
    assert verified(tree, known) == {**NOTHING, **expected}


def test_a_file_that_became_a_folder_is_changed_and_what_is_in_it_is_new(tree: Path) -> None:
    known = listed_files.list_files(str(tree), LIMIT)
    (tree / "lib/a.py").unlink()
    make(tree, {"lib/a.py/inner": b"1"})
    assert verified(tree, known) == {**NOTHING, "changed": ["lib/a.py"], "added": ["lib/a.py/inner"]}


def test_a_result_names_the_first_and_counts_the_rest(tree: Path) -> None:
    known = listed_files.list_files(str(tree), LIMIT)
    make(tree, {f"lib/n{number:03}": b"" for number in range(50)})
    found = listed_files.verify(str(tree), known, LIMIT)
    assert found["added"] == [f"lib/n{number:03}" for number in range(listed_files.SHOWN)]
    assert (found["counts"]["added"], found["more"]) == (50, 50 - listed_files.SHOWN)
    assert listed_files.is_damaged(found)


def test_a_list_is_read_only_as_the_receipt_knows_it(tree: Path) -> None:
    digest = listed_files.write_list(str(tree), LIMIT)
    known = listed_files.read_list(str(tree), digest)
    assert known is not None
    assert verified(tree, known) == NOTHING
    assert not listed_files.is_damaged(listed_files.verify(str(tree), known, LIMIT))
    path = tree / listed_files.FILES
    path.write_text(path.read_text().replace("tool", "fool"))
    assert listed_files.read_list(str(tree), digest) is None
    path.unlink()
    assert listed_files.read_list(str(tree), digest) is None


def test_many_pieces_by_several_processes_come_back_in_order() -> None:
    pieces = list(range(parallel.MOST_PIECES))
    assert parallel.in_parallel(lambda one: [one, "ä" * one], pieces, 4, LIMIT, "It") == [
        [one, "ä" * one] for one in pieces
    ]


@pytest.mark.parametrize("workers", [1, 2])
def test_work_that_takes_too_long_is_ended(workers: int) -> None:
    started = time.monotonic()
    with pytest.raises(FleetError, match=r"It was not done within 0 s\. Next: see whether the file system answers"):
        parallel.in_parallel(lambda one: time.sleep(0.3 if workers == 1 else 30), [1, 2, 3], workers, 0.2, "It")
    assert time.monotonic() - started < 5


def fail(one: int) -> int:
    if one == 3:
        raise PermissionError("no entry")
    return one


def test_work_that_fails_says_so() -> None:
    with pytest.raises(FleetError, match=r"It failed: PermissionError: no entry\."):
        parallel.in_parallel(fail, list(range(8)), 2, LIMIT, "It")


def test_a_process_that_is_killed_is_no_answer() -> None:
    with pytest.raises(FleetError, match="a process of it was killed"):
        parallel.in_parallel(lambda one: os.kill(os.getpid(), signal.SIGKILL), [1, 2], 2, LIMIT, "It")
