#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
---
module: conda_init
short_description: Make conda known to shells, system-wide, for users or for a group
version_added: "0.1.0"
description:
  - Writes a block with conda's own markers into shell start-up files, or takes it out.
  - The block sources the installation's static file for the shell. It starts no Python, prints nothing, and is sound
    under C(set -eu).
  - Owner, mode, links and all other bytes of the files are kept. Taking the block out restores a file to the byte, and
    removes one that was made for the block, with the folders made for it.
  - For users, the files are written with each user's own rights.
  - What is declared is the whole truth for the installation. Where condafleet wrote a block for another scope, user,
    shell or start, and that is not declared any more, the block is taken out.
author:
  - condafleet maintainers (@condafleet)
options:
  prefix:
    description: The installation's prefix.
    type: path
    required: true
  shells:
    description: The shells. V(posix) is dash and whatever else is started as C(sh).
    type: list
    elements: str
    choices: [bash, zsh, fish, tcsh, posix]
    default: [bash, zsh]
  scope:
    description:
      - V(system) writes below C(/etc), for everybody. V(users) writes into the homes of O(users), V(group) into those
        of the members of O(group).
      - Which files these are, per shell, start and distribution, is told in docs/shells.md.
    type: str
    choices: [system, users, group]
    default: system
  users:
    description: The users for O(scope=users). Without any, the user that runs the module.
    type: list
    elements: str
    default: []
  group:
    description:
      - The group for O(scope=group), looked up on the node. Users whose first group it is are members too.
      - Members without a home on the node are left out, and returned as RV(skipped). So are those in whose files the
        block of another installation stands, or half of one, and those whose files can't be written; of these the
        module warns.
    type: str
  starts:
    description:
      - The ways to start a shell that are to know conda. V(login) are login shells, V(interactive) those that have a
        prompt, V(noninteractive) those that have none, such as C(ssh node 'conda ...'), C(bash -lc) and scripts.
      - A shell knows conda when any of these fits it.
    type: list
    elements: str
    choices: [login, interactive, noninteractive]
    default: [login, interactive]
  mode:
    description:
      - V(full) gives the shell function, so that C(conda activate) works; no environment is activated.
      - V(condabin) and V(path) put only C(PREFIX/condabin) or C(PREFIX/bin) on C(PATH).
      - V(off) is the same as O(state=absent).
    type: str
    choices: [full, condabin, path, "off"]
    default: full
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

- name: Let the members of a group call conda in scripts too
  condafleet.core.conda_init:
    prefix: /opt/miniconda3
    scope: group
    group: ml
    starts: [login, interactive, noninteractive]
    mode: condabin
"""

RETURN = r"""
files:
  description: The start-up files that hold a block or held one, and whether each was changed (in check mode, would be).
  returned: success
  type: list
  elements: dict
  contains:
    path:
      description: The file.
      type: str
    shells:
      description: The shells that it is for.
      type: list
      elements: str
    user:
      description: Whose it is, or null for the system's.
      type: str
    changed:
      description: Whether it was changed.
      type: bool
skipped:
  description:
    - The members of the group whose files were left as they are, and the users for whom condafleet wrote in a former
      run and whose files can't be looked at now, so that a block may be left there. The latter are not forgotten.
  returned: success
  type: list
  elements: dict
  contains:
    user:
      description: The user.
      type: str
    why:
      description: The reason.
      type: str
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.condafleet.core.plugins.module_utils import shell_register
from ansible_collections.condafleet.core.plugins.module_utils.errors import FleetError
from ansible_collections.condafleet.core.plugins.module_utils.observe_shells import observe_shells
from ansible_collections.condafleet.core.plugins.module_utils.shell_block import (
    changes_of,
    described_files,
    holds_ours,
    plan_shells,
    refuse_shells,
    skipped,
    users_left,
)
from ansible_collections.condafleet.core.plugins.module_utils.shell_edit import carry_out
from ansible_collections.condafleet.core.plugins.module_utils.shell_text import MODES, SHELLS, STARTS


def observe(declared: dict) -> dict:
    users = declared["users"] if declared["scope"] == "users" else []
    group = declared["group"] if declared["scope"] == "group" else None
    return observe_shells(declared["prefix"], users, declared["system_root"], group)


def run(module: AnsibleModule) -> dict:
    declared = module.params
    observed = observe(declared)
    refusal = refuse_shells(observed, declared)
    if refusal:
        raise FleetError(refusal)
    changes = plan_shells(observed, declared)
    files = described_files(observed, declared)
    reasons = {one["user"]: one["why"] for one in skipped(observed, declared)}
    if changes and not module.check_mode:
        # Before: what is written and not noted would be lost; what is noted and not there does no harm.
        note(observed, declared, [entry for entry, change in changes_of(observed, declared) if change["after"]])
        failed = carry_out(observed, declared)
        after = observe(declared)
        left = list(changes_of(after, declared))
        for entry, change in left:
            if entry["user"] not in failed:
                raise FleetError("%s: still differs afterwards. Next: see who else writes there." % change["what"])
        note(after, declared, [])
        undone = {entry["path"] for entry, _change in left}
        changes = [change for change in changes if change["what"] not in undone]
        files = [{**entry, "changed": entry["changed"] and entry["path"] not in undone} for entry in files]
        reasons.update(failed)
    warn(module, observed, declared, reasons)
    return {
        "changed": bool(changes),
        "files": files,
        "skipped": [{"user": user, "why": why} for user, why in reasons.items()],
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


def warn(module: AnsibleModule, observed: dict, declared: dict, reasons: dict) -> None:
    """Tell of who is left out. That a member of a group has no home here is an everyday thing, though."""
    homeless = {one["user"] for one in observed["skipped"] if not one["noted"]}
    noted = observed["noted"]
    for user, why in reasons.items():
        if user in noted:
            module.warn(
                "%s: a block of %s may remain in this user's files, and is looked for again by the next run, since "
                "the user is noted in %s%s. %s"
                % (user, declared["prefix"], declared["system_root"].rstrip("/"), shell_register.PATH, why)
            )
        elif user not in homeless:
            module.warn("%s: left out. %s" % (user, why))


def note(observed: dict, declared: dict, more: list) -> None:
    """Note the link, and, since only root works for several users, which users: `more` are files to be written."""
    prefix, system_root = declared["prefix"], declared["system_root"]
    links = [entry for entry in observed["files"] if entry["kind"] == "program" and holds_ours(entry, prefix)]
    linked = bool(links) or any(entry["kind"] == "program" for entry in more)
    names = shell_register.users(prefix, system_root)
    if observed["superuser"]:
        names = sorted({*users_left(observed, prefix), *(entry["user"] for entry in more if entry["user"])})
    shell_register.note(prefix, names, linked, system_root)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "prefix": {"type": "path", "required": True},
            "shells": {"type": "list", "elements": "str", "choices": list(SHELLS), "default": ["bash", "zsh"]},
            "scope": {"type": "str", "choices": ["system", "users", "group"], "default": "system"},
            "users": {"type": "list", "elements": "str", "default": []},
            "group": {"type": "str"},
            "starts": {
                "type": "list",
                "elements": "str",
                "choices": list(STARTS),
                "default": ["login", "interactive"],
            },
            "mode": {"type": "str", "choices": list(MODES), "default": "full"},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "replace": {"type": "bool", "default": False},
            "system_root": {"type": "path", "default": "/"},
        },
        required_if=[("scope", "group", ["group"])],
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
