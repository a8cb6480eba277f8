#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
---
module: declaration
short_description: Check what a role was given, before any node is touched
version_added: "0.1.0"
description:
  - Checks the variables of one role and resolves them to what the modules are given.
  - With a depot, its manifest is read and must have the declared sha256. A depot at C(file://) must be found at the
    same place on the controller and on the nodes.
  - Fails with one message that names the variable, the value, what is accepted and the next step.
  - This is an action, carried out by the controller; it cannot be run as a module by itself.
author:
  - condafleet maintainers (@condafleet)
options:
  role:
    description: The role whose variables these are.
    type: str
    choices: [environments, miniconda, shell_init, validation]
    required: true
  values:
    description: The role's variables without the role's name in front, and C(depot_url) and C(depot_sha256).
    type: dict
    required: true
attributes:
  check_mode:
    description: Changes nothing, ever.
    support: full
  diff_mode:
    description: There is no difference to show.
    support: none
"""

EXAMPLES = r"""
- name: Check the shells as declared
  condafleet.core.declaration:
    role: shell_init
    values:
      prefix: /opt/miniconda3
      shells: [bash, zsh]
      scope: system
      state: present
  register: __shell_init_checked
"""

RETURN = r"""
declared:
  description: The declaration, resolved. What it holds depends on the role.
  returned: success
  type: dict
depot:
  description: The depot's URL, and what its manifest says of origins, tools, channels and data sets; null without one.
  returned: success
  type: dict
"""
