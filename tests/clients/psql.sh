#!/usr/bin/env bash
# psql: every listing answers, and the ones about products say what the contracts say.
set -euo pipefail

ask() { PGPASSWORD=steward psql -X -h "${MESHGATE_HOST:-127.0.0.1}" -p "$MESHGATE_PORT" -U steward -P pager=off -v ON_ERROR_STOP=1 mesh -c "$1" 2>&1; }

failed=0
# check COMMAND [TEXT…]: the command answers without an error, and its answer holds the texts.
check() {
  local command=$1 answer
  shift
  if ! answer=$(ask "$command") || [[ $answer == *ERROR:* ]]; then
    printf 'FAIL  psql: %s: %s\n' "$command" "$(head -n 3 <<<"$answer")"
    failed=1
    return
  fi
  for text; do
    if [[ $answer != *"$text"* ]]; then
      printf 'FAIL  psql: %s does not show "%s"\n' "$command" "$text"
      failed=1
      return
    fi
  done
  printf 'ok    psql: %s\n' "$command"
}

check '\l' mesh UTF8
check '\dn+' customer 'on call'
check '\d customer.customer_360' 'numeric(12,2)' 'customer_360_pkey" PRIMARY KEY, btree (customer_id)'
check '\d+ customer.customer_360' 'personal data' main
check '\d+ customer.*' customer_events_v1
check '\dt customer.*' customer_360 customer-platform
check '\di customer.*' customer_360_pkey
check '\df lower' 'text' 'anyrange'
check '\df+ pg_catalog.lower' 'lowercase'
check '\do =' 'boolean'
check '\dT+ pg_catalog.int*' bigint
check '\du' steward
check '\dp customer.*' customer_360
check '\dx' plpgsql
check '\conninfo' steward
check '\dAo btree integer_ops' '=(integer,integer)'
check '\da sum' numeric
for command in '\l+' '\d' '\dS' '\dt *.*' '\dv *.*' '\dm' '\ds' '\dE' '\d pg_catalog.pg_class' '\dg+' '\drds' '\dconfig' '\dconfig server*' \
  '\dy' '\dRp' '\dRs' '\dC' '\dc' '\dd' '\dD' '\ddp' '\des' '\det' '\deu' '\dew' '\dF' '\dFd' '\dFp' '\dFt' '\dL' '\dl' '\dO' '\dP' '\dX' '\dA' \
  '\dA+' '\dAc' '\dAf' '\dAp' '\db' '\z'; do
  check "$command"
done
exit "$failed"
