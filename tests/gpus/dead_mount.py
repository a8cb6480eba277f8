#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A file system that never answers, as a dead file server or a sick driver: whoever looks at it sleeps in the kernel,
and no signal ends that, SIGKILL not either.

    dead_mount.py PID FOLDER    mounts it at FOLDER, in the mounts of process PID; says "mounted"; needs root

At SIGTERM it is unmounted, and all that sleep there are let go.
"""

import ctypes
import os
import signal
import struct
import sys
from pathlib import Path

INIT = 26
DETACH, NOFOLLOW = 2, 8
# Of a request: length, opcode, unique. Of the answer to INIT: version, read-ahead, flags, two counts, largest write.
REQUEST, ANSWER, INITIAL = struct.Struct("IIQ"), struct.Struct("IiQ"), struct.Struct("IIIIHHI")


def main(pid, folder):
    channel = os.open("/dev/fuse", os.O_RDWR)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY), 0):
        raise OSError(ctypes.get_errno(), "setns")
    Path(folder).mkdir(parents=True, exist_ok=True)
    options = b"fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other" % channel
    if libc.mount(b"dead", folder.encode(), b"fuse.dead", 0, options):
        raise OSError(ctypes.get_errno(), f"mount of fuse at {folder}")
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit())
    try:
        serve(channel)
    finally:
        libc.umount2(folder.encode(), DETACH | NOFOLLOW)


def serve(channel):
    while True:
        request = os.read(channel, 1 << 18)
        _length, opcode, unique = REQUEST.unpack_from(request)
        if opcode == INIT:
            minor = struct.unpack_from("II", request, 40)[1]
            body = INITIAL.pack(7, min(minor, 31), 1 << 16, 0, 12, 9, 1 << 16).ljust(64, b"\0")
            os.write(channel, ANSWER.pack(ANSWER.size + len(body), 0, unique) + body)
            print("mounted", flush=True)
        # Nothing else is ever answered.


if __name__ == "__main__":
    main(*sys.argv[1:])
