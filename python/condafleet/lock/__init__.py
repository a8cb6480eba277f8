"""Locks: every package of an environment for a target, with URL and hashes. Knows nothing of Ansible.

The solvers are imported by the child process only: `python -m condafleet.lock`.
"""

from condafleet.lock.api import LockState, lock_all

__all__ = ["LockState", "lock_all"]
