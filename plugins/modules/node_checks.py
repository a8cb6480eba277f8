#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
---
module: node_checks
short_description: Look at a node's processors, memory, clock, mounts, GPUs, kernel log and speed
version_added: "0.1.0"
description:
  - Carries out those checks of a validation that concern the node itself, C(host.*), C(gpu.*) and C(speed.*) of
    C(docs/checks.md), and returns a finding for each of them. It judges what one node alone can tell; what only the
    fleet tells is judged by the role.
  - A verdict never fails the task. V(ERROR) says that something could not be told, such as by a driver that hangs or a
    log that can't be read; it is no V(PASS).
  - NVIDIA's GPUs are asked by NVML (C(nvidia-ml-py) from the depot, or where the module's Python has it) in a child
    that is abandoned when it hangs, and where that can't be had by C(nvidia-smi). A node without any sign of a GPU is
    not asked, and C(gpu.*) is V(SKIP) there, unless a limit asks for GPUs.
  - Speed is measured with PyTorch of one of the node's environments, only on GPUs that no process uses.
  - Each check has a time limit, and what goes wrong in one part hides no finding of another.
author:
  - condafleet maintainers (@condafleet)
options:
  level:
    description: V(smoke) takes seconds, V(standard) minutes. V(full) also measures what several GPUs do together.
    type: str
    choices: [smoke, standard, full]
    default: standard
  checks:
    description:
      - Which checks are off or have other limits.
      - "C({CHECK or PATTERN: false or {enabled, least, most, equal, timeout}}); a name goes before any pattern."
    type: dict
    default: {}
  prefix:
    description: The installation's prefix; an environment is C(PREFIX/envs/ENVIRONMENT).
    type: path
    required: true
  root:
    description: The folder for tools and progress, on whose file system the disk is measured.
    type: path
    required: true
  mounts:
    description: Mounts that the node must have.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: Where it is mounted.
        type: str
        required: true
      mounted:
        description: Whether a file system of its own has to be mounted there; otherwise a folder does.
        type: bool
        default: true
      writable:
        description: Whether a small file is written there, read again and removed.
        type: bool
        default: false
      least_free_gib:
        description: GiB that have to be free.
        type: float
  xid_hours:
    description: How far back the kernel's log is read for Xid errors, in hours.
    type: int
    default: 24
  tools:
    description: The depot's tools as its manifest names them, for C(nvidia-ml-py).
    type: dict
  depot_url:
    description: The depot that they are fetched from.
    type: str
  access:
    description: How they are fetched, C({proxies, ca, retries, timeout}); C(ca) is the text of a PEM file.
    type: dict
    default: {}
  speed_environment:
    description: The environment with PyTorch that speed is measured with. Without it, those checks are V(SKIP).
    type: str
  scripts:
    description: The measuring scripts by file name. Filled by the action from the role's files.
    type: dict
    default: {}
  user:
    description:
      - The account that speed is measured as. Without it, the one that the module runs as.
      - Mounts are written as this account where the module's own may not, as on file servers that take root for nobody.
    type: str
  nice:
    description: How far the measuring stands back behind other processes, 0 to 19.
    type: int
    default: 0
  job:
    description: Name of the progress file below C(ROOT/progress). Filled by the action.
    type: str
attributes:
  check_mode:
    description:
      - Looks at all that can be read. What puts the node under load (speed, disk, DCGM) or writes (mounts) is V(SKIP).
    support: full
  diff_mode:
    description: Nothing is changed, so there is no difference to show.
    support: none
  async:
    description: Not to be set. The action starts a job by itself where the node is put under load, and follows it.
    support: none
seealso:
  - module: condafleet.core.validation
  - module: condafleet.core.conda_facts
"""

EXAMPLES = r"""
- name: See whether the node is as it should be
  condafleet.core.node_checks:
    prefix: /opt/miniconda3
    root: /opt/condafleet
    checks:
      gpu.count: {equal: 8}
      speed.*: false
    mounts:
      - path: /data
        writable: true
        least_free_gib: 500
  register: looked

- name: Stop where something is wrong
  ansible.builtin.assert:
    that: looked.findings | selectattr('verdict', 'in', ['FAIL', 'ERROR']) | length == 0
