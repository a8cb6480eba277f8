#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
---
module: conda_facts
short_description: Observe a node's conda installation, environments, shells and GPUs by reading files
version_added: "0.1.0"
description:
  - Returns all that condafleet needs to know of a node in one call.
  - Reads files only. It starts no conda, asks no GPU driver and uses no network. It is quick, and safe beside jobs.
author:
  - condafleet maintainers (@condafleet)
options:
  prefix:
    description: The installation's prefix.
    type: path
    required: true
  root:
    description: The folder that holds generations, caches and results.
    type: path
    default: /opt/condafleet
  users:
    description:
      - The users whose shell start-up files are looked at, beside the system's.
      - Without any, the user that runs the module.
    type: list
    elements: str
    default: []
  group:
    description: A group whose members' shell start-up files are looked at too.
    type: str
  environments:
    description: The environments that are looked at. Without this option, all of them.
    type: list
    elements: str
  files:
    description:
      - Whether every file of the installation is compared with the sha256 in conda's records. It reads them all, some
        hundred MB.
    type: bool
    default: false
  dependants:
    description:
      - Seconds that a search in the homes of the node's users may take, for virtual environments and Jupyter kernels
        that stand on the installation or a generation, and another one for the environments that users' conda has
        noted. Without them, there is no search.
    type: int
    default: 0
  modulepath:
    description: The folder of modulefiles. Without it, none are looked at.
    type: path
  adopt:
    description:
      - Names in C(PREFIX/envs). What stands there and is not condafleet's is looked at more closely, since it is to be
        adopted, who uses it and what stands on it (which may take ten seconds each).
    type: list
    elements: str
    default: []
  system_root:
    description: The root folder of the system whose start-up files and users are looked at, for images and chroots.
    type: path
    default: /
  verify:
    description:
      - V(quick) compares the metadata of current generations with their receipts. V(full) also compares every file of
        them by its sha256, mode and size, which reads them all, some GB, with up to 8 processes.
    type: str
    choices: [quick, full]
    default: quick
  fingerprints:
    description:
      - Whether only current generations are compared with their receipts, or all finished ones, such as for a rollback.
    type: str
    choices: [current, all]
    default: current
  verify_timeout:
    description: Seconds that comparing the files of one generation may take. The call fails where it takes longer.
    type: int
    default: 3600
attributes:
  check_mode:
    description: Changes nothing, ever.
    support: full
  diff_mode:
    description: There is no difference to show.
    support: none
"""

EXAMPLES = r"""
- name: See what is there
  condafleet.core.conda_facts:
    prefix: /opt/miniconda3
  register: node

- name: Say which conda it is
  ansible.builtin.debug:
    msg: "{{ node.conda.installation.state }} {{ node.conda.installation.conda_version }}"
