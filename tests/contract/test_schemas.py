"""The published JSON Schemas say what the code says, and travel in the wheel."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import jsonschema
import pytest
from tests.contract.schema_names import written

from ansible_collections.condafleet.core.plugins.module_utils import check_catalog, findings
from ansible_collections.condafleet.core.plugins.module_utils.results import SCHEMA_VERSION, STATUSES
from condafleet import schemas
from condafleet.report import CHECKS_KEYS, FINDING_KEYS, HOST_KEYS

REPO = Path(__file__).parents[2]
FOLDER = REPO / "python" / "condafleet" / "schemas"


def properties(name: str) -> dict:
    return schemas.schema(name)["properties"]


@pytest.mark.parametrize("name", schemas.NAMES)
def test_each_is_a_schema_of_draft_2020_12_that_needs_no_other_file(name: str) -> None:
    whole = schemas.schema(name)
    jsonschema.Draft202012Validator.check_schema(whole)
    assert whole["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert whole["$id"] == f"{schemas.URN}{name}-{schemas.VERSION}"
    embedded = {one.get("$id") for one in whole.get("$defs", {}).values()}
    wanted = {f"{schemas.URN}{other}-{schemas.VERSION}" for other in schemas.NAMES}
    assert {urn for urn in wanted if f'"$ref": "{urn}"' in json.dumps(whole)} <= embedded


def test_names_levels_scopes_and_verdicts_are_the_code_s() -> None:
    finding = properties("finding")
    assert finding["check"]["enum"] == [check.name for check in check_catalog.CHECKS]
    assert finding["level"]["enum"] == list(check_catalog.LEVELS)
    assert set(finding["scope"]["enum"]) == {check.scope for check in check_catalog.CHECKS}
    assert finding["evidence"]["maxItems"] == findings.EVIDENCE_LINES
    assert finding["evidence"]["items"]["maxLength"] == findings.EVIDENCE_WIDTH
    checks = properties("checks")
    for verdicts in (finding["verdict"]["enum"], checks["verdict"]["enum"], checks["counts"]["required"]):
        assert verdicts == list(findings.ORDER)
    host = schemas.schema("report")["$defs"]["host"]
    assert set(host["properties"]["status"]["enum"]) == set(STATUSES)
    assert properties("report")["schema_version"]["const"] == SCHEMA_VERSION == schemas.VERSION


@pytest.mark.parametrize("name", schemas.NAMES)
def test_every_list_of_checks_is_the_catalog_s(name: str) -> None:
    assert (FOLDER / schemas.file_name(name)).read_text() == written(name), "Next: make docs"


def test_what_readers_rely_on_is_promised() -> None:
    assert set(FINDING_KEYS) <= set(schemas.schema("finding")["required"])
    assert set(CHECKS_KEYS) == set(schemas.schema("checks")["required"])
    assert {*HOST_KEYS, "checks"} == set(schemas.schema("report")["$defs"]["host"]["required"])


def test_they_travel_in_the_wheel() -> None:
    assert {path.name for path in FOLDER.glob("*.json")} == {schemas.file_name(name) for name in schemas.NAMES}
    wheel = tomllib.loads((REPO / "pyproject.toml").read_text())["tool"]["hatch"]["build"]
    assert wheel["targets"]["wheel"]["packages"] == ["python/condafleet"]
    assert not [pattern for pattern in wheel["exclude"] if "json" in pattern]
