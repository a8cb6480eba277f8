#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
---
module: collective
short_description: A node's part in an all-reduce over several nodes
version_added: "0.1.0"
description:
  - Starts C(torchrun) of an environment with PyTorch on a node, for an all-reduce over the nodes of a group and over
    pairs of them (NCCL on GPUs, gloo on CPUs), and returns what came of it. All nodes of the group have to be started
    before the first one is waited for, so these are two states.
  - What runs on the node has a guard beside it, with a deadline of its own that holds also when the controller is gone.
    Nothing of it is left on the node after that, in whatever process group or session it may be.
  - Never fails for what the node or its network did. What that was is in the result, since other nodes' verdicts
    depend on it.
  - Which nodes take part, with which ranks, is planned by M(condafleet.core.validation_groups).
author:
  - condafleet maintainers (@condafleet)
options:
  state:
    description:
      - V(observed) tells what the node brings along and starts nothing.
      - V(started) starts its part in the background.
      - V(finished) waits (the action does, showing how far it is), ends whatever is left, and returns the outcome.
    type: str
    choices: [observed, started, finished]
    required: true
  root:
    description: The folder whose C(validation) folder holds the job's files while it runs.
    type: path
    required: true
  prefix:
    description: The installation's prefix; the environment is C(PREFIX/envs/ENVIRONMENT). Needed but for V(finished).
    type: path
  environment:
    description: The environment whose PyTorch is used.
    type: str
  address:
    description: How other nodes reach this one, an IP address or a name. The default route's interface's, unless given.
    type: str
  interface:
    description: The network interface for the all-reduce. The one with that address, unless given.
    type: str
  token:
    description:
      - The job's name, as it was planned, words and at least 8 hexadecimal digits. Needed but for V(observed).
      - What runs on the node is found by it, and ended, so nothing else may have this word.
    type: str
  seconds:
    description: How long the job may take on the node before its guard ends it.
    type: int
    default: 600
  job:
    description: The node's part as it was planned. Needed for V(started).
    type: dict
    suboptions:
      backend:
        description: C(nccl) or C(gloo).
        type: str
        choices: [nccl, gloo]
        required: true
      address:
        description: Where the first node of the group is reached.
        type: str
        required: true
      port:
        description: The port they meet at on that node.
        type: int
        required: true
      interface:
        description: This node's network interface.
        type: str
        required: true
      nodes:
        description: How many nodes take part.
        type: int
        required: true
      rank:
        description: Which of them this node is, from 0.
        type: int
        required: true
      processes:
        description: How many processes this node brings, one for each GPU, or one.
        type: int
        required: true
      gpus:
        description: The UUIDs of these GPUs.
        type: list
        elements: str
        default: []
      join:
        description: Seconds within which all nodes have to be there.
        type: int
        required: true
      timeout:
        description: Seconds for a single operation.
        type: int
        required: true
      sizes:
        description: Bytes that are reduced, in growing sizes.
        type: list
        elements: int
        required: true
      rounds:
        description: How often each size is timed.
        type: int
        required: true
      pause:
        description: Seconds between two of these.
        type: float
        required: true
      budget:
        description: Seconds for all sizes. Those that would take longer are left out.
        type: int
        required: true
      pairs:
        description: Rounds of disjoint pairs of nodes, by rank, that are tried after all have been together.
        type: list
        elements: list
        default: []
  scripts:
    description: The script as C({file name = text}). The action takes it from the collection.
    type: dict
    default: {}
  threads:
    description: Threads for PyTorch on CPUs, 0 for what measurement found best.
    type: int
    default: 0
  nice:
    description: How far it stands back behind other processes, 0 to 19.
    type: int
    default: 10
  user:
    description: The account to run as. The one that Ansible becomes, unless given.
    type: str
  wait:
    description: Whether V(finished) waits for the end. Without that, whatever runs is ended at once.
    type: bool
    default: true
  show:
    description: Whether the action shows how far V(finished) is; of a group, one node's is enough.
    type: bool
    default: false
attributes:
  check_mode:
    description: Nothing is started or ended.
    details: V(observed) is carried out, since it only reads; the other states answer without doing anything.
    support: partial
  diff_mode:
    description: There is no difference to show.
    support: none
"""

EXAMPLES = r"""
- name: Ask what the node brings
  condafleet.core.collective:
    state: observed
    root: /opt/condafleet
    prefix: /opt/miniconda3
    environment: pytorch

- name: Start the node's part
  condafleet.core.collective:
    state: started
    root: /opt/condafleet
    prefix: /opt/miniconda3
    environment: pytorch
    token: "{{ planned.token }}"
    seconds: 600
    job: "{{ planned.job }}"

- name: Wait for it
  condafleet.core.collective:
    state: finished
    root: /opt/condafleet
    token: "{{ planned.token }}"
    seconds: 600
