"""Depots: a folder, read as `file://` or served by any web server, that holds all that a fleet needs."""

from condafleet.depot.build import DepotSummary, build_embedded

__all__ = ["DepotSummary", "build_embedded"]
