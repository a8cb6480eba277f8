"""The version of condafleet: the one place where it is written (galaxy.yml is held equal by a test)."""

__version__ = "0.1.0"
