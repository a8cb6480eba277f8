"""What came of a run, host by host, as one FleetResult."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from ansible_collections.condafleet.core.plugins.module_utils import (
    report_checks,
    report_environments,
    report_validation,
)
from ansible_collections.condafleet.core.plugins.module_utils import results as maker
from ansible_collections.condafleet.core.plugins.module_utils.audit_report import build_audit
from condafleet.errors import FleetError
from condafleet.version import __version__

Status = Literal["ok", "changed", "failed", "unreachable", "skipped"]


@dataclass(frozen=True)
class HostResult:
    """What came of one host. `task` and `message` say where and why, if it failed or could not be reached.

    `data` is what condafleet's own actions handed over for this host: `observed`, `plan`, `environments`, `validation`,
    `checks` (the record of its validation in this run),
    and `rollback`: {moves: {ENV: {before, generation, digest, target}}, kept: {ENV: why nothing is to be done}}.
    """

    name: str
    status: Status
    message: str | None = None
    task: str | None = None
    data: Mapping[str, Any] = field(default_factory=dict)

    @property
    def state(self) -> str:
        """How it stood against its declaration when it was observed: ok, behind, unfinished, drifted, replaced, broken.

        What its last validation had come to is `bad_verdict`.
        """
        return str(report_environments.host_state(self.data))

    @property
    def bad_verdict(self) -> str | None:
        """FAIL or ERROR, where that is what its last validation had come to when it was observed; else None."""
        found: str | None = report_checks.last_bad_verdict(self.data, self.validation)
        return found

    @property
    def environments(self) -> dict[str, dict[str, Any]]:
        """{NAME: {generation, digest, target, state, why, fingerprint, files, drift}}."""
        return dict(report_environments.environments_report(self.data))

    @property
    def validation(self) -> dict[str, dict[str, Any]]:
        """{ENVIRONMENT: {verdict, test_accuracy, images_per_second, reason, frameworks}}."""
        return dict(report_validation.validation_report(self.data))

    @property
    def checks(self) -> dict[str, Any] | None:
        """{level, run, verdict, counts, identity, findings} of its validation, None where this run made none."""
        found = report_checks.checks_report(self.data)
        return None if found is None else dict(found)


@dataclass(frozen=True)
class FleetResult:
    """What came of a run, host by host. A run in which some nodes failed is a result, not an exception."""

    hosts: Mapping[str, HostResult]
    started: str
    ended: str
    locks: Mapping[str, Any] = field(default_factory=dict)
    gate: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """{plan, stage, rollback: {hosts, missing, may_fail, passed, groups, …}}: who was missing at the gates, and why."""
    figures: Sequence[Mapping[str, Any]] = ()
    """What a validation found the fleet to show: {check, kind, subject, unit, count, median, low, high, …} each."""

    @property
    def changed(self) -> tuple[str, ...]:
        """Names of hosts on which something was changed (in check mode: would be), and nothing failed."""
        return self._with("changed")

    @property
    def failed(self) -> tuple[str, ...]:
        """Names of hosts on which a task failed."""
        return self._with("failed")

    @property
    def unreachable(self) -> tuple[str, ...]:
        """Names of hosts that could not be reached."""
        return self._with("unreachable")

    @property
    def status(self) -> Status:
        """The worst status of any host."""
        order: tuple[Status, ...] = ("failed", "unreachable", "changed", "ok")
        return next((one for one in order if self._with(one)), "skipped")

    @property
    def ok(self) -> bool:
        """Whether every host was reached and none failed."""
        return not self.failed and not self.unreachable

    def raise_for_status(self) -> FleetResult:
        """Return this result, or raise FleetError if a node failed or could not be reached."""
        if self.ok:
            return self
        stop = next((str(one["text"]) for one in self.gate.values() if not one["passed"]), None)
        if stop:
            raise FleetError(stop, self)
        bad = [self.hosts[name] for name in (*self.failed, *self.unreachable)]
        shown = "; ".join(f"{host.name}: {host.message}" for host in bad[:3])
        more = f"; and {len(bad) - 3} more" if len(bad) > 3 else ""
        raise FleetError(
            f"{len(self.failed)} failed and {len(self.unreachable)} unreachable of {len(self.hosts)}: {shown}{more}",
            self,
        )

    def report(self) -> dict[str, Any]:
        """Return the report as data (`schema_version` 1): the same that the action `report` writes."""
        hosts = {
            name: {
                "status": "ok" if host.status == "skipped" else host.status,
                "message": host.message,
                "data": host.data,
            }
            for name, host in self.hosts.items()
        }
        figures = [dict(one) for one in self.figures]
        return dict(maker.build_report(hosts, self.started, self.ended, __version__, self.gate, figures))

    def audit(self) -> dict[str, Any]:
        """Return the audit as data (`schema_version` 1): see condafleet.audit."""
        hosts = {
            name: {"status": host.status, "message": host.message, "audit": host.data.get("audit")}
            for name, host in self.hosts.items()
        }
        return dict(build_audit(hosts, self.started, self.ended, __version__))

    def _with(self, status: Status) -> tuple[str, ...]:
        return tuple(sorted(name for name, host in self.hosts.items() if host.status == status))
