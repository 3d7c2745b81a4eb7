#!/usr/bin/env bash
# Runs real clients against a gateway on the quickstart and prints a line for each check. With arguments, only the clients named.
#   MESHGATE       the binary of the gateway
#   POSTGRES_URL   a Postgres whose superuser may make databases; without it postgres_fdw is left out
set -euo pipefail

# shellcheck source=tests/clients/gateway.sh
source "$(dirname "${BASH_SOURCE[0]}")/gateway.sh"
"$clients/setup.sh"
start_gateway

python() { PYTHONPATH=$clients PYTHONDONTWRITEBYTECODE=1 "$home/python/bin/python" "$clients/$1" "${@:2}"; }
java_classes=$work/java

psycopg() { python with_psycopg.py; }
asyncpg() { python with_asyncpg.py; }
sqlalchemy() {
  local failed=0
  for driver in psycopg psycopg2 pg8000 asyncpg; do python with_sqlalchemy.py "$driver" || failed=1; done
  return "$failed"
}
psqlodbc() { python with_psqlodbc.py; }
node_pg() { NODE_PATH=$home/node/node_modules node "$clients/node_pg.js"; }
pgjdbc() {
  local jar=/usr/share/java/postgresql.jar
  javac -nowarn -d "$java_classes" -cp "$jar" "$clients/Jdbc.java"
  java -cp "$java_classes:$jar:/usr/share/java/scram-client.jar:/usr/share/java/scram-common.jar" Jdbc
}
openlineage() { python with_openlineage.py "$work/lineage/openlineage.jsonl"; }
datahub() { "$clients/with_datahub.sh" "$MESHGATE" "$work/meshgate.yaml" "$work" "$home/datahub/bin/datahub"; }
psql_() { "$clients/psql.sh"; }
pgbench_() { PGBENCH=$(tool pgbench) "$clients/pgbench.sh"; }
postgres_fdw() {
  if [[ -z ${POSTGRES_URL:-} ]]; then
    echo 'skip  postgres_fdw: POSTGRES_URL is not set'
    return
  fi
  "$clients/postgres_fdw.sh"
}

wanted=("$@")
((${#wanted[@]})) || wanted=(psycopg asyncpg sqlalchemy psqlodbc node_pg pgjdbc psql_ pgbench_ postgres_fdw openlineage datahub)
failed=()
for client in "${wanted[@]}"; do
  "$client" || failed+=("$client")
done
if ((${#failed[@]})); then
  echo "clients that failed: ${failed[*]}" >&2
  exit 1
fi
