#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
---
module: validation_former
short_description: Say which generation of each environment a node is to try again
version_added: "0.1.0"
description:
  - For each environment that is trained in, the last other generation that was current on this node and is still there.
  - What fails in the current generation and not in the former one, on the same node and day, follows the software; what
    fails in both follows the node.
  - This is an action, carried out by the controller; it cannot be run as a module by itself.
author:
  - condafleet maintainers (@condafleet)
options:
  conda:
    description: What M(condafleet.core.conda_facts) returned as C(conda).
    type: dict
    required: true
  jobs:
    description: The training jobs, each with C(environment) and C(framework), as the role's declaration has them.
    type: list
    elements: dict
    required: true
attributes:
  check_mode:
    description: Changes nothing, ever.
    support: full
  diff_mode:
    description: There is no difference to show.
    support: none
seealso:
  - module: condafleet.core.validation
"""

EXAMPLES = r"""
- name: Find former generations
  condafleet.core.validation_former:
    conda: "{{ observed.conda }}"
    jobs:
      - environment: pytorch
        framework: torch
  register: former
"""

RETURN = r"""
jobs:
  description: The same jobs, each with C(generation); without those that have no former one.
  type: list
  elements: dict
  returned: always
missing:
  description: By environment, why it has no former generation.
  type: dict
  returned: always
"""
