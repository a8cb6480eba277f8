#!/usr/bin/env bash
# `make demo` on a fleet: two containers over SSH, the depot over HTTP, no other network. Needs root; removes what it made.
#
#     tests/containers/fleet_demo.sh [DEPOT]      default: build/demo/depot
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
export PATH=$PWD/build/venv/bin:$PATH
depot=${1:-build/demo/depot}

tests/containers/setup.sh bookworm trixie
trap 'python tests/containers/fleet.py down fleet-demo' EXIT
inventory=$(python tests/containers/fleet.py up fleet-demo --node debian12=bookworm --node debian13=trixie \
  --depot "$depot" --vars tests/containers/fleet_demo.yml)
mkdir -p build/fleet-demo
condafleet provision -i "$inventory" --json build/fleet-demo/report.json
echo "The report: build/fleet-demo/report.json"
