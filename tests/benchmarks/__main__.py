"""python -m tests.benchmarks [WHAT]: measure, print a short table, write build/bench/WHAT.json (default: converged)."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from . import activation, converged, drift, figures, fleet, measure, shell_start, solve, status, verdicts, wheels


def find_depot(named: Path | None) -> Path:
    """The depot to use: the one named, else the one of `make test`, else the one of `make demo`."""
    tested = os.environ.get("CONDAFLEET_TEST_DEPOT")
    depot = named or (Path(tested) if tested else fleet.ROOT / "build" / "demo" / "depot")
    if not (depot / "manifest.json").is_file():
        raise measure.BenchmarkError(
            f"--depot: {depot} has no manifest.json. Accepted: a folder that `condafleet depot build` made. "
            "Next: make depot, or name one with --depot DIR."
        )
    return depot.resolve()


def write(result: dict[str, Any], name: str) -> Path:
    """Keep a result as build/bench/NAME.json; the path."""
    target = converged.OUT / f"{name}.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return target


def main(argv: list[str]) -> int:
    names = [variant.name for variant in converged.VARIANTS]
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument(
        "what",
        nargs="?",
        default="converged",
        choices=["converged", "activation", "shells", "drift", "status", "solve", "verdicts", "wheels"],
        help="what to measure",
    )
    parser.add_argument("--installation", type=Path, metavar="PREFIX", help="shells: a conda that is there already")
    parser.add_argument(
        "--depot",
        type=Path,
        help="a depot with the embedded installer; default: $CONDAFLEET_TEST_DEPOT, build/demo/depot",
    )
    parser.add_argument("--nodes", type=int, default=10, help="containers (default 10)")
    parser.add_argument("--rounds", type=int, default=5, help="interleaved rounds (default 5)")
    parser.add_argument("--slow-rounds", type=int, default=3, help="rounds that include the slow variants (default 3)")
    parser.add_argument("--only", action="append", default=[], choices=names, help="these variants (and three pings)")
    parser.add_argument("--keep", action="store_true", help="leave the containers for the next call")
    options = parser.parse_args(argv)
    if min(options.nodes, options.rounds, options.slow_rounds) < 1:
        parser.error("--nodes, --rounds, --slow-rounds: 1 or more")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # the containers go also when a time limit ends this
    say = converged.progress(time.monotonic())
    if options.what == "activation":
        result = activation.run(find_depot(options.depot), options.rounds, say)
        write(result, "activation")
        print(activation.table(result))
        return 0
    if options.what == "shells":
        depot = None if options.installation else find_depot(options.depot)
        result = shell_start.run(depot, options.installation, options.rounds, say)
        write(result, "shell_start")
        print("Milliseconds for the whole shell, medians.\n" + shell_start.table(result))
        return 0
    if options.what == "drift":
        result = drift.run(find_depot(options.depot), options.rounds, say)
        write(result, "drift")
        print(drift.table(result))
        return 0 if all(part["holds"] for part in result["parts"].values()) else 1
    if options.what == "verdicts":
        result = verdicts.run(options.rounds, say)
        write(result, "verdicts")
        print(verdicts.table(result))
        return 0 if result["holds"] else 1
    if options.what == "status":
        result = status.run(options.rounds, say)
        write(result, "status")
        print(status.table(result))
        return 0 if result["holds"] else 1
    if options.what == "solve":
        result = solve.run(options.rounds, say)
        write(result, "solve")
        print(solve.table(result))
        return 0
    if options.what == "wheels":
        result = wheels.run(find_depot(options.depot), options.rounds, say)
        write(result, "wheels")
        print(wheels.table(result))
        return 0
    result = converged.run(
        options.nodes, options.rounds, options.slow_rounds, find_depot(options.depot), options.only, options.keep, say
    )
    target = write(result, "converged")
    print(f"\nMedians; ratios to three pings in brackets; CPU seconds of all {options.nodes} nodes together.")
    print(figures.table(result))
    print(f"\n{target.relative_to(fleet.ROOT)}")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except (measure.BenchmarkError, fleet.engine.EngineError) as error:
        sys.exit(f"python -m tests.benchmarks: {error}")
    except KeyboardInterrupt:
        print(
            "interrupted; nothing was written, and the containers are removed unless --keep was given", file=sys.stderr
        )
        sys.exit(130)
