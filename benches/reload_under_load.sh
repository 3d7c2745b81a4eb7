#!/usr/bin/env bash
# A minute (or MESHGATE_LOAD_SECONDS) of ten changes a second, of the bundle and then of the erasure list, under sixteen clients.
# Fails on a mixed decision, on a failed query, and if changes were not taken up. The test command runs three seconds of the same.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$HOME/.cache/meshgate/target}
export MESHGATE_LOAD_SECONDS=${MESHGATE_LOAD_SECONDS:-60}
exec cargo test --locked --test integration under_load -- --test-threads 1 --nocapture
