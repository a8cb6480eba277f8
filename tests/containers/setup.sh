#!/usr/bin/env bash
# Makes this Debian machine ready for the container tests: packages, images, and settings for podman where the host
# needs them. Needs root; run again, it does only what is missing.
#
#     tests/containers/setup.sh [IMAGE ...]     default: bookworm trixie controller
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

# program → package that brings it
needs=(
  podman:podman mmdebstrap:mmdebstrap runc:runc crun:crun ip:iproute2 ssh:openssh-client ssh-keygen:openssh-client
  iptables:iptables /usr/lib/podman/netavark:netavark python3:python3 zsh:zsh
  fish:fish tcsh:tcsh rsync:rsync
)

if [[ $EUID -ne 0 ]]; then
  echo "tests/containers/setup.sh: must run as root (it installs packages and starts containers with systemd)" >&2
  exit 2
fi
if ! command -v apt-get >/dev/null; then
  echo "tests/containers/setup.sh: apt-get was not found; the container tests are prepared on Debian only" >&2
  exit 2
fi

missing=()
for need in "${needs[@]}"; do
  command -v "${need%%:*}" >/dev/null || missing+=("${need##*:}")
done
if ((${#missing[@]})); then
  mapfile -t missing < <(printf '%s\n' "${missing[@]}" | sort -u)
  echo "installing: ${missing[*]}"
  export DEBIAN_FRONTEND=noninteractive
  timeout 300 apt-get -q -o Acquire::Retries=3 update
  timeout 900 apt-get -q -y -o Acquire::Retries=3 install --no-install-recommends "${missing[@]}"
fi

exec python3 "$here/images.py" "$@"
