#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
---
module: modulefiles
short_description: Keep the modulefiles of the installation and the environments
version_added: "0.1.0"
description:
  - Writes modulefiles that Lmod and Environment Modules read alike. C(module load ENVIRONMENT) loads the generation
    that is current at that moment, C(module load ENVIRONMENT/GENERATION) one of one's own choice. Either way a job
    stays with it.
  - Each generation carries its own modulefile, made when it is built. The folder holds links to those of the finished
    generations. An environment's default follows the link in C(envs) by itself.
  - The folder is named in the file in which a module system of the node keeps its search path, where there is one
    (C(/etc/lmod/modulespath), C(/etc/environment-modules/initrc) or, without that,
    C(/etc/environment-modules/modulespath)).
  - Only what it wrote itself for this prefix and root is ever changed or removed, so that a folder may be the site's or
    shared with other fleets. Where something else has a name that is needed, it refuses before anything changes.
  - A folder that was declared before is emptied, and its line taken out of the search path. Which ones these are is
    noted in C(/var/lib/condafleet/modulefiles.json).
author:
  - condafleet maintainers (@condafleet)
options:
  path:
    description: The folder of the modulefiles.
    type: path
    required: true
  prefix:
    description: The installation's prefix, whose own module is called as the prefix is, without trailing digits.
    type: path
    required: true
  root:
    description: The folder that holds the generations.
    type: path
    required: true
  state:
    description: V(absent) removes what was written, and the line in the search path.
    type: str
    choices: [present, absent]
    default: present
  system_root:
    description:
      - The root folder of the system whose module system is told of the folder. A search path that leads out of it by a
        link is refused.
    type: path
    default: /
attributes:
  check_mode:
    description: Tells what would be written or removed.
    support: full
  diff_mode:
    description: Shows each modulefile that comes, goes or changes.
    support: full
"""

EXAMPLES = r"""
- name: Give users `module load pytorch`
  condafleet.core.modulefiles:
    path: /opt/condafleet/modulefiles
    prefix: /opt/miniconda3
    root: /opt/condafleet
"""

RETURN = r"""
changes:
  description: What was, or would be, written or removed.
  type: list
  elements: dict
  returned: success
  contains:
    what:
      description: The modulefile, or the file with the search path.
      type: str
    before:
      description: What was there, or null.
      type: str
    after:
      description: What is there then, or null.
      type: str
"""

import contextlib
import os
from typing import Any, Dict, List, Mapping

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.condafleet.core.plugins.module_utils.errors import FleetError
from ansible_collections.condafleet.core.plugins.module_utils.modulefile_tree import (
    apply_modulefiles,
    observe_modulefiles,
    plan_modulefiles,
    refuse_modulefiles,
)
from ansible_collections.condafleet.core.plugins.module_utils.progress import node_lock


def observe(given: Mapping[str, Any]) -> Dict[str, Any]:
    """What is there; FleetError where what is declared can't be put there."""
    observed = observe_modulefiles(given["path"], given["prefix"], given["root"], given["system_root"])
    refusal = refuse_modulefiles(observed, given["state"] == "present", {})
    if refusal:
        raise FleetError(refusal)
    return observed


def lock(given: Mapping[str, Any]) -> contextlib.AbstractContextManager:
    """One at a time, on a shared file system too. A removal makes no lock where there is no root any more."""
    root = given["root"]
    if os.path.isdir(root) and (given["state"] == "present" or os.path.exists(os.path.join(root, "lock"))):
        return node_lock(root, "modulefiles in %s" % given["path"])
    return contextlib.nullcontext()


def run(given: Mapping[str, Any], check: bool) -> List[Dict[str, Any]]:
    """The changes, carried out unless it is only a check."""
    declared = given["state"] == "present"
    changes = plan_modulefiles(observe(given), declared, {})
    if not changes or check:
        return changes
    with lock(given):
        # Another node may have been quicker.
        observed = observe(given)
        changes = plan_modulefiles(observed, declared, {})
        if changes:
            apply_modulefiles(observed, declared)
    return changes


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "prefix": {"type": "path", "required": True},
            "root": {"type": "path", "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "system_root": {"type": "path", "default": "/"},
        },
        supports_check_mode=True,
    )
    os.umask(0o022)  # users read these
    try:
        changes = run(module.params, module.check_mode)
    except FleetError as error:
        module.fail_json(msg=error.message)
    except OSError as error:
        module.fail_json(msg="%s: cannot be read or written: %s." % (error.filename, error.strerror))
    before = ["%s: %s" % (one["what"], one["before"]) for one in changes if one["before"] is not None]
    after = ["%s: %s" % (one["what"], one["after"]) for one in changes if one["after"] is not None]
    diff = {"before": "".join(line + "\n" for line in before), "after": "".join(line + "\n" for line in after)}
    module.exit_json(changed=bool(changes), changes=changes, diff=diff)


if __name__ == "__main__":
    main()
