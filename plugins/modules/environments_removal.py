#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
---
module: environments_removal
short_description: Remove all that condafleet keeps below its root, and the environments that lead there
version_added: "0.1.0"
description:
  - Takes away the links to generations in C(PREFIX/envs), all generations, the package caches, data sets, results and
    modulefiles, and the root folder itself where nothing else is left in it.
  - Environments that were adopted come back to where they stood, the one that was adopted last where there are several.
  - Environments that users made are not touched. Locks stay where they are, on the controller.
  - Refuses, and changes nothing, while a process uses a generation or the installation.
  - Warns of virtual environments and Jupyter kernels that users made on top of what goes.
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
    required: true
  timeout:
    description: Seconds to wait for another run that works below the root.
    type: int
    default: 60
attributes:
  check_mode:
    description: Says what would be removed.
    support: full
  diff_mode:
    description: Shows what would be or was removed.
    support: full
"""

EXAMPLES = r"""
- name: Remove all environments of condafleet
  condafleet.core.environments_removal:
    prefix: /opt/miniconda3
    root: /opt/condafleet
"""

RETURN = r"""
removed:
  description: What was removed, or would be in check mode.
  returned: success
  type: list
  elements: str
  sample: [environment pytorch, generation pytorch-0123456789ab-1, /opt/condafleet/pkgs]
left:
  description:
    - What lies below the root and is not condafleet's, and what was adopted and could not come back, since something
      else stands in its place.
  returned: success
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.condafleet.core.plugins.module_utils import environments_removal as removal
from ansible_collections.condafleet.core.plugins.module_utils import paths
from ansible_collections.condafleet.core.plugins.module_utils.dependants import describe, find_dependants
from ansible_collections.condafleet.core.plugins.module_utils.errors import FleetError


def warn_of_dependants(module: AnsibleModule, prefix: str, root: str) -> None:
    """Name what users built on what goes: it will not start again."""
    looked = find_dependants(prefix, root)
    if looked["found"]:
        module.warn("What users built on %s and %s stops working: %s." % (prefix, root, describe(looked["found"])))
    if not looked["complete"]:
        module.warn("Whether users built anything on %s was not looked at everywhere: %s." % (root, looked["why"]))


def run(module: AnsibleModule) -> dict:
    # What is removed below the root is known by its names: a root that belongs to the system must never get here.
    prefix = paths.check_prefix("environments_prefix", module.params["prefix"])
    root = paths.check_prefix("environments_root", module.params["root"])
    removed = removal.plan(removal.observe(prefix, root), root)
    left: list = []
    if removed:
        removal.refuse_while_used(prefix, root)
        warn_of_dependants(module, prefix, root)
    if removed and not module.check_mode:
        left = removal.carry_out(prefix, root, module.params["timeout"])
    text = "".join(line + "\n" for line in removed)
    return {
        "changed": bool(removed),
        "removed": removed,
        "left": left,
        "diff": [{"before": text, "after": "", "before_header": root, "after_header": root}] if removed else [],
    }


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "prefix": {"type": "path", "required": True},
            "root": {"type": "path", "required": True},
            "timeout": {"type": "int", "default": 60},
        },
        supports_check_mode=True,
    )
    try:
        result = run(module)
    except FleetError as error:
        module.fail_json(msg=error.message)
    except OSError as error:
        module.fail_json(msg="%s: %s" % (error.filename or module.params["root"], error.strerror or error))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
