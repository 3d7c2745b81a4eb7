#!/usr/bin/env bash
# Runs the clients that are too large for every test run: pandas, polars, connectorx, ADBC, DuckDB, pgcli, Superset's SQLAlchemy, dbt,
# Great Expectations, Django, peewee, postgres.js, Knex, Sequelize, TypeORM, Kysely, DBD::Pg, Ruby's pg, PHP's PDO and pgsql, pgbouncer, pg_dump, and what
# pgAdmin asks. It takes some minutes at the first run, for it installs them.
#   MESHGATE       the binary of the gateway
set -euo pipefail

# shellcheck source=tests/clients/gateway.sh
source "$(dirname "${BASH_SOURCE[0]}")/gateway.sh"
"$clients/setup.sh" long
start_gateway

url=postgresql://steward:steward@127.0.0.1:$MESHGATE_PORT/mesh
failed=()
# attempt NAME COMMAND…: its output is shown if it fails.
attempt() {
  local name=$1 output
  shift
  if output=$("$@" 2>&1); then
    printf 'ok    %s\n' "$name"
  else
    printf 'FAIL  %s: %s\n' "$name" "$(tail -n 5 <<<"$output")"
    failed+=("$name")
  fi
}
long() { PYTHONPATH=$clients PYTHONDONTWRITEBYTECODE=1 "$home/$1/bin/python" "$clients/long_tail.py" "$2" "$url"; }

# A pool in front of the gateway, by transaction and by session, with a client of its own.
pooled() {
  local pool=$work/pool mode port=$((MESHGATE_PORT + 1)) process status
  mkdir -p "$pool"
  printf '"steward" "steward"\n' >"$pool/users"
  for mode in transaction session; do
    cat >"$pool/pgbouncer.ini" <<INI
[databases]
mesh = host=127.0.0.1 port=$MESHGATE_PORT dbname=mesh
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = $port
auth_type = plain
auth_file = $pool/users
pool_mode = $mode
default_pool_size = 2
unix_socket_dir =
ignore_startup_parameters = extra_float_digits
INI
    chmod -R a+rX "$work"
    if ((EUID == 0)); then pgbouncer -q -u nobody "$pool/pgbouncer.ini" & else pgbouncer -q "$pool/pgbouncer.ini" & fi
    process=$!
    sleep 1
    status=0
    PYTHONPATH=$clients PYTHONDONTWRITEBYTECODE=1 "$home/long/bin/python" "$clients/long_tail.py" pooled \
      "postgresql://steward:steward@127.0.0.1:$port/mesh" || status=$?
    kill "$process" && wait "$process" || true
    ((status == 0)) || return "$status"
  done
}

for client in pandas polars connectorx adbc duckdb django peewee; do attempt "$client" long long "$client"; done
for client in postgres_js knex sequelize typeorm pg_query_stream kysely; do
  attempt "$client" env NODE_PATH="$home/node_long/node_modules" node "$clients/long_tail.mjs" "$client" "$url"
done
attempt 'DBD::Pg' perl "$clients/long_tail.pl" "$MESHGATE_PORT"
attempt "Ruby's pg" ruby "$clients/long_tail.rb" "$url"
attempt "PHP's PDO and pgsql" php -d display_errors=stderr "$clients/long_tail.php" "$MESHGATE_PORT"
attempt 'pgbouncer' pooled
attempt 'superset (SQLAlchemy 1.4)' long superset_sqlalchemy superset
attempt 'great expectations' long expectations great_expectations
attempt 'pgcli' bash -c "printf '%s\n' '\\d customer.customer_360' 'SELECT count(*) FROM customer.customer_360;' | PGPASSWORD=steward \
  '$home/long/bin/pgcli' --less-chatty -h 127.0.0.1 -p $MESHGATE_PORT -U steward mesh | grep -q customer_id"
attempt 'pg_dump --schema-only' bash -c "PGPASSWORD=steward '$(tool pg_dump)' --schema-only -t customer.customer_360 '$url' | grep -q 'CREATE TABLE customer.customer_360'"
attempt 'pgadmin' "$(tool psql)" -X -q -v ON_ERROR_STOP=1 -o /dev/null -f "$clients/pgadmin.sql" "$url"

mkdir -p "$work/dbt/models"
cat >"$work/dbt/dbt_project.yml" <<YAML
{name: mesh, version: '1.0', profile: mesh, model-paths: [models]}
YAML
cat >"$work/dbt/profiles.yml" <<YAML
mesh: {target: it, outputs: {it: {type: postgres, host: 127.0.0.1, port: $MESHGATE_PORT, user: steward, password: steward, dbname: mesh, schema: customer, threads: 1}}}
YAML
cat >"$work/dbt/models/sources.yml" <<YAML
sources: [{name: customer, tables: [{name: customer_360, columns: [{name: customer_id, data_tests: [unique, not_null]}]}]}]
YAML
dbt() { (cd "$work/dbt" && DBT_SEND_ANONYMOUS_USAGE_STATS=false "$home/dbt/bin/dbt" --quiet "$@" --profiles-dir .); }
attempt 'dbt debug' dbt debug
attempt 'dbt test' dbt test
attempt 'dbt show' dbt show --inline "select tier, count(*) as n from {{ source('customer', 'customer_360') }} group by tier"

if ((${#failed[@]})); then
  echo "clients that failed: ${failed[*]}" >&2
  exit 1
fi
