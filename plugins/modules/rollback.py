#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
---
module: rollback
short_description: Decide for the whole fleet which generation each node goes back to
version_added: "0.1.0"
description:
  - Undoes the newest switch, and only that. Run again, it finds nothing to do. What is further back, or forward again,
    has to be named with O(to).
  - Where neither O(environments) nor O(to) are given, it is what the newest run brought to the fleet. The locks that
    came with it are undone on every node that has them by its newest switch, also where it got them in a later run.
    An environment that is new with that run stays.
  - A node that has such a lock, and had none before, can't go back; nor can one on which the link of an environment
    that is named was removed or replaced by hand.
  - What counts is the lock. A node that has built it more than once goes to the generation that was current, or else to
    the newest one that is whole.
  - Refuses where nodes of one target would end on different locks, or where one has nothing whole to go back to and
    O(may_fail) does not allow for that.
  - Changes nothing by itself. M(condafleet.core.conda_environment) moves the links by RV(rollback.moves).
  - Needs no lock, no depot and no declaration; only what M(condafleet.core.conda_facts) has told of each host.
  - This is an action, carried out by the controller; it cannot be run as a module by itself.
author:
  - condafleet maintainers (@condafleet)
options:
  environments:
    description: The environments to roll back.
    type: list
    elements: str
    default: []
  to:
    description:
      - A generation, or without the number at its end any of that lock.
      - V(adopted) is what was made by hand and adopted, for each of O(environments), which have to be named then. Nodes
        on which nothing was adopted stay as they are.
    type: str
  fleet:
    description: All hosts that were meant to take part, also those that have dropped out.
    type: list
    elements: str
    required: true
  may_fail:
    description: The share of the fleet, from 0 to 1, that may be unable to go back.
    type: float
    default: 0.0
  facts:
    description:
      - The variable in which each host has the result of M(condafleet.core.conda_facts), made with C(fingerprints=all).
    type: str
    required: true
attributes:
  check_mode:
    description: Changes nothing, ever.
    support: full
  diff_mode:
    description: There is no difference to show.
    support: none
"""

EXAMPLES = r"""
- name: Look what each node keeps
  condafleet.core.conda_facts:
    prefix: /opt/miniconda3
    fingerprints: all
  register: kept

- name: Decide what each node goes back to
  condafleet.core.rollback:
    environments: [pytorch]
    fleet: "{{ ansible_play_hosts_all }}"
    facts: kept
  register: decided
  run_once: true
"""

RETURN = r"""
rollback:
  description: The decision.
  type: dict
  returned: success
  contains:
    moves:
      description:
        - For each host, each environment that moves, with the generation that is current and the one that it goes to.
        - C(digest) and C(target) are those of its lock; they are null for what was made by hand.
      type: dict
      sample:
        node1:
          pytorch:
            before: pytorch-ba9876543210-1
            generation: pytorch-0123456789ab-1
            digest: 0123456789ab5d0e2f4bbf7be0dd1a2f20ad0d5d2c07a5c2f0a6ff6d0b1f1c11
            target: linux-64-cpu
    missing:
      description: For each host that can't go back, why, and what it keeps.
      type: dict
    kept:
      description: For each host, the environments for which there is nothing to be done, and why.
      type: dict
gate:
  description: As M(condafleet.core.gate) returns it.
  type: dict
  returned: success
msg:
  description: The gate's decision in words.
  type: str
  returned: success
"""
