# SPDX-License-Identifier: Apache-2.0
"""The states of one environment on a node: fetched, built, tested, current. Each is one whole step, done or not.

Every function takes a Request and returns an Outcome; with `check` it changes nothing and says what it would do.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any, Dict, List, Mapping, Optional, Sequence

from ansible_collections.condafleet.core.plugins.module_utils import files
from ansible_collections.condafleet.core.plugins.module_utils import generations as gen
from ansible_collections.condafleet.core.plugins.module_utils import package_cache as cache
from ansible_collections.condafleet.core.plugins.module_utils.access import Access
from ansible_collections.condafleet.core.plugins.module_utils.build_environment import build, remove_tree
from ansible_collections.condafleet.core.plugins.module_utils.clock import now
from ansible_collections.condafleet.core.plugins.module_utils.errors import FleetError, InputError
from ansible_collections.condafleet.core.plugins.module_utils.fingerprint import fingerprint
from ansible_collections.condafleet.core.plugins.module_utils.lockfile import Package
from ansible_collections.condafleet.core.plugins.module_utils.plan_environments import (
    difference,
    installed,
    not_ours,
    package_lines,
)
from ansible_collections.condafleet.core.plugins.module_utils.processes import users_of
from ansible_collections.condafleet.core.plugins.module_utils.progress import Progress, node_lock, progress_file
from ansible_collections.condafleet.core.plugins.module_utils.smoke_test import smoke_test
from ansible_collections.condafleet.core.plugins.module_utils.uv_tool import ensure_uv

SCHEMA_VERSION = 1


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
    cuda: bool = False
    depot_url: Optional[str] = None
    depot_origins: Mapping[str, str] = field(default_factory=dict)
    tools: Mapping[str, Any] = field(default_factory=dict)
    access: Mapping[str, Any] = field(default_factory=dict)
    platform: str = "linux-64"
    generation: Optional[str] = None
    job: Optional[str] = None
    version: str = ""
    lock_timeout: float = 60.0
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

    def records(self) -> List[Dict[str, Any]]:
        """The generations of this environment and lock, each with its fingerprint."""
        found = []
        for name in gen.list_names(self.root):
            parsed = gen.parse_name(name)
            if parsed and (parsed.environment, parsed.digest12) == (self.name, self.digest[:12]):
                record = gen.observe_generation(self.root, name, with_fingerprint=True)
                found += [record] if record else []
        return found

    def usable(self) -> Optional[Dict[str, Any]]:
        return gen.usable(self.records(), self.name, self.digest)


@dataclass
class Outcome:
    """What a state returns; the same keys whether it did something, would, or had nothing to do."""

    changed: bool
    generation: Optional[str]
    packages: Dict[str, Any] = field(default_factory=lambda: difference([], []))
    diff: str = ""
    details: Dict[str, Any] = field(default_factory=dict)


def fetched(request: Request) -> Outcome:
    """Every archive of the lock in ROOT, verified; nothing to do where a generation of the lock is usable."""
    ready = request.usable() or draft_of(request)
    if ready:
        return Outcome(False, ready["name"])
    absent = cache.missing(request.root, request.packages)
    planned = str(gen.next_name(gen.list_names(request.root), request.name, request.digest))
    text = "".join("fetch %s\n" % package.filename for package in absent)
    if request.check:
        return Outcome(bool(absent), planned, diff=text, details={"fetched": len(absent), "bytes": None})
    cache.ensure_root(request.root)
    with node_lock(request.root, "fetch %s" % request.name, request.lock_timeout):
        progress = request.progress()
        cache.check_space(request.root, request.packages)
        access = Access.of(request.access)
        done = cache.fetch_all(
            request.root, request.packages, request.depot_url, request.depot_origins, progress, access
        )
        uv = None
        if any(package.manager == "pip" for package in request.packages):
            uv = ensure_uv(request.root, request.tools, request.platform, request.depot_url, access)
        dropped = cache.drop_damaged(request.root, request.packages, progress)
    return Outcome(bool(done["fetched"] or dropped), planned, diff=text, details={**done, "uv": uv, "damaged": dropped})


def built(request: Request) -> Outcome:
    """A new prefix with exactly the lock's packages, which nobody uses yet."""
    packages = difference(installed(current_record(request)), [package.to_dict() for package in request.packages])
    ready = request.usable() or draft_of(request)
    if ready:
        return Outcome(False, ready["name"])
    planned = str(gen.next_name(gen.list_names(request.root), request.name, request.digest))
    text = "".join(line + "\n" for line in package_lines(packages))
    if request.check:
        return Outcome(True, planned, packages, text)
    if not os.access(request.conda(), os.X_OK):
        raise FleetError(
            "environments_prefix: there is no conda at %s. Next: install it first (role condafleet.core.miniconda)."
            % request.conda()
        )
    cache.ensure_root(request.root)
    # conda, uv and python make files as the umask says, and users have to read them.
    os.umask(0o022)
    with node_lock(request.root, "build %s" % planned, request.lock_timeout), cache.scratch_folder(
        request.root
    ) as scratch:
        progress = request.progress()
        absent = cache.missing(request.root, request.packages)
        if absent:
            raise FleetError(
                "environment %r: %d of %d archives are not in %s (%s). Next: fetch them first (state: fetched)."
                % (request.name, len(absent), len(request.packages), request.root, absent[0].filename)
            )
        removed = remove_unfinished(request)
        planned = str(gen.next_name(gen.list_names(request.root), request.name, request.digest))
        cache.check_space(request.root, request.packages)
        damaged = cache.drop_damaged(request.root, request.packages, progress)
        path = request.path(planned)
        wheels = any(package.manager == "pip" for package in request.packages)
        done = build(
            path,
            name=request.name,
            conda=request.conda(),
            root=request.root,
            scratch=scratch,
            packages=request.packages,
            variables=request.variables,
            uv=_uv(request) if wheels else None,
            progress=progress,
            access=request.access,
        )
        files.write_json(os.path.join(path, gen.DRAFT), receipt(request, planned))
    return Outcome(True, planned, packages, text, {**done, "removed": removed, "damaged": damaged})


