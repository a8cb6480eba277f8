"""Ansible's events and stats, folded into one FleetResult."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

from ansible_collections.condafleet.core.plugins.module_utils.mappings import merge
from ansible_collections.condafleet.core.plugins.module_utils.report_gate import missing_nodes
from condafleet.errors import CondafleetError, InputError, LockError
from condafleet.results import FleetResult, HostResult, Status

# Actions that check what was declared: when one of them refuses, nothing was touched on any node.
LOCK = "condafleet.core.lock"
CHECKS = (
    LOCK,
    "condafleet.core.declaration",
    "ansible.builtin.validate_argument_spec",
    "validate_argument_spec",
)

GATE = "condafleet.core.gate"
# Decides for the whole fleet before anything is touched: what it refuses is refused for all.
ROLLBACK = "condafleet.core.rollback"
PLAN = "condafleet.core.plan"
AUDIT = "condafleet.core.environments_audit"
HISTORY = "condafleet.core.validation_history"
RECORD = "condafleet.core.validation_record"
VERDICTS = "condafleet.core.validation_verdicts"
# What of their results is a host's data. A copy handed over beside it would double what each node sends.
PLANNED = ("observed", "plan")
AUDITED = ("environments", "fields", "absent", "accepted", "tos")
REMEMBERED = ("runs", "records")

# The task of the site's playbook that fails, on localhost, where an inventory has no host.
ASK = "Ask for an inventory"


@dataclass(frozen=True)
class Failure:
    """One task that failed on one host, and was neither ignored nor rescued as far as its event tells."""

    host: str
    task: str
    action: str
    message: str


class Fold:
    """Takes events in their order, and makes a FleetResult of them."""

    def __init__(self, now: datetime | None = None) -> None:
        self.started = stamp(now)
        self.failures: list[Failure] = []
        self.unreachable: dict[str, Failure] = {}
        self.data: dict[str, dict[str, Any]] = {}
        self.locks: dict[str, Any] = {}
        self.gate: dict[str, dict[str, Any]] = {}
        self.figures: list[dict[str, Any]] = []
        self.warnings: list[str] = []
        self.began = False  # whether any task ended on any host

    def event(self, event: Mapping[str, Any]) -> None:
        """Take one event."""
        kind, data = event.get("event"), event.get("event_data") or {}
        # Until a playbook starts, ansible-runner hands on whatever Ansible says as "verbose".
        if kind == "warning" or (kind == "verbose" and "[WARNING]" in str(event.get("stdout"))):
            self.warnings.append(str(event["stdout"]))
        host, result = data.get("host"), data.get("res")
        if not host or not isinstance(result, Mapping):
            return
        self.began = True
        if kind == "runner_on_failed" and not data.get("ignore_errors"):
            self.failures.append(_failure(data, result))
        elif kind == "runner_on_unreachable":
            self.unreachable[host] = _failure(data, result)
        if kind in ("runner_on_ok", "runner_on_failed", "runner_item_on_ok", "runner_item_on_failed"):
            self._take(host, _action(data), result)
            if _action(data) == LOCK and isinstance(result.get("locks"), Mapping):
                self.locks = merge(_locks(result["locks"]), _solved(self.locks, result["locks"]))
            if _action(data) == VERDICTS and isinstance(result.get("figures"), list):
                self.figures = result["figures"]
                for lost, record in (result.get("lost") or {}).items():
                    self.data[lost] = merge(self.data.get(lost, {}), {"checks": record})
            if _action(data) in (GATE, ROLLBACK) and isinstance(result.get("gate"), Mapping):
                self.gate[str(result["gate"]["after"])] = dict(result["gate"])
                self._take_rollback(result)

    def _take(self, host: str, action: str, result: Mapping[str, Any]) -> None:
        for one in (result, *(item for item in result.get("results") or () if isinstance(item, Mapping))):
            handed = _handed(action, one)
            if handed:
                self.data[host] = merge(self.data.get(host, {}), handed)

    def _take_rollback(self, result: Mapping[str, Any]) -> None:
        """Take what was decided for each host: one host tells it for all. Where the gate stops it, nobody moves."""
        decided = result.get("rollback")
        if not isinstance(decided, Mapping) or not result["gate"]["passed"]:
            return
        for host, moves in decided["moves"].items():
            if host not in decided["missing"]:
                told = {"moves": dict(moves), "kept": dict(decided["kept"].get(host) or {})}
                self.data[host] = merge(self.data.get(host, {}), {"rollback": told})

    @property
    def asked(self) -> bool:
        """Whether the playbook found no host, and asked for an inventory."""
        return any(one.task == ASK for one in self.failures)

    def result(self, stats: Mapping[str, Any], now: datetime | None = None) -> FleetResult:
        """Return the result, by the stats with which the run ended."""
        hosts = {name: self._host(name, stats) for name in stats.get("processed") or {}}
        # A play on localhost that only asks a question is no node of the fleet.
        hosts = {name: host for name, host in hosts.items() if name != "localhost" or host.status != "skipped"}
        return FleetResult(
            hosts=MappingProxyType(dict(sorted(hosts.items()))),
            started=self.started,
            ended=stamp(now),
            locks=MappingProxyType(self.locks),
            gate=MappingProxyType(self.gate),
            figures=tuple(self.figures),
        )

    def _host(self, name: str, stats: Mapping[str, Any]) -> HostResult:
        def count(kind: str) -> int:
            return int((stats.get(kind) or {}).get(name, 0))

        # The gate's stop is said by some host, for all; those that it is about may not have failed by themselves yet.
        stops = [one for one in self.failures if one.host == name and self._is_stop(one)]
        failure: Failure | None = None
        status: Status
        if count("dark"):
            status, failure = "unreachable", self.unreachable.get(name)
        elif count("failures") > len(stops):
            own = (one for one in reversed(self.failures) if one.host == name and one not in stops)
            status, failure = "failed", next(own, None)
        elif name in self._stopped():
            blocked = (self.data.get(name, {}).get("plan") or {}).get("blocked") or [self._stopped()[name]]
            status, failure = "failed", Failure(name, "the gate", GATE, " ".join(blocked))
        elif count("changed"):
            status = "changed"
        elif count("ok"):
            status = "ok"
        else:
            status = "skipped"
        return HostResult(
            name=name,
            status=status,
            message=failure.message if failure else None,
            task=failure.task if failure else None,
            data=MappingProxyType(self.data.get(name, {})),
        )

    def _stopped(self) -> dict[str, str]:
        """Return {host: why} of those for which a gate stopped the run."""
        return dict(missing_nodes({after: one for after, one in self.gate.items() if not one["passed"]}))

    def _is_stop(self, failure: Failure) -> bool:
        return any(not one["passed"] and " ".join(one["text"].split()) in failure.message for one in self.gate.values())

    def refusal(self) -> CondafleetError | None:
        """Return what was refused before anything was touched: None unless that is all that went wrong."""
        refused = [one.message for one in self.failures if one.action == ROLLBACK]
        if refused:
            return InputError(" ".join(refused))
        if not self.failures or not all(one.action in CHECKS for one in self.failures):
            return None
        message = " ".join(dict.fromkeys(one.message for one in self.failures))
        return LockError(message) if all(one.action == LOCK for one in self.failures) else InputError(message)


def stamp(now: datetime | None = None) -> str:
    """Return a time (default: now) as UTC in ISO 8601, to the second."""
    return (now or datetime.now(UTC)).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _action(data: Mapping[str, Any]) -> str:
    return str(data.get("resolved_action") or data.get("task_action") or "")


def _handed(action: str, result: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a task handed over for its host."""
    if action == PLAN:
        return {key: result[key] for key in PLANNED if key in result}
    if action == AUDIT:
        return {"audit": {key: result[key] for key in AUDITED}} if AUDITED[0] in result else {}
    if action == RECORD:
        return {"checks": result["record"]} if result.get("record") else {}
    if action == HISTORY:
        return {"history": {key: result[key] for key in REMEMBERED}} if REMEMBERED[0] in result else {}
    handed = ((result.get("ansible_stats") or {}).get("data") or {}).get("condafleet")
    return dict(handed) if isinstance(handed, Mapping) else {}


