#!/usr/bin/env bash
# postgres_fdw: a real Postgres imports the schemas of the gateway and reads them; POSTGRES_URL says where that Postgres is.
set -euo pipefail

: "${POSTGRES_URL:?the address of a Postgres whose superuser may make databases}"
database="fdw_$$"
psql -X -q "$POSTGRES_URL" -c "CREATE DATABASE $database"
trap 'psql -X -q "$POSTGRES_URL" -c "DROP DATABASE $database WITH (FORCE)"' EXIT
inside="${POSTGRES_URL%/*}/$database"
run() { psql -X -q -A -t -v ON_ERROR_STOP=1 "$inside" -c "$1" 2>&1; }

failed=0
check() {
  local name=$1 statement=$2 wanted=$3 answer
  answer=$(run "$statement") || true
  # shellcheck disable=SC2053 # The wanted text is a pattern.
  if [[ $answer == $wanted ]]; then
    printf 'ok    postgres_fdw: %s\n' "$name"
  else
    printf 'FAIL  postgres_fdw: %s: %s\n' "$name" "$answer"
    failed=1
  fi
}

check 'a server is made' "CREATE EXTENSION postgres_fdw;
  CREATE SERVER mesh FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '${MESHGATE_HOST:-127.0.0.1}', port '$MESHGATE_PORT', dbname 'mesh', fetch_size '50');
  CREATE USER MAPPING FOR CURRENT_USER SERVER mesh OPTIONS (user 'steward', password 'steward')" ''
for schema in customer logistics payments; do
  check "$schema is imported" "CREATE SCHEMA $schema; IMPORT FOREIGN SCHEMA $schema FROM SERVER mesh INTO $schema" ''
done
check 'types are those of the contract' "SELECT string_agg(format_type(atttypid, atttypmod), ' ' ORDER BY attnum) FROM pg_attribute
  WHERE attrelid = 'customer.customer_360'::regclass AND attname IN ('country', 'lifetime_value_usd', 'created_at')" \
  'character varying(2) numeric(12,2) timestamp with time zone'
check 'rows are counted' 'SELECT count(*) > 1000 FROM customer.customer_360' 't'
check 'a condition goes along' 'SELECT count(*) FROM customer.customer_360 WHERE customer_id = (SELECT min(customer_id) FROM customer.customer_360)' '1'
check 'two products are joined' 'SELECT count(*) > 0 FROM customer.customer_360 c JOIN customer.customer_events_v1 e USING (customer_id)' 't'
check 'a part of a schema is imported' "CREATE SCHEMA part; IMPORT FOREIGN SCHEMA customer LIMIT TO (customer_360) FROM SERVER mesh INTO part;
  SELECT count(*) FROM pg_class WHERE relnamespace = 'part'::regnamespace" '1'
check 'statistics may be gathered' 'ANALYZE customer.customer_360' ''
exit "$failed"
