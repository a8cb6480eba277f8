#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
---
module: gate
short_description: Decide once for the fleet whether it goes on
version_added: "0.1.0"
description:
  - Counts, over a whole fleet, the nodes that can't take their plan, or that are not staged, against the share that may
    be missing. Nodes that could not be reached, or that failed earlier, count as missing.
  - Says why in one sentence for each group of nodes that say the same.
  - Stops nobody by itself. A task after it does, by RV(gate.passed), so that what it found is at hand then.
  - Reads variables of the hosts that M(condafleet.core.plan) and the roles have registered. It is to be run once, by
    any host, in a play over all of them.
  - This is an action, carried out by the controller; it cannot be run as a module by itself.
author:
  - condafleet maintainers (@condafleet)
options:
  after:
    description:
      - V(plan), to be passed before anything is downloaded, or V(stage), to be passed before anything is switched.
    type: str
    choices: [plan, stage]
    required: true
  fleet:
    description: All hosts that were meant to take part, also those that have dropped out.
    type: list
    elements: str
    required: true
  may_fail:
    description: The share of the fleet, from 0 to 1, that may be missing.
    type: float
    default: 0.0
  plan:
    description: The variable in which each host has the result of M(condafleet.core.plan).
    type: str
    required: true
  staged:
    description: The variable that is true for a host that has been staged.
    type: str
    default: __environments_staged
attributes:
  check_mode:
    description: Changes nothing, ever.
    support: full
  diff_mode:
    description: There is no difference to show.
    support: none
"""

EXAMPLES = r"""
- name: Count who can take the plan
  condafleet.core.gate:
    after: plan
    fleet: "{{ ansible_play_hosts_all }}"
    may_fail: 0.02
    plan: condafleet_plan
  register: gate
  run_once: true

- name: Stop if too many can't
  ansible.builtin.fail:
    msg: "{{ gate.msg }}"
  when: not gate.gate.passed
  run_once: true
  any_errors_fatal: true
"""

RETURN = r"""
gate:
  description: The decision.
  type: dict
  returned: always
  contains:
    after:
      description: As given.
      type: str
    hosts:
      description: How many hosts the fleet has.
      type: int
    missing:
      description: How many of them are missing.
      type: int
    may_fail:
      description: As given.
      type: float
    passed:
      description: Whether the others go on.
      type: bool
    groups:
      description:
        - One for each reason, the largest first, with C(nodes) (a list), C(names) (the same as ranges, such as
          V(node[01-12])) and C(text). A node with several reasons is in several groups.
      type: list
      elements: dict
    text:
      description: The decision in words, a line for each group.
      type: str
msg:
  description: The same as RV(gate.text).
  type: str
  returned: always
"""
