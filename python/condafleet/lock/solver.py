"""One solve: the conda part, then the pip part on top of it. Runs in the child process only (see __main__)."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.condafleet.core.plugins.module_utils import lock_abi, lockfile, locksolves
from ansible_collections.condafleet.core.plugins.module_utils.cuda_builds import check_cuda
from ansible_collections.condafleet.core.plugins.module_utils.host_auth import Hosts
from condafleet.errors import LockError
from condafleet.lock import foreign
from condafleet.lock import sources as places
from condafleet.lock.conda import list_conda, older_in_conda, solve_conda
from condafleet.lock.files import LockPair, make_pair, read_pair
from condafleet.lock.held import solve_holding
from condafleet.lock.wheels import older_on_index, solve_wheels

Say = Callable[[str], None]
Solution = tuple[Sequence[Mapping[str, Any]], Sequence[Mapping[str, Any]]]


def lock_environment(
    *,
    name: str,
    spec: Mapping[str, Any],
    target: str,
    definition: Mapping[str, str],
    channels: Sequence[str],
    depot: Mapping[str, Any] | None = None,
    indexes: Sequence[str] = (),
    hosts: Hosts | None = None,
    inputs: Mapping[str, Any],
    former: lockfile.Lock | None = None,
    upgrade: Sequence[str] = (),
    timeout: float = 600,
    say: Say = lambda text: None,
) -> LockPair:
    """Solve one environment for one target. `spec` is what lockspec.normalise() returns. Writes nothing.

    What `former` holds is kept as far as it fits, but for the packages to `upgrade`. `hosts` are the credentials.
    """
    started = time.monotonic()
    definition = dict(definition)
    if depot and depot.get("url"):
        chosen = places.read_depot(str(depot["url"]), depot.get("sha256"), definition["platform"])
    else:
        chosen = places.upstream(list(channels), list(indexes))
    before = former.packages if former else ()
    question = Question(name, target, definition, spec, chosen, timeout, before, tuple(upgrade), hosts or {}, say)
    wheels: Sequence[Mapping[str, Any]] = []
    if "explicit" in spec:
        say(f"{name} for {target}: looking up {len(spec['explicit'])} conda packages")
        records: Sequence[Mapping[str, Any]] = asyncio.run(
            list_conda(name, target, definition, spec["explicit"], chosen, question.hosts)
        )
    elif "pylock" in spec:
        records, wheels = as_locked_elsewhere(question)
    else:
        records, wheels = solved(question)
    pair = make_pair(
        environment=name,
        target=target,
        platform=definition["platform"],
        channels=channels_of(records) if "explicit" in spec else [chosen.canonical(one) for one in chosen.channels],
        inputs=inputs,
        variables=spec["variables"],
        records=records,
        wheels=wheels,
    )
    check_cuda(f"environments_list: {name}", target, definition, pair.lock.packages)
    try:
        lock_abi.check(pair.lock, definition, {str(record["name"]): record["depends"] for record in records})
    except lock_abi.AbiError as error:
        raise LockError(f"environments_list: {name}: target {target!r}: {error.message}") from error
    took = time.monotonic() - started
    say(f"{name} for {target}: {len(records)} conda packages, {len(wheels)} wheels, {took:.1f} s")
    return pair


def channels_of(records: Sequence[Mapping[str, Any]]) -> list[str]:
    """The channels that records come from, by their URLs."""
    return sorted({str(record["url"]).rsplit("/", 2)[0] for record in records})


@dataclass(frozen=True)
class Question:
    """What one solve is about."""

    name: str
    target: str
    definition: dict[str, str]
    spec: Mapping[str, Any]
    sources: places.Sources
    timeout: float
    before: Sequence[lockfile.Package]
    upgrade: Sequence[str]
    hosts: Hosts
    say: Say


def solved(asked: Question, specs: Sequence[str] = (), agreeing: Mapping[str, str] | None = None) -> Solution:
    """Conda's part, then the wheels on top. `specs` are asked for too, `agreeing` are versions to insist on."""
    spec = asked.spec
    asked.say(f"{asked.name} for {asked.target}: solving {len(spec['conda'])} conda specs")
    common = (asked.name, asked.target, asked.definition)

    def conda(held: Sequence[lockfile.Package], exact: Mapping[str, str]) -> list[dict[str, Any]]:
        every, fixed = [*spec["conda"], *specs], {**(agreeing or {}), **exact}
        return asyncio.run(
            solve_conda(*common, every, asked.sources, asked.timeout, held=held, exact=fixed, hosts=asked.hosts)
        )

    def pip(held: Sequence[lockfile.Package], exact: Mapping[str, str]) -> list[dict[str, Any]]:
        return solve_wheels(
            *common, spec, records, asked.sources, asked.timeout, held=held, exact=exact, hosts=asked.hosts
        )

    records = solve_holding(conda, "conda", asked.before, asked.upgrade, older_in_conda)
    if not spec["pip"]:
        return records, []
    asked.say(
        f"{asked.name} for {asked.target}: {len(records)} conda packages; "
        f"solving {len(spec['pip'])} requirements as wheels"
    )
    return records, solve_holding(pip, "pip", asked.before, asked.upgrade, older_on_index)


def as_locked_elsewhere(asked: Question) -> Solution:
    """A pylock.toml of another tool: conda brings a python that it has wheels for, and it says what the wheels are."""
    common = (asked.name, asked.target, asked.spec["pylock"], asked.definition)
    specs, agreeing = foreign.python_specs(*common)
    records, _ = solved(asked, specs, agreeing)
    return records, foreign.wheels_of(*common, records, asked.sources)


def answer(request: Mapping[str, Any], say: Say) -> dict[str, Any]:
    """Solve whatever a request names, all or none. Where it says `write`, the answer has the `files` to be, in order.

    They are written by who asked (child.py): this process may be ended at any moment.
    """
    pairs = [
        (
            lock_environment(
                name=solve["environment"],
                spec=solve["spec"],
                target=solve["target"],
                definition=solve["definition"],
                channels=solve["channels"],
                depot=request.get("depot"),
                indexes=solve.get("indexes", ()),
                hosts=request.get("auth"),
                inputs=solve["inputs"],
                former=read_pair(Path(solve["conda_lock"]), Path(solve["pylock"])) if solve["hold"] else None,
                upgrade=solve["upgrade"],
                timeout=float(request.get("timeout", 600)),
                say=say,
            ),
            solve,
        )
        for solve in request["solves"]
    ]
    locksolves.check_held(request.get("sought", ()), [pair.lock.packages for pair, _ in pairs])
    # A crash between the two leaves a pair whose digest does not fit: it is refused, never installed.
    files = {
        path: text
        for pair, solve in pairs
        for path, text in ((solve["pylock"], pair.pylock), (solve["conda_lock"], pair.conda_lock))
    }
    return {
        "schema_version": 1,
        "files": files if request["write"] else {},
        "locks": [
            {
                "environment": pair.lock.environment,
                "target": pair.lock.target,
                "digest": pair.digest,
                "packages": [package.to_dict() for package in pair.lock.packages],
                "variables": pair.lock.variables,
            }
            for pair, _ in pairs
        ],
    }
