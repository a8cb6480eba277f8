"""condafleet: declare a fleet's deep-learning stack once; every node gets exactly that, and proves it.

import condafleet
result = condafleet.provision(inventory="inventories/example")
for host in result.failed:
    print(host, result.hosts[host].message)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from condafleet.errors import (
    CondafleetError,
    DepotError,
    FleetError,
    InputError,
    LockError,
    RunError,
    RunInterruptedError,
)
from condafleet.version import __version__

if TYPE_CHECKING:
    from condafleet.api import (
        audit,
        create_environments,
        history,
        init_shell,
        install_miniconda,
        lock,
        plan,
        provision,
        rollback,
        stage,
        status,
        switch,
        uninstall,
        validate,
    )
    from condafleet.comparison import compare, compare_history
    from condafleet.results import FleetResult, HostResult

__all__ = [
    "CondafleetError",
    "DepotError",
    "FleetError",
    "FleetResult",
    "HostResult",
    "InputError",
    "LockError",
    "RunError",
    "RunInterruptedError",
    "__version__",
    "audit",
    "compare",
    "compare_history",
    "create_environments",
    "history",
    "init_shell",
    "install_miniconda",
    "lock",
    "plan",
    "provision",
    "rollback",
    "stage",
    "status",
    "switch",
    "uninstall",
    "validate",
]

# Where the names are that need Ansible. They are looked up when first used, so that `condafleet.depot` and the solver,
# which know nothing of Ansible, don't load it.
_HOMES = {
    "FleetResult": "condafleet.results",
    "HostResult": "condafleet.results",
    "compare": "condafleet.comparison",
    "compare_history": "condafleet.comparison",
    **dict.fromkeys(
        (
            "audit",
            "create_environments",
            "history",
            "init_shell",
            "install_miniconda",
            "lock",
            "plan",
            "provision",
            "rollback",
            "stage",
            "status",
            "switch",
            "uninstall",
            "validate",
        ),
        "condafleet.api",
    ),
}

# The function `lock` has the name of the package that solves. Loading a package binds its name here, once: so that is
# done now, and the name left to the function.
import_module("condafleet.lock")
globals().pop("lock")


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'condafleet' has no attribute {name!r}")
    return getattr(import_module(home), name)


def __dir__() -> list[str]:
    return sorted(__all__)
