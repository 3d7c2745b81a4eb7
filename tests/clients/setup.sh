#!/usr/bin/env bash
# Installs what the clients' tests need: from Debian what is missing, and from PyPI and npm into ~/.cache/meshgate/clients.
# `setup.sh long` also installs what the long tail needs, `setup.sh s3` and `setup.sh azure` nothing but a service that speaks S3 or the API of
# Azure's blobs; the latter needs node and npm, and does not install them. A second run finds everything there.
set -euo pipefail

home=${MESHGATE_CLIENTS:-$HOME/.cache/meshgate/clients}
mkdir -p "$home"

if [[ ${1:-} == azure ]]; then
  if [[ ! -e $home/azure/node_modules/.bin/azurite-blob ]]; then
    mkdir -p "$home/azure"
    npm install --silent --no-audit --no-fund --omit=optional --prefix "$home/azure" azurite@3 >/dev/null
  fi
  exit
fi

packages=()
needs() { command -v "$1" >/dev/null || packages+=("${@:2}"); }
needs python3 python3
python3 -c 'import ensurepip' 2>/dev/null || packages+=(python3-venv)
if [[ ${1:-} != s3 ]]; then
  needs psql postgresql-client
  needs node nodejs
  needs npm npm
  needs javac default-jdk-headless
  [[ -e /usr/share/java/postgresql.jar ]] || packages+=(libpostgresql-jdbc-java)
  compgen -G '/usr/lib/*/odbc/psqlodbcw.so' >/dev/null || packages+=(odbc-postgresql)
  ldconfig -p | grep -q libodbc.so.2 || packages+=(unixodbc)
fi
if [[ ${1:-} == long ]]; then
  perl -MDBD::Pg -e 1 2>/dev/null || packages+=(libdbd-pg-perl)
  ruby -rpg -e 1 2>/dev/null || packages+=(ruby-pg)
  php -r 'exit(extension_loaded("pdo_pgsql") ? 0 : 1);' 2>/dev/null || packages+=(php-cli php-pgsql)
  needs pgbouncer pgbouncer
fi
if ((${#packages[@]})); then
  if ((EUID != 0)); then
    echo "run: sudo apt-get install ${packages[*]}" >&2
    exit 1
  fi
  echo "installing ${packages[*]}"
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${packages[@]}" >/dev/null
fi

# venv FOLDER PACKAGE…: a Python of its own with these packages; a list that has changed is installed anew.
venv() {
  local folder=$home/$1
  shift
  if [[ $(cat "$folder/packages" 2>/dev/null) != "$*" ]]; then
    rm -rf "$folder"
    python3 -m venv "$folder"
    "$folder/bin/pip" install --quiet --disable-pip-version-check "$@"
    echo "$*" >"$folder/packages"
  fi
}

if [[ ${1:-} == s3 ]]; then
  venv s3 'moto[server]==5.*'
  exit
fi
venv python 'psycopg[binary]==3.3.*' 'psycopg2-binary==2.9.*' 'asyncpg==0.32.*' 'pg8000==1.31.*' 'sqlalchemy[asyncio]==2.1.*' 'pyodbc==5.*' \
  'jsonschema==4.*' 'rfc3339-validator'
venv datahub 'acryl-datahub==1.*'
if [[ ! -d $home/node/node_modules/pg-cursor ]]; then
  mkdir -p "$home/node"
  npm install --silent --no-audit --no-fund --prefix "$home/node" pg@8 pg-cursor@2 >/dev/null
fi
if [[ ${1:-} == long ]]; then
  if [[ ! -d $home/node_long/node_modules/kysely ]]; then
    mkdir -p "$home/node_long"
    npm install --silent --no-audit --no-fund --prefix "$home/node_long" postgres@3 knex@3 sequelize@6 typeorm@0.3 reflect-metadata pg@8 \
      pg-query-stream@4 pg-cursor@2 kysely@0.28 >/dev/null
  fi
  venv long 'pandas' 'polars' 'pyarrow' 'connectorx' 'adbc-driver-postgresql' 'duckdb' 'duckdb-extensions' 'duckdb-extension-postgres-scanner' \
    'pgcli' 'sqlalchemy==2.*' 'psycopg2-binary' 'psycopg[binary]' 'django==5.*' 'peewee==3.*'
  venv superset_sqlalchemy 'sqlalchemy==1.4.*' 'psycopg2-binary' 'pandas'
  venv expectations 'great_expectations[postgresql]==1.*'
  venv dbt 'dbt-core==1.9.*' 'dbt-postgres==1.9.*'
fi
