#!/usr/bin/env python3
"""What the gateway makes of tables of a Postgres server, beside that server asked directly, postgres_fdw and DuckDB with its Postgres scanner.

    pip install duckdb duckdb-extension-postgres-scanner
    benches/ports.py --meshgate target/release/meshgate --config examples/tpch/meshgate.yaml \\
        --postgres postgres://127.0.0.1:5432/tpch --parquet examples/tpch/data/lineitem.parquet [QUERY …]

Needs the data of `examples/tpch/generate.sh 1`, `TPCH_POSTGRES` in the environment, and a login that may create the extension and the schema `fdw` in
that database: both are left there. `lineitem` is a Parquet file for the gateway and DuckDB, and a local table for Postgres and postgres_fdw; `orders` and
`customer` are tables of the server for all. Times are medians of wall clock, all systems in turn in each round. Who comes behind a scan of a whole table
finds the server's buffers and the processor's caches without its own, and who comes behind the same query with its own: so over four rounds each system comes
behind each other one equally often. Every answer must be the same.
"""

import argparse
import decimal
import importlib.util
import os
import pathlib
import statistics
import struct
import sys
import time
import urllib.parse

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from speed import Gateway, Wire  # noqa: E402

# What is asked, and the most that it may take: times Postgres (and seconds more), times DuckDB.
QUERIES = {
    "aggregate": (
        "SELECT o_orderstatus, count(*), sum(o_totalprice), max(o_orderdate) FROM orders GROUP BY o_orderstatus ORDER BY 1",
        (1.1, 0.001, None),
    ),
    "aggregate, filtered": ("SELECT count(*), min(o_totalprice) FROM orders WHERE o_orderdate >= DATE '1998-07-01'", (1.1, 0.001, None)),
    "top-N": ("SELECT o_orderkey, o_totalprice FROM orders ORDER BY o_totalprice DESC, o_orderkey LIMIT 10", (1.1, 0.001, None)),
    "point": ("SELECT o_totalprice FROM orders WHERE o_orderkey = 7", (2.5, 0, None)),
    "join with a file, filtered": (
        "SELECT count(*), sum(l_quantity) FROM lineitem JOIN orders ON l_orderkey = o_orderkey WHERE o_orderdate >= DATE '1998-07-25'",
        (None, 0, 1.0),
    ),
    "join with a file": (
        "SELECT o_orderpriority, count(*) FROM lineitem JOIN orders ON l_orderkey = o_orderkey GROUP BY 1 ORDER BY 1",
        (None, 0, 1.0),
    ),
    "join of two tables": (
        "SELECT c_mktsegment, count(*), sum(o_totalprice) FROM orders JOIN customer ON o_custkey = c_custkey GROUP BY 1 ORDER BY 1",
        (None, 0, 1.0),
    ),
    "join on a few keys": (
        "SELECT count(*), sum(o_totalprice) FROM lineitem JOIN orders ON l_orderkey = o_orderkey WHERE l_partkey = 155190",
        (None, 0, 0.5),
    ),
}


def cells(wire, text):
    """The rows of a simple query, each a list of texts."""
    wire.send(b"Q", text.encode() + b"\0")
    rows, fault = [], None
    while True:
        kind, body = wire.message()
        if kind == b"D":
            (count,), at, row = struct.unpack("!h", body[:2]), 2, []
            for _ in range(count):
                (length,) = struct.unpack("!i", body[at : at + 4])
                at += 4
                row.append(None if length < 0 else body[at : at + length].decode())
                at += max(length, 0)
            rows.append(row)
        elif kind == b"E":
            fault = body.replace(b"\0", b" ").decode(errors="replace")
        elif kind == b"Z":
            if fault:
                raise RuntimeError(f"{text}: {fault}")
            return rows


def alike(rows):
    def told(value):
        try:
            return str(decimal.Decimal(str(value)).normalize())
        except decimal.InvalidOperation:
            return str(value)

    return [[told(value) for value in row] for row in rows]


