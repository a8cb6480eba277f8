#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
---
module: plan
short_description: Observe a node and say what has to be done there
version_added: "0.1.0"
description:
  - Calls M(condafleet.core.conda_facts) once on the node and compares what is there with what was declared.
  - The comparison is pure and happens on the controller. Nothing is changed, on any node.
  - In check mode the task reports RV(ignore:changed) when there is something to do, and the difference as a diff.
  - This is an action, carried out by the controller; it cannot be run as a module by itself.
author:
  - condafleet maintainers (@condafleet)
options:
  prefix:
    description: The installation's prefix.
    type: str
    required: true
  root:
    description: The folder that holds generations, caches and results.
    type: str
    required: true
  system_root:
    description: The root folder of the system whose shells are looked at, for images and chroots.
    type: str
    default: /
  files:
    description:
      - Whether every file of the installation is compared with its record. It always is where a repair is declared.
    type: bool
    default: false
  dependants:
    description: Seconds that a search for users' virtual environments and Jupyter kernels may take; 0 for no search.
    type: int
    default: 0
  installation:
    description: The installation as resolved by P(condafleet.core.declaration#module) for the role miniconda.
    type: dict
  shells:
    description: The shells as resolved for the role shell_init.
    type: dict
  environments:
    description:
      - A dictionary with C(declared) (the list of environments), C(targets) and C(locks) (as
        M(condafleet.core.lock) returned them; their files are read where a node is to change), and maybe C(target)
        (of the whole node, instead of what is seen), C(modulefiles) (whether there shall be some) and C(modulepath)
        (their folder).
      - C(verify) (V(quick) or V(full)) and C(verify_timeout) are M(condafleet.core.conda_facts)'s.
    type: dict
  validation:
    description: The validation as resolved for the role validation.
    type: dict
  fingerprints:
    description:
      - Whether only current generations are compared with their receipts, or V(all) finished ones, to know before a
        switch whether what was staged is still what it was.
    type: str
    choices: [current, all]
    default: current
  stop:
    description:
      - Whether a node that can't take the plan fails at once.
      - A play that counts such nodes by M(condafleet.core.gate), and fails them then, says no.
    type: bool
    default: true
attributes:
  check_mode:
    description: Reports what would be done.
    support: full
  diff_mode:
    description: Shows it package by package.
    support: full
"""

EXAMPLES = r"""
- name: Observe the node, and plan its environments
  condafleet.core.plan:
    prefix: /opt/miniconda3
    root: /opt/condafleet
    environments:
      declared: "{{ environments_list }}"
      targets: "{{ environments_targets }}"
      locks: "{{ __environments_locks }}"
  register: condafleet_plan
"""

RETURN = r"""
blocked:
  description: Sentences that say why this node cannot take the plan.
  type: list
  elements: str
  returned: when it cannot, and O(stop) is true; the task has failed then
observed:
  description:
    - What M(condafleet.core.conda_facts) returned under C(conda), as far as a report keeps it. Each of C(generations)
      has C(digest) and C(target) in place of its receipt; the cache and texts of files are left out.
  type: dict
  returned: when the node answered and can take the plan
plan:
  description:
    - What has to be done, with the keys C(installation), C(shells), C(modulefiles), C(environments), C(purge)
      (names of environments), C(collect) (names of generations), C(validation), C(checks) (why the node itself is to
      be looked at, or null), C(damage) (changed and missing files of the installation, in words), C(blocked) and
      C(state), which is one of C(converged), C(pending), C(unvalidated) and C(blocked).
  type: dict
  returned: when the node answered and can take the plan
"""