"""

RETURN = r"""
findings:
  description: What each check came to on each thing that it looked at.
  returned: success
  type: list
  elements: dict
  contains:
    check:
      description: The check's name.
      type: str
    version:
      description: The check's version; figures of different versions are not to be compared.
      type: int
    level:
      description: The level from which on it is carried out.
      type: str
    scope:
      description: What kind of thing it looks at, V(node) or V(gpu).
      type: str
    subject:
      description: What was looked at, V(node) or a GPU's UUID.
      type: str
    verdict:
      description: PASS, FAIL, ERROR (could not be told) or SKIP (does not apply, or not now).
      type: str
    value:
      description: What was found; null where nothing was.
      type: raw
    unit:
      description: The value's unit.
      type: str
    limit:
      description: C(least), C(most) or C(equal), with C(source), who says so; null for none.
      type: dict
    evidence:
      description: Lines that show the value.
      type: list
      elements: str
    reason:
      description: Why it is not PASS, else null.
      type: str
    next_step:
      description: What to do about it, else null.
      type: str
    seconds:
      description: How long it took, or the part of the module that it belongs to.
      type: float
identity:
  description: What the figures belong to.
  returned: success
  type: dict
  contains:
    node:
      description: The node's own host name.
      type: str
    machine_id:
      description: The content of C(/etc/machine-id), null where there is none.
      type: str
    cpu:
      description: The processor's model.
      type: str
    gpus:
      description: C(uuid), C(serial), C(name) and C(bus_id) of each GPU.
      type: list
      elements: dict
    driver:
      description: The NVIDIA driver's version, or null.
      type: str
    cuda:
      description: The newest CUDA version that the driver supports, or null.
      type: str
    kernel:
      description: The kernel's release.
      type: str
    generations:
      description: The current generation of each environment.
      type: dict
began:
  description: When, UTC in ISO 8601. (C(started) is a word of async_status.)
  returned: success
  type: str
learnt:
  description:
    - What the fleet has shown at earlier validations, as the node keeps it (C(ROOT/validation/fleet.json)). It is held
      against that where too few nodes are looked at together.
  returned: success
  type: list
  elements: dict
ended:
  description: When, UTC in ISO 8601.
  returned: success
  type: str
"""

import os

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.condafleet.core.plugins.module_utils import fleet_memory
from ansible_collections.condafleet.core.plugins.module_utils.check_limits import check_declared
from ansible_collections.condafleet.core.plugins.module_utils.errors import FleetError
from ansible_collections.condafleet.core.plugins.module_utils.expect_answer import expect_answer
from ansible_collections.condafleet.core.plugins.module_utils.node_checks import Request, check_node
from ansible_collections.condafleet.core.plugins.module_utils.progress import Progress, progress_file
from ansible_collections.condafleet.core.plugins.module_utils.root_folder import mark_root
from ansible_collections.condafleet.core.plugins.module_utils.speed_run import SpeedRequest

ARGUMENTS = {
    "level": {"type": "str", "choices": ["smoke", "standard", "full"], "default": "standard"},
    "checks": {"type": "dict", "default": {}},
    "prefix": {"type": "path", "required": True},
    "root": {"type": "path", "required": True},
    "mounts": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "path": {"type": "str", "required": True},
            "mounted": {"type": "bool", "default": True},
            "writable": {"type": "bool", "default": False},
            "least_free_gib": {"type": "float"},
        },
    },
    "xid_hours": {"type": "int", "default": 24},
    "tools": {"type": "dict"},
    "depot_url": {"type": "str"},
    "access": {"type": "dict", "default": {}},
    "speed_environment": {"type": "str"},
    "scripts": {"type": "dict", "default": {}},
    "user": {"type": "str"},
    "nice": {"type": "int", "default": 0},
    "job": {"type": "str"},
}


def main():
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    params = module.params
    os.umask(0o022)
    try:
        request = Request(
            level=params["level"],
            checks=check_declared(params["checks"]),
            prefix=params["prefix"],
            root=params["root"],
            speed=SpeedRequest(
                prefix=params["prefix"],
                root=params["root"],
                environment=params["speed_environment"] or "",
                scripts=params["scripts"],
                user=params["user"],
                nice=params["nice"],
            ),
            mounts=params["mounts"],
            xid_hours=params["xid_hours"],
            tools=params["tools"],
            depot_url=params["depot_url"],
            access=params["access"],
            rehearse=module.check_mode,
        )
        expect_answer({"validation_root": params["root"]})
        if not module.check_mode:
            # A node may be looked at before anything is installed: without the mark, what is kept of it there would be
            # in the way of that.
            mark_root(params["root"])
        answer = check_node(request, Progress(progress_file(params["root"], params["job"])))
    except FleetError as error:
        module.fail_json(msg=error.message)
    module.exit_json(changed=False, learnt=fleet_memory.read(params["root"]), **answer)


if __name__ == "__main__":
    main()
