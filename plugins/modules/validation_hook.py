#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
---
module: validation_hook
short_description: Run a command of the site's for each node with a bad verdict
version_added: "0.1.0"
description:
  - Fills C({host}), C({verdict}), C({reason}) and C({checks}) into each word of a command, and runs it on the
    controller, once for each node with one of O(verdicts). No shell takes it apart, so nothing that a node said can
    become a command.
  - Where more than O(percent) of the inventory's hosts are bad, none is acted on, and a warning says so. What fails on
    so many at once has a cause in common as a rule, and no fleet is to be drained by a mistake in a limit.
  - Unless O(run) is set, and always in check mode, it only prints what it would run.
  - A command that fails, or that takes longer than O(timeout), is told by a warning. It changes no verdict.
  - It is to be run once, by any host. Eight commands run at once. It is never a change, since it changes no node.
  - This is an action, carried out by the controller; it cannot be run as a module by itself.
author:
  - condafleet maintainers (@condafleet)
options:
  command:
    description:
      - The program and its arguments, each a word of its own, for all hosts. Without any, nothing is done.
      - Where it is left out, it and the other options are for each host what the role C(validation) has checked of its
        declaration, so that groups of hosts may have different ones, or none.
    type: list
    elements: str
  judged:
    description: What M(condafleet.core.validation_verdicts) returned as C(verdicts).
    type: dict
    required: true
  verdicts:
    description: The verdicts for which it is run.
    type: list
    elements: str
    default: [FAIL]
  run:
    description: Run it, instead of printing it only.
    type: bool
    default: false
  timeout:
    description: Seconds that one command may take; then it is ended, with all that it started.
    type: int
    default: 60
  percent:
    description:
      - How many hosts may be acted on, in percent of those of the inventory. One may be in any case. In a play with
        C(serial) all batches count. Hosts without a command do not.
    type: int
    default: 20
attributes:
  check_mode:
    description: Runs nothing, and prints what it would run.
    support: full
  diff_mode:
    description: There is no difference to show.
    support: none
seealso:
  - module: condafleet.core.validation_verdicts
"""

EXAMPLES = r"""
- name: Drain bad nodes in Slurm
  condafleet.core.validation_hook:
    command: [scontrol, update, "NodeName={host}", State=DRAIN, "Reason={reason}"]
    judged: "{{ judged.verdicts }}"
    run: true
  run_once: true
"""

RETURN = r"""
hooks:
  description:
    - By host, C(command) (its words), C(ran), C(rc), C(seconds), C(output) (its end) and C(problem) (null where it went
      well, or was not run).
  type: dict
  returned: always
msg:
  description: How many were run, how many of these failed, and how many were not run.
  type: str
  returned: always
"""
