"""CPU quotas as kernels tell them: trees recorded as text."""

from __future__ import annotations

import pytest

from ansible_collections.condafleet.core.plugins.module_utils.cgroup import cpu_quota, memory_limit, usable_cpus

V2_MOUNT = "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"
V1_MOUNT = (
    "31 23 0:28 / /sys/fs/cgroup ro - tmpfs tmpfs ro,mode=755\n"
    "34 31 0:31 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset\n"
    "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
)
SLURM = "/sys/fs/cgroup/system.slice/slurmstepd.scope/job_7"

TREES = {
    "v2, no limit": ({"/proc/self/mountinfo": V2_MOUNT, "/proc/self/cgroup": "0::/user.slice\n"}, None),
    "v2, max": (
        {
            "/proc/self/mountinfo": V2_MOUNT,
            "/proc/self/cgroup": "0::/user.slice\n",
            "/sys/fs/cgroup/user.slice/cpu.max": "max 100000\n",
        },
        None,
    ),
    "v2, nested: the least of all levels": (
        {
            "/proc/self/mountinfo": V2_MOUNT,
            "/proc/self/cgroup": "0::/system.slice/slurmstepd.scope/job_7/step_0\n",
            SLURM + "/step_0/cpu.max": "max 100000\n",
            SLURM + "/cpu.max": "150000 100000\n",
            "/sys/fs/cgroup/system.slice/cpu.max": "800000 100000\n",
        },
        1.5,
    ),
    "v2 in a container: its cgroup is the root": (
        {
            "/proc/self/mountinfo": V2_MOUNT,
            "/proc/self/cgroup": "0::/\n",
            "/sys/fs/cgroup/cpu.max": "200000 100000\n",
        },
        2.0,
    ),
    "v2, a path that leads out of the container": (
        {
            "/proc/self/mountinfo": V2_MOUNT,
            "/proc/self/cgroup": "0::/../../other\n",
            "/sys/fs/cgroup/cpu.max": "300000 100000\n",
        },
        3.0,
    ),
    "v1, nested": (
        {
            "/proc/self/mountinfo": V1_MOUNT,
            "/proc/self/cgroup": "9:name=systemd:/a\n3:cpuset:/\n2:cpu,cpuacct:/slurm/uid_0/job_7\n",
            "/sys/fs/cgroup/cpu,cpuacct/slurm/uid_0/job_7/cpu.cfs_quota_us": "-1\n",
            "/sys/fs/cgroup/cpu,cpuacct/slurm/uid_0/job_7/cpu.cfs_period_us": "100000\n",
            "/sys/fs/cgroup/cpu,cpuacct/slurm/cpu.cfs_quota_us": "250000\n",
            "/sys/fs/cgroup/cpu,cpuacct/slurm/cpu.cfs_period_us": "100000\n",
        },
        2.5,
    ),
    "v1 in a container: the mount shows only its part": (
        {
            "/proc/self/mountinfo": V1_MOUNT.replace("0:29 / ", "0:29 /docker/abc "),
            "/proc/self/cgroup": "2:cpu,cpuacct:/docker/abc\n0::/docker/abc\n",
            "/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "50000\n",
            "/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
        },
        0.5,
    ),
    "hybrid: v2 is mounted, v1 limits": (
        {
            "/proc/self/mountinfo": V1_MOUNT + V2_MOUNT.replace("/sys/fs/cgroup ", "/sys/fs/cgroup/unified "),
            "/proc/self/cgroup": "2:cpu,cpuacct:/job\n0::/\n",
            "/sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_quota_us": "100000\n",
            "/sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_period_us": "100000\n",
        },
        1.0,
    ),
    "no cgroups at all": ({}, None),
}


@pytest.mark.parametrize("name", TREES)
def test_quota(name: str) -> None:
    tree, expected = TREES[name]
    assert cpu_quota(tree.get) == expected


def test_this_machine_is_readable() -> None:
    quota = cpu_quota()
    assert quota is None or quota > 0


@pytest.mark.parametrize(
    ("quota", "affinity", "expected"), [(None, 64, 64), (1.5, 64, 1), (0.25, 64, 1), (8.0, 2, 2), (2.0, 64, 2)]
)
def test_whole_cpus(quota: float | None, affinity: int, expected: int) -> None:
    assert usable_cpus(quota, affinity) == expected


def test_the_least_memory_limit_of_all_levels_counts() -> None:
    tree = {
        "/proc/self/mountinfo": V2_MOUNT,
        "/proc/self/cgroup": "0::/system.slice/slurmstepd.scope/job_7/step_0\n",
        SLURM + "/step_0/memory.max": "max\n",
        SLURM + "/memory.max": "1073741824\n",
        "/sys/fs/cgroup/system.slice/memory.max": "8589934592\n",
    }
    assert memory_limit(tree.get) == 1 << 30
    assert memory_limit({**tree, SLURM + "/memory.max": "max\n"}.get) == 8 << 30
    assert memory_limit({}.get) is None
    first = {
        "/proc/self/mountinfo": "33 31 0:30 /docker/7 /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n",
        "/proc/self/cgroup": "9:memory:/docker/7\n",
        "/sys/fs/cgroup/memory/memory.limit_in_bytes": "268435456\n",
    }
    assert memory_limit(first.get) == 256 << 20
