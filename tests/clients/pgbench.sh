#!/usr/bin/env bash
# pgbench: a look-up by four sessions, in the simple, the extended and the prepared protocol.
set -euo pipefail

script=$(mktemp)
trap 'rm -f "$script"' EXIT
printf '%s\n' '\set id random(1, 3000)' 'SELECT tier, lifetime_value_usd FROM customer.customer_360 WHERE customer_id = :id;' >"$script"
failed=0
for protocol in simple extended prepared; do
  if answer=$(PGPASSWORD=steward "${PGBENCH:-pgbench}" -n -M "$protocol" -c 4 -t 25 -f "$script" -h "${MESHGATE_HOST:-127.0.0.1}" \
    -p "$MESHGATE_PORT" -U steward mesh 2>&1) && [[ $answer == *'actually processed: 100/100'* ]]; then
    printf 'ok    pgbench: %s\n' "$protocol"
  else
    printf 'FAIL  pgbench: %s: %s\n' "$protocol" "$(tail -n 3 <<<"$answer")"
    failed=1
  fi
done
exit "$failed"
