#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
---
module: validation_groups
short_description: Plan which nodes are tried together, and judge what came of it
version_added: "0.1.0"
description:
  - Hosts with the same V(validation_group) are tried together by an all-reduce, then in rounds of pairs within the
    same processes. Where that fails, or is slower than its limit, the culprit is sought, by rounds of pairs by
    themselves if need be, and the others are tried again without it.
  - Takes what the tasks of the role validation registered of each host, M(condafleet.core.collective)'s results among
    it. It is to be run once, by any host, in a play over all of them. Touches no node.
  - This is an action, carried out by the controller; it cannot be run as a module by itself.
author:
  - condafleet maintainers (@condafleet)
options:
  stage:
    description:
      - V(plan) begins, V(begun) tells who waits for others that were not started, V(next) takes what the last attempts
        came to and plans what follows from it, V(judge) turns all of it into findings.
    type: str
    choices: [plan, begun, next, judge]
    required: true
  hosts:
    description: All hosts that were meant to take part, also those that have dropped out.
    type: list
    elements: str
    required: true
  deviations:
    description:
      - How many deviations from the group's median make a node's pairs odd. For V(next) and V(judge). Default is the
        most that is declared for any node of the group.
    type: float
  gap_percent:
    description: And how many percent of it, at least. For V(next) and V(judge). Default as for O(deviations).
    type: float
attributes:
  check_mode:
    description: Plans nothing, and judges what takes no trial.
    support: full
  diff_mode:
    description: There is no difference to show.
    support: none
"""

EXAMPLES = r"""
- name: Plan who is tried with whom
  condafleet.core.validation_groups:
    stage: plan
    hosts: "{{ ansible_play_hosts_all }}"
  register: __validation_tried
  run_once: true
"""

RETURN = r"""
hosts:
  description: The hosts that are looked after, also those that can't take part.
  type: list
  elements: str
  returned: for O(stage=plan) and O(stage=next)
attempts:
  description: What is tried now, at once. Each has its C(token), C(members), C(seconds), C(pairs) and C(jobs) by host.
  type: list
  elements: dict
  returned: for O(stage=plan) and O(stage=next)
parts:
  description: The attempt's number by host, of the hosts that take part in one.
  type: dict
  returned: for O(stage=plan) and O(stage=next)
played:
  description: The attempts so far, with what each member came to.
  type: list
  elements: dict
  returned: for O(stage=plan) and O(stage=next)
in_vain:
  description: The hosts that need not be waited for, since another member of their attempt was not started.
  type: list
  elements: str
  returned: for O(stage=begun)
findings:
  description: The findings by host.
  type: dict
  returned: for O(stage=judge)
gone:
  description: Those of these hosts that have dropped out of the play meanwhile.
  type: list
  elements: str
  returned: for O(stage=judge)
"""
