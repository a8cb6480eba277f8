"""A report as JUnit XML: what CI systems read. Pure: data in, text out.

A suite for each host, a case for each check on each subject. FAIL is a failure, ERROR an error, SKIP skipped; what the
check saw is in the case's output. A host that could not be reached, or failed otherwise, is an error of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from io import BytesIO
from typing import Any

from junitparser import Error, Failure, JUnitXml, Skipped, TestCase, TestSuite

from ansible_collections.condafleet.core.plugins.module_utils.check_catalog import BY_NAME
from ansible_collections.condafleet.core.plugins.module_utils.findings import BAD, ERROR, FAIL, SKIP, sentence

RESULTS = {FAIL: Failure, ERROR: Error, SKIP: Skipped}
# The one case of a host whose checks can't be told.
WHOLE = "validation"
# What XML 1.0 has no way to say; programs colour their output with some of it.
UNSPEAKABLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit(report: Mapping[str, Any]) -> str:
    """Return a report's checks as JUnit XML."""
    whole = JUnitXml("condafleet")
    for name, host in sorted(report["hosts"].items()):
        whole.add_testsuite(_suite(name, host))
    written = BytesIO()
    whole.write(written)
    return written.getvalue().decode("utf-8") + "\n"


def _suite(name: str, host: Mapping[str, Any]) -> TestSuite:
    suite = TestSuite(_clean(name))
    suite.hostname = _clean(name)
    checks = host.get("checks")
    if checks:
        for key in ("run", "level", "verdict"):
            suite.add_property(key, str(checks[key]))
        for key, value in _identity(checks["identity"]):
            suite.add_property(key, _clean(value))
        suite.add_testcases([_case(name, finding) for finding in checks["findings"]])
    failed = host["status"] in ("failed", "unreachable")
    # A node that the role fails for its verdict has said why by its checks.
    if not checks or (failed and not any(one["verdict"] in BAD for one in checks["findings"])):
        suite.add_testcase(_whole(name, host, failed=failed))
    suite.update_statistics()  # type: ignore[no-untyped-call]
    return suite


def _case(host: str, finding: Mapping[str, Any]) -> TestCase:
    subject = "" if finding["subject"] == "node" else f" ({finding['subject']})"
    case = TestCase(_clean(finding["check"] + subject), classname=_clean(f"{host}.{finding['check']}"))
    case.time = float(finding["seconds"] or 0)
    result = RESULTS.get(finding["verdict"])
    if result:
        case.result = [result(_clean(finding["reason"] or "no reason was given"), finding["verdict"])]
        case.result[0].text = _clean(sentence(finding))
    case.system_out = _clean("\n".join(_output(finding)))
    return case


def _output(finding: Mapping[str, Any]) -> Iterator[str]:
    known = BY_NAME.get(finding["check"])
    yield f"{known.question if known else finding['check']} (version {finding['version']}, level {finding['level']})"
    if finding["value"] is not None:
        yield f"value: {finding['value']} {finding['unit']}".rstrip()
    if finding["limit"]:
        yield f"limit: {limit_text(finding['limit'])} ({finding['limit']['source']})"
    yield from finding["evidence"]


def _whole(name: str, host: Mapping[str, Any], *, failed: bool) -> TestCase:
    case = TestCase(WHOLE, classname=_clean(f"{name}.{WHOLE}"), time=0.0)
    if failed:
        case.result = [Error(_clean(host["message"] or f"the host {host['status']}"), host["status"])]
    else:
        case.result = [Skipped("this run has not validated it")]
    return case


def _identity(identity: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for key in ("driver", "cuda", "kernel", "cpu"):
        if identity.get(key):
            yield key, str(identity[key])
    for environment, generation in sorted((identity.get("generations") or {}).items()):
        yield f"generation.{environment}", str(generation)


def limit_text(limit: Mapping[str, Any]) -> str:
    """Return a limit as people read it."""
    words = {"least": "at least", "most": "at most", "equal": "exactly"}
    return ", ".join(f"{word} {limit[key]}" for key, word in words.items() if limit.get(key) is not None)


def _clean(text: str) -> str:
    return UNSPEAKABLE.sub("�", str(text))
