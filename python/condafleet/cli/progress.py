"""What a person sees while a run goes on: plays and tasks, changes and failures by host, and never silence for long."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.status import Status
from rich.text import Text

from condafleet.cli.plain import plain
from condafleet.events import message_of

SILENCE = 15.0  # seconds after which a line says what is still going on
ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
SPEC = "Validating arguments against arg spec"  # Ansible's own task before each role
MISSED = "skipping: no hosts matched"


class Progress:
    """Takes ansible-runner's events. A terminal gets a moving line for the current task, anything else plain lines."""

    def __init__(
        self, out: Console, *, verbosity: int = 0, diff: bool = False, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.out = out
        self.verbosity = verbosity
        self.diff = diff
        self.clock = clock
        self.began = self.spoke = clock()
        self.play = ""
        self.task = ""
        self.step = ""
        self.live: Status | None = None
        self.done = threading.Event()
        self.lock = threading.Lock()

    def __enter__(self) -> Self:
        if self.out.is_terminal:
            self.live = self.out.status(Text("starting Ansible"))
            self.live.start()
        threading.Thread(target=self._keep_talking, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.done.set()
        if self.live:
            self.live.stop()

    def event(self, event: Mapping[str, Any]) -> None:
        """Take one event."""
        kind, data = str(event.get("event")), event.get("event_data") or {}
        host, result = data.get("host"), data.get("res") or {}
        if kind == "playbook_on_play_start":
            self.play, self.task = str(data.get("name") or data.get("play") or ""), ""
            self.say(f"{self.play}", style="bold")
        elif kind == "playbook_on_task_start":
            self.task, self.step = str(data.get("task") or data.get("name") or ""), ""
            if not self.task.startswith(SPEC):
                self.say(f"  {self.task}", quiet_on_terminal=True)
        elif kind == "runner_on_unreachable":
            self.say(f"    unreachable  {host}: {message_of(result)}", style="bold red")
        elif kind == "runner_on_failed":
            word, style = ("ignored", "yellow") if data.get("ignore_errors") else ("failed", "bold red")
            self.say(f"    {word}  {host}: {self.task}: {message_of(result)}", style=style)
        elif kind == "runner_on_ok" and result.get("changed"):
            self.say(f"    changed  {host}: {self.task}", style="yellow")
        elif kind == "runner_on_ok" and self.verbosity:
            self.say(f"    ok  {host}: {self.task}")
        if kind in ("runner_on_ok", "runner_on_failed"):
            for text in warnings_of(result):
                self.say(f"    warning  {host}: {text.removeprefix(f'{host}: ')}", style="yellow")
        elif kind in ("verbose", "warning", "error", "system_warning") or (kind == "runner_on_file_diff" and self.diff):
            self._text(str(event.get("stdout") or ""), kind)

    def tell(self, text: str) -> None:
        """Show one step of something that has no events."""
        self.task = text
        self.say(text)

    def _text(self, text: str, kind: str) -> None:
        """Show what an action or Ansible itself said, line by line."""
        for line in ANSI.sub("", text).splitlines():
            if not line.strip() or line.strip() == MISSED:
                continue
            if kind == "verbose":
                self.step = line.strip()
            self.say(
                f"    {line.rstrip()}", style="yellow" if kind == "warning" else "", quiet_on_terminal=kind == "verbose"
            )

    def say(self, text: str, style: str = "", *, quiet_on_terminal: bool = False) -> None:
        """Print a line; what the moving line shows anyway is not repeated on a terminal."""
        with self.lock:
            self.spoke = self.clock()
            if self.live:
                self.live.update(Text(plain(self._now())))
                if quiet_on_terminal and not self.verbosity:
                    return
            self.out.print(Text(plain(text), style=style), soft_wrap=True)

    def _now(self) -> str:
        parts = [part for part in (self.play, self.task, self.step) if part]
        return f"{elapsed(self.clock() - self.began)}  {': '.join(parts) or 'starting Ansible'}"

    def _keep_talking(self) -> None:
        """Keep the moving line's clock going; elsewhere, break a silence."""
        while not self.done.wait(1.0):
            if self.live:
                self.live.update(Text(plain(self._now())))
            else:
                self.break_silence()

    def break_silence(self) -> None:
        """Say what is still going on, if nothing was said for long."""
        if self.clock() - self.spoke >= SILENCE:
            self.say(f"    still at it, {self._now()}")


def warnings_of(result: Mapping[str, Any]) -> list[str]:
    """Return what the tasks of a result warned of: texts, or what Ansible makes of them."""
    found = result.get("warnings")
    several = found if isinstance(found, list) else []
    return [str(one.get("msg") or one) if isinstance(one, Mapping) else str(one) for one in several]


def elapsed(seconds: float) -> str:
    """Return minutes and seconds, as 2:05."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"
