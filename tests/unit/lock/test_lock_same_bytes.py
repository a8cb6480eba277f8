"""The same inputs give the same bytes: in another folder, order or process, from another place or server."""

import shutil

from condafleet.lock import lock_all


def written(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*.*")) if path.is_file()}


def test_the_same_inputs_give_the_same_bytes(made, targets, tmp_path, served, monkeypatch):
    spec = {"conda": ["python=3.11", "numpy=1", "tool"], "pip": ["torch", "lightning"], "variables": {"B": 2, "A": "1"}}
    turned = {
        "variables": {"A": 1, "B": "2"},
        "pip": ["lightning", "torch", "torch"],
        "conda": ["tool", "  numpy=1 ", "python=3.11"],
    }
    (tmp_path / "x.yml").write_text(
        "channels: [conda-forge]\ndependencies:\n- tool\n- numpy=1\n- python=3.11\n- pip: [lightning, torch]\n"
        "variables: {A: '1', B: 2}\n"
    )
    depot = made.write()
    moved = tmp_path / "else where" / "depot"
    shutil.copytree(made.root, moved)
    http_url = served(moved)
    found = []
    for number, (seed, one, place) in enumerate(
        (
            ("0", spec, depot),
            ("1", turned, depot),
            ("2", "x.yml", {"url": moved.as_uri() + "/"}),
            ("random", spec, {"url": http_url}),
            ("random", turned, {"url": http_url + "/", "sha256": made.sha256()}),
        )
    ):
        monkeypatch.setenv("PYTHONHASHSEED", seed)
        entries = [
            {"name": "e", "spec": one, "targets": ["linux-64-cpu"]},
            {"name": "z", "spec": {"conda": ["zlib"]}, "targets": ["linux-64-cpu"]},
        ]
        locks = tmp_path / f"locks {number}"
        lock_all(entries[:: -1 if number % 2 else 1], targets, locks, depot=place, spec_folders=[tmp_path])
        found.append(written(locks))
    assert sorted(found[0]) == [
        f"{name}/linux-64-cpu.{end}" for name in "ez" for end in ("conda-lock.yml", "pylock.toml")
    ]
    assert b"numpy" in found[0]["e/linux-64-cpu.conda-lock.yml"]
    for other in found[1:]:
        assert other == found[0]
    # And each is current for every one of these declarations, wherever the depot is.
    again = lock_all(
        [{"name": "e", "spec": turned, "targets": ["linux-64-cpu"]}],
        targets,
        tmp_path / "locks 0",
        depot=depot,
        check=True,
    )
    assert [state.state for state in again] == ["reused"]


def test_a_mirror_of_a_channel_gives_the_same_digest(made, targets, tmp_path, served):
    """Without a depot a lock names the channel that it came from; what it installs has the same digest."""
    made.write()
    mirror = tmp_path / "mirror"
    shutil.copytree(made.root / "channel", mirror / "some" / "channel")
    entry = {"name": "e", "spec": {"conda": ["python=3.11", "numpy=1"]}, "targets": ["linux-64-cpu"]}
    states = [
        lock_all([entry], targets, tmp_path / f"locks{number}", channels=[url])[0]
        for number, url in enumerate((served(made.root) + "/channel", served(mirror) + "/some/channel"))
    ]
    assert states[0].digest == states[1].digest is not None
    assert states[0].conda_lock.read_bytes() != states[1].conda_lock.read_bytes()
