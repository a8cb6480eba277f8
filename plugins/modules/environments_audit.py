#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
---
module: environments_audit
short_description: List channel and licence of every installed package
version_added: "0.1.0"
description:
  - Reads what conda's records and the metadata of Python distributions say, for the installation's own environment
    (C(base)) and for each environment whose link leads to a generation of condafleet. Starts no conda, and changes
    nothing, ever.
  - Names packages from channels under Anaconda's terms of service (C(defaults) and what belongs to it), and packages
    without a statement of their licence.
  - The wrapper takes what each node returns, and C(condafleet audit) groups a fleet by its lists.
author:
  - condafleet maintainers (@condafleet)
options:
  prefix:
    description: The installation's prefix.
    type: path
    required: true
  root:
    description: The folder that holds the generations.
    type: path
    default: /opt/condafleet
  environments:
    description: The environments that are looked at, C(base) among them. Without this option, all of them.
    type: list
    elements: str
  tos:
    description:
      - Whether Anaconda's terms were accepted, as declared. With V(decline), those that the installation has a record
        of count as accepted.
    type: str
    choices: [accept, decline]
    default: decline
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
- name: See what is installed, and from where
  condafleet.core.environments_audit:
    prefix: /opt/miniconda3
  register: audit

- name: Stop where a licence would be needed
  ansible.builtin.assert:
    that: audit.environments | dict2items | map(attribute='value.not_accepted') | flatten | length == 0
"""

RETURN = r"""
environments:
  description:
    - What was looked at, by name. C(generation) and C(target) are null for C(base).
    - C(packages) are rows of C(fields). C(defaults), C(not_accepted) and C(without_license) are names of packages.
  returned: success
  type: dict
  sample:
    pytorch:
      generation: pytorch-0123456789ab-1
      target: linux-64-cpu
      packages: [[conda, python, 3.11.7, h834e235_0, "https://conda.anaconda.org/conda-forge", PSF-2.0]]
      defaults: []
      not_accepted: []
      without_license: []
fields:
  description:
    - The columns of C(packages). C(channel) is the channel of a conda package, and the host of a wheel's index;
      it is null where that is not known (of a wheel that condafleet did not install).
    - C(license) is null where nothing is said.
  returned: success
  type: list
  elements: str
absent:
  description: Environments that were asked for and are not there.
  returned: success
  type: list
  elements: str
accepted:
  description: Channels whose terms the installation has a record of.
  returned: success
  type: list
  elements: str
tos:
  description: What was declared.
  returned: success
  type: str
findings:
  description: What has to be looked at, in sentences.
  returned: success
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.condafleet.core.plugins.module_utils.audit_report import findings, judge
from ansible_collections.condafleet.core.plugins.module_utils.environments_audit import FIELDS, audit, flattened


def run(params):
    found = audit(params["prefix"], params["root"], params["environments"])
    environments, said = {}, []
    for name, one in sorted(found["environments"].items()):
        judged = judge(one["packages"], params["tos"], found["accepted"])
        environments[name] = {**one, "packages": flattened(one["packages"]), **judged}
        said += findings(name, judged)
    return {
        "changed": False,
        "environments": environments,
        "fields": list(FIELDS),
        "absent": found["absent"],
        "accepted": found["accepted"],
        "tos": params["tos"],
        "findings": said,
    }


def main():
    module = AnsibleModule(
        argument_spec={
            "prefix": {"type": "path", "required": True},
            "root": {"type": "path", "default": "/opt/condafleet"},
            "environments": {"type": "list", "elements": "str"},
            "tos": {"type": "str", "choices": ["accept", "decline"], "default": "decline"},
        },
        supports_check_mode=True,
    )
    try:
        result = run(module.params)
    except OSError as error:
        module.fail_json(msg="%s can't be read: %s." % (error.filename or module.params["prefix"], error.strerror))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
