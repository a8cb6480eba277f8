#!/usr/bin/env bash
# Runs the parts of `make test` that are named, or all of them; goes on after a part that failed; says what ran, and for how long.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 2

export ANSIBLE_COLLECTIONS_PATH=$PWD/collections ANSIBLE_CONFIG=$PWD/ansible.cfg
export CONDAFLEET_TEST_DEPOT=${CONDAFLEET_TEST_DEPOT:-$PWD/build/test-depot}
logs=$PWD/build/logs
mkdir -p "$logs"

part_depot() { condafleet depot build --embedded "$CONDAFLEET_TEST_DEPOT" && condafleet depot verify "$CONDAFLEET_TEST_DEPOT"; }
part_containers() { tests/containers/setup.sh; }
part_lint() {
  ruff check . && ruff format --check . && mypy && PYTHONPATH=python lint-imports && ansible-lint --offline
}
part_unit() {
  local frameworks
  frameworks=$(tests/frameworks.sh) && CONDAFLEET_TEST_PYTHON=$frameworks python -m pytest -n 2 tests/unit tests/benchmarks
}
part_contract() { python -m pytest tests/contract; }
part_sanity() { tests/sanity/run.sh; }
# The scenario that SCENARIO names, to look at; or all of them, two at a time: each has a fleet of its own, and waits a lot.
part_molecule() {
  if [ -n "${SCENARIO:-}" ]; then
    molecule test -s "$SCENARIO"
  else
    (cd molecule && printf '%s\n' */) | tr -d / | xargs -P 2 -I NAME tests/scenario.sh NAME
  fi
}
part_integration() { python -m pytest -n 2 --dist loadfile --durations 10 tests/integration; }

all=(lint contract depot unit containers sanity molecule integration)
parts=("$@")
[ ${#parts[@]} -gt 0 ] || parts=("${all[@]}")

summary=() passed=0 failed=0 began=$SECONDS
for part in "${parts[@]}"; do
  printf '\n=== %s\n' "$part"
  start=$SECONDS
  if "part_$part" 2>&1 | tee "$logs/$part.log"; then
    word=passed; passed=$((passed + 1))
  else
    word=FAILED; failed=$((failed + 1))
  fi
  summary+=("$(printf '%-12s %-7s %5d s   build/logs/%s.log' "$part" "$word" $((SECONDS - start)) "$part")")
done
printf '\n=== what ran, and for how long (%d s in all)\n' $((SECONDS - began))
printf '%s\n' "${summary[@]}"
printf '%d passed, %d failed\n' "$passed" "$failed"
[ "$failed" -eq 0 ]
