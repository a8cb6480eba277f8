"""Brings one environment from nothing to current with the module's own code, and may be killed at a chosen moment.

    step.py REQUEST.json [--record FILE | --kill LABEL NUMBER DELAY WHO]

The moments are the operations that change something (files, links, modes, programs that are started), as Python tells
them to an audit hook, each with the step that it belongs to. `--record` writes how many each step has. `--kill` ends
this process by SIGKILL just before the NUMBERth of a step, or, where that starts a program, DELAY seconds later; WHO is
`step` (the program dies with it, by the kernel) or `program` (only what the step has started, as when memory ran out).
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter

sys.path.insert(0, "/var/tmp/collections")

from ansible_collections.condafleet.core.plugins.module_utils.environment_request import Request
from ansible_collections.condafleet.core.plugins.module_utils.environment_states import STATES
from ansible_collections.condafleet.core.plugins.module_utils.generation_collection import Request as Collection
from ansible_collections.condafleet.core.plugins.module_utils.generation_collection import collect
from ansible_collections.condafleet.core.plugins.module_utils.lockfile import Package

# The innermost of these functions on the stack says which step an operation belongs to.
LABELS = {
    "fetch_all": "fetch", "fetch_one": "fetch", "ensure_uv": "uv", "drop_damaged": "verify", "link_conda": "link",
    "install_wheels": "wheels", "write_state": "state", "write_pin": "state", "write_activation": "state",
    "write_modulefile": "state", "compile_python": "compile", "settle_permissions": "permissions",
    "write_list": "files list", "smoke_test": "smoke test", "finish": "receipt", "put_link": "switch",
    "remove_unfinished": "clean up", "collect": "collection",
}  # fmt: skip
# Steps that go through all files, and may find nothing to change.
LOOKING, WALKING = "os.scandir", ("permissions", "files list")
PROGRAM = "subprocess.Popen"
WRITING = {
    PROGRAM, LOOKING, "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.symlink", "os.link", "os.chmod",
    "os.chown", "os.truncate",
}  # fmt: skip


class Moments:
    """Counts the operations of each step, and acts at the chosen one."""

    def __init__(self, kill):
        self.kill = kill
        self.counts = Counter()
        self.programs = {}
        self.guard = threading.Lock()

    def __call__(self, event, args):
        if event not in WRITING and not (event == "open" and writes(args)):
            return
        label = label_of(sys._getframe(1))
        if label is None or (event == LOOKING and label not in WALKING):
            return
        with self.guard:
            number = self.counts[label]
            self.counts[label] += 1
        if event == PROGRAM:
            self.programs.setdefault(label, []).append(number)
        if self.kill and (label, number) == (self.kill["label"], self.kill["number"]):
            if event == PROGRAM and self.kill["delay"]:
                threading.Thread(target=self.end_later, daemon=True).start()
            else:
                os.kill(os.getpid(), signal.SIGKILL)

    def end_later(self):
        time.sleep(self.kill["delay"])
        if self.kill["who"] == "program":
            for child in children(os.getpid()):
                os.kill(child, signal.SIGKILL)
            return
        os.kill(os.getpid(), signal.SIGKILL)


def writes(args):
    flags = args[2] if len(args) > 2 and isinstance(args[2], int) else 0
    return bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)) and "/progress/" not in str(args[0])


def label_of(frame):
    while frame is not None:
        label = LABELS.get(frame.f_code.co_name)
        # The collection has a function of that name too.
        if label and (label != "receipt" or frame.f_code.co_filename.endswith("environment_tested.py")):
            return label
        frame = frame.f_back
    return None


def children(parent):
    said = subprocess.run(["ps", "-o", "pid=", "--ppid", str(parent)], stdout=subprocess.PIPE, text=True, check=False)
    return [int(word) for word in said.stdout.split() if os.path.exists("/proc/" + word)]


def main():
    with open(sys.argv[1], encoding="utf-8") as stream:
        given = json.load(stream)
    packages = [Package.from_dict(package) for package in given.pop("packages")]
    request = Request(packages=packages, **given)
    kill = None
    if "--kill" in sys.argv:
        label, number, delay, who = sys.argv[sys.argv.index("--kill") + 1 :][:4]
        kill = {"label": label, "number": int(number), "delay": float(delay), "who": who}
    moments = Moments(kill)
    sys.addaudithook(moments)
    outcome = None
    for state in ("fetched", "built", "tested", "current"):
        outcome = STATES[state](request)
    collect(Collection(request.prefix, request.root, ["plain", request.name], keep=0), request.progress())
    if "--record" in sys.argv:
        with open(sys.argv[sys.argv.index("--record") + 1], "w", encoding="utf-8") as stream:
            json.dump({"counts": moments.counts, "programs": moments.programs}, stream)
    print(outcome.generation)


if __name__ == "__main__":
    main()
