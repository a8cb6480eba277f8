#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
---
module: conda_init
short_description: Make conda known to bash and zsh, system-wide or for users
version_added: "0.1.0"
description:
  - Writes a block with conda's own markers into shell start-up files, or takes it out.
  - The block sources C(PREFIX/etc/profile.d/conda.sh), a static file. It starts no Python, prints nothing, and is sound
    under C(set -eu).
  - Owner, mode, links and all other bytes of the files are kept. Taking the block out restores a file to the byte, and
    removes one that was made for the block.
  - For users, the files are written with each user's own rights.
author:
  - condafleet maintainers (@condafleet)
options:
  prefix:
    description: The installation's prefix.
    type: path
    required: true
  shells:
    description: The shells.
    type: list
    elements: str
    choices: [bash, zsh]
    default: [bash, zsh]
  scope:
    description:
      - V(system) writes C(/etc/profile.d/condafleet.sh) (login shells) and C(/etc/bash.bashrc) or C(/etc/bashrc)
        (interactive ones) for bash; C(zprofile) and C(zshrc) in C(/etc/zsh) or C(/etc) for zsh, where there is a zsh.
      - V(users) writes C(~/.bashrc) and the one of C(~/.bash_profile), C(~/.bash_login) and C(~/.profile) that bash
        reads, and C(~/.zshrc).
    type: str
    choices: [system, users]
    default: system
  users:
    description: The users for O(scope=users). Without any, the user that runs the module.
    type: list
    elements: str
    default: []
  state:
    description: Whether the block is there.
    type: str
    choices: [present, absent]
    default: present
  replace:
    description: Whether the block of another installation may be replaced. Without this, it is an error.
    type: bool
    default: false
  system_root:
    description: The root folder of the system that is worked on, for images and chroots.
    type: path
    default: /
attributes:
  check_mode:
    description: Says what would be done.
    support: full
  diff_mode:
    description: Shows the blocks.
    support: full
"""

EXAMPLES = r"""
- name: Make conda known to everybody
  condafleet.core.conda_init:
    prefix: /opt/miniconda3

- name: Make conda known to one user, in bash only
  condafleet.core.conda_init:
    prefix: /opt/miniconda3
    scope: users
    users: [alice]
    shells: [bash]
"""

RETURN = r"""
files:
  description: The start-up files that count, and whether each was changed (in check mode, would be).
  returned: success
  type: list
  elements: dict
  contains:
    path:
      description: The file.
      type: str
    shell:
      description: The shell that reads it.
      type: str
    user:
      description: Whose it is, or null for the system's.
      type: str
    changed:
      description: Whether it was changed.
      type: bool
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.condafleet.core.plugins.module_utils.errors import FleetError
from ansible_collections.condafleet.core.plugins.module_utils.observe_shells import observe_shells
from ansible_collections.condafleet.core.plugins.module_utils.shell_block import plan_shells, refuse_shells, selected
from ansible_collections.condafleet.core.plugins.module_utils.shell_edit import carry_out


def run(module: AnsibleModule) -> dict:
    declared = module.params
    users = declared["users"] if declared["scope"] == "users" else []
    observed = observe_shells(declared["prefix"], users, declared["system_root"])
    refusal = refuse_shells(observed, declared)
    if refusal:
        raise FleetError(refusal)
    changes = plan_shells(observed, declared)
    if changes and not module.check_mode:
        carry_out(observed, declared, changes)
        left = plan_shells(observe_shells(declared["prefix"], users, declared["system_root"]), declared)
        if left:
            raise FleetError("%s: still differs afterwards. Next: see who else writes there." % left[0]["what"])
    paths = {change["what"] for change in changes}
    return {
        "changed": bool(changes),
        "files": [
            {"path": entry["path"], "shell": entry["shell"], "user": entry["user"], "changed": entry["path"] in paths}
            for entry in selected(observed, declared)
        ],
        "diff": [
            {
                "before": change["before"],
                "after": change["after"],
                "before_header": change["what"],
                "after_header": change["what"],
            }
            for change in changes
        ],
    }


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "prefix": {"type": "path", "required": True},
            "shells": {"type": "list", "elements": "str", "choices": ["bash", "zsh"], "default": ["bash", "zsh"]},
            "scope": {"type": "str", "choices": ["system", "users"], "default": "system"},
            "users": {"type": "list", "elements": "str", "default": []},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "replace": {"type": "bool", "default": False},
            "system_root": {"type": "path", "default": "/"},
        },
        supports_check_mode=True,
    )
    try:
        result = run(module)
    except FleetError as error:
        module.fail_json(msg=error.message)
    except OSError as error:
        module.fail_json(msg="%s: %s" % (error.filename, error.strerror or error))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
