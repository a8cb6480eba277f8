"""`python -m condafleet` is `condafleet`."""

from condafleet.cli import main

if __name__ == "__main__":
    main()