def _locks(locks: Mapping[str, Any]) -> dict[str, Any]:
    """Return locks without their variables: those are in the files."""
    return {
        environment: {
            target: {key: value for key, value in entry.items() if key != "variables"}
            for target, entry in targets.items()
        }
        for environment, targets in locks.items()
    }


def _solved(known: Mapping[str, Any], newer: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is known of locks and stays so: one host had it solved, which the next found done."""
    return {
        environment: {
            target: entry
            for target, entry in targets.items()
            if entry.get("changes") is not None or target not in newer.get(environment, {})
        }
        for environment, targets in known.items()
    }


def _failure(data: Mapping[str, Any], result: Mapping[str, Any]) -> Failure:
    return Failure(
        host=str(data["host"]),
        task=str(data.get("task") or ""),
        action=_action(data),
        message=message_of(result),
    )


def message_of(result: Mapping[str, Any]) -> str:
    """Return why a task failed, in one line as far as its result tells."""
    bad = [
        one
        for one in result.get("results") or ()
        if isinstance(one, Mapping) and (one.get("failed") or one.get("unreachable"))
    ]
    if bad:
        return "; ".join(dict.fromkeys(message_of(one) for one in bad))
    errors = result.get("argument_errors")
    if errors:
        return "; ".join(str(error) for error in errors)
    message = str(result.get("msg") or "").strip()
    said = str(result.get("module_stderr") or result.get("stderr") or "").strip()
    if said and (not message or message.startswith(("MODULE FAILURE", "non-zero return code", "Module result"))):
        message = f"{message}: {said.splitlines()[-1]}" if message else said.splitlines()[-1]
    if not message and result.get("failed_when_result"):
        message = "its outcome is what the task calls a failure"
    if not message:
        message = f"exit status {result['rc']}" if "rc" in result else "it gave no reason"
    return " ".join(message.removeprefix("Task failed: ").split())
