"""Kills builds of one environment again and again, on the node, and looks after each what shows. Prints JSON.

    campaign.py REQUEST.json SEED KILLS

Each round declares another lock of the environment `victim` and is ended at a moment that the seed chooses, every
step at least once. In the end one run has to build what an undisturbed run had built, file by file.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import shutil
import stat
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, "/var/tmp/collections")

from ansible_collections.condafleet.core.plugins.module_utils import generations as gen
from ansible_collections.condafleet.core.plugins.module_utils.fingerprint import fingerprint
from ansible_collections.condafleet.core.plugins.module_utils.generation_history import FILE as HISTORY
from ansible_collections.condafleet.core.plugins.module_utils.progress import node_lock

STEP = [sys.executable, "/var/tmp/step.py"]
REQUEST = "/var/tmp/request-now.json"
NAME = "victim"
# Files that tell when something was done; what they tell is not what is installed.
TIMED = ("conda-meta/history", ".condafleet.json", ".condafleet-built.json")
# What was unpacked from an archive goes when that is fetched again: of these it stays, and is looked at.
KEPT = ("packaging-", "python-")
# The step of which the program alone is killed.
ALONE = "link"
FIRST = ("fetch", "uv", "verify", "clean up")


class Campaign:
    def __init__(self, given, seed):
        self.given = given
        self.seed, self.random = seed, random.Random(seed)
        self.prefix, self.root = given["prefix"], given["root"]
        self.link = os.path.join(self.prefix, "envs", NAME)
        self.rounds = []

    def run(self, which, *options):
        """One run of the step program for the lock called `which`; its exit code and what it said."""
        digest = hashlib.sha256(which.encode()).hexdigest()
        wanted = {**self.given, "name": NAME, "digest": digest, "variables": {"WHICH": which}}
        with open(REQUEST, "w", encoding="utf-8") as stream:
            json.dump(wanted, stream)
        done = subprocess.run(
            [*STEP, REQUEST, *options], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
            timeout=120, start_new_session=True,
        )  # fmt: skip
        return done.returncode, done.stdout.strip()

    def finish(self, which, *options):
        code, said = self.run(which, *options)
        assert code == 0, said
        return said.splitlines()[-1]

    def spoil(self):
        """Give the first steps work again: no archive, no uv, a damaged package, and a leftover."""
        for name in ("wheels", "tools"):
            shutil.rmtree(os.path.join(self.root, name))
            os.mkdir(os.path.join(self.root, name), 0o700)
        packages = os.path.join(self.root, "pkgs")
        for name in os.listdir(packages):
            if name.endswith(".conda") and not name.startswith(KEPT):
                os.unlink(os.path.join(packages, name))
        unpacked = [name for name in os.listdir(packages) if os.path.isdir(os.path.join(packages, name, "info"))]
        for name in [name for name in unpacked if name.startswith("packaging-")]:
            with open(os.path.join(packages, name, "info", "paths.json"), "w", encoding="utf-8") as stream:
                stream.write("damaged")
        leftover = os.path.join(self.root, "generations", NAME + "-0123456789ab-1")
        for number in range(20):
            os.makedirs(os.path.join(leftover, "lib%d" % number), exist_ok=True)
            with open(os.path.join(leftover, "lib%d" % number, "file"), "w", encoding="utf-8"):
                pass

    def moment(self, recorded, label, missed):
        """A moment in a step: sooner each time that it was missed, since a step may have less to do than at first."""
        programs = recorded["programs"].get(label, [])
        if programs and (label == ALONE or self.random.random() < 0.6):
            # While a program works.
            delay = self.random.uniform(0.02, 1.2) / 4**missed
            who = "program" if label == ALONE else self.random.choice(["step", "program"])
            return label, self.random.choice(programs), delay, who
        return label, self.random.randrange(max(1, recorded["counts"][label] >> 2 * missed)), 0.0, "step"

    def go(self, recorded, kills):
        """Kill in each step, in a random order, until that has been done, and then by chance."""
        labels = sorted(recorded["counts"])
        missed = dict.fromkeys(labels, 0)
        todo = self.random.sample(labels, len(labels))
        done = 0
        while (todo or done < kills) and len(self.rounds) < 2 * kills:
            label = todo.pop(0) if todo else self.random.choice(labels)
            if self.kill(*self.moment(recorded, label, missed[label])):
                done += 1
            elif label not in {one["step"] for one in self.rounds if one["killed"]}:
                missed[label] += 1
                todo.append(label)

    def kill(self, label, number, delay, who):
        if label in FIRST:
            self.spoil()
        began = time.monotonic()
        which = "round %d of %d" % (len(self.rounds), self.seed)
        code, said = self.run(which, "--kill", label, str(number), "%.3f" % delay, who)
        ended = code == -9 or (who == "program" and code != 0)
        entry = {"step": label, "number": number, "delay": round(delay, 3), "who": who, "killed": ended}
        entry["seconds"] = round(time.monotonic() - began, 1)
        entry["wrong"] = self.wrong()
        if not ended and code != 0:
            entry["wrong"].append(said[-600:])
        self.rounds.append(entry)
        return ended

    def wrong(self):
        """What is not as it must be at every moment."""
        found = []
        # A program that outlives its step holds the lock; it must not for long.
        began = time.monotonic()
        with node_lock(self.root, "campaign", 120):
            pass
        # The kernel ends nobody who waits for the disk.
        if time.monotonic() - began > 60:
            found.append("the lock was held %d s after the kill" % (time.monotonic() - began))
        for name in gen.list_names(self.root):
            path = os.path.join(self.root, "generations", name)
            receipt = gen.read_receipt(path)
            if receipt and receipt["fingerprint"] != fingerprint(path):
                found.append("%s has a receipt and is not whole" % name)
        receipt = gen.read_receipt(os.path.realpath(self.link))
        if not os.path.islink(self.link) or receipt is None:
            return [*found, "the link leads to %s" % os.path.realpath(self.link)]
        listed = subprocess.run(
            [self.prefix + "/bin/conda", "env", "list", "--json"], stdout=subprocess.PIPE, text=True, check=False
        )
        names = sorted(os.path.basename(path) for path in json.loads(listed.stdout)["envs"] if "/envs/" in path)
        if names != ["plain", NAME]:
            found.append("conda lists %s" % names)
        script = '. %s/bin/activate && echo "$WHICH" && python -c "import six, packaging, idna"' % self.link
        used = subprocess.run(
            ["bash", "-ec", script],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        if used.returncode or used.stdout.strip() != receipt["variables"]["WHICH"]:
            found.append("activated: %s" % used.stdout[-300:])
        return found


def whole(root, name):
    """Finished, or built and waiting for its test: another controller may be about to do that."""
    path = os.path.join(root, "generations", name)
    return any(os.path.exists(os.path.join(path, kind)) for kind in (gen.RECEIPT, gen.DRAFT))


def snapshot(prefix):
    """{path: what it is}, with the sha256 of every file's content."""
    found = {}
    for folder, folders, names in os.walk(prefix):
        for name in folders + names:
            path = os.path.join(folder, name)
            status = os.lstat(path)
            short = os.path.relpath(path, prefix)
            kind = [stat.filemode(status.st_mode), status.st_uid]
            if stat.S_ISLNK(status.st_mode):
                kind.append(os.readlink(path))
            elif stat.S_ISREG(status.st_mode):
                kind.append(content(path, short))
            found[short] = kind
    return found


