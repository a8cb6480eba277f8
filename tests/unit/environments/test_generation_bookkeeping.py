"""The bookkeeping of generations against a model, in every order that hypothesis thinks of, cut short at any step.

The disk is real (links, folders, the history, removals); what a process or a user holds is told to the collection by a
function in the place of the one that looks, and the clock goes forward by hand.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from ansible_collections.condafleet.core.plugins.module_utils import (
    clock,
    environment_current,
    generation_drift,
    generation_history,
)
from ansible_collections.condafleet.core.plugins.module_utils import generation_collection as collection
from ansible_collections.condafleet.core.plugins.module_utils import generations as gen
from ansible_collections.condafleet.core.plugins.module_utils.environment_request import Request
from ansible_collections.condafleet.core.plugins.module_utils.generation_rollback import decide
from ansible_collections.condafleet.core.plugins.module_utils.generation_spared import read_spared
from ansible_collections.condafleet.core.plugins.module_utils.generation_surplus import plan_collection
from ansible_collections.condafleet.core.plugins.module_utils.progress import Progress
from ansible_collections.condafleet.core.plugins.module_utils.root_folder import mark_root

DAY = 86400
# How long before the link's last move what is staged may have been finished, and of how many locks it is kept.
STAGED = 14 * DAY
STAGED_LOCKS = 2
# Every change to the disk that a move or a collection makes.
STEPS = ("rename", "replace", "symlink", "unlink", "rmdir", "mkdir")
# The step before which it is killed, or 0 for none. Samples are alike often, where integers are mostly small.
OF_A_MOVE = st.sampled_from([0, 0, 0, *range(1, 9)])
OF_A_COLLECTION = st.sampled_from([0, 0, *range(1, 25)])
WHICH = st.sampled_from(range(5))
NAMES = st.sampled_from("xxxy")


class KilledError(BaseException):
    """What SIGKILL is: no handler of the code under test is to catch it."""


class Bookkeeping(RuleBasedStateMachine):
    """One environment `x` that is declared, one `y` that comes and goes."""

    def __init__(self) -> None:
        super().__init__()
        self.top = Path(tempfile.mkdtemp())
        self.prefix, self.root = self.top / "mini", self.top / "root"
        (self.prefix / "envs").mkdir(parents=True)
        mark_root(str(self.root))
        (self.root / "generations").mkdir()
        self.patch = pytest.MonkeyPatch()
        self.time = 1_700_000_000.0
        self.left = 0
        self.patch.setattr(clock.time, "time", lambda: self.time)
        self.patch.setattr(collection, "in_use", self.in_use)
        self.patch.setattr(collection, "uses", lambda folders: {})
        for name in STEPS:
            self.patch.setattr(os, name, self.counted(getattr(os, name)))
        # The model: what is current, what was current before that, in which order, and who holds what.
        self.current: dict[str, str | None] = {"x": None, "y": None}
        self.moves: dict[str, list[tuple[str, str]]] = {"x": [], "y": []}
        self.held: dict[str, str] = {}
        self.pinned: set[str] = set()
        self.damaged: set[str] = set()
        # When each was finished, or got as far as it did; when it was made current last; when each link moved last.
        self.made: dict[str, float] = {}
        self.was_current: dict[str, float] = {}
        self.moved: dict[str, float] = {"x": 0, "y": 0}
        self.digests = 0
        self.built = ""

    def teardown(self) -> None:
        self.patch.undo()
        shutil.rmtree(self.top)

    def counted(self, change: Any) -> Any:
        def step(*arguments: Any, **options: Any) -> Any:
            if self.left > 0:
                self.left -= 1
                if self.left == 0:
                    raise KilledError
            return change(*arguments, **options)

        return step

    def in_use(self, _request: Any, names: Any, apart: Any = ()) -> dict[str, str]:
        return {name: self.held[name] for name in names if name in self.held}

    def tick(self) -> None:
        """Two days: nothing happens in one second, and what is unfinished is nobody's after one."""
        self.time += 2 * DAY

    def there(self) -> list[str]:
        return sorted(path.name for path in (self.root / "generations").iterdir())

    def linked(self, name: str) -> str | None:
        link = self.prefix / "envs" / name
        return link.readlink().name if link.is_symlink() else None

    def observed(self) -> dict[str, Any]:
        found = collection.observe(collection.Request(str(self.prefix), str(self.root), ["x"]))
        spared = read_spared(str(self.root))
        for record in found["generations"]:
            record.update(spared=(spared.get(record["name"]) or {}).get("why"))
        return {**found, "root": {"removing": gen.removing(str(self.root))}}

    def make(self, name: str, finished: bool) -> None:
        path = self.root / "generations" / name
        path.mkdir()
        if finished:
            (path / gen.RECEIPT).write_text(json.dumps({"digest": name, "packages": [], "target": "cpu"}))
            os.utime(path / gen.RECEIPT, (self.time, self.time))
        os.utime(path, (self.time, self.time))
        self.made[name] = self.time
        self.damaged.discard(name)  # its serial may be free again

    def move(self, name: str, generation: str, why: str, killed: int) -> None:
        request = Request(name, str(self.prefix), str(self.root), generation=generation, why=why, run=str(self.time))
        self.left = killed
        with contextlib.suppress(KilledError):
            environment_current.put_in_place(request, str(self.root / "generations" / generation))
        self.left = 0
        if self.linked(name) == generation and self.current[name] != generation:
            link = self.prefix / "envs" / name
            os.utime(link, (self.time, self.time), follow_symlinks=False)
            self.current[name] = generation
            self.moves[name].append((generation, why))
            self.moved[name] = self.was_current[generation] = self.time

    @initialize()
    def first(self) -> None:
        self.update("x", again=False, killed=0)

    @rule(name=NAMES, again=st.booleans(), killed=OF_A_MOVE)
    def update(self, name: str, again: bool, killed: int) -> None:
        self.build(name, again=again, finished=True)
        self.move(name, self.built, generation_history.SWITCH, killed)

    @rule(name=NAMES, again=st.booleans(), finished=st.booleans())
    def build(self, name: str, again: bool, finished: bool) -> None:
        """By this run or another one: nobody can tell. `again` is the lock that is current, as for a repair."""
        self.tick()
        current = self.current[name]
        if again and current:
            digest = current.rsplit("-", 2)[1]
        else:
            self.digests += 1
            digest = f"{self.digests:012x}"
        self.built = Request(name, str(self.prefix), str(self.root), digest=digest).next_name()
        self.make(self.built, finished)

    def finished(self, name: str) -> list[str]:
        records = self.observed()["generations"]
        return [one["name"] for one in records if one["environment"] == name and one["finished"]]

    @rule(name=NAMES, which=WHICH, killed=OF_A_MOVE)
    def switch(self, name: str, which: int, killed: int) -> None:
        self.tick()
        found = self.finished(name)
        if found:
            self.move(name, found[-1 - which % len(found)], generation_history.SWITCH, killed)

    @rule(killed=OF_A_MOVE)
    def roll_back(self, killed: int) -> None:
        self.tick()
        conda = self.observed()
        decision = decide({"n": conda}, ["x"])
        wanted = self.before("x")
        moves = decision.moves.get("n", {})
        if wanted in (None, self.current["x"]):
            assert moves == {}
        elif decision.missing:
            assert not self.whole(lock_of(str(wanted)))
        else:
            assert lock_of(moves["x"]) == lock_of(wanted), "previous is what was current before the newest switch"
            assert moves["x"] not in self.damaged
            self.move("x", moves["x"], generation_history.ROLLBACK, killed)

    def whole(self, lock: str) -> list[str]:
        return [one for one in self.finished("x") if lock_of(one) == lock and one not in self.damaged]

    def before(self, name: str) -> str | None:
        """Of the model: what a rollback goes back to; None where it has been done, or nothing was before."""
        moves = self.moves[name]
        forward = [index for index, (_one, why) in enumerate(moves) if why != generation_history.ROLLBACK]
        if not forward or lock_of(str(self.current[name])) != lock_of(moves[forward[-1]][0]):
            return None
        first = forward[-1]
        while first and lock_of(moves[first - 1][0]) == lock_of(moves[forward[-1]][0]):
            first -= 1
        return moves[first - 1][0] if first else None

    @rule(which=WHICH, why=st.sampled_from(["process 1 runs from it", "venv v (alice)"]))
    def hold(self, which: int, why: str) -> None:
        found = [name for name in self.there() if gen.parse_name(name)]
        if found:
            self.held[found[which % len(found)]] = why

    @rule(which=WHICH)
    def pin(self, which: int) -> None:
        found = [name for name in self.there() if gen.parse_name(name)]
        if found:
            self.pinned.add(found[which % len(found)])

    @rule(which=WHICH)
    def drift(self, which: int) -> None:
        """Somebody edits one, and a full verification finds it."""
        found = self.finished("x")
        if found:
            self.damaged.add(found[which % len(found)])
            generation_drift.note_damage(str(self.root / "generations" / found[which % len(found)]))

    @precondition(lambda self: self.held)
    @rule(which=WHICH)
    def let_go(self, which: int) -> None:
        self.held.pop(sorted(self.held)[which % len(self.held)])

    @rule(keep=st.integers(0, 3), purge=st.booleans(), killed=OF_A_COLLECTION)
    def collect(self, keep: int, purge: bool, killed: int) -> None:
        self.tick()
        before, staged = set(self.there()), self.staged("x")
        back = self.before("x")
        possible = bool(back and self.whole(lock_of(back)))
        expected = set(self.ways_back(keep))
        request = collection.Request(
            str(self.prefix), str(self.root), ["x"], keep=keep, pinned=sorted(self.pinned), purge=purge
        )
        self.left = killed
        try:
            collection.collect(request, Progress(None))
        except KilledError:
            self.left = 0
            # The next run finishes it.
            self.check_spared(before, staged, purge)
            collection.collect(request, Progress(None))
        self.left = 0
        if purge:
            self.purged()
        self.check_spared(before, staged, purge)
        part = {"declared": [{"name": "x"}], "keep": keep, "pinned": sorted(self.pinned), "purge": purge}
        assert plan_collection(self.observed(), part, {}) == {"purge": [], "collect": []}, "once is enough"
        spared = read_spared(str(self.root))
        assert set(spared) <= set(self.held)
        kept = self.pinned | set(spared) | staged | {str(self.current["x"])}
        former = [one for one in self.there() if one.startswith("x-") and one not in kept]
        assert set(former) == expected - kept, "one whole generation of each of the most recent locks is kept"
        if keep and possible:
            assert self.whole(lock_of(str(back))), "the way back stays"

    def staged(self, name: str) -> set[str]:
        """What another run may have staged: never current since it was finished, of the newest locks; and what it may
        just be building."""
        finished = set(self.finished(name))
        never = [one for one in self.there() if self.made.get(one, 0) > self.was_current.get(one, -1)]
        never = [one for one in never if one.startswith(name + "-") and one != self.current[name]]
        found = {one for one in never if one not in finished and self.made[one] >= self.moved[name] - DAY}
        recent = [one for one in finished & set(never) if self.made[one] >= self.moved[name] - STAGED]
        # The serials of one lock are made in order.
        whole = sorted((one for one in recent if one not in self.damaged), key=lambda one: self.made[one])
        for lock in newest([lock_of(one) for one in whole], STAGED_LOCKS):
            found.add([one for one in whole if lock_of(one) == lock][-1])
        return found

    def ways_back(self, keep: int) -> list[str]:
        finished = self.finished("x")
        moves = [one for one, _why in self.moves["x"]]
        # A pinned one that was never finished stays, but is no way back.
        whole_pins = (self.pinned & set(finished)) - self.damaged
        kept = {lock_of(str(self.current["x"])), *(lock_of(one) for one in whole_pins)}
        locks = [one for one in newest([lock_of(one) for one in moves], len(moves)) if one not in kept]
        found = []
        for lock in locks:
            whole = [one for one in finished if lock_of(one) == lock and one not in self.damaged]
            if whole:
                found.append(max(whole, key=lambda one: (rank(moves, one), self.made[one])))
        return found[:keep]

    def purged(self) -> None:
        if self.current["y"]:
            self.current["y"] = None
            self.moves["y"].append(("", generation_history.PURGE))

    def check_spared(self, before: set[str], staged: set[str], purge: bool) -> None:
        gone = before - set(self.there())
        assert gone & set(self.held) == set(), "in use"
        assert gone & self.pinned == set(), "pinned"
        assert {one for one in gone & staged if one.startswith("x-")} == set(), "staged since the link moved"
        assert purge or not any(one.startswith("y-") for one in gone), "not declared, and nobody asked"

    @invariant()
    def current_is_there_and_finished(self) -> None:
        if self.left <= 0:
            for name, generation in self.current.items():
                assert self.linked(name) == generation
                if generation:
                    assert gen.read_receipt(str(self.root / "generations" / generation)) is not None

    @invariant()
    def the_history_is_what_happened(self) -> None:
        for name, entries in self.observed()["history"].items():
            told = [(one["generation"] or "", one["why"]) for one in entries]
            assert told == self.moves[name][-len(told) :] if told else True
            assert len(told) >= min(len(self.moves[name]), generation_history.LONGEST)


def lock_of(name: str) -> str:
    return name.rsplit("-", 1)[0]


def rank(moves: list[str], name: str) -> int:
    return max((index for index, one in enumerate(moves) if one == name), default=-1)


def newest(moves: list[str], number: int) -> list[str]:
    """The last ones of these, each once."""
    found: list[str] = []
    for name in reversed(moves):
        if name not in found:
            found.append(name)
    return found[:number]


Bookkeeping.TestCase.settings = settings(
    max_examples=settings().max_examples * 3 // 2,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
TestBookkeeping = Bookkeeping.TestCase
