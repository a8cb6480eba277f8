"""docs/checks.md, made from the catalog of checks and the table of GPU models: `make docs` writes it.

The test beside this holds the page to the code.
"""

from __future__ import annotations

import re
from pathlib import Path

from ansible_collections.condafleet.core.plugins.module_utils import check_catalog, gpu_figures
from ansible_collections.condafleet.core.plugins.module_utils.check_catalog import Check

PAGE = Path(__file__).parents[2] / "docs" / "checks.md"
PARTS = (
    ("The node", check_catalog.HOST_CHECKS),
    ("Its GPUs", check_catalog.GPU_CHECKS),
    ("Its environments", check_catalog.ENVIRONMENT_CHECKS),
    ("Speed", check_catalog.SPEED_CHECKS),
    ("Nodes together", check_catalog.GROUP_CHECKS),
)
HEAD = (
    "| check | version | level | of each | unit | question | limit | who says so | time limit |\n"
    "|---|---|---|---|---|---|---|---|---|\n"
)
BETTER = {"higher": "not far below", "lower": "not far above", "same": "the same as"}
INTRODUCTION = """\
# Checks

Every check that validation knows, from the catalog that the nodes work by. Written by `make docs`; change
`check_catalog.py` and `gpu_figures.py`, not this page. How to choose a level, switch a check off or set a limit of your
own is in [validation.md](validation.md).

*Version* goes up when the same node could get another verdict; results of two versions are never compared. *Level* is
the lowest one that has the check: `standard` has all of `smoke`, `full` has all. *Time limit* is in seconds, for one
subject. A check without a limit is judged by its code: mostly a count of bad things, which has to be none. *The others*
are the nodes or GPUs of the same model in the run; the bounds are `validation_deviations` and `validation_gap_percent`.
"""
MODELS = f"""
## Figures of GPU models

The least that a sound GPU of a model does. The driver's name for the model decides; one that is not here is judged by
the fleet alone. Matrix products: {gpu_figures.MATMUL_SHARE:.0%} (fp8: {gpu_figures.FP8_SHARE:.0%}) of the dense peak in
NVIDIA's data sheet, in TFLOP/s. `speed.memory`: {gpu_figures.MEMORY_SHARE:.0%} of the data sheet's with HBM,
{gpu_figures.GDDR_SHARE:.0%} with GDDR6, in GB/s. Parts of a GPU (vGPU) have none. Copies and all-reduce: floors that a
cloud holds its own machines to, in GB/s; `speed.allreduce` is for eight GPUs. Other figures: `validation_checks`.

"""


def readable(pattern: str) -> str:
    """Return a model's name of which the pattern is true, from the pattern."""
    name = pattern.replace(r"\b", "").replace(".*", " ")
    if not re.search(pattern, name):
        raise ValueError(f"gpu_figures.py: {pattern} is no pattern that this page can show")
    return name


# In the catalog's order.
FIGURES = {readable(pattern): gpu_figures.figures(readable(pattern)) for pattern in gpu_figures.known()}
OF_A_MODEL = [one.name for one in check_catalog.CHECKS if any(one.name in found for found in FIGURES.values())]


def page() -> str:
    """Return the whole page."""
    parts = [INTRODUCTION]
    for title, checks in PARTS:
        parts += [f"\n## {title}\n\n", HEAD, *map(row, checks)]
    return "".join([*parts, MODELS, *models()])


def row(check: Check) -> str:
    """Return a check as a row of its table."""
    cells = (
        f"`{check.name}`",
        str(check.version),
        check.level,
        check.scope,
        check.unit or "-",
        check.question,
        limit(check),
        source(check),
        f"{check.timeout:g}",
    )
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"


def limit(check: Check) -> str:
    """Return what a value has to be, in words."""
    bounds = [
        f"{word} {value}"
        for word, value in (("at least", check.least), ("at most", check.most), ("exactly", check.equal))
        if value is not None
    ]
    if check.name in OF_A_MODEL:
        bounds.append("by the model, below")
    if check.fleet:
        bounds.append(f"{BETTER[check.fleet]} the others")
    return "; ".join(bounds) or "-"


def source(check: Check) -> str:
    """Return who says so."""
    said = [check.source] if check.source else []
    said += ["the model's row"] if check.name in OF_A_MODEL else []
    said += ["the fleet's median"] if check.fleet in ("higher", "lower") else []
    said += ["most of the fleet"] if check.fleet == "same" else []
    return "; ".join(said) or "the check itself"


def models() -> list[str]:
    """Return the table of models, line by line."""
    short = [name.removeprefix("speed.") for name in OF_A_MODEL]
    lines = [
        "| model | " + " | ".join(f"`{name}`" for name in short) + " | sources |\n",
        "|---" * (len(OF_A_MODEL) + 2) + "|\n",
    ]
    for name, found in FIGURES.items():
        figures = [f"{found[check].least:g}" if check in found else "-" for check in OF_A_MODEL]
        lines.append(f"| {name} | " + " | ".join(figures) + f" | {sources(found)} |\n")
    return lines


def sources(found: dict[str, gpu_figures.Figure]) -> str:
    """Return who says so, each once: the data sheet without the figure that it was reckoned from."""
    said = [re.sub(r"^\d+ % of the [\d.e+]+ \S+ of ", "", one.source) for one in found.values()]
    return "; ".join(dict.fromkeys(said))


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
