#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
---
module: conda_environment
short_description: Build an environment from a lock beside the one in use, and switch to it
version_added: "0.1.0"
description:
  - Brings one environment on a node to one of four states, each of them one whole step.
  - Nothing that a job may be using is changed. An environment is built at a new path (a generation), tested there,
    and becomes the current one when the link C(PREFIX/envs/NAME) is moved to it.
  - Jobs that are running stay with the generation that they started on.
  - No solver runs on the node, and the network is used for O(state=fetched) only.
  - The states V(fetched), V(built) and V(tested) may take minutes. The action of this name runs them as a job, follows
    it and shows how far it is; the task ends when the work has ended.
author:
  - condafleet maintainers (@condafleet)
options:
  state:
    description:
      - V(fetched), every archive of the lock lies in the root's cache, verified by its sha256.
      - V(built), a new prefix holds exactly the lock's packages, verified and byte-compiled. Nobody uses it yet.
      - V(tested), the smoke test and O(checks) passed inside it, and its receipt was written.
      - V(current), C(PREFIX/envs/NAME) leads to it.
    type: str
    choices: [fetched, built, tested, current]
    required: true
  name:
    description: The environment's name.
    type: str
    required: true
  prefix:
    description: The installation's prefix.
    type: path
    required: true
  root:
    description: The folder for generations and caches, outside the prefix, on a file system of its own choice.
    type: path
    required: true
  target:
    description: The target that the lock was made for.
    type: str
    default: ""
  lock:
    description:
      - Paths on the controller of the pair of lock files, as C(conda_lock) and C(pylock).
      - The action reads them and gives O(packages), O(digest) and the lock's variables to the node.
    type: dict
    suboptions:
      conda_lock:
        description: Path of the conda-lock file.
        type: path
        required: true
      pylock:
        description: Path of the pylock file, where there are wheels.
        type: path
  packages:
    description: The lock's packages. Filled by the action from O(lock).
    type: list
    elements: dict
    default: []
  digest:
    description: The lock's digest. The action fills it from O(lock), and refuses a lock that has another than is given.
    type: str
    default: ""
  generation:
    description:
      - For O(state=current), the finished generation to switch to, such as an earlier one.
      - Without it the newest finished one of O(digest) is taken.
      - V(adopted) goes back to what was made by hand and adopted (O(adopt)), which then stands again where it stood.
    type: str
  why:
    description: For O(state=current), what the environment's history says of the move.
    type: str
    choices: [switch, rollback]
    default: switch
  run:
    description:
      - For O(state=current), a text that all moves of one run share, such as when it began. A rollback that names no
        environments undoes those of one run.
    type: str
  adopt:
    description:
      - Whether what stands at C(PREFIX/envs/NAME) and is not condafleet's gives its place to the generation. It is
        moved to C(PREFIX.d/adopted-envs/NAME-N) in the same step, as it is, with owner and mode.
      - Without it, and while a process uses what stands there, the task fails and nothing is changed.
    type: bool
    default: false
  damaged:
    description:
      - Generations that are not taken, though their metadata is as their receipts say. A plan names those in which a
        file differs from its sha256; a new one is built instead.
    type: list
    elements: str
    default: []
  depot_url:
    description: The depot to fetch from.
    type: str
  depot_origins:
    description: The depot manifest's map of canonical URL prefix to path in the depot.
    type: dict
    default: {}
  tools:
    description:
      - The depot manifest's C(tools). Where it holds C(uv) for the platform, wheels are installed by it, else by pip.
    type: dict
    default: {}
  access:
    description:
      - How downloads go, C({proxies, ca, retries, timeout}); C(ca) is the text of a PEM file. The environment's own
        C(pip.conf) gets proxy and certificates when it is built; they are no part of what it is.
    type: dict
    default: {}
  auth_variable:
    description:
      - The variable with what private channels and indexes ask for, by host or C(HOST:PORT), as C({username, password})
        or C({token}), for O(state=fetched). Only its name stands in a task.
      - The action hands a node the credentials of those hosts that the lock's packages come from, and none for a depot.
    type: str
  auth:
    description: Credentials by host and port. Filled by the action from O(auth_variable), never in a task's options.
    type: dict
  platform:
    description: The target's platform.
    type: str
    choices: [linux-64, linux-aarch64]
    default: linux-64
  cuda:
    description: Whether the target is one for CUDA. A framework that was built for the CPU is an error then.
    type: bool
    default: false
  frameworks:
    description: The frameworks that the smoke test imports and computes with.
    type: list
    elements: str
    choices: [jax, keras, tensorflow, torch]
    default: []
  checks:
    description:
      - Commands that have to end with 0 in the new generation, for O(state=tested). Each is run by C(/bin/sh), after
        the activation that users get, with C(set -eu), in an empty home and without a GPU, for O(smoke_timeout) at
        most.
      - A finished generation is checked again where these are others than those that it has passed.
    type: list
    elements: str
    default: []
  variables:
    description: Environment variables that activation sets. Those of the lock are added by the action.
    type: dict
    default: {}
  job:
    description: Name of the progress file below C(ROOT/progress). Filled by the action.
    type: str
  condafleet_version:
    description: What is written into the receipt. Filled by the action.
    type: str
    default: ""
  timeout:
    description:
      - Seconds that C(fetched), C(built) or C(tested) may take. Then the action ends the job on the node, and says so.
    type: int
    default: 3600
  lock_timeout:
    description: Seconds to wait where other work holds the root. Who holds it is shown meanwhile.
    type: int
    default: 600
  smoke_timeout:
    description: Seconds that each framework's smoke test, and each of the checks, may take.
    type: int
    default: 600
