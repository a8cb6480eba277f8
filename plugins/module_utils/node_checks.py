# SPDX-License-Identifier: Apache-2.0
"""All that one node tells of itself, part by part: host, GPUs, the kernel's log, DCGM, speed.

Each part is bounded in time, and what goes wrong in one hides nothing of the others: it becomes ERROR in those checks
that the part has not come to.
"""

from __future__ import annotations

import time
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Sequence

from ansible_collections.condafleet.core.plugins.module_utils import (
    checks_gpu,
    checks_host,
    dcgm,
    findings,
    gpu_sight,
    host_probe,
    kernel_log,
    node_identity,
    nvml_tool,
    speed_disk,
    speed_judged,
    speed_run,
)
from ansible_collections.condafleet.core.plugins.module_utils import validation_child as children
from ansible_collections.condafleet.core.plugins.module_utils.access import Access
from ansible_collections.condafleet.core.plugins.module_utils.bounded_call import NoAnswerError, in_child
from ansible_collections.condafleet.core.plugins.module_utils.check_catalog import FULL
from ansible_collections.condafleet.core.plugins.module_utils.check_limits import Asked
from ansible_collections.condafleet.core.plugins.module_utils.clock import now
from ansible_collections.condafleet.core.plugins.module_utils.node_limits import (
    HOST_SECONDS,
    host_seconds,
    of_driver,
    part_of,
    wanted,
)
from ansible_collections.condafleet.core.plugins.module_utils.progress import Progress

Finding = Dict[str, Any]
NODE = "node"
HOST_LIMIT = HOST_SECONDS
HOUR = 3600.0
SEE_OTHERS = "see the other checks of the GPUs first"


class Request(NamedTuple):
    """What the module was asked for. In check mode (`rehearse`) what loads the node or writes is skipped."""

    level: str
    checks: Mapping[str, Any]
    prefix: str
    root: str
    speed: speed_run.SpeedRequest
    mounts: Sequence[Mapping[str, Any]] = ()
    xid_hours: float = 24
    tools: Optional[Mapping[str, Any]] = None
    depot_url: Optional[str] = None
    access: Optional[Mapping[str, Any]] = None
    rehearse: bool = False


def check_node(request: Request, progress: Progress) -> Dict[str, Any]:
    """{findings, identity, began, ended}."""
    began = now()
    told = _host(request, progress)
    sight = _sight(request, told, progress)
    asked = wanted(request.level, request.checks, sight.model)
    current = _generations(request)
    parts: Dict[str, Callable[[Mapping[str, Asked]], List[Finding]]] = {
        "host": lambda mine: _host_findings(request, told, mine),
        "gpu": lambda mine: gpu_sight.sight_findings(sight, mine),
        "xid": lambda mine: _xids(request, sight, mine, progress),
        "dcgm": lambda mine: _dcgm(request, sight, mine, progress),
        "speed": lambda mine: _speed(request, sight, mine, progress, current.get("failed")),
        "disk": lambda mine: _disk(request, mine, progress),
    }
    found: List[Finding] = []
    for name, part in parts.items():
        mine = {check: one for check, one in asked.items() if part_of(check, sight.absent) == name}
        found += guarded(mine, part) if mine else []
    return {
        "findings": found,
        "identity": node_identity.identity(current.get("generations") or {}, told, sight),
        "began": began,
        "ended": now(),
    }


def guarded(asked: Mapping[str, Asked], part: Callable[[Mapping[str, Asked]], List[Finding]]) -> List[Finding]:
    """A part's findings, with the seconds that they took; ERROR for every check of it, where the part itself failed."""
    start = time.monotonic()
    try:
        found = part(asked)
    except Exception as error:  # noqa: BLE001 - the other parts' findings are worth more than this one's traceback
        return [failed_part(one, error) for one in asked.values()]
    seconds = round(time.monotonic() - start, 3)
    for one in found:
        if one["seconds"] is None and one["verdict"] != findings.SKIP:
            one["seconds"] = seconds
    return found


