#!/usr/bin/env python3
"""The images of the test fleet, made from Debian's packages and kept by the hash of what they are made of.

    images.py [NAME ...]      build, import and probe; default: all
    images.py --tag NAME      print the tag of an image

Packages come from where this machine's own apt gets them. Needs root, podman and mmdebstrap: setup.sh brings them.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import engine

CACHE = engine.CACHE.parent / "images"
NODE = (
    "bash", "ca-certificates", "dbus", "fish", "iproute2", "libpam-systemd", "openssh-server", "openssh-client",
    "procps", "python3", "rsync", "sudo", "systemd", "systemd-sysv", "tcsh", "zsh",
)  # fmt: skip
# What each image does after its packages are there; run by sh in the new root, on the host's kernel.
CUSTOMIZE = r"""
set -eu
cd "$1"
# Every container makes its own host keys at its first start: none may be shared.
rm -f etc/ssh/ssh_host_*
mkdir -p etc/systemd/system/ssh.service.d
cat > etc/systemd/system/ssh.service.d/host-keys.conf <<'UNIT'
[Service]
ExecStartPre=
ExecStartPre=/usr/bin/ssh-keygen -A
ExecStartPre=/usr/sbin/sshd -t
UNIT
# One list of keys for root and the users, put there by whoever starts the container.
cat > etc/ssh/sshd_config.d/fleet.conf <<'SSHD'
PermitRootLogin prohibit-password
PasswordAuthentication no
AuthorizedKeysFile /etc/ssh/authorized_keys
MaxStartups 100
MaxSessions 100
SSHD
chroot . groupadd ml
for user in alice bob; do
  chroot . useradd --create-home --shell /bin/bash --groups ml "$user"
  chroot . usermod --password '*' "$user"
done
# In a container systemd takes up to two minutes to end a user's manager after the last session, and whoever logs in
# meanwhile waits for that. So the managers stay.
mkdir -p var/lib/systemd/linger
touch var/lib/systemd/linger/root var/lib/systemd/linger/alice var/lib/systemd/linger/bob
: > etc/machine-id
rm -f var/lib/dbus/machine-id
rm -rf var/log/journal
for unit in apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer fstrim.timer \
            man-db.timer systemd-timesyncd.service systemd-resolved.service systemd-networkd.service; do
  ln -sf /dev/null "etc/systemd/system/$unit"
done
"""


@dataclass(frozen=True)
class Image:
    """A Debian release with packages."""

    suite: str
    packages: tuple[str, ...]
    customize: str = CUSTOMIZE
    changes: tuple[str, ...] = ('CMD ["/lib/systemd/systemd"]', "STOPSIGNAL SIGRTMIN+3")

    @property
    def digest(self) -> str:
        """Hash of all that decides the content, but for the versions that the archive offers on the day."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:12]


IMAGES = {
    # One module system each: Lmod and Environment Modules exclude each other.
    "bookworm": Image("bookworm", (*NODE, "lmod")),
    "trixie": Image("trixie", (*NODE, "environment-modules")),
    # A Debian 13 that runs Ansible itself: its Python is new enough for ansible-core 2.21.
    "controller": Image("trixie", (*NODE, "python3-venv", "python3-pip")),
}


def tag(name: str) -> str:
    """The local name of an image."""
    return f"localhost/condafleet-test-{name}:{IMAGES[name].digest}"


def host_archive() -> str | None:
    """The archive that this machine's apt takes its own Debian release from; None: mmdebstrap's default."""
    release = dict(
        line.rstrip().replace('"', "").split("=", 1)
        for line in Path("/etc/os-release").read_text(encoding="utf-8").splitlines()
        if "=" in line
    )
    if release.get("ID") != "debian":
        return None
    listed = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE)", "Created-By: Packages"],
        capture_output=True, text=True, timeout=60, check=True,
    ).stdout  # fmt: skip
    for line in listed.splitlines():
        uri, _, suite = line.partition(" ")
        if suite == release.get("VERSION_CODENAME"):
            return uri
    return None