def duckdb_over(options):
    import duckdb

    parts = urllib.parse.urlsplit(options.postgres)
    user, _, password = os.environ["TPCH_POSTGRES"].partition(":")
    duck = duckdb.connect(config={"threads": 2})
    # The wheel brings the extension's file; DuckDB itself would fetch one from its own server.
    wheel = importlib.util.find_spec("duckdb_extension_postgres_scanner")
    for folder in wheel.submodule_search_locations if wheel else []:
        for file in pathlib.Path(folder).glob(f"extensions/v{duckdb.__version__}/*.duckdb_extension"):
            duck.execute(f"INSTALL '{file}'")
    duck.execute("LOAD postgres_scanner")
    login = f"host={parts.hostname} port={parts.port or 5432} dbname={parts.path.lstrip('/')} user={user} password={password}"
    duck.execute(f"ATTACH '{login}' AS pg (TYPE postgres, SCHEMA 'mesh', READ_ONLY)")
    duck.execute(f"CREATE VIEW lineitem AS SELECT * FROM read_parquet('{options.parquet}')")
    for table in ("orders", "customer"):
        duck.execute(f"CREATE VIEW {table} AS SELECT * FROM pg.mesh.{table}")
    return lambda text: duck.execute(text).fetchall()


def foreign(options):
    wire = Wire(options.postgres)
    parts = urllib.parse.urlsplit(options.postgres)
    user, _, password = os.environ["TPCH_POSTGRES"].partition(":")
    for text in (
        "CREATE EXTENSION IF NOT EXISTS postgres_fdw",
        "DROP SCHEMA IF EXISTS fdw CASCADE",
        "DROP SERVER IF EXISTS ports_bench CASCADE",
        "CREATE SCHEMA fdw",
        "CREATE SERVER ports_bench FOREIGN DATA WRAPPER postgres_fdw OPTIONS "
        f"(host '{parts.hostname}', port '{parts.port or 5432}', dbname '{parts.path.lstrip('/')}', use_remote_estimate 'true')",
        f"CREATE USER MAPPING FOR CURRENT_USER SERVER ports_bench OPTIONS (user '{user}', password '{password}')",
        "IMPORT FOREIGN SCHEMA mesh LIMIT TO (orders, customer) FROM SERVER ports_bench INTO fdw",
        "SET search_path = fdw, reference",
    ):
        cells(wire, text)
    return lambda text: cells(wire, text)


def direct(options):
    wire = Wire(options.postgres, options="-c search_path=mesh,reference")
    return lambda text: cells(wire, text)


def turns(count, round_):
    """Whose turn it is, in a round of an even number of systems: in so many rounds each comes once behind each other one."""
    first = [(at + 1) // 2 if at % 2 else (count - at // 2) % count for at in range(count)]
    return [(system + round_) % count for system in first]


def measure(name, systems, rounds):
    text, (of_postgres, more, of_duckdb) = QUERIES[name]
    times, answers = {}, {}
    order = list(systems.items())
    for round_ in range(rounds + 1):
        for turn in turns(len(order), round_):
            system, ask = order[turn]
            start = time.perf_counter()
            answers[system] = alike(ask(text))
            if round_:
                times.setdefault(system, []).append(time.perf_counter() - start)
    for system, answer in answers.items():
        if answer != answers["postgres"]:
            sys.exit(f"{name}: {system} answers {answer[:3]}, Postgres {answers['postgres'][:3]}")
    medians = {system: statistics.median(times[system]) for system in systems}
    ours = medians["gateway"]
    shown = "  ".join(f"{system} {seconds * 1000:9.2f} ms ({ours / seconds:5.2f} x)" for system, seconds in medians.items())
    missed = (of_postgres and ours > of_postgres * medians["postgres"] + more) or (of_duckdb and ours > of_duckdb * medians["duckdb"])
    print(f"{name:<28} {shown}{'  MISSED' if missed else ''}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("queries", nargs="*", metavar="QUERY", help=", ".join(QUERIES))
    parser.add_argument("--meshgate", required=True)
    parser.add_argument("--config", required=True)
    parser.add_argument("--gateway", default="postgres://analyst:analyst@127.0.0.1:6433/mesh")
    parser.add_argument("--postgres", required=True)
    parser.add_argument("--parquet", required=True)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--server-cpus", default="0-1")
    parser.add_argument("--log", default="/tmp/ports-bench.log")
    options = parser.parse_args()
    unknown = set(options.queries) - set(QUERIES)
    if unknown:
        parser.error(f"there is no query {sorted(unknown)}")
    with Gateway(options) as gateway:
        wire = gateway.connect()
        systems = {
            "gateway": lambda text: cells(wire, text),
            "postgres": direct(options),
            "postgres_fdw": foreign(options),
            "duckdb": duckdb_over(options),
        }
        for name in options.queries or QUERIES:
            measure(name, systems, options.rounds)


if __name__ == "__main__":
    main()
