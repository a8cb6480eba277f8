#!/usr/bin/env bash
# ansible-test sanity over the collection's content, as Galaxy would get it.
#
#     tests/sanity/run.sh [ARGUMENTS of ansible-test sanity ...]
#
# ansible-test wants a folder named ansible_collections/NAMESPACE/NAME, so it gets a copy of what Git tracks or would.
# It also fetches pip's installer from a host of its own: that is answered by ensurepip here, so that only a package
# index is needed. Its virtual environments are kept in condafleet's cache folder.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
export PATH=$root/build/venv/bin:$PATH
cache=${XDG_CACHE_HOME:-$HOME/.cache}/condafleet
home=$cache/ansible-test
python=$(python -c 'import sys; print("%d.%d" % sys.version_info[:2])')

# ansible-test gets a home of its own; pip's settings may lie in the caller's.
for config in "${PIP_CONFIG_FILE:-}" "$HOME/.config/pip/pip.conf" "$HOME/.pip/pip.conf"; do
  if [[ -n $config && -f $config ]]; then
    export PIP_CONFIG_FILE=$config
    break
  fi
done
export PIP_CACHE_DIR=${PIP_CACHE_DIR:-$cache/pip} PIP_DISABLE_PIP_VERSION_CHECK=1

mkdir -p "$home/.ansible/test/cache"
python - "$home/.ansible/test/cache" <<'PYTHON'
import pathlib
import sys
import types

from ansible_test._internal.python_requirements import get_venv_packages

version = get_venv_packages(types.SimpleNamespace(version="%d.%d" % sys.version_info[:2]))["pip"]
script = pathlib.Path(sys.argv[1], "get_pip_%s.py" % version.replace(".", "_"))
script.write_text("import ensurepip\n\nensurepip.bootstrap()\n", encoding="utf-8")
PYTHON

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
copy=$scratch/ansible_collections/condafleet/core
mkdir -p "$copy"
cd "$root"
git ls-files -z --cached --others --exclude-standard -- \
  plugins roles playbooks meta galaxy.yml README.md CHANGELOG.md LICENSE tests/sanity |
  while IFS= read -r -d '' name; do [[ -e $name ]] && printf '%s\0' "$name"; done |
  tar --create --null --files-from=- | tar --extract --directory "$copy"

cd "$copy"
# Nothing of the clone's: the copy must stand alone.
unset ANSIBLE_CONFIG ANSIBLE_COLLECTIONS_PATH PYTHONPATH
HOME=$home ansible-test sanity --color no --python "$python" "$@"
