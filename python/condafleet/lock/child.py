"""Run the solver in a process of its own: it may abort, take long or print, and this process is none the worse."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ansible_collections.condafleet.core.plugins.module_utils import lockfile
from condafleet.errors import LockError
from condafleet.lock.credentials import credential_files, url_of
from condafleet.lock.reaching import access_environment
from condafleet.lock.writing import write_all

SILENCE = 30.0  # seconds after which a line says that it goes on


def run_child(
    request: Mapping[str, Any], *, timeout: float, progress: Callable[[str], None] | None = None
) -> dict[str, Any]:
    """The child's answer, whose `files` are written by then, all of them or none.

    Raises LockError with the child's own message, or when `timeout` seconds have passed; then nothing was written.

    The request's `access` ({proxies, ca}) becomes the child's environment, which all that it uses reads alike; its
    `auth` ({HOST: credentials}) reaches it by standard input, and what it starts by files that end with it.
    """
    channels, indexes = places_of(request)
    with (
        access_environment(request.get("access") or {}) as reaching,
        credential_files(request.get("auth") or {}, channels, indexes) as files,
    ):
        answer = _run(request, {**_environment(), **reaching, **files}, timeout, progress)
    # Not by the child, which may outlive this process and its hold on the folder, or be ended while it writes.
    write_all({Path(path): text for path, text in answer.pop("files").items()})
    return answer


def places_of(request: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """The channels and the indexes that a request reads; a depot's are none that ask for credentials."""
    if request.get("depot"):
        return [], []
    channels: list[str] = []
    indexes: list[str] = []
    for solve in request.get("solves") or []:
        channels += solve.get("channels") or []
        channels += [entry.split("#")[0] for entry in solve.get("spec", {}).get("explicit", [])]
        indexes += solve.get("indexes") or []
    return [url_of(channel) for channel in channels], indexes


def _run(
    request: Mapping[str, Any], environment: Mapping[str, str], timeout: float, progress: Callable[[str], None] | None
) -> dict[str, Any]:
    process = subprocess.Popen(
        [sys.executable, "-m", "condafleet.lock"],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    said: list[str] = []
    reader = threading.Thread(target=_follow, args=(process.stderr, said, progress), daemon=True)
    reader.start()
    late = threading.Event()

    def stop() -> None:
        late.set()
        _end(process)

    watch = threading.Timer(timeout, stop)
    watch.start()
    over = threading.Event()
    if progress:
        threading.Thread(target=_break_silence, args=(over, timeout, progress), daemon=True).start()
    try:
        assert process.stdin  # noqa: S101 - both pipes were asked for above
        assert process.stdout  # noqa: S101
        try:
            process.stdin.write(json.dumps(request))
            process.stdin.close()
        except BrokenPipeError:
            pass  # it ended early; its answer or its last lines say why
        text = process.stdout.read()
        code = process.wait()
    except BaseException:
        _end(process)
        raise
    finally:
        over.set()
        watch.cancel()
    reader.join(timeout=5)
    if late.is_set():
        raise LockError(
            f"environments: locking was not done within {timeout:.0f} s. Next: try again, or give a longer limit. "
            "Nothing was written."
        )
    try:
        answer: dict[str, Any] = json.loads(text)
    except ValueError as error:
        last = "\n".join(said[-10:]) or "it said nothing"
        raise LockError(f"environments: the solver ended with code {code} and no answer:\n{last}") from error
    if "error" in answer:
        raise LockError(str(answer["error"]))
    return answer


def _environment() -> dict[str, str]:
    """The child finds the same modules as this process, wherever these came from."""
    # …/ansible_collections/condafleet/core/plugins/module_utils/lockfile.py, as it was found, links unresolved.
    collections = os.path.abspath(lockfile.__file__).rsplit("/ansible_collections/", 1)[0]  # noqa: PTH100
    paths = [*(os.path.abspath(path) for path in sys.path if path), collections]  # noqa: PTH100
    return {**os.environ, "PYTHONPATH": os.pathsep.join(dict.fromkeys(paths)), "PYTHONUNBUFFERED": "1"}


def _follow(stream: Any, said: list[str], progress: Callable[[str], None] | None) -> None:
    for line in stream:
        said.append(line.rstrip("\n"))
        if progress:
            progress(said[-1])


def _break_silence(over: threading.Event, timeout: float, progress: Callable[[str], None]) -> None:
    """A solve says nothing while it searches, and a download of repodata neither."""
    started = time.monotonic()
    while not over.wait(SILENCE):
        progress(f"still solving, {time.monotonic() - started:.0f} s of at most {timeout:.0f} s")


def _end(process: "subprocess.Popen[str]") -> None:
    # The solver's own children too: they share its session.
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