def tested(request: Request) -> Outcome:
    """The smoke test passed and the receipt written, last: from now on the generation may be used."""
    ready = request.usable()
    if ready:
        return Outcome(False, ready["name"], details={"smoke_test": ready["receipt"].get("smoke_test")})
    draft = draft_of(request)
    if draft is None:
        if request.check:
            planned = gen.next_name(gen.list_names(request.root), request.name, request.digest)
            return Outcome(True, str(planned))
        raise FleetError(
            "environment %r: nothing of lock %s is built below %s. Next: build it first (state: built)."
            % (request.name, request.digest[:12], request.root)
        )
    if request.check:
        return Outcome(True, draft["name"])
    path = request.path(draft["name"])
    with node_lock(request.root, "test %s" % draft["name"], request.lock_timeout), cache.scratch_folder(
        request.root
    ) as scratch:
        request.progress()("smoke test", 0, None, "", ", ".join(request.frameworks) or "python")
        try:
            results = smoke_test(
                path,
                conda=request.conda(),
                frameworks=request.frameworks,
                variables=request.variables,
                cuda=request.cuda,
                scratch=scratch,
                timeout=request.smoke_timeout,
            )
        except FleetError as error:
            files.write_json(os.path.join(path, gen.FAILED), {**draft["draft"], "failure": error.message})
            files.remove_quietly(os.path.join(path, gen.DRAFT))
            raise FleetError(
                "%s It was not put in use and stays to be looked at in %s; the next run builds it afresh."
                % (error.message, path)
            ) from error
        record = {**draft["draft"], "smoke_test": results, "frameworks": list(request.frameworks), "created": now()}
        files.write_json(os.path.join(path, gen.RECEIPT), record)
        files.remove_quietly(os.path.join(path, gen.DRAFT))
    return Outcome(True, draft["name"], details={"smoke_test": results})


