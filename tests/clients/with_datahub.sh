#!/usr/bin/env bash
# DataHub's own command line takes what `meshgate export datahub` writes, before and after somebody has read.
#   with_datahub.sh MESHGATE CONFIG WORK DATAHUB
set -euo pipefail

meshgate=$1 config=$2 work=$3 datahub=$4
export DATAHUB_TELEMETRY_ENABLED=false

checked() {
  "$meshgate" export datahub "$config" --out "$work/datahub.json" >"$work/datahub.log"
  if "$datahub" check metadata-file "$work/datahub.json" >"$work/datahub.log" 2>&1; then
    echo "ok    datahub: its command line takes $1"
  else
    cat "$work/datahub.log"
    echo "FAIL  datahub: its command line takes $1"
    exit 1
  fi
}

checked 'the metadata of the mesh'
# A file that it must refuse: the check does look.
sed 's/"DATAOWNER"/"NOBODY"/' "$work/datahub.json" >"$work/datahub_broken.json"
if "$datahub" check metadata-file "$work/datahub_broken.json" >"$work/datahub.log" 2>&1; then
  echo 'FAIL  datahub: a broken file is refused'
  exit 1
fi
echo 'ok    datahub: a broken file is refused'
