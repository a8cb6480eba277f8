#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
---
module: conda_installation
short_description: Install, adopt, upgrade, repair or remove conda, and keep its settings and ownership
version_added: "0.1.0"
description:
  - Fetches the installer for this machine's architecture, verifies its sha256 before running it, and installs conda
    into a folder of its own, C(PREFIX.d/DISTRIBUTION-VERSION-SERIAL). O(prefix) becomes a link to it.
  - Another version, or a repair, is a new folder beside the old one. It is proved before the link moves, so that what
    runs stays on what it started from. All installations of a prefix share their environments (C(PREFIX.d/envs)).
  - An installation that was made by hand, a folder at O(prefix), is adopted as it is. It is replaced only where another
    version is asked for by name, and is kept in C(PREFIX.d) then.
  - Whether an installation is whole is told by what is on disk. What an interruption left unfinished is made anew.
  - A path that is not empty and no conda installation is refused, before anything is changed.
  - On a shared file system the work is done by one node; the others wait for it, and find it done.
author:
  - condafleet maintainers (@condafleet)
options:
  prefix:
    description: Where the installation stands, or will stand.
    type: path
    required: true
  state:
    description:
      - V(present), or V(absent) to remove exactly what condafleet installed. Environments that users made stay, and
        work on. An installation that was adopted stays, without condafleet's settings.
    type: str
    choices: [present, absent]
    default: present
  purge:
    description: Whether O(state=absent) also removes the environments that users made in the installation.
    type: bool
    default: false
  installers:
    description:
      - The installers by machine architecture (as C(uname -m) says it, or V(any)).
      - Each has C(sha256) and C(sources), a list of C({kind, url}) that are tried in order (or one C(url)). It may
        have C(filename), C(size), C(version), C(distribution) and C(glibc) (the oldest that it runs on).
      - Needed for O(state=present).
    type: dict
    default: {}
  newest:
    description: Whether no version was asked for, so that any installation that was made by hand will do.
    type: bool
    default: false
  fetch:
    description: V(node), where this node fetches the installer; V(controller), where the controller does and sends it.
    type: str
    choices: [node, controller]
    default: node
  access:
    description: How downloads go, C({proxies, ca, retries, timeout}); C(ca) is the text of a PEM file.
    type: dict
    default: {}
  mirror:
    description: The base URL that O(mirror_auth) is for.
    type: str
  mirror_auth:
    description: C({username, password}), C({token}) or C({netrc}), for URLs below O(mirror) only.
    type: dict
  mirror_auth_variable:
    description:
      - The name of the variable that holds O(mirror_auth), read by the action of this name. Unlike a value, a name can
        be shown and stored by callbacks. A variable that is not set means none.
    type: str
  downgrade:
    description: Whether an older version may take the place of a newer one.
    type: bool
    default: false
  repair:
    description: Whether an installation with changed or missing files is replaced by a fresh one.
    type: bool
    default: false
  keep:
    description:
      - How many installations of condafleet's own are kept, the current one included. What a process uses is kept in
        any case. A link to the current one stays in the place of what was removed.
    type: int
    default: 2
  condarc:
    description:
      - C({level, texts}), the text of the condarc, and whether it is the installation's or the site's. C(texts) has one
        for each name of a setting that conda renamed, V(auto_activate) and V(auto_activate_base).
      - Without it, that file is left alone.
    type: dict
  channels:
    description: The channels of that condarc, whose terms of service may have to be recorded.
    type: list
    elements: str
    default: []
  tos:
    description: V(accept) where the terms of service of these channels were accepted.
    type: str
    choices: [accept, decline]
    default: decline
  owner:
    description:
      - The owner of the installation, without its environments. Left alone where the module does not run as root.
    type: str
  group:
    description: The group of the installation. Left alone where the module does not run as root.
    type: str
  mode:
    description: The mode of the installation's folder and of the folder of environments, as octal digits.
    type: str
  umask:
    description: The umask that the installer works under, as octal digits.
    type: str
    default: "0022"
  timeout:
    description: Seconds that the installer may take, and that a node waits for another that works on the same files.
    type: int
    default: 900
  installer_path:
    description: The installer on this node, as the controller sent it. Set by the action of this name.
    type: path
  job:
    description: The name of the job that writes its progress into C(PREFIX.d/progress). Set by the action of this name.
    type: str
  root:
    description: Where the job's files lie, C(PREFIX.d). Set by the action of this name.
    type: path
