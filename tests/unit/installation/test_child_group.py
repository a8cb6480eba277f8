"""A job that is ended takes along what it runs, also what has a process group of its own. With real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from ansible_collections.condafleet.core.plugins.module_utils.child_group import child_group, end_group
from ansible_collections.condafleet.core.plugins.plugin_utils.stopping import stop_command

# Starts a child that shrugs at being asked, tells both numbers, and goes on for long.
STUBBORN = """\
trap '' TERM
sleep 60 &
echo "$$ $!" > numbers.new
mv numbers.new numbers
wait
"""
UTILS = "ansible_collections.condafleet.core.plugins.module_utils"
JOBS = {
    "an installer": f"""
from {UTILS}.installer_program import run_installer
from {UTILS}.progress import Progress
run_installer("stubborn.sh", "/nowhere", ".", 60, "0022", Progress(None))
""",
    "conda": f"""
from {UTILS}.conda_run import run
run(["bash", "stubborn.sh"], ".")
""",
    "a training": f"""
from {UTILS}.validation_child import run_group
run_group(["bash", "stubborn.sh"], environ={{"PATH": "/usr/bin:/bin"}}, folder=".", log="log", timeout=60)
""",
    "nvidia-smi": f"""
import os
from {UTILS}.validation_gpu import ask_smi
os.environ["PATH"] = os.getcwd() + ":/usr/bin:/bin"
ask_smi([])
""",
}


def lives(number: int) -> bool:
    try:
        # A zombie is no longer running.
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_for(path: Path) -> list[int]:
    deadline = time.monotonic() + 20
    while not path.exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return [int(word) for word in path.read_text().split()]


def start(folder: Path, code: str) -> subprocess.Popen[bytes]:
    """A job as Ansible starts it: the leader of a process group."""
    program = f"import sys\nsys.path[:0] = {sys.path!r}\n{code}"
    return subprocess.Popen([sys.executable, "-c", program], cwd=folder, start_new_session=True)


def stubborn(folder: Path) -> None:
    (folder / "stubborn.sh").write_text("#!/bin/bash\n" + STUBBORN)
    # What hangs in nvidia-smi is that one program.
    (folder / "nvidia-smi").write_text("#!/bin/bash\necho $$ > numbers.new; mv numbers.new numbers; exec sleep 60\n")
    (folder / "nvidia-smi").chmod(0o755)


@pytest.mark.parametrize("name", JOBS)
def test_what_a_job_runs_ends_with_it(tmp_path: Path, name: str) -> None:
    stubborn(tmp_path)
    job = start(tmp_path, JOBS[name])
    numbers = wait_for(tmp_path / "numbers")
    # As the controller does it where a job takes too long.
    stopper = subprocess.Popen(["/bin/sh", "-c", stop_command(job.pid)])
    assert job.wait(timeout=20) == 143
    assert stopper.wait(timeout=20) == 0
    deadline = time.monotonic() + 5
    while any(lives(number) for number in numbers) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert [number for number in numbers if lives(number)] == []


def test_a_job_may_tidy_up_before_it_is_made_to_end(tmp_path: Path) -> None:
    script = "trap 'sleep 3; echo tidy > tidied; exit' TERM; echo 1 > numbers; while :; do sleep 0.1; done"
    job = subprocess.Popen(["/bin/sh", "-c", script], cwd=tmp_path, start_new_session=True)
    wait_for(tmp_path / "numbers")
    stopper = subprocess.Popen(["/bin/sh", "-c", stop_command(job.pid)])
    job.wait(timeout=20)
    assert stopper.wait(timeout=20) == 0
    assert (tmp_path / "tidied").exists()
    # There is nobody left to end.
    assert subprocess.run(["/bin/sh", "-c", stop_command(job.pid)], check=False).returncode != 0


def test_the_caller_s_own_handler_is_put_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with child_group(["true"]) as child:
        assert signal.getsignal(signal.SIGTERM) != before
        child.wait()
    assert signal.getsignal(signal.SIGTERM) == before
    with pytest.raises(FileNotFoundError), child_group(["/nowhere/program"]):
        pass
    assert signal.getsignal(signal.SIGTERM) == before


def test_asked_while_it_ends_the_child_it_ends_it_first() -> None:
    ended = []

    def end(child: subprocess.Popen[bytes]) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        end_group(child)
        ended.append(child.pid)

    with pytest.raises(SystemExit) as caught, child_group(["sleep", "60"], end=end) as child:
        pass
    assert caught.value.code == 143
    assert ended == [child.pid]
    assert not lives(child.pid)


def test_in_another_thread_signals_are_left_alone() -> None:
    codes: list[int] = []

    def work() -> None:
        with child_group(["sh", "-c", "exit 7"]) as child:
            codes.append(child.wait())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert codes == [7]
