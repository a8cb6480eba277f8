"""The pair of files: their text, and what it holds. They are written by writing.py."""

import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomli_w
import yaml

from ansible_collections.condafleet.core.plugins.module_utils import lockfile, lockinputs

HEADER = "# Made by condafleet. Edited by hand it is refused: change the spec and lock again.\n"


class _Lines(str):
    """Text that stands in the file line by line, so that a difference shows the lines that changed."""


class _Dumper(yaml.SafeDumper):
    """Writes as yaml.safe_dump does, but for such texts."""


_Dumper.add_representer(_Lines, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|"))


@dataclass(frozen=True)
class LockPair:
    """One solved environment for one target: the lock as data, and both files' text."""

    lock: lockfile.Lock
    digest: str
    conda_lock: str
    pylock: str


def make_pair(
    *,
    environment: str,
    target: str,
    platform: str,
    channels: Sequence[str],
    inputs: Mapping[str, Any],
    variables: Mapping[str, str],
    records: Sequence[Mapping[str, Any]],
    wheels: Sequence[Mapping[str, Any]],
) -> LockPair:
    """Both texts. The same solution gives the same bytes."""
    pylock = _pylock(records, wheels)
    custom = {
        "created_by": "condafleet",
        "digest": "",
        "download_bytes": _download_bytes(records),
        "environment": environment,
        "inputs": lockinputs.as_text(inputs),
        "inputs_digest": lockinputs.digest(inputs),
        "target": target,
        "variables": json.dumps(dict(variables), sort_keys=True),
    }
    conda_lock = {
        "version": lockfile.CONDA_LOCK_VERSION,
        "metadata": {
            "content_hash": {platform: lockinputs.digest(inputs)},
            "channels": [{"url": channel, "used_env_vars": []} for channel in channels],
            "platforms": [platform],
            "sources": [],
            "custom_metadata": custom,
        },
        "package": [_conda_entry(record, platform) for record in sorted(records, key=lambda record: record["name"])],
    }
    # Read back as a node's side will: what can't be parsed is never written.
    lock = lockfile.parse(conda_lock, pylock)
    custom["digest"] = lockfile.digest(lock)
    return LockPair(
        lock=lock,
        digest=custom["digest"],
        conda_lock=HEADER + yaml.dump(conda_lock, Dumper=_Dumper, sort_keys=False, width=1000),
        pylock=HEADER + tomli_w.dumps(pylock),
    )


def read_pair(conda_lock: Path, pylock: Path) -> lockfile.Lock:
    """What a pair of files holds."""
    return lockfile.parse(
        read_yaml(conda_lock.read_text(encoding="utf-8")), tomllib.loads(pylock.read_text(encoding="utf-8"))
    )


def read_yaml(text: str) -> Any:
    """As yaml.safe_load; with libyaml, where PyYAML has it, ten times faster."""
    return yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 - both are safe loaders


def _download_bytes(records: Sequence[Mapping[str, Any]]) -> _Lines:
    """`BYTES NAME` for each conda package, for the gate's look at a node's disk. Wheels have theirs in pylock.toml."""
    sized = [record for record in records if record.get("size")]
    return _Lines(
        "".join(f"{r['size']} {str(r['url']).rsplit('/', 1)[-1]}\n" for r in sorted(sized, key=lambda r: r["url"]))
    )


def _conda_entry(record: Mapping[str, Any], platform: str) -> dict[str, Any]:
    depends: dict[str, str] = {}
    for entry in record["depends"]:
        name, _, version = entry.partition(" ")
        depends[name] = ",".join(filter(None, (depends.get(name, ""), version.strip())))
    return {
        "name": record["name"],
        "version": record["version"],
        "manager": "conda",
        "platform": platform,
        "dependencies": depends,
        "url": record["url"],
        "hash": {"md5": record["md5"], "sha256": record["sha256"]},
        "category": "main",
        "optional": False,
    }


def _pylock(records: Sequence[Mapping[str, Any]], wheels: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    document: dict[str, Any] = {"lock-version": lockfile.PYLOCK_VERSION, "created-by": "condafleet"}
    python = next((str(record["version"]) for record in records if record["name"] == "python"), None)
    if python:
        document["requires-python"] = "==" + ".".join(python.split(".")[:2]) + ".*"
    document["packages"] = [
        {"name": wheel["name"], "version": wheel["version"], "wheels": [_wheel(wheel)]}
        for wheel in sorted(wheels, key=lambda wheel: str(wheel["name"]))
    ]
    return document


def _wheel(wheel: Mapping[str, Any]) -> dict[str, Any]:
    entry: dict[str, Any] = {"url": wheel["url"]}
    if wheel["size"] is not None:
        entry["size"] = wheel["size"]
    return {**entry, "hashes": {"sha256": wheel["sha256"]}}