def host_apt_options() -> list[str]:
    """How this machine's apt reaches its archive (proxy, certificate, validity), as options for mmdebstrap."""
    dump = subprocess.run(["apt-config", "dump"], capture_output=True, text=True, timeout=60, check=True).stdout
    wanted = ("Acquire::http::", "Acquire::https::", "Acquire::Check-")
    chosen = [line for line in dump.splitlines() if line.startswith(wanted) and not line.endswith('"";')]
    return [f"--aptopt={line}" for line in [*chosen, 'Acquire::Retries "3";']]


def build(name: str, target: Path, limit: float = 900) -> None:
    """Make the image's tar at `target`, whole or not at all; `limit` is in seconds."""
    image = IMAGES[name]
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    hook = target.with_name(f".{target.name}.{os.getpid()}.hook")
    hook.write_text("#!/bin/sh\n" + image.customize, encoding="utf-8")
    hook.chmod(0o755)
    archive = host_archive()
    command = [
        "mmdebstrap", "--mode=root", "--variant=minbase", "--format=tar", f"--include={','.join(image.packages)}",
        "--dpkgopt=path-exclude=/usr/share/man/*", "--dpkgopt=path-exclude=/usr/share/doc/*",
        "--dpkgopt=path-exclude=/usr/share/locale/*", *host_apt_options(),
        f"--customize-hook={hook}", image.suite, str(part), *([archive] if archive else []),
    ]  # fmt: skip
    log = target.with_suffix(".log")
    started = time.monotonic()
    running: subprocess.Popen[bytes] | None = None
    try:
        with log.open("w", encoding="utf-8") as words:
            running = subprocess.Popen(command, stdout=words, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
            while running.poll() is None:
                passed = time.monotonic() - started
                if passed > limit:
                    raise SystemExit(f"{name}: not built within {limit:g} s; the log is {log}")
                if int(passed) % 10 == 0:
                    print(f"  {name}: {passed:3.0f} s  {last_line(log)}", flush=True)
                time.sleep(1)
        if running.returncode != 0:
            raise SystemExit(f"{name}: mmdebstrap ended with rc {running.returncode}: {last_line(log)} (log: {log})")
        part.replace(target)
    finally:
        if running is not None and running.poll() is None:
            running.terminate()
            running.wait(30)
        part.unlink(missing_ok=True)
        hook.unlink(missing_ok=True)


def last_line(path: Path) -> str:
    """What a running program said last, short enough for one line of progress."""
    lines = path.read_text(encoding="utf-8", errors="replace").replace("\r", "\n").split("\n")
    said = [line.strip() for line in lines if line.strip()]
    return said[-1][:100] if said else ""


def ensure(name: str) -> str:
    """Have the image in podman's store; returns its tag."""
    wanted = tag(name)
    if engine.podman("images", "--quiet", wanted).strip():
        print(f"{name}: present", flush=True)
        return wanted
    started = time.monotonic()
    archive = CACHE / f"{name}-{IMAGES[name].digest}.tar"
    if not archive.is_file():
        print(f"{name}: building from Debian's packages", flush=True)
        build(name, archive)
    changes = [f"--change={change}" for change in IMAGES[name].changes]
    engine.podman("import", *changes, str(archive), wanted, timeout=300)
    print(f"{name}: ready after {time.monotonic() - started:.0f} s", flush=True)
    return wanted


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(description="Images of the test fleet")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(IMAGES)}; default: all")
    parser.add_argument("--tag", action="store_true", help="print tags and do nothing else")
    options = parser.parse_args(argv)
    names = options.names or list(IMAGES)
    unknown = [name for name in names if name not in IMAGES]
    if unknown:
        parser.error(f"NAME: {unknown[0]} is not an image. Accepted: {', '.join(IMAGES)}")
    if options.tag:
        print("\n".join(tag(name) for name in names))
        return 0
    tags = [ensure(name) for name in names]
    print(engine.probe(tags[0]))
    return 0


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that a build that is ended cleans up after itself
    try:
        sys.exit(main(sys.argv[1:]))
    except engine.EngineError as error:
        sys.exit(str(error))
