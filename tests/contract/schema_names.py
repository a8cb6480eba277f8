"""The names of checks in the published schemas, from the catalog: `make docs` writes them.

The schemas themselves are written by hand; only this list would be written twice.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ansible_collections.condafleet.core.plugins.module_utils.check_catalog import CHECKS
from condafleet import schemas

FOLDER = Path(schemas.__file__).parent


def written(name: str) -> str:
    """Return the text of a schema's file, with the names of the checks as the catalog has them."""
    whole = json.loads((FOLDER / schemas.file_name(name)).read_text(encoding="utf-8"))
    return json.dumps(_named(whole), indent=2, ensure_ascii=False) + "\n"


def _named(part: Any) -> Any:
    if isinstance(part, list):
        return [_named(one) for one in part]
    if not isinstance(part, dict):
        return part
    found = {key: _named(value) for key, value in part.items()}
    if isinstance(found.get("properties"), dict) and "enum" in found["properties"].get("check", {}):
        found["properties"]["check"]["enum"] = [check.name for check in CHECKS]
    return found


def main() -> None:
    """Write the files."""
    for name in schemas.NAMES:
        (FOLDER / schemas.file_name(name)).write_text(written(name), encoding="utf-8")


if __name__ == "__main__":
    main()
