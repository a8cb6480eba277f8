"""Where the Ansible content is that belongs to this very condafleet."""

from __future__ import annotations

from pathlib import Path

from condafleet.errors import RunError


def collection_root(package: Path | None = None) -> Path:
    """Return the folder that holds `ansible_collections/condafleet/core`.

    A wheel puts it beside the package, in site-packages; a clone and an editable install have it in `collections/`.
    Only these two are looked at: another copy, found by a search path, might be of another version.
    """
    home = (package or Path(__file__).parent).resolve()
    candidates = (home.parent, home.parent.parent / "collections")
    for candidate in candidates:
        if (candidate / "ansible_collections/condafleet/core/playbooks").is_dir():
            return candidate
    looked = " or ".join(str(candidate) for candidate in candidates)
    raise RunError(
        f"condafleet's Ansible content was not found in {looked}. Accepted: the wheel, a clone or an editable install. "
        "Next: pip install --force-reinstall condafleet."
    )
