"""A run as programs start it, as talkative as can be, tells no secret: no event, no artifact, no process list."""

from __future__ import annotations

import json
import shlex
import shutil
from pathlib import Path

import pytest
import scenario

import condafleet
from condafleet import runner

NODE = "mi-basic"
# Looks at every process's words for as long as the run takes.
WATCH = """
import glob, os, time
seen, hits, end = 0, [], time.time() + 60
while not os.path.exists("/run/stop-watching") and time.time() < end:
    for place in glob.glob("/proc/[0-9]*/cmdline"):
        try:
            text = open(place, "rb").read()
        except OSError:
            continue
        seen += 1
        if b"Tr0ub4dor" in text and b"stop-watching" not in text:
            hits.append(text.decode("utf-8", "replace"))
    time.sleep(0.02)
print(seen, hits)
"""


@pytest.mark.timeout(240)
def test_nobody_hears_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, site: dict[str, str]) -> None:
    kept = tmp_path / "private"

    really = shutil.rmtree

    def keep(folder: Path, ignore_errors: bool = False) -> None:
        if (Path(folder) / "artifacts").is_dir():
            Path(folder).rename(kept)
        else:
            really(folder, ignore_errors=ignore_errors)

    monkeypatch.setattr(runner.shutil, "rmtree", keep)
    fleet = scenario.fleet()
    fleet.ssh(NODE, f"rm -f /run/stop-watching; python3 -c {shlex.quote(WATCH)} > /run/watched 2>&1 &")
    events: list[str] = []
    result = condafleet.install_miniconda(
        inventory=scenario.inventory(tmp_path),
        limit=NODE,
        verbosity=4,
        extra_vars={"miniconda_prefix": "/opt/second"},
        on_event=lambda event: events.append(json.dumps(event, default=str)),
    )
    monkeypatch.undo()
    fleet.ssh(NODE, "touch /run/stop-watching; sleep 1")
    assert result.hosts[NODE].status == "changed"
    assert "second.d" in "".join(events)
    heard = [text for text in events if site["password"] in text]
    assert heard == []
    artifacts = [path for path in kept.rglob("*") if path.is_file()]
    assert len([path for path in artifacts if path.parent.name == "job_events"]) > 10
    assert [path for path in artifacts if site["password"] in path.read_text(errors="replace")] == []
    watched = fleet.ssh(NODE, "cat /run/watched").stdout
    assert int(watched.split()[0]) > 1000, watched
    assert watched.split(maxsplit=1)[1].strip() == "[]"
