"""Start one playbook with ansible-runner, and hand on its events: the only importer of ansible_runner.

Nothing here knows what a playbook means. A call is built as data (`Call`), written into a fresh private folder,
started, watched, and the folder is deleted again, whatever happened.
"""

from __future__ import annotations

import configparser
import json
import os
import shutil
import signal
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ansible_runner

from condafleet.collection import collection_root
from condafleet.errors import RunError, RunInterruptedError
from condafleet.inventory import InventorySource

Event = Mapping[str, Any]
OnEvent = Callable[[Event], None]

# Where Ansible looks for collections if nobody says otherwise.
ANSIBLE_COLLECTIONS = "~/.ansible/collections:/usr/share/ansible/collections"
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
    """How a run ended: ansible-playbook's exit status, the stats that it gave (None: it gave none), its last lines."""

    code: int
    stats: Mapping[str, Any] | None
    tail: tuple[str, ...]


def environment(root: Path, outer: Mapping[str, str], cwd: Path) -> dict[str, str]:
    """Return the variables that differ from the caller's environment."""
    return {
        # Without an activated venv, the ansible-playbook beside this Python would not be found.
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), outer.get("PATH", os.defpath)]),
        # First the content of this version: a copy in ~/.ansible may be older.
        "ANSIBLE_COLLECTIONS_PATH": os.pathsep.join([str(root), user_collections(outer, cwd)]),
        # The groups that a run makes do not exist when no node needs them; that is no reason for a warning.
        "ANSIBLE_HOST_PATTERN_MISMATCH": "ignore",
    }


def user_collections(outer: Mapping[str, str], cwd: Path) -> str:
    """Return the collection paths that Ansible would use by itself: environment, then ansible.cfg, then default."""
    if outer.get("ANSIBLE_COLLECTIONS_PATH"):
        return outer["ANSIBLE_COLLECTIONS_PATH"]
    config = ansible_config(outer, cwd)
    if config is not None:
        parser = configparser.ConfigParser(inline_comment_prefixes=(";",), interpolation=None)
        try:
            parser.read(config, encoding="utf-8")
        except (configparser.Error, UnicodeDecodeError):
            return ANSIBLE_COLLECTIONS  # Ansible itself says best what is wrong with its file
        found = parser.get("defaults", "collections_path", fallback="")
        if found:
            parts = (Path(part.strip()).expanduser() for part in found.split(os.pathsep))
            return os.pathsep.join(os.path.normpath(config.parent / part) for part in parts)
    return ANSIBLE_COLLECTIONS


def ansible_config(outer: Mapping[str, str], cwd: Path) -> Path | None:
    """Return the ansible.cfg that Ansible will read, in Ansible's own order."""
    named = outer.get("ANSIBLE_CONFIG")
    if named:
        path = (cwd / Path(named).expanduser()).absolute()
        candidates = [path / "ansible.cfg" if path.is_dir() else path]
    else:
        candidates = []
    if not cwd.stat().st_mode & 0o002:  # Ansible ignores an ansible.cfg in a folder that everybody can write to
        candidates.append(cwd / "ansible.cfg")
    candidates += [Path(outer.get("HOME", "~")).expanduser() / ".ansible.cfg", Path("/etc/ansible/ansible.cfg")]
    return next((path for path in candidates if path.is_file()), None)


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
        timeout=max(1, round(call.timeout)) if call.timeout else None,
        fact_cache_type="",  # the user's own setting holds
    )
    config.prepare()
    config.command = call.argv(folder)
    if "ANSIBLE_HOST_KEY_CHECKING" not in os.environ:
        # ansible-runner turns it off; here the user's configuration decides, and Ansible's default is on.
        config.env.pop("ANSIBLE_HOST_KEY_CHECKING", None)
    return config


class _Watch:
    """Takes the events of one run: hands them on, keeps the stats and the last lines."""

    def __init__(self, on_event: OnEvent | None) -> None:
        self.on_event = on_event
        self.stats: Mapping[str, Any] | None = None
        self.tail: deque[str] = deque(maxlen=40)
        self.trouble: BaseException | None = None

    def event(self, event: Event) -> bool:
        """Handle an event. True keeps it: False would drop the stats."""
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


def _watch(call: Call, folder: Path, on_event: OnEvent | None) -> Outcome:
    watch = _Watch(on_event)

    def forget_environment(status: Mapping[str, Any], **_: Any) -> None:
        # ansible-runner has just written the whole environment, with whatever secrets it holds, into this file.
        if status.get("status") == "running":
            for path in folder.glob("artifacts/*/command"):
                path.unlink()

    with _stoppable() as stop:
        try:
            runner = ansible_runner.Runner(
                configure(call, folder),
                event_handler=watch.event,
                status_handler=forget_environment,
                cancel_callback=lambda: stop.is_set() or watch.trouble is not None,
            )
            status, code = runner.run()
        except ansible_runner.AnsibleRunnerException as error:
            raise RunError(f"ansible-playbook could not be started: {error}. Nothing was changed.") from error
    if watch.trouble is not None:
        raise watch.trouble
    if stop.is_set():
        raise RunInterruptedError(f"Interrupted. {LEFT_RUNNING}")
    if status == "timeout":
        raise RunError(f"timeout: the run took longer than {call.timeout:g} s and was stopped. {LEFT_RUNNING}")
    if code == 127 and watch.stats is None:
        raise RunError("ansible-playbook was not found. Next: pip install --force-reinstall condafleet.")
    return Outcome(code=code, stats=watch.stats, tail=tuple(watch.tail))


@contextmanager
def _stoppable() -> Iterator[threading.Event]:
    """Let SIGINT and SIGTERM end the run cleanly: left alone, they would end this process and leave Ansible behind."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop  # only the main thread may set handlers
        return
    former = {number: signal.signal(number, lambda *_: stop.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