attributes:
  check_mode:
    description: Says what would be done, package by package, and changes nothing.
    support: full
  diff_mode:
    description: One line a package, or the move of the link.
    support: full
  async:
    description: Not to be set. The action runs long work as a job by itself, follows it and shows how far it is.
    support: none
seealso:
  - module: condafleet.core.conda_facts
  - module: condafleet.core.plan
"""

EXAMPLES = r"""
- name: Fetch what the environment needs
  condafleet.core.conda_environment:
    state: fetched
    name: pytorch
    prefix: /opt/miniconda3
    root: /opt/condafleet
    target: linux-64-cpu
    lock:
      conda_lock: locks/pytorch/linux-64-cpu.conda-lock.yml
      pylock: locks/pytorch/linux-64-cpu.pylock.toml
    depot_url: http://depot.example/condafleet

- name: Go back to an earlier generation
  condafleet.core.conda_environment:
    state: current
    name: pytorch
    prefix: /opt/miniconda3
    root: /opt/condafleet
    generation: pytorch-0123456789ab-1
"""

RETURN = r"""
generation:
  description: The generation that the state is about; in check mode the name that it would get.
  returned: success
  type: str
  sample: pytorch-0123456789ab-1
digest:
  description:
    - The lock's digest. Where no lock is given, it is the one that O(generation) was made of; null for V(adopted).
  returned: success
  type: str
target:
  description: The target that the lock was made for, in the same way.
  returned: success
  type: str
packages:
  description: What differs from the current generation, as C(added), C(removed) and C(changed).
  returned: success
  type: dict
details:
  description: What the step tells besides, such as seconds for each part, or the smoke test's results.
  returned: success
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.condafleet.core.plugins.module_utils.disk import full_text, is_full
from ansible_collections.condafleet.core.plugins.module_utils.environment_request import Request
from ansible_collections.condafleet.core.plugins.module_utils.environment_states import STATES
from ansible_collections.condafleet.core.plugins.module_utils.errors import FleetError
from ansible_collections.condafleet.core.plugins.module_utils.lockfile import Package

ARGUMENTS = {
    "state": {"type": "str", "choices": ["fetched", "built", "tested", "current"], "required": True},
    "name": {"type": "str", "required": True},
    "prefix": {"type": "path", "required": True},
    "root": {"type": "path", "required": True},
    "target": {"type": "str", "default": ""},
    "lock": {
        "type": "dict",
        "options": {"conda_lock": {"type": "path", "required": True}, "pylock": {"type": "path"}},
    },
    "packages": {"type": "list", "elements": "dict", "default": []},
    "digest": {"type": "str", "default": ""},
    "generation": {"type": "str"},
    "why": {"type": "str", "choices": ["switch", "rollback"], "default": "switch"},
    "run": {"type": "str"},
    "adopt": {"type": "bool", "default": False},
    "damaged": {"type": "list", "elements": "str", "default": []},
    "depot_url": {"type": "str"},
    "depot_origins": {"type": "dict", "default": {}},
    "tools": {"type": "dict", "default": {}},
    "access": {"type": "dict", "default": {}},
    "auth": {"type": "dict", "no_log": True},
    "auth_variable": {"type": "str", "no_log": False},
    "platform": {"type": "str", "choices": ["linux-64", "linux-aarch64"], "default": "linux-64"},
    "cuda": {"type": "bool", "default": False},
    "frameworks": {
        "type": "list",
        "elements": "str",
        "choices": ["jax", "keras", "tensorflow", "torch"],
        "default": [],
    },
    "checks": {"type": "list", "elements": "str", "default": []},
    "variables": {"type": "dict", "default": {}},
    "job": {"type": "str"},
    "condafleet_version": {"type": "str", "default": ""},
    "timeout": {"type": "int", "default": 3600},
    "lock_timeout": {"type": "int", "default": 600},
    "smoke_timeout": {"type": "int", "default": 600},
}


def request_of(params, check):
    same = ("name", "prefix", "root", "target", "digest", "frameworks", "checks", "cuda", "depot_url", "depot_origins")
    same += ("tools", "access", "platform", "generation", "why", "run", "adopt", "damaged", "job", "lock_timeout")
    same += ("smoke_timeout",)
    return Request(
        **{key: params[key] for key in same},
        packages=[Package.from_dict(package) for package in params["packages"]],
        auth=params["auth"] or {},
        variables={key: str(value) for key, value in params["variables"].items()},
        version=params["condafleet_version"],
        check=check,
    )


def main():
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    params = module.params
    if not params["digest"] and not (params["state"] == "current" and params["generation"]):
        module.fail_json(
            msg="lock: none is given. Accepted: a pair of lock files. Next: give lock, or packages and digest."
        )
    try:
        outcome = STATES[params["state"]](request_of(params, module.check_mode))
    except FleetError as error:
        module.fail_json(msg=error.message)
    except OSError as error:
        if not is_full(error):
            raise
        kept = "Nothing was switched; the next run takes up what was cut short."
        module.fail_json(msg=full_text(params["root"], "%(state)s of %(name)s" % params, kept))
    module.exit_json(
        changed=outcome.changed,
        generation=outcome.generation,
        digest=params["digest"] or outcome.digest or None,
        target=params["target"] or outcome.target or None,
        packages=outcome.packages,
        details=outcome.details,
        diff={"prepared": outcome.diff} if outcome.diff else {},
    )


if __name__ == "__main__":
    main()