def content(path, short):
    # Bytecode is the same in effect, not byte for byte: Python's marshal writes what was shared at that moment.
    if (
        short in TIMED
        or short.endswith((".pyc", "uv_cache.json"))
        or os.path.basename(short).startswith(".condafleet-")
    ):
        return "told"
    with open(path, "rb") as stream:
        text = stream.read()
    if short.endswith(".dist-info/RECORD"):
        text = b"\n".join(line for line in text.splitlines() if b"uv_cache.json" not in line)
    return hashlib.sha256(text).hexdigest()


def main():
    with open(sys.argv[1], encoding="utf-8") as stream:
        given = json.load(stream)
    seed, kills = int(sys.argv[2]), int(sys.argv[3])
    campaign = Campaign(given, seed)
    old, final = "old of %d" % seed, "final of %d" % seed
    campaign.finish(old)
    history = Path(campaign.root, HISTORY)
    only_old = history.read_text(encoding="utf-8")
    campaign.spoil()
    generation = campaign.finish(final, "--record", "/var/tmp/recorded.json")
    path = os.path.join(campaign.root, "generations", generation)
    undisturbed = {"fingerprint": fingerprint(path), "files": snapshot(path)}
    # Back to the old one, and what was built undisturbed has never been: else its name would be given to no other.
    campaign.finish(old)
    shutil.rmtree(path, ignore_errors=True)
    history.write_text(only_old, encoding="utf-8")
    with open("/var/tmp/recorded.json", encoding="utf-8") as stream:
        recorded = json.load(stream)
    campaign.go(recorded, kills)
    again = campaign.finish(final)
    disturbed = {"fingerprint": fingerprint(path), "files": snapshot(path)} if again == generation else {}
    with contextlib.suppress(OSError):
        os.unlink(REQUEST)
    names = {*undisturbed["files"], *disturbed.get("files", {})}
    print(
        json.dumps(
            {
                "seed": seed,
                "rounds": campaign.rounds,
                "steps": recorded["counts"],
                "generation": [generation, again],
                "same_fingerprint": undisturbed["fingerprint"] == disturbed.get("fingerprint"),
                "files": len(undisturbed["files"]),
                "different": sorted(
                    name for name in names if undisturbed["files"].get(name) != disturbed.get("files", {}).get(name)
                )[:20],
                "left": [name for name in gen.list_names(campaign.root) if not whole(campaign.root, name)],
            }
        )
    )


if __name__ == "__main__":
    main()
