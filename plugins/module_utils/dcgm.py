# SPDX-License-Identifier: Apache-2.0
"""DCGM's own diagnosis of a node, where it is installed: `dcgmi diag -j`.

Two forms of its JSON are known. DCGM 3: {"DCGM GPU Diagnostic": {test_categories: [{category, tests: [{name, results:
[{gpu_ids | gpu_id: "0,1", status, warnings, info}]}]}], version, runtime_error}}, after the comment in nvvs/include of
NVIDIA/DCGM and its test of deserialising "real output" (driver 525.75). DCGM 4: {"DCGM Diagnostic": {test_categories:
[… results: [{entity_group, entity_id, status, warnings: [{error_id, error_severity, warning}]}], test_summary]},
metadata: {version}}, after testing/python3 of NVIDIA/DCGM and a published answer of 4.2.3 (driver 580.82.09). What is
read here is what both have; warnings may be a text, or a list of texts or of {warning}. Text may stand before the JSON.
"""

from __future__ import annotations

import functools
import json
import shutil
import subprocess
import time
from typing import Any, Dict, Iterable, List, Mapping, NamedTuple, Optional

from ansible_collections.condafleet.core.plugins.module_utils import findings
from ansible_collections.condafleet.core.plugins.module_utils.check_limits import Asked
from ansible_collections.condafleet.core.plugins.module_utils.child_group import child_group, end_group

CHECK = "gpu.dcgm"
CONTAINERS = ("DCGM Diagnostic", "DCGM GPU Diagnostic")
# How much is tested. 1 reads and loads libraries only; 2 runs kernels and copies for some minutes, on free GPUs only.
READING, RUNNING = 1, 2
# It is DCGM's service that runs the tests: dcgmi stops them there when it is asked to end, and leaves them when killed.
GRACE = 5.0
FAILED, WARNED, PASSED = "fail", "warn", "pass"
KNOWN = (FAILED, WARNED, PASSED, "skip", "not run")
STEP = "run `dcgmi diag -r %d` on the node, and do what it says of this"
NO_ANSWER = "see that DCGM's service runs (systemctl status nvidia-dcgm), and run `dcgmi diag -r %d` on the node"


class DiagnosisError(Exception):
    """There is no diagnosis; the text says why."""


class Test(NamedTuple):
    """One of its tests on some entities: `status` in lower case, `on` such as "GPU 0,1", or empty."""

    name: str
    status: str
    on: str
    said: List[str]


def dcgm_findings(asked: Mapping[str, Asked], level: str = "standard", busy: bool = False) -> List[Dict[str, Any]]:
    """The finding of gpu.dcgm where it is asked for. With `busy` (a process uses a GPU) none is loaded, also at level
    full."""
    if CHECK not in asked:
        return []
    one = asked[CHECK]
    program = shutil.which("dcgmi")
    if not program:
        return [findings.skipped(one.check, "node", "DCGM is not installed here", "nothing, if so meant")]
    depth = RUNNING if level == "full" and not busy else READING
    began = time.monotonic()
    try:
        tests = parse(diagnose(program, depth, one.timeout))
    except DiagnosisError as error:
        spent = time.monotonic() - began
        return [findings.unknown(one.check, "node", str(error), NO_ANSWER % depth, seconds=spent)]
    return [judge(tests, one, depth, time.monotonic() - began)]


def diagnose(program: str, depth: int, limit: float) -> str:
    """What `dcgmi diag` said, whatever its exit status: it is not 0 where a test failed, too. DiagnosisError where it
    takes more than `limit` seconds; it is ended then, and left behind where it can't be."""
    with child_group(
        [program, "diag", "-r", str(depth), "-j"],
        end=functools.partial(end_group, grace=GRACE),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        universal_newlines=True,
    ) as child:
        try:
            said: str = child.communicate(timeout=limit)[0]
        except subprocess.TimeoutExpired:
            raise DiagnosisError("dcgmi diag -r %d did not end within %g seconds" % (depth, limit)) from None
    if "{" not in said:
        raise DiagnosisError("dcgmi ended with %d: %s" % (child.returncode, " ".join(said.split())[:300]))
    return said


def parse(said: str) -> List[Test]:
    """The tests of a diagnosis; DiagnosisError where it is none, or says itself that it could not be made."""
    try:
        document = json.JSONDecoder().raw_decode(said, said.index("{"))[0]
    except ValueError as error:
        raise DiagnosisError("dcgmi gave no JSON (%s): %s" % (error, " ".join(said.split())[:200])) from None
    body = next((document[key] for key in CONTAINERS if isinstance(document.get(key), dict)), document)
    trouble = body.get("runtime_error") or document.get("runtime_error")
    if trouble:
        raise DiagnosisError("DCGM: %s" % trouble)
    found = []
    for category in body.get("test_categories") or []:
        for test in (category or {}).get("tests") or []:
            # Null stands between tests in answers of DCGM 3.
            found += _results(test) if test else []
    if not found:
        raise DiagnosisError("DCGM named no test: %s" % " ".join(said.split())[:200])
    return found


def judge(tests: List[Test], one: Asked, depth: int, seconds: float) -> Dict[str, Any]:
    """A finding: one test that failed fails the node, none that passed is no PASS."""
    bad = [test for test in tests if test.status.startswith(FAILED)]
    good = [test for test in tests if test.status.startswith(PASSED)]
    # What says something stands first.
    told = sorted(tests, key=lambda test: (test not in bad, not test.status.startswith(WARNED)))
    evidence = ["%s: %s" % (_name(test), "; ".join([test.status, *test.said])) for test in told]
    value = "%d of %d tests" % (len(good), len(tests))
    if bad:
        why = "; ".join("%s: %s" % (_name(test), ", ".join(test.said) or test.status) for test in bad)
        return findings.failed(
            one.check, "node", value, why, STEP % depth, one.limit, evidence=evidence, seconds=seconds
        )
    strange = [test for test in tests if not test.status.startswith(KNOWN)]
    if strange:
        why = "; ".join("what %s means in %s is not known here" % (test.status, _name(test)) for test in strange)
        return findings.unknown(one.check, "node", why, STEP % depth, evidence=evidence, seconds=seconds)
    if not good:
        why = "DCGM tested nothing on this node (%s)" % ", ".join(sorted({test.status for test in tests}))
        return findings.skipped(one.check, "node", why, "nothing, if DCGM has no tests for this GPU", evidence=evidence)
    return findings.passed(one.check, "node", value, one.limit, evidence=evidence, seconds=seconds)


def _results(test: Mapping[str, Any]) -> Iterable[Test]:
    name = str(test.get("name") or test.get("test_name") or "a test without a name")
    results = [result for result in test.get("results") or [] if isinstance(result, dict)]
    for result in results or [test.get("test_summary") or {}]:
        status = str(result.get("status") or "unknown").strip().lower()
        yield Test(name, status, _on(result), _texts(result.get("warnings")) + _texts(result.get("info")))


def _on(result: Mapping[str, Any]) -> str:
    if "entity_id" in result:
        return "%s %s" % (result.get("entity_group") or "entity", result["entity_id"])
    gpus: Optional[Any] = result.get("gpu_ids", result.get("gpu_id"))
    return "" if gpus is None else "GPU %s" % gpus


def _texts(told: Any) -> List[str]:
    if isinstance(told, dict):
        told = told.get("warning") or told.get("info") or ""
    if isinstance(told, list):
        return [text for one in told for text in _texts(one)]
    return [" ".join(str(told).split())] if told else []


def _name(test: Test) -> str:
    return "%s (%s)" % (test.name, test.on) if test.on else test.name
