# SPDX-License-Identifier: Apache-2.0
"""A node's record as metrics, in Prometheus' text format 0.0.4, for the textfile collector of node_exporter. Pure.

One series of `condafleet_check_verdict` for each finding, with its verdict as a label and the value 1: alert on
`condafleet_check_verdict{verdict="FAIL"}`. What was measured is `condafleet_check_value`; its unit is a label, since
the checks measure all kinds of things. Nothing here holds a time of its own, which node_exporter would refuse.
"""

from __future__ import annotations

import calendar
import time
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from ansible_collections.condafleet.core.plugins.module_utils import findings
from ansible_collections.condafleet.core.plugins.module_utils.clock import FORM
from ansible_collections.condafleet.core.plugins.module_utils.figures import is_figure

# A label and its value.
Label = Tuple[str, str]
Sample = Tuple[Sequence[Label], float]


def render(record: Mapping[str, Any]) -> str:
    """The text. Of findings with the same check and subject the worst one stands: a series is there once."""
    found = _once(record["findings"])
    counts = findings.summary(found)
    started, ended = _seconds(record.get("started")), _seconds(record.get("ended"))
    level = ("level", str(record["level"]))
    parts = [
        _metric(
            "condafleet_check_verdict",
            "What a check came to on a subject: 1 for its verdict.",
            [([*_of(one), ("verdict", one["verdict"])], 1) for one in found],
        ),
        _metric(
            "condafleet_check_value",
            "What a check measured on a subject, in the unit that the label names.",
            [([*_of(one), ("unit", one["unit"])], float(one["value"])) for one in found if is_figure(one["value"])],
        ),
        _metric(
            "condafleet_validation_verdict",
            "What the whole validation of this node came to: 1 for its verdict.",
            [([level, ("verdict", str(record["verdict"]))], 1)],
        ),
        _metric(
            "condafleet_validation_findings",
            "How many checks of the last validation had which verdict.",
            [([("verdict", verdict)], counts[verdict]) for verdict in findings.ORDER],
        ),
        _metric(
            "condafleet_validation_timestamp_seconds",
            "When the last validation of this node ended, in seconds since 1970.",
            [([], ended)] if ended is not None else [],
        ),
        _metric(
            "condafleet_validation_duration_seconds",
            "How long the last validation took, from the first look at this node.",
            [([], ended - started)] if ended is not None and started is not None and ended >= started else [],
        ),
    ]
    return "".join(parts)


def _of(one: Mapping[str, Any]) -> List[Label]:
    return [("check", str(one["check"])), ("subject", str(one["subject"]))]


def _once(found: Sequence[Mapping[str, Any]]) -> List[Mapping[str, Any]]:
    kept: Dict[Tuple[str, str], Mapping[str, Any]] = {}
    for one in found:
        key = (str(one["check"]), str(one["subject"]))
        if key not in kept or findings.ORDER.index(one["verdict"]) > findings.ORDER.index(kept[key]["verdict"]):
            kept[key] = one
    return [kept[key] for key in sorted(kept)]


def _metric(name: str, text: str, samples: Sequence[Sample]) -> str:
    if not samples:
        return ""
    lines = ["# HELP %s %s" % (name, text), "# TYPE %s gauge" % name]
    for labels, value in samples:
        told = ",".join('%s="%s"' % (label, escaped(said)) for label, said in labels)
        lines.append("%s%s %s" % (name, "{%s}" % told if told else "", _number(value)))
    return "\n".join(lines) + "\n"


def escaped(text: str) -> str:
    """What stands between the quotes of a label."""
    # A carriage return or a surrogate has no escape, and would end the reading of the whole file.
    clean = text.encode("utf-8", "replace").decode("utf-8").replace("\r", " ")
    return clean.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    return repr(int(value)) if float(value).is_integer() and abs(value) < 1e15 else repr(float(value))


def _seconds(said: Any) -> Optional[float]:
    try:
        return float(calendar.timegm(time.strptime(str(said), FORM)))
    except ValueError:
        return None
