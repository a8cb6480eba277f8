#!/usr/bin/env bash
# Prints a Python that has every framework of the embedded depot, for the tests that run the validation's own scripts.
# It is installed from the depot's wheels at the first call (a minute, 3 GB), and kept by what they hold.
set -euo pipefail
wheels=${CONDAFLEET_TEST_DEPOT:?a folder that condafleet depot build --embedded has made}/wheels
cache=${XDG_CACHE_HOME:-$HOME/.cache}/condafleet
key=$(cd "$wheels" && sha256sum -- *.whl | sha256sum | cut -c1-16)
home=$cache/frameworks-$key
mkdir -p "$cache"
exec 9>"$cache/frameworks.lock"
flock --timeout 900 9 || { echo "tests/frameworks.sh: another run has held $cache/frameworks.lock for 900 s" >&2; exit 1; }
if [ ! -e "$home/.ready" ]; then
  rm -rf "$home"
  echo "installing the frameworks' wheels into $home" >&2
  python -m venv "$home"
  "$home/bin/python" -m pip install --quiet --no-index --find-links "$wheels" torch tensorflow-cpu keras jax flatbuffers >&2
  touch "$home/.ready"
fi
echo "$home/bin/python"
