"""Start one playbook with ansible-runner, and hand on its events: the only importer of ansible_runner.

Nothing here knows what a playbook means. A call is built as data (`Call`), written into a fresh private folder,
started, watched, and the folder is deleted again, whatever happened.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ansible_runner

from condafleet.collection import collection_root
from condafleet.environment import environment
from condafleet.errors import RunError, RunInterruptedError
from condafleet.inventory import InventorySource

Event = Mapping[str, Any]
OnEvent = Callable[[Event], None]

GRACE = 10.0  # seconds that Ansible has to end by itself when it is asked to
LEFT_RUNNING = (
    "Work that had begun on the nodes may still be running there. "
    "Next: run the same again; it waits for that work or repeats it, and finished steps are not repeated."
)


@dataclass(frozen=True)
class Secrets:
    """Passwords. Ansible reads them from files that only the caller can read: never on a command line."""

    vault: str | None = field(default=None, repr=False)
    become: str | None = field(default=None, repr=False)
    connection: str | None = field(default=None, repr=False)

    def items(self) -> Iterator[tuple[str, str]]:
        """Yield those that are set, as (name, value)."""
        for name in ("vault", "become", "connection"):
            value = getattr(self, name)
            if value is not None:
                yield name, value


@dataclass(frozen=True)
class Call:
    """One run of `ansible-playbook`, as data."""

    playbook: str
    inventory: InventorySource
    limit: str | None = None
    extra_vars: Mapping[str, Any] = field(default_factory=dict)
    extra_vars_files: tuple[Path, ...] = ()
    check: bool = False
    diff: bool = False
    forks: int | None = None
    verbosity: int = 0
    timeout: float | None = None
    secrets: Secrets = Secrets()

    def files(self) -> dict[str, str]:
        """Return what is written into the private folder, by relative path."""
        settings = {"pexpect_timeout": 1, "suppress_output_file": True}  # the first: how fast a Ctrl-C is noticed
        found = {"env/settings": json.dumps(settings)}
        if self.inventory.text is not None:
            found["inventory/hosts.json"] = self.inventory.text
        if self.extra_vars:
            found["vars.json"] = json.dumps(dict(self.extra_vars))
        for name, value in self.secrets.items():
            found[f"secrets/{name}"] = value + "\n"
        return found

    def argv(self, folder: Path) -> list[str]:
        """Return the command line, for a private folder."""
        argv = ["ansible-playbook", "-i", self.inventory.argument or str(folder / "inventory/hosts.json")]
        if self.limit is not None:
            argv += ["--limit", self.limit]
        for path in self.extra_vars_files:
            argv += ["-e", f"@{path}"]
        if self.extra_vars:
            argv += ["-e", f"@{folder / 'vars.json'}"]
        for name, _ in self.secrets.items():
            argv += [f"--{name}-password-file", str(folder / "secrets" / name)]
        if self.check:
            argv.append("--check")
        if self.diff:
            argv.append("--diff")
        if self.forks is not None:
            argv += ["--forks", str(self.forks)]
        if self.verbosity:
            argv.append("-" + "v" * self.verbosity)
        return [*argv, self.playbook]


@dataclass(frozen=True)
class Outcome:
    """How a run ended: ansible-playbook's exit status (None: it was killed), its stats (None: none), its last lines."""

    code: int | None
    stats: Mapping[str, Any] | None
    tail: tuple[str, ...]


def run(call: Call, on_event: OnEvent | None = None) -> Outcome:
    """Run a playbook to its end.

    Raises RunError if it did not start or ran past its limit, RunInterruptedError on Ctrl-C or SIGTERM.
    """
    folder = Path(tempfile.mkdtemp(prefix="condafleet-"))  # 0700
    try:
        write_private(folder, call.files())
        return _watch(call, folder, on_event)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def write_private(folder: Path, files: Mapping[str, str]) -> None:
    """Write files that only this user can read."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(mode=0o700, exist_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as stream:
            stream.write(text)


def configure(call: Call, folder: Path) -> Any:
    """Return ansible-runner's configuration of a call: its command and environment are exactly what will be started."""
    cwd = Path.cwd()
    config = ansible_runner.RunnerConfig(
        private_data_dir=str(folder),
        project_dir=str(cwd),  # it becomes the working directory: so ./ansible.cfg and relative paths mean the caller's
        playbook=call.playbook,
        envvars=environment(collection_root(), os.environ, cwd),
        quiet=True,
        fact_cache_type="",  # the user's own setting holds
    )
    config.prepare()
    config.command = call.argv(folder)
    if "ANSIBLE_HOST_KEY_CHECKING" not in os.environ:
        # ansible-runner turns it off; here the user's configuration decides, and Ansible's default is on.
        config.env.pop("ANSIBLE_HOST_KEY_CHECKING", None)
    return config


