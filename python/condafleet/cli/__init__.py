"""The command line: `condafleet VERB …`."""

from condafleet.cli.app import main

__all__ = ["main"]
