#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
---
module: environments_collection
short_description: Remove generations that are surplus and in no use, and environments that are declared no more
version_added: "0.1.0"
description:
  - Of each declared environment the current generation is kept, O(keep) former ones, the O(pinned) ones, and what
    another run may have staged. That is finished and was never current, one generation of each of the two newest such
    locks, unless the link has moved since it was two weeks old.
  - What is surplus is spared where a process runs from it, works in it, has files of it open or in memory, has its path
    in its environment or has loaded its module; and where a virtual environment, a Jupyter kernel, a saved collection
    of modules or a site's default module names it. A search in users' homes that was not finished in time spares too.
  - On a shared file system all are spared, since the processes of other nodes can't be seen, unless O(collect_shared).
  - Archives in the root's caches go that no generation on the node was made of, once they are a day old; those of
    every generation that is left stay, so that a repair needs no network. The modulefiles of removed generations go,
    and the stored validations of environments that are gone, or of generations.
  - With O(purge) the links of environments that condafleet made and that are not O(declared) are removed, and what a
    user had there before it was adopted comes back. What users made themselves is never touched.
  - Can be cut short at any moment. The next collection finishes it.
  - The action of this name runs it as a job, follows it and shows how far it is.
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
  declared:
    description: The names of all declared environments. Others are left alone, but for O(purge).
    type: list
    elements: str
    required: true
  keep:
    description: How many former generations are kept for each environment, beside the current one.
    type: int
    default: 2
  pinned:
    description: Names of generations that are never removed.
    type: list
    elements: str
    default: []
  purge:
    description: Whether environments that condafleet made and that are declared no more are removed.
    type: bool
    default: false
  collect_shared:
    description:
      - Whether generations are removed on a shared file system too (NFS, Lustre, GPFS and others of the kind).
      - What a process of another node uses is not seen, and is removed under it.
    type: bool
    default: false
  modulefiles:
    description: Whether there are modulefiles.
    type: bool
    default: false
  modulepath:
    description: Their folder. Without it, none are removed.
    type: path
  system_root:
    description: The root folder of the system whose users and module systems are looked at, for images and chroots.
    type: path
    default: /
  moves:
    description:
      - 'In check mode, the links that the run would have moved by now, as C({ENVIRONMENT: GENERATION}).'
    type: dict
    default: {}
  search_seconds:
    description: Seconds that the search in users' homes may take.
    type: int
    default: 10
  job:
    description: Name of the progress file below C(ROOT/progress). Filled by the action.
    type: str
  timeout:
    description: Seconds after which the action ends the job on the node, and says so.
    type: int
    default: 3600
  lock_timeout:
    description: >-
      Seconds to wait where other work holds the root. After that nothing is removed, with a warning;
      with O(purge) it fails.
    type: int
    default: 600
attributes:
  check_mode:
    description: Says what would be removed.
    support: full
  diff_mode:
    description: One line for each link and generation that goes.
    support: full
  async:
    description: Not to be set. The action runs it as a job by itself, follows it and shows how far it is.
    support: none
seealso:
  - module: condafleet.core.conda_environment
  - module: condafleet.core.plan
"""

EXAMPLES = r"""
- name: Keep one former generation of each environment
  condafleet.core.environments_collection:
    prefix: /opt/miniconda3
    root: /opt/condafleet
    declared: [pytorch, tensorflow]
    keep: 1
    pinned: [pytorch-0123456789ab-1]

- name: Collect on a shared file system, while no job runs on any node that has it
  condafleet.core.environments_collection:
    prefix: /shared/miniconda3
    root: /shared/condafleet
    declared: [pytorch, tensorflow]
    collect_shared: true
"""

RETURN = r"""
purged:
  description: The environments whose link was, or would be, removed.
  returned: success
  type: list
  elements: str
removed:
  description: The generations that were, or would be, removed.
  returned: success
  type: list
  elements: str
  sample: [pytorch-0123456789ab-1]
spared:
  description: What is surplus and stays, each with why. Also noted in C(ROOT/spared.json).
  returned: success
  type: dict
  sample: {pytorch-0123456789ab-2: "process 4711 (alice: python) runs from it"}
archives:
  description: Archives that were removed from the caches, below the root. Not told in check mode.
  returned: success
  type: list
  elements: str
freed_bytes:
  description: How much more room there is on the root's file system than before, as far as nobody else changed it.
  returned: success
  type: int
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.condafleet.core.plugins.module_utils import paths
from ansible_collections.condafleet.core.plugins.module_utils.errors import FleetError
from ansible_collections.condafleet.core.plugins.module_utils.generation_collection import Outcome, Request, collect
from ansible_collections.condafleet.core.plugins.module_utils.progress import LockHeldError, Progress, progress_file

ARGUMENTS = {
    "prefix": {"type": "path", "required": True},
    "root": {"type": "path", "required": True},
    "declared": {"type": "list", "elements": "str", "required": True},
    "keep": {"type": "int", "default": 2},
    "pinned": {"type": "list", "elements": "str", "default": []},
    "purge": {"type": "bool", "default": False},
    "collect_shared": {"type": "bool", "default": False},
    "modulefiles": {"type": "bool", "default": False},
    "modulepath": {"type": "path"},
    "system_root": {"type": "path", "default": "/"},
    "moves": {"type": "dict", "default": {}},
    "search_seconds": {"type": "int", "default": 10},
    "job": {"type": "str"},
    "timeout": {"type": "int", "default": 3600},
    "lock_timeout": {"type": "int", "default": 600},
}
SAME = (
    "declared", "keep", "pinned", "purge", "collect_shared", "modulefiles", "modulepath", "system_root", "moves",
    "lock_timeout",
)  # fmt: skip


def lines(outcome: Outcome) -> str:
    gone = ["environment %s" % name for name in outcome.purged]
    gone += ["generation %s" % name for name in outcome.removed]
    return "".join(line + "\n" for line in gone + outcome.archives)


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    outcome = Outcome()
    try:
        # What is removed below the root is known by its names: a root that belongs to the system must never get here.
        prefix = paths.check_prefix("environments_prefix", module.params["prefix"])
        root = paths.check_prefix("environments_root", module.params["root"])
        request = Request(
            prefix=prefix,
            root=root,
            seconds=module.params["search_seconds"],
            check=module.check_mode,
            **{key: module.params[key] for key in SAME},
        )
        job = None if module.check_mode else module.params["job"]
        outcome = collect(request, Progress(progress_file(root, job)))
    except LockHeldError as error:
        if module.params["purge"]:
            # Surplus can wait for the next run; what was asked for has not happened.
            module.fail_json(msg="environments_purge: nothing was removed: %s" % error.message)
        module.warn("Nothing was collected this time: %s" % error.message)
    except FleetError as error:
        module.fail_json(msg=error.message)
    except OSError as error:
        module.fail_json(
            msg="environments_root: the collection below %s stopped: %s. Next: correct that and run again, which goes "
            "on where this stopped." % (module.params["root"], error)
        )
    text = lines(outcome)
    module.exit_json(
        changed=outcome.changed,
        purged=outcome.purged,
        removed=outcome.removed,
        spared=outcome.spared,
        archives=outcome.archives,
        freed_bytes=outcome.freed_bytes,
        diff=[{"before": text, "after": "", "before_header": root, "after_header": root}] if text else [],
    )


if __name__ == "__main__":
    main()
