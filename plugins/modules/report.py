#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

DOCUMENTATION = r"""
---
module: report
short_description: Write the report of a run
version_added: "0.1.0"
description:
  - Writes one JSON file on the controller about all hosts of the play, from what M(condafleet.core.plan) and the roles
    left in their variables.
  - It is to run once, in a play over all hosts, after everything else. Hosts that failed or could not be reached are
    in it.
  - If no host is left to run it, no report is written; the Python functions and the command line make their own then.
    Of a validation that refuses all nodes one is written all the same, since the playbooks call this there too.
options:
  path:
    description: The file on the controller. Its folder is made, an older report is replaced at once.
    type: str
    required: true
  started:
    description:
      - When the run began, UTC in ISO 8601. Default is what the role C(environments) has noted, else the first look at
        a node, else now.
    type: str
  hosts:
    description:
      - The hosts that the report is about. Default is all hosts of the play. Others are in it where they have a plan
        of this run; they are taken for converged.
    type: list
    elements: str
author:
  - condafleet maintainers (@condafleet)
attributes:
  check_mode:
    description: In check mode nothing is written.
    support: full
  diff_mode:
    description: A report has no difference to show.
    support: none
"""

EXAMPLES = r"""
- name: Write the report
  condafleet.core.report:
    path: "{{ condafleet_report_path }}"
  run_once: true
"""

RETURN = r"""
path:
  description: The file.
  type: str
  returned: success
report:
  description: What was written, or would have been in check mode.
  type: dict
  returned: success
summary:
  description: How many hosts are ok, changed, failed and unreachable, in one line.
  type: str
  returned: success
"""
