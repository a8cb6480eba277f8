#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
---
module: lock
short_description: Reuse or make the locks of environments
version_added: "0.1.0"
description:
  - For each environment and each of its targets there is a pair of files, C(ENV/TARGET.conda-lock.yml) and
    C(ENV/TARGET.pylock.toml), that name every package with its URL and hashes.
  - A pair is reused as long as what decides the solve is unchanged.
  - What is missing or stale is solved on the controller, in a child process, and written, all of it or nothing. If one
    solve fails, or one file can't be written, everything stays as it was.
  - This is an action, carried out by the controller; it cannot be run as a module by itself, and no node is contacted.
requirements:
  - "the Python package condafleet on the controller, only where a lock has to be made"
author:
  - condafleet maintainers (@condafleet)
options:
  environments:
    description:
      - The environments as declared, each with C(name), C(spec), C(targets), and perhaps C(variables) and C(channels).
      - C(spec) is the path of an environment.yml or of a C(*.conda-lock.yml), or has the lists C(conda) and C(pip).
        A relative path is looked for beside the inventory, beside the playbook, and in the files of the role.
    type: list
    elements: dict
    required: true
  targets:
    description: The targets by name, each with C(platform), C(glibc), and perhaps C(cuda).
    type: dict
    required: true
  locks_dir:
    description: The folder of the locks, meant for Git. A relative path starts beside the inventory.
    type: str
    required: true
  channels:
    description: The channels of environments that declare none.
    type: list
    elements: str
    default: [conda-forge]
  tos:
    description: Whether the terms of service of Anaconda's channels are accepted.
    type: str
    choices: [accept, decline]
    default: decline
  depot:
    description:
      - A dictionary with C(url), and perhaps C(sha256), the sha256 of its C(manifest.json).
      - With a depot, nothing but the depot is used as a source.
    type: dict
  access:
    description: How channels, indexes and the depot are reached, C({proxies, ca}); C(ca) is the text of a PEM file.
    type: dict
    default: {}
  auth_variable:
    description:
      - The variable with what private channels and indexes ask for, by host or C(HOST:PORT), as C({username, password})
        or C({token}). Only its name stands in a task; what it holds reaches no lock, no message and no command line.
    type: str
  indexes:
    description:
      - Python indexes that wheels are looked for in before the default one, for environments that declare none.
        A project is taken from the first index that has it, whatever versions later ones have.
    type: list
    elements: str
    default: []
  python:
    description: The conda python for specs that name none, such as a requirements.txt. V(>=3.10,<3.14) unless set.
    type: str
  update:
    description:
      - Solve again though nothing changed, either everything (V(true)) or the environments in a list of names. A text
        with commas between the names, as C(-e) gives it, is taken too.
    type: raw
    default: false
  upgrade:
    description:
      - Packages of conda or wheels. Each lock that holds one is solved again with all other packages held at their
        locked versions, so that only these move, and what they force.
    type: list
    elements: str
    default: []
  only:
    description:
      - C({environments, targets}), each a list of names, or a text with commas between them, as C(-e) gives it, such as
        V(pytorch,jax). Everything else is left out, unless both are empty. A name that nothing declares is refused.
    type: dict
    default: {}
  preview:
    description: Whether to solve in check mode too, so that what would change can be said. Nothing is written either.
    type: bool
    default: false
  timeout:
    description:
      - Seconds that all solving together may take.
      - One run at a time locks in O(locks_dir), be it Ansible's or a Python program's. Another one is waited for as
        many seconds at most, before the solving begins and beside its limit; then the error names whose run it is.
    type: int
    default: 3600
attributes:
  check_mode:
    description: Writes nothing; what has no current lock is C(unlocked).
    support: full
  diff_mode:
    description: Shows the packages before and after.
    support: full
"""

EXAMPLES = r"""
- name: Lock what is not locked yet
  condafleet.core.lock:
    environments:
      - name: pytorch
        spec:
          conda: [python=3.11]
          pip: [torch]
        targets: [linux-64-cpu]
    targets:
      linux-64-cpu:
        platform: linux-64
        glibc: "2.28"
    locks_dir: "{{ inventory_dir }}/locks"
  run_once: true
"""

RETURN = r"""
locks:
  description:
    - By environment and target, C(digest), C(conda_lock) and C(pylock) (paths on the controller, the
      latter null where a pair that was brought has none), C(variables), and C(state), which is C(reused), C(made), or
      in check mode C(unlocked). What is unlocked has no digest. The packages are in the files alone, since each host
      has a copy of this.
    - C(why) says for what is solved (in check mode, would be) what calls for it, and C(changes) what comes of
      it, package by package; the latter is null where nothing was solved. What is solved again and comes out as
      it was is C(reused).
    - Also set as the fact C(__environments_locks).
  type: dict
  returned: success
  sample:
    pytorch:
      linux-64-cpu:
        digest: 058aa57b03c24ffcf931445725b1d490cee0d131bdf465ea763a29a9558ecc0a
        conda_lock: /fleet/locks/pytorch/linux-64-cpu.conda-lock.yml
        pylock: /fleet/locks/pytorch/linux-64-cpu.pylock.toml
        state: made
        why: ["the spec changed: conda adds numpy=2, drops numpy=1"]
        changes: ["numpy 1.26.4 → 2.2.0 (conda)"]
        variables: {}
"""
