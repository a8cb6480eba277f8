#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
---
module: validation_verdicts
short_description: Judge all nodes of a validation, and compare them with each other
version_added: "0.1.0"
description:
  - Gathers each host's findings, from its checks, its trainings and its group, as the role C(validation) registered
    them, and holds what nodes have passed beside what the others of their kind have.
  - Figures stand apart by the median and the MAD, what all should share by the majority, loss curves by each epoch.
    With fewer than three of a kind nothing is judged, and the findings say so.
  - A node keeps what it was judged by. Where fewer than half of those are looked at together, that counts instead, so
    that no odd node passes for being looked at alone.
  - Nodes are of a kind where C(validation_group), and the models of GPUs and CPU are the same; trainings where
    environment, framework, versions, device and job are the same too.
  - Reads variables of the hosts. It is to be run once, by any host, in a play over all of them. In a play with
    C(serial) each batch is compared with those before it.
  - It fails no node. A task after it does, by RV(verdicts), so that the record is kept before.
  - This is an action, carried out by the controller; it cannot be run as a module by itself.
author:
  - condafleet maintainers (@condafleet)
options:
  hosts:
    description: The hosts that are compared, also those that dropped out. Default is all hosts of the play.
    type: list
    elements: str
  deviations:
    description:
      - How many deviations, as the MAD estimates them, from the median are odd. Default is what is declared for the
        nodes; among those of one kind the most that is declared for any of them.
    type: float
  gap_percent:
    description: The least distance from the median that counts, in percent of it. Default as for O(deviations).
    type: float
attributes:
  check_mode:
    description: Changes nothing, ever.
    support: full
  diff_mode:
    description: There is no difference to show.
    support: none
seealso:
  - module: condafleet.core.validation_record
  - module: condafleet.core.validation_hook
"""

EXAMPLES = r"""
- name: Judge the nodes
  condafleet.core.validation_verdicts:
    gap_percent: 15
  register: judged
  run_once: true

- name: Refuse a node that could not prove itself
  ansible.builtin.fail:
    msg: "{{ judged.verdicts[inventory_hostname].complaint }}"
  when: judged.verdicts[inventory_hostname].verdict in ['FAIL', 'ERROR']
"""

RETURN = r"""
run:
  description: The name of this validation, its time in UTC.
  type: str
  returned: always
  sample: "2026-01-31T12:00:00Z"
verdicts:
  description:
    - By host. FAIL where any finding is, else ERROR where any is, else PASS; SKIP where nothing was checked.
    - A host that dropped out before it was judged has ERROR, or FAIL by what it had found until then.
  type: dict
  returned: always
  contains:
    verdict:
      description: PASS, FAIL, ERROR or SKIP.
      type: str
    findings:
      description: Those that the fleet (or the former generation) has a say in, to stand instead of the node's own.
      type: list
    complaints:
      description: A sentence for each finding that is FAIL or ERROR, or for all that say the same, FAIL first.
      type: list
    complaint:
      description: The first of them as one message; null for PASS and SKIP.
      type: str
    bad:
      description: The names of the checks that were not passed.
      type: list
    judged_by:
      description: The places of those RV(figures) that it was judged by.
      type: list
lost:
  description:
    - By host, the record of one that dropped out after it was looked at, as M(condafleet.core.validation_record)
      returns it. No node keeps it.
  type: dict
  returned: always
figures:
  description:
    - What the fleet has shown, a row for each check and kind of node (and epoch, of losses), with C(check), C(kind),
      C(subject), C(epoch), C(alike) (a digest of what else has to be the same), C(unit), C(count), C(median), C(low),
      C(high), C(common), C(odd) and C(source).
  type: list
  returned: always
msg:
  description: How many hosts have which verdict.
  type: str
  returned: always
"""