def current(request: Request) -> Outcome:
    """`PREFIX/envs/NAME` leads to the generation: one step for whoever opens it."""
    state = gen.link_state(request.prefix, request.root, request.name)
    if state and not state["generation"]:
        raise FleetError(not_ours(request.name, request.link(), state))
    before = (state or {}).get("generation")
    wanted = request.generation or chosen(request)
    if wanted is None:
        if request.check:
            planned = str(gen.next_name(gen.list_names(request.root), request.name, request.digest))
            return Outcome(True, planned, diff=switch_text(request, before, planned))
        raise FleetError(
            "environment %r: no finished generation of lock %s is below %s. Next: build and test it first "
            "(states built, tested)." % (request.name, request.digest[:12], request.root)
        )
    record = gen.observe_generation(request.root, wanted, with_fingerprint=False)
    if not record or not record["finished"] or record["environment"] != request.name:
        raise InputError(
            "generation",
            wanted,
            "a finished generation of %s: %s" % (request.name, finished_names(request) or "none"),
            "choose one of them, or build it",
        )
    packages = difference(installed(current_record(request)), installed(record))
    if before == wanted and state and state["kind"] == "link":
        return Outcome(False, wanted)
    text = switch_text(request, before, wanted)
    if not request.check:
        with node_lock(request.root, "switch %s" % request.name, request.lock_timeout):
            put_link(request.link(), record["path"])
    return Outcome(True, wanted, packages, text, {"before": before})


def _uv(request: Request) -> Optional[str]:
    access = Access.of(request.access)
    return ensure_uv(request.root, request.tools, request.platform, request.depot_url, access)


STATES = {"fetched": fetched, "built": built, "tested": tested, "current": current}


def chosen(request: Request) -> Optional[str]:
    ready = request.usable()
    return ready["name"] if ready else None


def put_link(link: str, target: str) -> None:
    """Make the link, or move it, in one step. FleetError where a folder came in between."""
    folder = os.path.dirname(link)
    try:
        if not os.path.isdir(folder):
            os.makedirs(folder, exist_ok=True)
            os.chmod(folder, 0o755)  # noqa: S103 - users pass through it, whatever the umask of whoever runs this
        # A name that conda does not list, and that another attempt of this host has left at most once.
        temporary = os.path.join(folder, ".condafleet-" + os.path.basename(link))
        files.remove_quietly(temporary)
        os.symlink(target, temporary)
        os.replace(temporary, link)
    except OSError as error:
        raise FleetError("%s can't be made a link to %s: %s." % (link, target, error.strerror)) from error


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


def remove_unfinished(request: Request) -> List[str]:
    """Remove what attempts that were cut short have left of this environment; only what no process uses.

    What users reach by the link stays, also where its receipt was lost: the switch to the new one comes later.
    """
    removed = []
    reached = os.path.realpath(request.link())
    for name in gen.list_names(request.root):
        parsed = gen.parse_name(name[: -len(".removing")] if name.endswith(".removing") else name)
        path = request.path(name)
        if not parsed or parsed.environment != request.name or os.path.islink(path) or gen.read_receipt(path):
            continue
        if os.path.realpath(path) != reached and not users_of(path):
            remove_tree(path)
            removed.append(name)
    return removed


def current_record(request: Request) -> Optional[Dict[str, Any]]:
    state = gen.link_state(request.prefix, request.root, request.name)
    if not state or not state["generation"]:
        return None
    return gen.observe_generation(request.root, state["generation"], with_fingerprint=False)


def finished_names(request: Request) -> str:
    names = []
    for name in gen.list_names(request.root):
        parsed = gen.parse_name(name)
        if parsed and parsed.environment == request.name and gen.read_receipt(request.path(name)):
            names.append(name)
    return ", ".join(names)


def receipt(request: Request, generation: str) -> Dict[str, Any]:
    """What is known once it is built; the smoke test is added by `tested`."""
    parsed = gen.parse_name(generation)
    return {
        "schema_version": SCHEMA_VERSION,
        "environment": request.name,
        "target": request.target,
        "digest": request.digest,
        "serial": parsed.serial if parsed else 0,
        "fingerprint": fingerprint(request.path(generation)),
        "created": now(),
        "condafleet_version": request.version,
        "packages": [
            {key: getattr(package, key) for key in ("manager", "name", "version", "build")}
            for package in request.packages
        ],
        "smoke_test": {},
        "frameworks": list(request.frameworks),
        "variables": dict(request.variables),
    }


def switch_text(request: Request, before: Optional[str], after: str) -> str:
    return "%s: %s → %s\n" % (request.link(), before or "nothing", after)
