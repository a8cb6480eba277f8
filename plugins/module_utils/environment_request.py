# SPDX-License-Identifier: Apache-2.0
"""What one environment on a node is asked to be, and what a state answers. States: environment_states.py."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any, ContextManager, Dict, List, Mapping, Optional, Sequence

from ansible_collections.condafleet.core.plugins.module_utils import files
from ansible_collections.condafleet.core.plugins.module_utils import generations as gen
from ansible_collections.condafleet.core.plugins.module_utils.fingerprint import fingerprint
from ansible_collections.condafleet.core.plugins.module_utils.generation_drift import note_damage
from ansible_collections.condafleet.core.plugins.module_utils.generation_history import SWITCH, times
from ansible_collections.condafleet.core.plugins.module_utils.generation_history import read as read_history
from ansible_collections.condafleet.core.plugins.module_utils.installed_packages import installed_packages
from ansible_collections.condafleet.core.plugins.module_utils.lockfile import Package
from ansible_collections.condafleet.core.plugins.module_utils.plan_environments import difference, installed
from ansible_collections.condafleet.core.plugins.module_utils.progress import Progress, node_lock, progress_file


@dataclass
class Request:
    """What is asked for, as the module's options say it."""

    name: str
    prefix: str
    root: str
    target: str = ""
    digest: str = ""
    packages: Sequence[Package] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    frameworks: Sequence[str] = ()
    checks: Sequence[str] = ()
    cuda: bool = False
    depot_url: Optional[str] = None
    depot_origins: Mapping[str, str] = field(default_factory=dict)
    tools: Mapping[str, Any] = field(default_factory=dict)
    access: Mapping[str, Any] = field(default_factory=dict)
    auth: Mapping[str, Mapping[str, str]] = field(default_factory=dict, repr=False)
    platform: str = "linux-64"
    generation: Optional[str] = None
    why: str = SWITCH
    run: Optional[str] = None
    adopt: bool = False
    damaged: Sequence[str] = ()
    job: Optional[str] = None
    version: str = ""
    lock_timeout: float = 600.0
    smoke_timeout: int = 600
    check: bool = False

    def path(self, generation: str) -> str:
        return os.path.join(gen.generations_dir(self.root), generation)

    def conda(self) -> str:
        return os.path.join(self.prefix, "bin", "conda")

    def link(self) -> str:
        return os.path.join(self.prefix, "envs", self.name)

    def progress(self) -> Progress:
        return Progress(progress_file(self.root, self.job))

    def lock(self, what: str) -> ContextManager[None]:
        """ROOT's lock; whoever watches is told who holds it meanwhile, and since when."""
        told = self.progress()

        def waiting(holder: str) -> None:
            told("wait", message="for %s, which holds %s" % (holder, self.root))

        return node_lock(self.root, what, self.lock_timeout, waiting=waiting)

    def next_name(self) -> str:
        """What the next build of this lock is called here: as nothing that is here, or ever was current."""
        known = [*gen.list_names(self.root), *times(read_history(self.root).get(self.name, []))]
        return str(gen.next_name(known, self.name, self.digest))

    def records(self) -> List[Dict[str, Any]]:
        """The generations of this environment and lock, each with its fingerprint."""
        found = []
        for name in gen.list_names(self.root):
            parsed = gen.parse_name(name)
            if parsed and (parsed.environment, parsed.digest12) == (self.name, self.digest[:12]):
                record = gen.observe_generation(self.root, name, with_fingerprint=True)
                found += [record] if record else []
        return found

    def note_damaged(self) -> None:
        """Remember what was found damaged, so that no later run that looks less closely takes it."""
        for name in [] if self.check else self.damaged:
            if gen.read_receipt(self.path(name)):
                note_damage(self.path(name))

    def usable(self) -> Optional[Dict[str, Any]]:
        """The newest generation that may be used; none of `damaged`, whose metadata may be as it was."""
        records = [record for record in self.records() if record["name"] not in self.damaged]
        return gen.usable(records, self.name, self.digest)


@dataclass
class Outcome:
    """What a state returns; the same keys whether it did something, would, or had nothing to do."""

    changed: bool
    generation: Optional[str]
    packages: Dict[str, Any] = field(default_factory=lambda: difference([], []))
    diff: str = ""
    details: Dict[str, Any] = field(default_factory=dict)
    # Of the generation that became current, as its receipt says: a rollback is given no lock.
    digest: str = ""
    target: str = ""


def chosen(request: Request) -> Optional[str]:
    ready = request.usable()
    return ready["name"] if ready else None


def draft_of(request: Request) -> Optional[Dict[str, Any]]:
    """The newest prefix of this lock that was built whole and waits for its smoke test: {name, draft}."""
    found = None
    for record in request.records():
        draft = files.read_json(os.path.join(record["path"], gen.DRAFT))
        if record["finished"] or not isinstance(draft, dict) or draft.get("digest") != request.digest:
            continue
        if draft.get("fingerprint") == fingerprint(record["path"]) and (
            not found or record["serial"] > found["serial"]
        ):
            found = {"name": record["name"], "serial": record["serial"], "draft": draft}
    return found


def current_record(request: Request) -> Optional[Dict[str, Any]]:
    state = gen.link_state(request.prefix, request.root, request.name)
    if not state or not state["generation"]:
        return None
    return gen.observe_generation(request.root, state["generation"], with_fingerprint=False)


def before_packages(request: Request) -> List[Mapping[str, Any]]:
    """What a switch takes away: the current generation's packages, or those of what is to be adopted."""
    state = gen.link_state(request.prefix, request.root, request.name)
    if state and not state["generation"]:
        return list(installed_packages(request.link())) if request.adopt else []
    return installed(current_record(request))


def finished_names(request: Request) -> str:
    names = []
    for name in gen.list_names(request.root):
        parsed = gen.parse_name(name)
        if parsed and parsed.environment == request.name and gen.read_receipt(request.path(name)):
            names.append(name)
    return ", ".join(names)
