"""Start-up files where others are at work too, behind links, and with what a file has beside its bytes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ansible_collections.condafleet.core.plugins.module_utils import shell_edit
from ansible_collections.condafleet.core.plugins.module_utils.shell_places import real, unwritable

PREFIX = "/opt/miniconda3"


def put(path: Path) -> None:
    shell_edit.write_block(str(path), PREFIX, ["true"])


def drop(path: Path) -> None:
    shell_edit.remove_block(str(path), PREFIX)


def test_a_link_that_led_nowhere_stays_and_leads_nowhere_again(tmp_path: Path) -> None:
    rc = tmp_path / ".bashrc"
    rc.symlink_to("dotfiles/shell/bashrc")
    put(rc)
    assert (tmp_path / "dotfiles/shell/bashrc").is_file()
    drop(rc)
    assert rc.is_symlink()
    assert sorted(path.name for path in tmp_path.rglob("*")) == [".bashrc"]


def test_another_node_may_take_the_block_out_of_a_shared_home_at_the_same_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / ".config/fish/config.fish"
    put(place)
    read = shell_edit.read_startup_file

    def then_the_other_one_works(path: str, *rest: str) -> bytes | None:
        content = read(path, *rest)
        place.unlink()
        place.parent.rmdir()
        return content

    monkeypatch.setattr(shell_edit, "read_startup_file", then_the_other_one_works)
    drop(place)
    assert list(tmp_path.rglob("*")) == []
    link = tmp_path / "conda"
    shell_edit.link(str(link), None)


def test_another_node_may_make_the_same_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mkdir = os.mkdir

    def after_the_other_one(path: str) -> None:
        if path == str(tmp_path / ".config"):
            mkdir(path)
        mkdir(path)

    monkeypatch.setattr(os, "mkdir", after_the_other_one)
    put(tmp_path / ".config/fish/config.fish")
    assert (tmp_path / ".config/fish/config.fish").is_file()


def test_extended_attributes_are_kept(tmp_path: Path) -> None:
    rc = tmp_path / ".bashrc"
    rc.write_text("a=1\n")
    try:
        os.setxattr(rc, "user.note", b"mine")
    except OSError:
        pytest.skip("this file system has no extended attributes")
    put(rc)
    assert os.getxattr(rc, "user.note") == b"mine"
    drop(rc)
    assert (rc.read_text(), os.getxattr(rc, "user.note")) == ("a=1\n", b"mine")


@pytest.mark.parametrize(
    ("target", "leads"),
    [
        ("/etc/real", "image/etc/real"),
        ("../../../../../etc/real", "image/etc/real"),
        ("real", "image/etc/real"),
        ("/var/../srv//x/./y", "image/srv/x/y"),
    ],
)
def test_links_of_an_image_stay_within_it(tmp_path: Path, target: str, leads: str) -> None:
    image = tmp_path / "image"
    (image / "etc").mkdir(parents=True)
    (image / "var").mkdir()
    (image / "etc/bash.bashrc").symlink_to(target)
    (image / "bin").symlink_to("/etc")
    for path in ("etc/bash.bashrc", "bin/bash.bashrc"):
        assert real(f"{image}/{path}", str(image)) == str(tmp_path / leads)


def test_links_that_go_round_are_an_error_that_names_the_file(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("/b")
    (tmp_path / "b").symlink_to("/a")
    assert "/a: cannot be written as user" in str(unwritable(f"{tmp_path}/a", str(tmp_path)))
    with pytest.raises(OSError, match="Too many levels"):
        real(f"{tmp_path}/a", str(tmp_path))


def test_what_can_be_written(tmp_path: Path) -> None:
    (tmp_path / ".bashrc").write_text("")
    assert unwritable(f"{tmp_path}/.bashrc") is None
    assert unwritable(f"{tmp_path}/.config/fish/config.fish") is None


def test_what_can_not_be_written_even_by_root(tmp_path: Path) -> None:
    (tmp_path / ".config").write_text("")
    told = unwritable(f"{tmp_path}/.config/fish/config.fish")
    assert told is not None
    assert "Not a directory. The file is as it was. Next: run with the rights" in told