class _Watch:
    """Takes the events of one run, keeps the stats and the last lines, and ends the run when it has to end early."""

    def __init__(self, on_event: OnEvent | None, limit: float | None) -> None:
        self.on_event = on_event
        self.stats: Mapping[str, Any] | None = None
        self.tail: deque[str] = deque(maxlen=40)
        self.trouble: BaseException | None = None
        self.interrupted = threading.Event()
        self.deadline = time.monotonic() + limit if limit else None
        self.late = False
        self.pid = 0
        self.asked: float | None = None

    def event(self, event: Event) -> bool:
        """Handle an event. True keeps it: False would drop the stats."""
        self.pid = event.get("pid") or self.pid
        if event.get("event") == "playbook_on_stats":
            self.stats = event.get("event_data")
        if event.get("stdout"):
            self.tail.append(str(event["stdout"]))
        if self.on_event is not None and self.trouble is None:
            try:
                self.on_event(event)
            except Exception as error:  # noqa: BLE001 - raised again when the run is over: here it would orphan Ansible
                self.trouble = error
        return True

    def cancelled(self) -> bool:
        """Say whether ansible-runner is to kill Ansible now; it asks about every second.

        Its kill does not reach Ansible's workers, which lead process groups of their own and would go on. So Ansible
        is asked first: it ends its workers, and they end their connections.
        """
        now = time.monotonic()
        self.late = self.late or (self.deadline is not None and now > self.deadline)
        if not (self.late or self.trouble or self.interrupted.is_set()):
            return False
        if self.asked is None:
            self.asked = now
            if self.pid:
                with suppress(ProcessLookupError):
                    os.kill(self.pid, signal.SIGTERM)
        return not self.pid or now - self.asked > GRACE


def _watch(call: Call, folder: Path, on_event: OnEvent | None) -> Outcome:
    watch = _Watch(on_event, call.timeout)

    def forget_environment(status: Mapping[str, Any], **_: Any) -> None:
        # ansible-runner has just written the whole environment, with whatever secrets it holds, into this file.
        if status.get("status") == "running":
            for path in folder.glob("artifacts/*/command"):
                path.unlink()

    with _signals_set(watch.interrupted):
        try:
            runner = ansible_runner.Runner(
                configure(call, folder),
                event_handler=watch.event,
                status_handler=forget_environment,
                cancel_callback=watch.cancelled,
            )
            _, code = runner.run()
        except ansible_runner.AnsibleRunnerException as error:
            raise RunError(f"ansible-playbook could not be started: {error}. Nothing was changed.") from error
        if watch.asked is not None:
            end_workers(folder)
    if watch.trouble is not None:
        raise watch.trouble
    if watch.interrupted.is_set():
        raise RunInterruptedError(f"Interrupted. {LEFT_RUNNING}")
    if watch.late:
        raise RunError(f"timeout: the run took longer than {call.timeout:g} s and was stopped. {LEFT_RUNNING}")
    if code == 127 and watch.stats is None:
        raise RunError("ansible-playbook was not found. Next: pip install --force-reinstall condafleet.")
    return Outcome(code=code, stats=watch.stats, tail=tuple(watch.tail))


def end_workers(folder: Path) -> None:
    """End what a stopped Ansible left behind: workers that had just been forked miss its signal."""
    mark = str(folder).encode()
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            ours = mark in (entry / "environ").read_bytes() and b"ansible-playbook" in (entry / "cmdline").read_bytes()
            group = os.getpgid(int(entry.name)) if ours else 0
        except OSError:  # it ended meanwhile, or is another user's
            continue
        if group and group != os.getpgrp():
            with suppress(ProcessLookupError):
                os.killpg(group, signal.SIGKILL)


@contextmanager
def _signals_set(flag: threading.Event) -> Iterator[None]:
    """Let SIGINT and SIGTERM set a flag: left alone, they would end this process and leave Ansible behind."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may set handlers
        return
    former = {number: signal.signal(number, lambda *_: flag.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
