#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
---
module: validation_history
short_description: Read what earlier validations of a node found
version_added: "0.1.0"
description:
  - Reads records of the node's own history, C(ROOT/validation/.history). Changes nothing, ever.
  - C(condafleet compare -i INVENTORY) holds two of them side by side.
author:
  - condafleet maintainers (@condafleet)
options:
  root:
    description: The folder that holds generations and validations.
    type: path
    default: /opt/condafleet
  runs:
    description: Which validations. V(last), V(previous), or a run's name as RV(runs) tells it.
    type: list
    elements: str
    default: [previous, last]
attributes:
  check_mode:
    description: Changes nothing, ever.
    support: full
  diff_mode:
    description: There is no difference to show.
    support: none
seealso:
  - module: condafleet.core.conda_facts
"""

EXAMPLES = r"""
- name: Read the two newest validations of this node
  condafleet.core.validation_history:
    root: /opt/condafleet
  register: history

- name: Stop where the newest one was bad
  ansible.builtin.assert:
    that: history.records.last.verdict == 'PASS'
"""

RETURN = r"""
runs:
  description: The runs whose validations this node keeps, the newest first. Empty where it never was validated.
  returned: success
  type: list
  elements: str
  sample: ["2026-01-31T12:00:00Z", "2026-01-24T12:00:00Z"]
records:
  description:
    - What was asked for, by the word that asked for it; null where that run is not kept.
    - A record has C(run), C(level), C(digest), C(started), C(ended), C(verdict), C(identity) and C(findings).
  returned: success
  type: dict
  sample:
    last:
      schema_version: 1
      run: "2026-01-31T12:00:00Z"
      level: standard
      verdict: PASS
      findings: []
    previous:
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.condafleet.core.plugins.module_utils.errors import FleetError
from ansible_collections.condafleet.core.plugins.module_utils.expect_answer import expect_answer
from ansible_collections.condafleet.core.plugins.module_utils.validation_history import read_history


def main():
    module = AnsibleModule(
        argument_spec={
            "root": {"type": "path", "default": "/opt/condafleet"},
            "runs": {"type": "list", "elements": "str", "default": ["previous", "last"]},
        },
        supports_check_mode=True,
    )
    try:
        expect_answer({"validation_root": module.params["root"]})
        found = read_history(module.params["root"], module.params["runs"])
    except FleetError as error:
        module.fail_json(msg=error.message)
    except OSError as error:
        module.fail_json(msg="%s can't be read: %s." % (error.filename or module.params["root"], error.strerror))
    module.exit_json(changed=False, **found)


if __name__ == "__main__":
    main()