def failed_part(one: Asked, error: BaseException) -> Finding:
    why = "%s: %s" % (type(error).__name__, " ".join(str(error).split())[:300] or "no more is known")
    return findings.unknown(one.check, NODE, why, "look at it on the node by hand; report it if it makes no sense")


def _generations(request: Request) -> Dict[str, Any]:
    """{generations} or {failed: why}: the installation may lie on a file server that is dead."""
    prefix, root = request.prefix, request.root
    try:
        return in_child(lambda: {"generations": node_identity.generations(prefix, root)}, HOST_LIMIT, prefix)
    except NoAnswerError as error:
        return {"failed": error.message}


# ── The host


def _host(request: Request, progress: Progress) -> Dict[str, Any]:
    """What host_probe.py tells. A mount is looked at by itself: a dead file server must not hide the rest."""
    progress("host", message="processors, memory, clock, limits")
    told: Dict[str, Any] = {"errors": {}}
    all_asked = wanted(request.level, request.checks)
    try:
        told = in_child(host_probe.observe, host_seconds(all_asked), "the kernel (/proc, /sys)")
    except NoAnswerError as error:
        told["failed"] = error.message
    asked = all_asked.get("host.mounts")
    told["mounts"] = []
    for entry in request.mounts if asked else ():
        progress("mounts", message=str(entry["path"]))
        told["mounts"].append(_mount(entry, asked.timeout if asked else HOST_LIMIT, request))
    return told


def _mount(entry: Mapping[str, Any], limit: float, request: Request) -> Dict[str, Any]:
    wanted_so = {**entry, "writable": bool(entry.get("writable")) and not request.rehearse}

    def look() -> Dict[str, Any]:
        found = host_probe.mount(wanted_so)
        owner = children.account(request.speed.user) if found["denied"] else None
        if owner is None:
            return found
        # File servers take root for nobody (root_squash). This child does nothing else: it stays that account.
        children.prepared(0, owner)()
        return host_probe.mount(wanted_so)

    try:
        return in_child(look, limit, "the file system")
    except NoAnswerError as error:
        return {"path": entry["path"], "there": True, "mounted": True, "free_gib": None, "problem": error.message}


def _host_findings(request: Request, told: Mapping[str, Any], asked: Mapping[str, Asked]) -> List[Finding]:
    found: List[Finding] = []
    if told.get("failed"):
        step = "look at the node's load and at its kernel's log"
        rest = [one for name, one in asked.items() if name != "host.mounts"]
        found = [findings.unknown(one.check, NODE, str(told["failed"]), step) for one in rest]
        asked = {name: one for name, one in asked.items() if name == "host.mounts"}
    found += checks_host.host_findings(told, asked, list(request.mounts))
    unwritten = request.rehearse and any(entry.get("writable") for entry in request.mounts)
    return [_unwritten(asked, one) if unwritten and one["check"] == "host.mounts" else one for one in found]


def _unwritten(asked: Mapping[str, Asked], found: Finding) -> Finding:
    """Reading can show that a mount is bad, but not that it can be written."""
    if found["verdict"] != "PASS":
        return found
    why = "check mode writes nothing to the mounts; what can be read of them is as declared"
    return findings.skipped(asked["host.mounts"].check, NODE, why, "run without check mode", evidence=found["evidence"])


# ── GPUs


def _sight(request: Request, told: Mapping[str, Any], progress: Progress) -> gpu_sight.Sight:
    asked = wanted(request.level, request.checks)
    limit = max([one.timeout for name, one in asked.items() if of_driver(name)], default=gpu_sight.LIMIT)
    progress("gpus", message="asking the driver")

    def wheel() -> Optional[str]:
        access = Access.of(request.access)
        fetch = not request.rehearse
        return nvml_tool.ensure_nvml(request.root, request.tools, request.depot_url, access, may_fetch=fetch)

    try:
        return gpu_sight.look(told.get("driver"), wheel, limit)
    except Exception as error:  # noqa: BLE001 - said in every check of the GPUs
        return gpu_sight.Sight(None, problem="%s: %s" % (type(error).__name__, error))


