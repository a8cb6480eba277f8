"""Reading a playbook's output, and ratios of rounds."""

from __future__ import annotations

from tests.benchmarks import figures

WORDS = """\
<10.0.0.1> SSH: EXEC ssh -C python3
<10.0.0.2> SSH: EXEC ssh -C python3
<10.0.0.1> SSH: EXEC ssh -C python3

PLAY RECAP *********************************************************************
a                          : ok=3    changed=0    unreachable=0    failed=0    skipped=2    rescued=0    ignored=0   
b                          : ok=4    changed=1    unreachable=0    failed=0    skipped=2    rescued=0    ignored=0   
"""  # noqa: W291


def test_a_run_that_changed_something_does_not_count() -> None:
    assert figures.work_left(WORDS, ["a"]) is None
    assert figures.work_left(WORDS, ["a", "b"]) == "b: changed=1"


def test_a_host_that_is_missing_does_not_count() -> None:
    assert figures.work_left(WORDS, ["a", "c"]) == "c is not in the recap"


def test_tasks_are_counted_per_node() -> None:
    assert figures.tasks_per_node(WORDS, ["a", "b"]) == {"ran": 3.5, "skipped": 2, "remote_commands": 1.5}


def test_ratios_pair_samples_of_one_round() -> None:
    def sample(number: int, cost: float) -> dict[str, float]:
        return {"round": number, "wall_s": cost, "controller_cpu_s": cost, "node_cpu_s": cost}

    base = [sample(1, 2.0), sample(2, 4.0), sample(3, 100.0)]
    found = figures.ratios([sample(1, 4.0), sample(2, 4.0)], base)
    assert found["wall_s"] == {"median": 1.5, "min": 1.0, "max": 2.0}