"""

RETURN = r"""
brought:
  description: What the node has for an all-reduce.
  returned: for O(state=observed)
  type: dict
  contains:
    address:
      description: How other nodes reach this one, null where that could not be told.
      type: str
    interface:
      description: The network interface with that address.
      type: str
    generation:
      description: The generation that the environment's link leads to.
      type: str
    gpus:
      description: C(state) (none, free, busy or unknown), the C(uuids) of all, and C(why) they can't be used.
      type: dict
    problem:
      description: Why the node can't take part, else null.
      type: str
refused:
  description: Why nothing was started, else null.
  returned: for O(state=started)
  type: str
busy:
  description: Whether that is because the node's GPUs were taken since it was asked what it brings.
  returned: for O(state=started)
  type: bool
token:
  description: As given, so that a result is not taken for that of another job.
  returned: for O(state=started) and O(state=finished)
  type: str
result:
  description: How it went on this node.
  returned: for O(state=finished)
  type: dict
  contains:
    state:
      description: V(done), V(failed), or V(lost) where nothing is known of such a job on this node.
      type: str
    why:
      description:
        - How it came to its end. V(ended) by itself, V(said) (it had said all), V(deadline) (its guard ended it),
          V(asked) (it was ended before), null where the guard was gone.
      type: str
    status:
      description: torchrun's exit status, negative for a signal.
      type: int
    seconds:
      description: How long it ran.
      type: float
    outcome:
      description: What the node's first process measured, as roles/validation/files/collective_torch.py says.
      type: dict
    step:
      description: The last step that it had begun.
      type: str
    log:
      description: The end of what it printed.
      type: str
    left:
      description: Processes that were still there when they should not have been, and were ended.
      type: list
      elements: str
"""

import os

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.condafleet.core.plugins.module_utils.collective_job import Job, finish, start
from ansible_collections.condafleet.core.plugins.module_utils.collective_node import BusyError, brought
from ansible_collections.condafleet.core.plugins.module_utils.errors import FleetError
from ansible_collections.condafleet.core.plugins.module_utils.expect_answer import expect_answer

JOB = {
    "backend": {"type": "str", "choices": ["nccl", "gloo"], "required": True},
    "address": {"type": "str", "required": True},
    "port": {"type": "int", "required": True},
    "interface": {"type": "str", "required": True},
    "nodes": {"type": "int", "required": True},
    "rank": {"type": "int", "required": True},
    "processes": {"type": "int", "required": True},
    "gpus": {"type": "list", "elements": "str", "default": []},
    "join": {"type": "int", "required": True},
    "timeout": {"type": "int", "required": True},
    "sizes": {"type": "list", "elements": "int", "required": True},
    "rounds": {"type": "int", "required": True},
    "pause": {"type": "float", "required": True},
    "budget": {"type": "int", "required": True},
    "pairs": {"type": "list", "elements": "list", "default": []},
}
ARGUMENTS = {
    "state": {"type": "str", "choices": ["observed", "started", "finished"], "required": True},
    "root": {"type": "path", "required": True},
    "prefix": {"type": "path"},
    "environment": {"type": "str"},
    "address": {"type": "str"},
    "interface": {"type": "str"},
    "token": {"type": "str", "no_log": False},  # a name for one start, no secret
    "seconds": {"type": "int", "default": 600},
    "job": {"type": "dict", "options": JOB},
    "scripts": {"type": "dict", "default": {}},
    "threads": {"type": "int", "default": 0},
    "nice": {"type": "int", "default": 10},
    "user": {"type": "str"},
    "wait": {"type": "bool", "default": True},
    "show": {"type": "bool", "default": False},
}
REQUIRED_IF = [
    ("state", "observed", ["prefix"]),
    ("state", "started", ["prefix", "environment", "token", "job"]),
    ("state", "finished", ["token"]),
]


def main():
    module = AnsibleModule(argument_spec=ARGUMENTS, required_if=REQUIRED_IF, supports_check_mode=True)
    params = module.params
    os.umask(0o022)
    if params["state"] == "observed":
        found = brought(params["prefix"], params["environment"], params["address"], params["interface"])
        module.exit_json(changed=False, brought=found)
    if module.check_mode:
        module.exit_json(
            changed=False, token=params["token"], refused="check mode starts nothing", busy=False, result=None
        )
    try:
        expect_answer({"validation_root": params["root"]})
        job = Job(params)
    except FleetError as error:
        module.fail_json(msg=error.message)
    if params["state"] == "finished":
        module.exit_json(changed=False, token=params["token"], result=finish(job))
    refused, busy = None, False
    try:
        start(job)
    except FleetError as error:
        refused, busy = error.message, isinstance(error, BusyError)
    except OSError as error:
        refused = "%s: %s" % (error.filename or "the node", error.strerror or error)
    module.exit_json(changed=False, token=params["token"], refused=refused, busy=busy)


if __name__ == "__main__":
    main()