attributes:
  check_mode:
    description: Says what would be done.
    support: full
  diff_mode:
    description: Shows what would be or was done.
    support: full
"""

EXAMPLES = r"""
- name: Install Miniforge
  condafleet.core.conda_installation:
    prefix: /opt/miniconda3
    installers:
      x86_64:
        url: https://github.com/conda-forge/miniforge/releases/download/26.3.2-3/Miniforge3-26.3.2-3-Linux-x86_64.sh
        sha256: 848194851a98903134187fbb4ab50efe87b003e0c0f808f97644b7524a62bf2c
        version: 26.3.2-3
        distribution: miniforge
    mode: "0755"

- name: Remove it again
  condafleet.core.conda_installation:
    prefix: /opt/miniconda3
    state: absent
"""

RETURN = r"""
prefix:
  description: Where the installation stands.
  returned: success
  type: str
changes:
  description: What was done, or would be done in check mode, in this order.
  returned: success
  type: list
  elements: str
  sample: [installation, condarc]
action:
  description: What was done about the installation itself.
  returned: success
  type: str
  sample: upgrade
installation:
  description: The installation as M(condafleet.core.conda_facts) tells it, afterwards (in check mode, as it is).
  returned: success
  type: dict
version_wanted:
  description: The declared version of the installer, or null where it is not known.
  returned: success
  type: str
version_found:
  description: The version that is installed, or null where nothing is.
  returned: success
  type: str
kept:
  description: The copies of files and folders that condafleet replaced and had not made.
  returned: success
  type: list
  elements: str
left:
  description: What O(state=absent) left since it is not condafleet's.
  returned: success
  type: list
  elements: str
pending:
  description: The installer that has to be fetched and run, where the action of this name is to start that as a job.
  returned: success
  type: dict
"""

import posixpath

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.condafleet.core.plugins.module_utils import installation_removal
from ansible_collections.condafleet.core.plugins.module_utils.errors import FleetError
from ansible_collections.condafleet.core.plugins.module_utils.installation_owner import check_accounts
from ansible_collections.condafleet.core.plugins.module_utils.installer import (
    NONE,
    choose,
    decide,
    found_version,
    plan_installation,
    refuse_installation,
    render_diff,
)
from ansible_collections.condafleet.core.plugins.module_utils.installer_run import (
    carry_out,
    check_nobody_works_in,
    whole_former,
)
from ansible_collections.condafleet.core.plugins.module_utils.observe_installation import observe_installation
from ansible_collections.condafleet.core.plugins.module_utils.observe_node import observe_node
from ansible_collections.condafleet.core.plugins.module_utils.paths import check_prefix
from ansible_collections.condafleet.core.plugins.module_utils.shared_files import is_shared


def declared_of(params: dict) -> dict:
    """The options with what an installer's entry may leave out."""
    installers = {}
    for architecture, entry in params["installers"].items():
        sources = (entry.get("sources") or [entry]) if isinstance(entry, dict) else []
        if not sources or not entry.get("sha256") or not all(source.get("url") for source in sources):
            raise FleetError("installers.%s: needs sha256, and url or sources. Next: give both." % architecture)
        name = posixpath.basename(sources[0]["url"].split("?")[0])
        default = {
            "filename": name if name.endswith(".sh") else "installer.sh",
            "version": None,
            "distribution": "conda",
            "sources": [{"kind": "url", "url": source["url"]} for source in sources],
        }
        installers[architecture] = {**default, **entry}
    if not installers and params["state"] == "present":
        raise FleetError("installers: is empty. Next: name an installer for this machine's architecture.")
    some = next(iter(installers.values()), {})
    # The secret goes its own way, so that it can't be written anywhere by what writes the declaration.
    return {
        **{key: value for key, value in params.items() if key != "mirror_auth"},
        "installers": installers,
        "version": some.get("version"),
        "distribution": some.get("distribution"),
    }


