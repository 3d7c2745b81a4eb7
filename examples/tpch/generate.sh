#!/usr/bin/env bash
# Makes the eight TPC-H tables at a scale: Parquet and CSV files, and tables of a Postgres.
#
#   generate.sh SCALE [FOLDER] [DSN]
#
# SCALE   1 is about 1 GB (6 million lines of orders).
# FOLDER  where the files go; the folder `data` beside this script if it is not named.
# DSN     the Postgres, as psql takes it; postgres://127.0.0.1:5432/tpch if it is not named. The user and the password come from it, or from
#         PGUSER and PGPASSWORD. Its schemas `mesh` and `reference` are replaced.
#
# If folder or DSN differ from the defaults, a configuration with contracts that fit is written into the folder, else
# `meshgate.yaml` beside this script fits.
# Needs psql, and tpchgen-cli in PATH or python3 to install it into a virtual environment (wheel of PyPI, a few MB).
set -euo pipefail

usage='usage: generate.sh SCALE [FOLDER] [DSN]'
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
scale=${1:?$usage}
folder=${2:-$here/data}
dsn=${3:-postgres://127.0.0.1:5432/tpch}

[[ $scale =~ ^[0-9]+(\.[0-9]+)?$ ]] || { echo "$usage" >&2; exit 2; }
command -v psql >/dev/null || { echo 'generate.sh: psql was not found; run: sudo apt-get install postgresql-client' >&2; exit 1; }
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)

tpchgen=$(command -v tpchgen-cli || true)
if [[ -z $tpchgen ]]; then
  environment=${XDG_CACHE_HOME:-$HOME/.cache}/meshgate/tpchgen
  tpchgen=$environment/bin/tpchgen-cli
  if [[ ! -x $tpchgen ]]; then
    echo "== installing tpchgen-cli into $environment"
    python3 -m venv "$environment"
    "$environment/bin/pip" install --quiet --disable-pip-version-check 'tpchgen-cli>=4,<5'
  fi
fi

echo "== writing scale $scale into $folder"
loading=$folder/loading
rm -rf -- "$loading"
mkdir -p "$loading"
trap 'rm -rf -- "$loading"' EXIT
"$tpchgen" parquet --quiet --overwrite -s "$scale" -o "$folder" --tables lineitem,part,partsupp --row-group-bytes 64MB
"$tpchgen" csv --quiet --overwrite -s "$scale" -o "$folder" --tables nation,region,supplier
"$tpchgen" csv --quiet --overwrite -s "$scale" -o "$loading"

echo '== loading Postgres'
(cd "$loading" && psql -X -q -v ON_ERROR_STOP=1 -f "$here/load.sql" "$dsn")

read -r host port database < <(psql -X -A -t -F ' ' -c \
  "SELECT coalesce(host(inet_server_addr()), '127.0.0.1'), current_setting('port'), current_database()" "$dsn")
if [[ $folder == "$here/data" && "$host $port $database" == '127.0.0.1 5432 tpch' ]]; then
  configuration=$here/meshgate.yaml
else
  rm -rf -- "$folder/catalogs"
  cp -R "$here/catalogs" "$folder/catalogs"
  sed -i "s|postgres://127.0.0.1:5432/tpch/|postgres://$host:$port/$database/|" "$folder"/catalogs/tpch/*.yaml
  configuration=$folder/meshgate.yaml
  sed -e "s|^data: .*|data: .|" -e "s|: \.\./\.\./|: $here/../../|" -e "s|: \.\./|: $here/../|" "$here/meshgate.yaml" >"$configuration"
fi

echo '== counts in Postgres'
for table in region nation supplier part partsupp customer orders lineitem; do
  printf '%-9s %s\n' "$table" "$(psql -X -A -t -c "SELECT count(*) FROM reference.$table" "$dsn")"
done
cat <<END
Now:
  export TPCH_POSTGRES=user:password
  cargo run --release -- serve $configuration
END
