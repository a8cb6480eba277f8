#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
---
module: validation_record
short_description: Keep what a node's validation came to, on the node
version_added: "0.1.0"
description:
  - Writes C(ROOT/validation/node.json), and the same as C(ROOT/validation/.history/RUN.json), of which the newest are
    kept.
  - A record of a lower level than the one of the same limits, driver, GPUs and generations that is there does not take
    its place, unless it found something bad; it is kept in the history alone.
  - Writes metrics for the textfile collector of node_exporter, where it is told a folder. A folder that is not there is
    a warning, since monitoring notices metrics that grow old.
  - Removes the metrics from where they were written before, and are not wanted any more, unless somebody has changed
    them since. Where they can't be removed is a warning.
  - Each file is replaced in one step. One that was damaged is taken for none.
  - The action makes the record of what the role C(validation) registered of the host, and of O(judged).
author:
  - condafleet maintainers (@condafleet)
options:
  root:
    description: The folder for data sets and results.
    type: path
    default: /opt/condafleet
  run:
    description: The name of this validation, its time in UTC. Default is now.
    type: str
  judged:
    description: What M(condafleet.core.validation_verdicts) said of this host. Taken by the action.
    type: dict
    default: {}
  record:
    description: The record itself. Filled by the action, unless it is given.
    type: dict
    default: {}
  learnt:
    description: What the fleet has shown, for the node to keep (C(ROOT/validation/fleet.json)). Filled by the action.
    type: list
    elements: dict
    default: []
  keep:
    description: How many validations the history keeps.
    type: int
    default: 20
  textfile_dir:
    description:
      - The folder that node_exporter reads metrics from. They are written as C(condafleet.prom). Without it there are
        to be none.
    type: path
attributes:
  check_mode:
    description: Writes nothing, and returns what it would have written.
    support: full
  diff_mode:
    description: There is no difference to show.
    support: none
seealso:
  - module: condafleet.core.validation_verdicts
  - module: condafleet.core.validation_history
"""

EXAMPLES = r"""
- name: Keep the record
  condafleet.core.validation_record:
    root: /opt/condafleet
    run: "{{ judged.run }}"
    judged: "{{ judged.verdicts[inventory_hostname] }}"
    textfile_dir: /var/lib/prometheus/node-exporter
"""

RETURN = r"""
record:
  description:
    - C(schema_version), C(run), C(level), C(digest), C(started), C(ended), C(verdict), C(identity) and C(findings), all
      of them.
  type: dict
  returned: always
complaint:
  description: What O(judged) had to say of a host that did not prove itself; null for PASS and SKIP.
  type: str
  returned: always
files:
  description: The files that were written, or would have been in check mode.
  type: list
  elements: str
  returned: success
removed:
  description: The metrics that were removed, or would have been in check mode.
  type: list
  elements: str
  returned: success
changed:
  description:
    - Whether the node stands otherwise than at its last validation (other verdicts, level, limits or parts), or has
      metrics for the first time, or no more. Figures and times differ at each look, and are no change.
  type: bool
  returned: always
"""

import os

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.condafleet.core.plugins.module_utils.errors import FleetError
from ansible_collections.condafleet.core.plugins.module_utils.expect_answer import expect_answer
from ansible_collections.condafleet.core.plugins.module_utils.root_folder import refuse_root
from ansible_collections.condafleet.core.plugins.module_utils.validation_place import validation_folder
from ansible_collections.condafleet.core.plugins.module_utils.validation_record import store


def main():
    module = AnsibleModule(
        argument_spec={
            "root": {"type": "path", "default": "/opt/condafleet"},
            "run": {"type": "str"},
            "judged": {"type": "dict", "default": {}},
            "record": {"type": "dict", "default": {}},
            "learnt": {"type": "list", "elements": "dict", "default": []},
            "keep": {"type": "int", "default": 20},
            "textfile_dir": {"type": "path"},
        },
        supports_check_mode=True,
    )
    given = module.params
    if not given["record"]:
        module.fail_json(msg="record: it is empty. Next: run this by its action, in a task.")
    try:
        expect_answer({"validation_root": given["root"]})
        if refuse_root(given["root"]) and not os.path.isdir(validation_folder(given["root"])):
            # Why, the task that was to look at the node has said.
            raise FleetError(
                "validation_root: %s was left as it is, and holds no record of this validation." % given["root"]
            )
        stored = store(
            given["root"],
            given["record"],
            given["keep"],
            given["textfile_dir"],
            write=not module.check_mode,
            learnt=given["learnt"],
        )
    except FleetError as error:
        module.fail_json(msg=error.message)
    except OSError as error:
        module.fail_json(
            msg="validation_root: %s can't be written (%s). Accepted: a folder that the user whom Ansible works as may "
            "write, with room left. Next: free some, or run with become: true."
            % (error.filename or given["root"], error.strerror)
        )
    for text in stored.warnings:
        module.warn(text)
    module.exit_json(changed=stored.changed, files=stored.files, removed=stored.removed)


if __name__ == "__main__":
    main()
