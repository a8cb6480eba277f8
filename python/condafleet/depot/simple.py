"""A Python package index (PEP 503) over a folder of wheels, with their metadata beside them (PEP 658)."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable
from html import escape
from pathlib import Path
from urllib.parse import quote

from packaging.utils import parse_wheel_filename

from condafleet.depot.files import link_or_copy, sha256_of
from condafleet.depot.wheel import read_metadata

PAGE = """<!DOCTYPE html>
<html>
<head><meta name="pypi:repository-version" content="1.0"><title>{title}</title></head>
<body>
{links}</body>
</html>
"""


def write(depot: Path, wheels: Iterable[Path]) -> None:
    """Put WHEELS into DEPOT/wheels and write DEPOT/simple over them."""
    target = depot / "wheels"
    target.mkdir(parents=True)
    projects: dict[str, list[str]] = defaultdict(list)
    for wheel in sorted(wheels, key=lambda path: path.name):
        link_or_copy(wheel, target / wheel.name)
        metadata = read_metadata(wheel)
        (target / f"{wheel.name}.metadata").write_bytes(metadata)
        name, _, _, _ = parse_wheel_filename(wheel.name)
        projects[name].append(_link(wheel, metadata))
    for project, links in projects.items():
        _page(depot / "simple" / project, f"Links for {project}", links)
    _page(depot / "simple", "Simple index", [f'<a href="{name}/">{name}</a>' for name in sorted(projects)])


def _link(wheel: Path, metadata: bytes) -> str:
    digest = f"sha256={hashlib.sha256(metadata).hexdigest()}"
    href = f"../../wheels/{quote(wheel.name)}#sha256={sha256_of(wheel)}"
    # Two spellings: PEP 714 renamed the attribute, older readers know only the first.
    return (
        f'<a href="{escape(href)}" data-dist-info-metadata="{digest}" data-core-metadata="{digest}">'
        f"{escape(wheel.name)}</a>"
    )


def _page(folder: Path, title: str, links: Iterable[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    page = PAGE.format(title=escape(title), links="".join(f"{link}<br>\n" for link in links))
    (folder / "index.html").write_text(page, encoding="utf-8")
