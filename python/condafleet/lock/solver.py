"""One solve: the conda part, then the pip part on top of it. Runs in the child process only (see __main__)."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ansible_collections.condafleet.core.plugins.module_utils import lockfile
from condafleet.lock import sources as places
from condafleet.lock.builds import check_cuda
from condafleet.lock.conda import older_in_conda, solve_conda
from condafleet.lock.files import LockPair, make_pair, read_pair, write_pair
from condafleet.lock.held import solve_holding
from condafleet.lock.wheels import older_on_index, solve_wheels

Say = Callable[[str], None]


def lock_environment(
    *,
    name: str,
    spec: Mapping[str, Any],
    target: str,
    definition: Mapping[str, str],
    channels: Sequence[str],
    depot: Mapping[str, Any] | None = None,
    inputs: Mapping[str, Any],
    former: lockfile.Lock | None = None,
    upgrade: Sequence[str] = (),
    timeout: float = 600,
    say: Say = lambda text: None,
) -> LockPair:
    """Solve one environment for one target. `spec` is what lockspec.normalise() returns. Writes nothing.

    What `former` holds is kept as far as it fits, but for the packages to `upgrade`.
    """
    started = time.monotonic()
    definition = dict(definition)
    if depot and depot.get("url"):
        chosen = places.read_depot(str(depot["url"]), depot.get("sha256"), definition["platform"])
    else:
        chosen = places.upstream(list(channels))
    say(f"{name} for {target}: solving {len(spec['conda'])} conda specs")
    before = former.packages if former else ()

    def conda(held: Sequence[lockfile.Package], exact: Mapping[str, str]) -> list[dict[str, Any]]:
        return asyncio.run(
            solve_conda(name, target, definition, spec["conda"], chosen, timeout, held=held, exact=exact)
        )

    def pip(held: Sequence[lockfile.Package], exact: Mapping[str, str]) -> list[dict[str, Any]]:
        return solve_wheels(name, target, definition, spec["pip"], records, chosen, timeout, held=held, exact=exact)

    records = solve_holding(conda, "conda", before, upgrade, older_in_conda)
    wheels: Sequence[Mapping[str, Any]] = []
    if spec["pip"]:
        say(f"{name} for {target}: {len(records)} conda packages; solving {len(spec['pip'])} requirements as wheels")
        wheels = solve_holding(pip, "pip", before, upgrade, older_on_index)
    pair = make_pair(
        environment=name,
        target=target,
        platform=definition["platform"],
        channels=[chosen.canonical(channel) for channel in chosen.channels],
        inputs=inputs,
        variables=spec["variables"],
        records=records,
        wheels=wheels,
    )
    check_cuda(name, target, definition.get("cuda"), pair.lock.packages)
    took = time.monotonic() - started
    say(f"{name} for {target}: {len(records)} conda packages, {len(wheels)} wheels, {took:.1f} s")
    return pair


def answer(request: Mapping[str, Any], say: Say) -> dict[str, Any]:
    """Solve whatever a request names, then write: nothing is written before the last solve has succeeded.

    With `write` false nothing is written at all. A pair that came out as it was stays untouched.
    """
    solved = [
        (
            lock_environment(
                name=solve["environment"],
                spec=solve["spec"],
                target=solve["target"],
                definition=solve["definition"],
                channels=solve["channels"],
                depot=request.get("depot"),
                inputs=solve["inputs"],
                former=read_pair(Path(solve["conda_lock"]), Path(solve["pylock"])) if solve.get("hold") else None,
                upgrade=solve.get("upgrade", ()),
                timeout=float(request.get("timeout", 600)),
                say=say,
            ),
            solve,
        )
        for solve in request["solves"]
    ]
    for pair, solve in solved if request.get("write", True) else []:
        write_pair(pair, Path(solve["conda_lock"]), Path(solve["pylock"]))
    return {
        "schema_version": 1,
        "locks": [
            {
                "environment": pair.lock.environment,
                "target": pair.lock.target,
                "digest": pair.digest,
                "packages": [package.to_dict() for package in pair.lock.packages],
                "variables": pair.lock.variables,
            }
            for pair, _ in solved
        ],
    }
