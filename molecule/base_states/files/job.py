"""A job that outlives an upgrade: then it imports what it had not loaded, and starts a child. Told by files."""

import json
import sys
import time
from pathlib import Path

name = Path(sys.argv[1])
name.with_suffix(".started").touch()
deadline = time.time() + 900
while not name.with_suffix(".go").exists() and time.time() < deadline:
    time.sleep(0.1)

import ctypes.util  # noqa: E402 - not before the upgrade: that is the test
import multiprocessing  # noqa: E402
import sqlite3  # noqa: E402
import xmlrpc.client  # noqa: E402


def child(queue):
    import fractions

    queue.put([sys.prefix, sys.executable, fractions.__file__, sys.version])


if __name__ == "__main__":
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    process = context.Process(target=child, args=(queue,))
    process.start()
    told = queue.get(timeout=60)
    process.join(60)
    found = {
        "prefix": sys.prefix, "version": sys.version, "modules": [xmlrpc.client.__file__, ctypes.util.__file__],
        "library": sqlite3.sqlite_version, "child": told, "exit": process.exitcode,
    }  # fmt: skip
    part = name.with_suffix(".part")
    part.write_text(json.dumps(found))
    part.rename(name.with_suffix(".json"))
