#!/usr/bin/env python3
"""Runs the 22 TPC-H queries on the gateway and on a plain Postgres with the same data, compares the answers and prints the times.

    compare.py --gateway postgres://analyst:analyst@127.0.0.1:6433/mesh --postgres postgres://127.0.0.1:5432/tpch

When answers are equal:
  * the columns are as many and have the same names, the rows are as many;
  * rows come in the same order as far as ORDER BY says; rows that tie may be swapped;
  * texts and dates are equal letter for letter;
  * numbers are equal in value. Only where one is rounded, that is where both have four digits or more behind the point, they may differ by
    one unit of the last digit of the shorter one, or by a billionth of their value (floating point).
A time is psql's own of the query alone, the best of --runs runs. Exit 1 if an answer differs. Needs psql and nothing else.

    --bare "cargo bench --bench tpch_bare -- examples/tpch/meshgate.yaml"

runs each query on the bare engine too: the same ports without the gateway around them.
"""

import argparse
import csv
import io
import pathlib
import re
import shlex
import subprocess
import sys
from decimal import Decimal, InvalidOperation

# Queries whose ORDER BY leaves ties, and the columns that it does sort by. All others are ordered throughout.
SORTED_BY = {3: [1, 2], 10: [2], 11: [1], 18: [4, 3]}
RELATIVE = Decimal("1e-9")


def run(dsn, schema, sql, seconds):
    """The header, the rows and the time of one query."""
    text = f"SET search_path = {schema};\n\\timing on\n{sql}"
    command = ["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "--csv", "-f", "-", dsn]
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=seconds)
    if done.returncode != 0:
        raise RuntimeError(done.stderr.strip() or f"psql ended with {done.returncode}")
    answer, timing, milliseconds = done.stdout.rpartition("Time: ")
    if not timing:
        raise RuntimeError("psql told no time")
    rows = list(csv.reader(io.StringIO(answer)))
    return rows[0], rows[1:], float(milliseconds.split()[0]) / 1000


class Bare:
    """The bare engine: a process that is told the path of a query and answers with its time and the number of its rows."""

    def __init__(self, command):
        self.process = subprocess.Popen(shlex.split(command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def run(self, path):
        self.process.stdin.write(f"{path}\n")
        self.process.stdin.flush()
        for line in self.process.stdout:
            if re.fullmatch(r"[0-9.e-]+ [0-9]+\n", line):
                took, rows = line.split()
                return float(took), int(rows)
        raise RuntimeError("the bare engine ended")

    def end(self):
        self.process.stdin.close()
        self.process.wait()


def number(text):
    try:
        return Decimal(text)
    except InvalidOperation:
        return None


def same_value(one, two):
    if one == two:
        return True
    a, b = number(one), number(two)
    if a is None or b is None or not a.is_finite() or not b.is_finite():
        return False
    if a == b:
        return True
    digits = min(-a.as_tuple().exponent, -b.as_tuple().exponent)
    if digits < 4:
        return False
    return abs(a - b) <= max(Decimal(1).scaleb(-digits), RELATIVE * max(abs(a), abs(b)))


def same_row(one, two):
    return len(one) == len(two) and all(same_value(a, b) for a, b in zip(one, two))


def difference(query, ours, theirs):
    """What differs, or None."""
    (our_header, our_rows), (their_header, their_rows) = ours, theirs
    if [name.lower() for name in our_header] != [name.lower() for name in their_header]:
        return f"columns {our_header} instead of {their_header}"
    if len(our_rows) != len(their_rows):
        return f"{len(our_rows)} rows instead of {len(their_rows)}"
    keys = SORTED_BY.get(query)
    if keys:
        for number_of_row, (one, two) in enumerate(zip(our_rows, their_rows), 1):
            if not same_row([one[key] for key in keys], [two[key] for key in keys]):
                return f"row {number_of_row} is out of order: {one} instead of {two}"
        our_rows, their_rows = sorted(our_rows), sorted(their_rows)
    for number_of_row, (one, two) in enumerate(zip(our_rows, their_rows), 1):
        if not same_row(one, two):
            return f"row {number_of_row}: {one} instead of {two}"
    return None


def best(dsn, schema, sql, runs, seconds):
    results = [run(dsn, schema, sql, seconds) for _ in range(runs)]
    header, rows, _ = results[0]
    return (header, rows), min(took for _, _, took in results)


def best_bare(bare, path, runs, count):
    results = [bare.run(path) for _ in range(runs)]
    if any(rows != count for _, rows in results):
        raise RuntimeError(f"{results[0][1]} rows of the bare engine instead of {count}")
    return min(took for took, _ in results)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gateway", default="postgres://analyst:analyst@127.0.0.1:6433/mesh")
    parser.add_argument("--gateway-schema", default="tpch")
    parser.add_argument("--postgres", default="postgres://127.0.0.1:5432/tpch")
    parser.add_argument("--postgres-schema", default="reference")
    parser.add_argument("--bare", help="the command that starts the bare engine")
    parser.add_argument("--queries", default=",".join(str(number) for number in range(1, 23)), help="for example 1,6,14")
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=600, help="the longest that a query may take")
    options = parser.parse_args()

    folder = pathlib.Path(__file__).resolve().parent / "queries"
    bare = Bare(options.bare) if options.bare else None
    failed, totals = [], [0.0, 0.0, 0.0]
    print(f"{'query':>5} {'rows':>6} {'gateway s':>10} {'postgres s':>10} {'bare s':>10} {'g/p':>6} {'g/b':>6}  answer")
    for query in (int(text) for text in options.queries.split(",")):
        path = folder / f"q{query:02}.sql"
        sql = path.read_text()
        try:
            theirs, theirs_took = best(options.postgres, options.postgres_schema, sql, options.runs, options.seconds)
            bare_took = best_bare(bare, path, options.runs, len(theirs[1])) if bare else float("nan")
            ours, ours_took = best(options.gateway, options.gateway_schema, sql, options.runs, options.seconds)
        except (RuntimeError, subprocess.TimeoutExpired) as error:
            failed.append(query)
            print(f"{query:>5} {'':>6} {'':>10} {'':>10} {'':>10} {'':>6} {'':>6}  FAILED: {error}", flush=True)
            continue
        fault = difference(query, ours, theirs)
        if fault:
            failed.append(query)
        totals = [total + took for total, took in zip(totals, (ours_took, theirs_took, bare_took))]
        print(
            f"{query:>5} {len(ours[1]):>6} {times(ours_took, theirs_took, bare_took)}  " + (f"DIFFERS: {fault}" if fault else "equal"),
            flush=True,
        )
    print(f"{'total':>5} {'':>6} {times(*totals)}")
    if bare:
        bare.end()
    if failed:
        print(f"compare.py: queries {failed} failed", file=sys.stderr)
        return 1
    return 0


def times(ours, theirs, bare):
    return f"{ours:>10.3f} {theirs:>10.3f} {bare:>10.3f} {ours / theirs if theirs else 0:>6.2f} {ours / bare if bare else 0:>6.2f}"


if __name__ == "__main__":
    sys.exit(main())
