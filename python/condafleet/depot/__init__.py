"""Depots: a folder, read as `file://` or served by any web server, that holds all that a fleet needs."""

from condafleet.depot.build import DEFAULT_FRAMEWORKS, build_embedded
from condafleet.depot.contents import DepotContents, Item, contents
from condafleet.depot.manifest import ORIGIN, Manifest, open_depot
from condafleet.depot.place import DepotSummary
from condafleet.depot.serve import serve, served
from condafleet.depot.verify import Finding, VerifyResult, verify

__all__ = [
    "DEFAULT_FRAMEWORKS",
    "ORIGIN",
    "DepotContents",
    "DepotSummary",
    "Finding",
    "Item",
    "Manifest",
    "VerifyResult",
    "build_embedded",
    "contents",
    "open_depot",
    "serve",
    "served",
    "verify",
]
