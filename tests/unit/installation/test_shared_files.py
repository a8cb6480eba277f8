"""Which file systems other nodes may share, by the names that the kernel has for their mounts."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.condafleet.core.plugins.module_utils.shared_files import is_shared

SHARED = """\
nfs nfs4 lustre lustre_lite gpfs beegfs beegfs_nodev ceph cifs smb3 afs 9p virtiofs glusterfs gfs2 ocfs2 orangefs panfs
wekafs fuse fuse.ceph-fuse fuse.mfs fuse.quobyte fuse.s3fs fuse.glusterfs fuse.sshfs fuse.juicefs fuse.rclone
fuse.what-nobody-has-heard-of fuse.x.y
""".split()  # noqa: SIM905 - read as a table
OWN = "ext4 xfs btrfs zfs tmpfs overlay squashfs erofs ramfs vfat f2fs iso9660 fuseblk fusectl devtmpfs".split()  # noqa: SIM905


@pytest.mark.parametrize(("kind", "shared"), [*((kind, True) for kind in SHARED), *((kind, False) for kind in OWN)])
def test_by_the_kind_of_its_file_system(tmp_path: Path, kind: str, shared: bool) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(f"22 1 254:1 / / rw - ext4 /dev/vda1 rw\n40 22 0:35 / /here rw shared:2 - {kind} source rw\n")
    assert is_shared("/here/miniconda3.d", str(mounts), exists=lambda _path: True) is shared
    assert not is_shared("/elsewhere", str(mounts), exists=lambda _path: True)