"""

RETURN = r"""
conda:
  description: What is on the node.
  returned: success
  type: dict
  contains:
    schema_version:
      description: The version of this structure.
      type: int
      sample: 1
    node:
      description:
        - Python, architecture, platform, C library, kernel, operating system, processors and memory.
        - GPUs (V(name) is null where only the device file can be seen), the driver, and the newest CUDA version that
          the driver is known to support. Free bytes at the prefix and at the root.
      type: dict
    installation:
      description:
        - C(state) is V(absent), V(present), V(unfinished) or V(foreign) (there is something else).
        - Versions, the installer's own note, condafleet's receipt, the text of C(.condarc), owner, group and mode;
          C(missing) lists what a whole installation has and this one lacks.
        - C(place) says what the prefix itself is (V(none), V(link), V(broken), V(folder), V(foreign)), C(current) which
          of C(versions) it leads to.
        - C(damage) names changed and missing files, with O(files); else it is null.
      type: dict
    root:
      description: C(refusal) says why the root folder can't be used, if so.
      type: dict
    environments:
      description:
        - For each name below C(envs), whether it is a link, a directory or broken, and the link's generation.
        - C(adopted), where there is one, is the path of what was moved aside for it and can come back.
        - C(plain), for what O(adopt) names and is not condafleet's, has C(path), C(aside) (where it would be kept),
          C(owner), C(python), C(packages), C(refusal) (why it can't be adopted now, or null) and C(warnings).
      type: dict
    generations:
      description:
        - The generations below the root, with receipt and, for current ones, C(fingerprint), C(drifted), C(broken) (why
          it can't be used, or null) and C(drift).
        - C(drift) has C(verified) (V(quick), V(full), or V(unknown) where files were to be compared and there is no
          list of them), C(packages) (C(added), C(removed), C(changed); null where it can't be told), C(files)
          (C(changed), C(missing), C(added), at most ten names each, C(counts) and C(more); null where none was looked
          at) and C(notes).
      type: list
      elements: dict
    shells:
      description:
        - C(files) are the start-up files that count, each with the state of its block (V(present), V(absent), V(other),
          V(damaged)), the installation that the block is of and its text. C(problems) tells of users without a home,
          C(skipped) of members of the group without one, and C(group) has the members.
      type: dict
    validations:
      description: The stored results of trainings by environment and framework.
      type: dict
    validations_of_kind:
      description:
        - Those of what else is done with a framework (V(smoke), V(transformer), V(serve)), by that, environment and
          framework.
      type: dict
    checked:
      description:
        - What the node's last validation came to, C(level), C(run), C(ended), C(digest), C(verdict), and what was
          looked at, C(driver) and C(gpus) (UUIDs); or null.
      type: dict
    modulefiles:
      description:
        - Null without O(modulepath). C(found) are those that condafleet wrote, C(wanted) those that belong there for
          what is on the node, C(systems) the files in which a module system keeps its search path, each with who named
          the folder there (V(absent), V(ours), V(site)).
        - C(others) are paths where ours may have to be and somebody else's stand, C(shared) says whether another
          installation has modulefiles there, C(former) tells of folders that were declared before.
      type: dict
    dependants:
      description:
        - Null without O(dependants). C(found) has C(kind) (V(venv), V(kernel), or V(module) for a saved collection of
          modules), C(path), C(user), C(stands_on) (what it needs), C(through) (the path as it is written there) and
          C(there) (whether that still leads somewhere).
        - C(complete) is false, and C(why) says why, where the search was stopped early.
      type: dict
    users_environments:
      description:
        - Null without O(dependants). C(found) lists the environments that condafleet did not make, in C(PREFIX/envs),
          moved aside by an adoption, and noted in users' C(~/.conda/environments.txt) as far as they can reach them.
        - Each has C(path), C(kind) (V(directory), V(link), V(broken), V(adopted)), C(owner), C(python), C(packages)
          (how many conda has linked), C(changed) (when conda last changed it) and C(noted_by) (users).
        - C(complete) is false, and C(why) says why, where the search was stopped early.
      type: dict
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.condafleet.core.plugins.module_utils.errors import FleetError
from ansible_collections.condafleet.core.plugins.module_utils.observation import observe


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "prefix": {"type": "path", "required": True},
            "root": {"type": "path", "default": "/opt/condafleet"},
            "users": {"type": "list", "elements": "str", "default": []},
            "group": {"type": "str"},
            "environments": {"type": "list", "elements": "str"},
            "files": {"type": "bool", "default": False},
            "dependants": {"type": "int", "default": 0},
            "modulepath": {"type": "path"},
            "adopt": {"type": "list", "elements": "str", "default": []},
            "system_root": {"type": "path", "default": "/"},
            "verify": {"type": "str", "choices": ["quick", "full"], "default": "quick"},
            "verify_timeout": {"type": "int", "default": 3600},
            "fingerprints": {"type": "str", "choices": ["current", "all"], "default": "current"},
        },
        supports_check_mode=True,
    )
    try:
        conda = observe(
            **{key: module.params[key] for key in ("prefix", "root", "users", "group", "environments", "system_root")},
            with_files=module.params["files"],
            dependants=module.params["dependants"],
            modulepath=module.params["modulepath"],
            all_fingerprints=module.params["fingerprints"] == "all",
            full_within=float(module.params["verify_timeout"]) if module.params["verify"] == "full" else None,
            adopt=module.params["adopt"],
        )
    except FleetError as error:
        module.fail_json(msg=error.message)
    except OSError as error:
        module.fail_json(msg="%s: cannot be read: %s" % (error.filename, error.strerror))
    module.exit_json(changed=False, conda=conda)


if __name__ == "__main__":
    main()
