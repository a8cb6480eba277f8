#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
---
module: conda_installation
short_description: Install conda from a verified installer, and keep its settings and ownership
version_added: "0.1.0"
description:
  - Fetches the installer for this machine's architecture, verifies its sha256 before running it, and installs conda.
  - Whether an installation is whole is told by what is on disk. One that an interruption left unfinished is repaired.
  - An installation that is there is kept, whoever made it. Another version than the declared one is reported with a
    warning, and left as it is.
  - Writes C(PREFIX/.condarc) as a file. A former one that condafleet did not write is kept beside it.
  - A path that is not empty and no conda installation is refused, before anything is changed.
author:
  - condafleet maintainers (@condafleet)
options:
  prefix:
    description: Where the installation stands, or will stand.
    type: path
    required: true
  installers:
    description:
      - The installers by machine architecture (as C(uname -m) says it, or V(any)).
      - Each has C(url) (http, https or file) and C(sha256), and may have C(filename), C(size), C(version),
        C(distribution) and C(glibc) (the oldest that it runs on).
    type: dict
    required: true
  condarc:
    description: The text of C(PREFIX/.condarc). Without it, that file is left alone.
    type: str
  owner:
    description:
      - The owner of the installation, without its environments. Left alone where the module does not run as root.
    type: str
  group:
    description: The group of the installation. Left alone where the module does not run as root.
    type: str
  mode:
    description: The mode of the folder O(prefix), as octal digits.
    type: str
  timeout:
    description: Seconds that the installer may take.
    type: int
    default: 900
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
        url: https://github.com/conda-forge/miniforge/releases/download/23.1.0-0/Miniforge3-23.1.0-0-Linux-x86_64.sh
        sha256: 7a5859e873ed36fc9a141fff0ac60e133b971b3413aed49a4c82693d4f4a2ad2
        version: 23.1.0-0
        distribution: miniforge
    condarc: |
      channels:
        - conda-forge
    mode: "0755"
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
  description: The copies of files that condafleet replaced and had not written.
  returned: success
  type: list
  elements: str
"""

import posixpath

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.condafleet.core.plugins.module_utils.errors import FleetError
from ansible_collections.condafleet.core.plugins.module_utils.installer import (
    differing_version,
    found_version,
    plan_installation,
    refuse_installation,
    render_diff,
)
from ansible_collections.condafleet.core.plugins.module_utils.installer_run import carry_out, check_accounts
from ansible_collections.condafleet.core.plugins.module_utils.observe_installation import observe_installation
from ansible_collections.condafleet.core.plugins.module_utils.observe_node import observe_node


def declared_of(params: dict) -> dict:
    """The options with what an installer's entry may leave out."""
    installers = {}
    for architecture, entry in params["installers"].items():
        if not isinstance(entry, dict) or not entry.get("url") or not entry.get("sha256"):
            raise FleetError("installers.%s: needs url and sha256. Next: give both." % architecture)
        name = posixpath.basename(entry["url"].split("?")[0])
        default = {
            "filename": name if name.endswith(".sh") else "installer.sh",
            "version": None,
            "distribution": "conda",
        }
        installers[architecture] = {**default, **entry}
    if not installers:
        raise FleetError("installers: is empty. Next: name an installer for this machine's architecture.")
    some = next(iter(installers.values()))
    return {**params, "installers": installers, "version": some["version"], "distribution": some["distribution"]}


def run(module: AnsibleModule) -> dict:
    declared = declared_of(module.params)
    prefix = declared["prefix"]
    observed = {"node": observe_node(), "installation": observe_installation(prefix)}
    refusal = refuse_installation(observed, declared)
    if refusal:
        raise FleetError(refusal)
    check_accounts(declared)
    changes = plan_installation(observed["installation"], declared)
    kept = []
    after = observed["installation"]
    if changes and not module.check_mode:
        kept = carry_out(observed, declared, changes)
        after = observe_installation(prefix)
        left = [change["what"] for change in plan_installation(after, declared)]
        if left:
            raise FleetError(
                "%s: still differs afterwards in %s. Next: see who else writes there." % (prefix, ", ".join(left))
            )
    other = differing_version(after, declared)
    if other:
        module.warn(
            "%s holds %s, and %s was declared. It was left as it is: installations are not upgraded."
            % (prefix, other, declared["version"])
        )
    return {
        "changed": bool(changes),
        "prefix": prefix,
        "changes": [change["what"] for change in changes],
        "installation": after,
        "version_wanted": declared["version"],
        "version_found": found_version(after),
        "kept": kept,
        "diff": render_diff(prefix, changes),
    }


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "prefix": {"type": "path", "required": True},
            "installers": {"type": "dict", "required": True},
            "condarc": {"type": "str"},
            "owner": {"type": "str"},
            "group": {"type": "str"},
            "mode": {"type": "str"},
            "timeout": {"type": "int", "default": 900},
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