def _gpus_now(request: Request, sight: gpu_sight.Sight, progress: Progress) -> List[Dict[str, Any]]:
    """The GPUs as they are now, each with who has `told` it; NoAnswerError where nobody tells any more."""
    now_seen = _sight(request, sight.probe or {}, progress)
    if now_seen.problem is not None:
        raise NoAnswerError(now_seen.problem)
    return [{**gpu, "told": now_seen.source.partition(";")[0]} for gpu in now_seen.gpus]


def _xids(request: Request, sight: gpu_sight.Sight, asked: Mapping[str, Asked], progress: Progress) -> List[Finding]:
    one = asked["gpu.xid"]
    window = request.xid_hours * HOUR
    progress("xid", message="the kernel's log of %g h" % request.xid_hours)
    step = "let the module run as root, and keep a journal of the kernel's messages (Storage=persistent)"
    try:
        messages = kernel_log.read(window, one.timeout)
    except kernel_log.NoLogError as error:
        return [findings.unknown(one.check, NODE, str(error), step)]
    here = time.time()
    seen = kernel_log.xids(messages, window, here)
    found = checks_gpu.xid_findings(sight.gpus, seen, window, one, messages.source)
    if kernel_log.reaches(messages, window, here):
        return found
    hours = (here - messages.since) / HOUR
    why = "%s reaches back %.1f h of %g h" % (messages.source, hours, request.xid_hours)
    return [
        one_found
        if one_found["verdict"] != "PASS"
        else findings.unknown(one.check, one_found["subject"], why, step, evidence=one_found["evidence"])
        for one_found in found
    ]


def _dcgm(request: Request, sight: gpu_sight.Sight, asked: Mapping[str, Asked], progress: Progress) -> List[Finding]:
    one = asked["gpu.dcgm"]
    if request.rehearse:
        return [_loads(one)]
    if sight.probe is None:
        why = "the driver did not answer, and is not put under load"
        return [findings.unknown(one.check, NODE, why, SEE_OTHERS)]
    # It loads GPUs at level full only. What was seen of them at first may be minutes old.
    full = request.level == FULL
    busy = not full or any(speed_judged.use_of(gpu) for gpu in _gpus_now(request, sight, progress))
    progress("dcgm", message="DCGM's own diagnosis")
    return dcgm.dcgm_findings(asked, request.level, busy)


# ── Speed


def _speed(
    request: Request,
    sight: gpu_sight.Sight,
    asked: Mapping[str, Asked],
    progress: Progress,
    no_prefix: Optional[str] = None,
) -> List[Finding]:
    if request.rehearse:
        return [_loads(one) for one in asked.values()]
    if no_prefix:
        step = "look at the file system of the installation (host.mounts, dmesg)"
        return [findings.unknown(one.check, NODE, no_prefix, step) for one in asked.values()]
    if not sight.gpus and not sight.absent:
        # Measured on the CPUs, a node that should have GPUs would pass.
        why = (
            "the driver did not answer, and is not put under load" if sight.probe is None else "the driver sees no GPU"
        )
        return [findings.unknown(one.check, NODE, why, SEE_OTHERS) for one in asked.values()]

    def again() -> List[Dict[str, Any]]:
        return _gpus_now(request, sight, progress)

    speed = request.speed._replace(look_again=again if sight.gpus else None)
    return speed_run.speed_findings(speed, asked, sight.gpus, progress)


def _disk(request: Request, asked: Mapping[str, Asked], progress: Progress) -> List[Finding]:
    one = asked["speed.disk"]
    if request.rehearse:
        return [_loads(one)]
    progress("disk", message="reading below %s" % request.root)
    return [speed_disk.disk_finding(request.root, one)]


def _loads(one: Asked) -> Finding:
    return findings.skipped(one.check, NODE, "check mode puts no load on the node", "run without check mode")
