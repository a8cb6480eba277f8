#!/usr/bin/env bash
# Runs one Molecule scenario into a log of its own, and says when it began, how it ended, and what went wrong.
#
#     tests/scenario.sh NAME
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 2
name=$1
log=build/logs/molecule-$name.log
mkdir -p build/logs
echo "scenario $name: began ($log)"
if timeout --kill-after=60 1800 molecule test -s "$name" </dev/null >"$log" 2>&1; then
  echo "scenario $name: passed, $SECONDS s"
else
  tail -n 120 "$log"
  echo "scenario $name: FAILED, $SECONDS s"
  exit 1
fi