def run(module: AnsibleModule) -> dict:
    declared = declared_of({**module.params, "prefix": check_prefix("miniconda_prefix", module.params["prefix"])})
    prefix = declared["prefix"]
    if declared["state"] == "absent" and is_shared(prefix):
        module.warn("%s lies on a file system that other nodes may share: it goes for them too." % prefix)

    def observe() -> dict:
        with_files = bool(declared["repair"]) and declared["state"] == "present"
        return {"node": observe_node(), "installation": observe_installation(prefix, with_files)}

    observed = observe()
    refusal = refuse_installation(observed, declared)
    if refusal:
        raise FleetError(refusal)
    changes = plan_installation(observed, declared)
    check_before(observed, declared, changes)
    result = {
        "prefix": prefix,
        "version_wanted": declared["version"],
        "kept": [],
        "left": [],
        "pending": None,
        **told(prefix, changes),
    }
    after = observed["installation"]
    if changes and not module.check_mode:
        pending = pending_installer(observed, declared, changes)
        if pending and not declared["job"]:
            result.update(changed=False, pending=pending)
        elif declared["state"] == "absent":
            removed = installation_removal.carry_out(observe, declared)
            result.update(told(prefix, removed.changes), left=removed.left)
            after = observe()["installation"]
        else:
            # Where another node was quicker, on a file system that they share, less was changed than planned.
            done = carry_out(observe, declared, {"mirror_auth": module.params["mirror_auth"]})
            result.update(told(prefix, done.changes), kept=done.kept)
            for note in done.notes:
                module.warn(note)
            after = check_done(observe(), declared)
    return {**result, "installation": after, "version_found": found_version(after)}


def check_before(observed: dict, declared: dict, changes: list) -> None:
    """What a real run would stop at stops a rehearsal too."""
    if declared["state"] == "absent":
        if changes:
            installation_removal.check_unused(declared["prefix"], observed["installation"], declared["purge"])
    else:
        check_accounts(declared)
        if any(change["what"] == "installation" for change in changes):
            check_nobody_works_in(declared["prefix"], observed["installation"])


def told(prefix: str, changes: list) -> dict:
    """What a result says of changes."""
    return {
        "changed": bool(changes),
        "changes": [change["what"] for change in changes],
        "action": next((change["action"] for change in changes if change["what"] == "installation"), NONE),
        "diff": render_diff(prefix, changes),
    }


def pending_installer(observed: dict, declared: dict, changes: list) -> object:
    """The installer that has to be run; None where none has to."""
    if declared["state"] == "absent" or decide(observed, declared) == NONE or whole_former(observed, declared):
        return None
    entry = choose(declared["installers"], observed["node"]["architecture"]) or {}
    return {key: entry.get(key) for key in ("filename", "sha256", "size", "version", "distribution", "sources")}


def check_done(observed: dict, declared: dict) -> dict:
    """The installation afterwards. FleetError where it still differs."""
    left = [change["what"] for change in plan_installation(observed, declared)]
    if left:
        raise FleetError(
            "%s: still differs afterwards in %s. Next: see who else writes there."
            % (declared["prefix"], ", ".join(left))
        )
    return observed["installation"]


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "prefix": {"type": "path", "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "purge": {"type": "bool", "default": False},
            "installers": {"type": "dict", "default": {}},
            "newest": {"type": "bool", "default": False},
            "fetch": {"type": "str", "choices": ["node", "controller"], "default": "node"},
            "access": {"type": "dict", "default": {}},
            "mirror": {"type": "str"},
            "mirror_auth": {"type": "dict", "no_log": True},
            "mirror_auth_variable": {"type": "str", "no_log": False},
            "downgrade": {"type": "bool", "default": False},
            "repair": {"type": "bool", "default": False},
            "keep": {"type": "int", "default": 2},
            "condarc": {"type": "dict"},
            "channels": {"type": "list", "elements": "str", "default": []},
            "tos": {"type": "str", "choices": ["accept", "decline"], "default": "decline"},
            "owner": {"type": "str"},
            "group": {"type": "str"},
            "mode": {"type": "str"},
            "umask": {"type": "str", "default": "0022"},
            "timeout": {"type": "int", "default": 900},
            "installer_path": {"type": "path"},
            "job": {"type": "str"},
            "root": {"type": "path"},
        },
        supports_check_mode=True,
    )
    try:
        result = run(module)
    except FleetError as error:
        module.fail_json(msg=error.message)
    except OSError as error:
        module.fail_json(msg="%s: %s" % (error.filename or module.params["prefix"], error.strerror or error))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
