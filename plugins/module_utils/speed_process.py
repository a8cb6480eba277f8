# SPDX-License-Identifier: Apache-2.0
"""A measurement as a process: what it is given, how it is run in the environment's python, how it ended."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import tempfile
from typing import Any, Callable, Dict, Iterator, List, Mapping, NamedTuple, Optional, Sequence

from ansible_collections.condafleet.core.plugins.module_utils import cgroup, files, host_probe
from ansible_collections.condafleet.core.plugins.module_utils import validation_child as children
from ansible_collections.condafleet.core.plugins.module_utils.activate_scripts import environment_variables
from ansible_collections.condafleet.core.plugins.module_utils.errors import FleetError

# Of the memory that is free on the host, what a measurement may count on.
HOST_SHARE = 0.5
TAIL = 400
# The longest path of a socket (sun_path), and what multiprocessing puts after its folder, with some to spare.
SOCKET_PATH, SOCKET_NAME = 107, 40


class SpeedRequest(NamedTuple):
    """What speed is measured with. `environment` is a name, "" where none holds PyTorch."""

    prefix: str
    root: str
    environment: str
    # roles/validation/files by name.
    scripts: Mapping[str, str]
    variables: Mapping[str, str] = {}  # noqa: RUF012 - never written to
    user: Optional[str] = None
    nice: int = 0
    # Asked again before each GPU: what `gpus` said may be minutes old. Returns the same data, or raises FleetError.
    look_again: Optional[Callable[[], Sequence[Mapping[str, Any]]]] = None

    @property
    def python(self) -> str:
        real = os.path.realpath(os.path.join(self.prefix, "envs", self.environment))
        return os.path.join(real, "bin", "python")

    @property
    def generation(self) -> str:
        return os.path.dirname(os.path.dirname(self.python))


class Runner:
    """Runs a script in the environment's python, with these GPUs alone, and nothing of anybody's settings."""

    def __init__(
        self,
        request: SpeedRequest,
        work: str,
        owner: Optional[pwd.struct_passwd],
        gpus: Sequence[str],
        cpus: Optional[List[int]] = None,
    ) -> None:
        self.request, self.work, self.owner, self.gpus, self.cpus = request, work, owner, gpus, cpus
        self.threads = cgroup.usable_cpus(cgroup.cpu_quota())
        # Beside the folder, which is the account's: nothing there is written to by anybody else.
        self.log, self.job = work + ".log", work + ".json"

    def path(self, name: str) -> str:
        return os.path.join(self.work, name)

    def run(self, arguments: Sequence[str], timeout: float, watch: Callable[[], None] = lambda: None) -> Optional[int]:
        generation = self.request.generation
        declared = {**environment_variables(generation), **self.request.variables}
        visible = ",".join(self.gpus)
        environ = children.variables_for(generation, self.work, self.threads, visible, declared)
        with short_folder(self.work, self.owner) as temporary:
            return self._run(arguments, {**environ, "TMPDIR": temporary}, timeout, watch)

    def _run(
        self, arguments: Sequence[str], environ: Dict[str, str], timeout: float, watch: Callable[[], None]
    ) -> Optional[int]:
        try:
            return children.run_group(
                [self.request.python, "-s", *arguments],
                environ=environ,
                folder=self.work,
                log=self.log,
                timeout=timeout,
                nice=self.request.nice,
                owner=self.owner,
                watch=watch,
            )
        except OSError as error:
            raise FleetError("%s can't be started: %s" % (self.request.python, error)) from error

    def clean(self) -> None:
        shutil.rmtree(self.work, ignore_errors=True)
        files.remove_quietly(self.log)
        files.remove_quietly(self.job)

    def said(self) -> List[str]:
        """The end of its output, as evidence."""
        text = " ".join((files.read_text(self.log) or "").split())[-TAIL:]
        return ["its output ends: %s" % text] if text else []


@contextlib.contextmanager
def short_folder(work: str, owner: Optional[pwd.struct_passwd]) -> Iterator[str]:
    """Where a program has its temporary files: `work`, or where that is too long a path for the sockets of workers,
    which hand over what they have loaded by them, a folder in /tmp."""
    if len(work) + SOCKET_NAME < SOCKET_PATH:
        yield work
        return
    with tempfile.TemporaryDirectory(prefix="condafleet-", dir="/tmp") as folder:  # noqa: S108 - short, and random
        if owner is not None:
            os.chown(folder, owner.pw_uid, owner.pw_gid)
        yield folder


def near_cpus(bus_id: Optional[str], sys: str = "/sys") -> Optional[List[int]]:
    """The CPUs of a GPU's own NUMA node that may be used; None where the kernel does not tell, or none may.

    Copies from the host are measured from there: from another socket they show the link between sockets.
    """
    # NVML has eight digits of the domain, the kernel four.
    name = (bus_id or "").lower()[-12:]
    text = (files.read_text(os.path.join(sys, "bus/pci/devices", name, "local_cpulist")) or "").strip() if name else ""
    found = set()
    for part in text.split(",") if text else ():
        first, _dash, last = part.partition("-")
        if not first.isdigit() or not (last or first).isdigit():
            return None
        found.update(range(int(first), int(last or first) + 1))
    return sorted(found & os.sched_getaffinity(0)) or None


def ended(status: Optional[int]) -> str:
    if status is None:
        return "took too long"
    if status < 0:
        return "was ended by signal %d (%s)" % (-status, _name(-status))
    return "ended with status %d" % status


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return "?"


def host_memory() -> int:
    """Bytes of the host's memory that a measurement may take."""
    text = files.read_text("/proc/meminfo") or ""
    free = next((int(line.split()[1]) * 1024 for line in text.splitlines() if line.startswith("MemAvailable:")), 0)
    return int(min(free or 1 << 30, host_probe.memory() * host_probe.GIB) * HOST_SHARE)


def tidy(home: str) -> None:
    """Remove what killed measurements have left. Only under the lock."""
    for entry in os.scandir(home):
        if entry.name.startswith("job-"):
            shutil.rmtree(entry.path, ignore_errors=True)
            files.remove_quietly(entry.path)
