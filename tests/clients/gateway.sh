# Sourced: starts a gateway on a copy of the quickstart, on a free port, and stops it when the shell ends. MESHGATE is its binary.

clients=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
repository=$(cd "$clients/../.." && pwd)
home=${MESHGATE_CLIENTS:-$HOME/.cache/meshgate/clients}
MESHGATE=${MESHGATE:-${CARGO_TARGET_DIR:-$HOME/.cache/meshgate/target}/debug/meshgate}
work=$(mktemp -d)
gateway=''

stop_gateway() {
  if [[ -n $gateway ]] && kill -0 "$gateway" 2>/dev/null; then
    kill -TERM "$gateway" 2>/dev/null || true
    wait "$gateway" 2>/dev/null || true
  fi
  rm -rf -- "$work"
}
trap stop_gateway EXIT

start_gateway() {
  cp "$repository"/examples/quickstart/*.yaml "$work"
  for _ in 1 2 3 4 5; do
    MESHGATE_PORT=$((20000 + (RANDOM * 32768 + RANDOM) % 12000))
    sed -i -E "s#^listen: .*#listen: 127.0.0.1:$MESHGATE_PORT#; s#^(catalogs|policies): .*#\1: $repository/\1#" "$work/meshgate.yaml"
    (cd "$work" && exec "$MESHGATE" serve meshgate.yaml) >"$work/log" 2>&1 &
    gateway=$!
    for _ in $(seq 300); do
      if grep -q 'meshgate listens on' "$work/log"; then
        export MESHGATE_PORT
        return
      fi
      kill -0 "$gateway" 2>/dev/null || break
      sleep 0.1
    done
    kill -TERM "$gateway" 2>/dev/null || true
    wait "$gateway" 2>/dev/null || true
    gateway=''
  done
  cat "$work/log" >&2
  echo 'the gateway did not start' >&2
  return 1
}

# tool NAME: a program of PostgreSQL, from the newest installation that has it.
tool() {
  command -v "$1" || find /usr/lib/postgresql -path "*/bin/$1" 2>/dev/null | sort -rV | head -n 1
}
