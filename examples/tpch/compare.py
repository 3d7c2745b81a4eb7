#!/usr/bin/env python3
"""Runs the 22 TPC-H queries on the gateway and on a plain Postgres with the same data, compares the answers and prints the times.

    compare.py --gateway postgres://analyst:analyst@127.0.0.1:6433/mesh --postgres postgres://127.0.0.1:5432/tpch

When answers are equal:
  * the columns are as many and have the same names, the rows are as many;
  * rows come in the same order as far as ORDER BY says; rows that tie may be swapped;
  * texts and dates are equal letter for letter;
  * numbers are equal in value. Only where one is rounded, that is where both have four digits or more behind the point, they may differ by
    one unit of the last digit of the shorter one, or by a billionth of their value (floating point).
A time is that of the best of --runs runs of psql, connecting included. Exit 1 if an answer differs. Needs psql and nothing else.
"""

import argparse
import csv
import io
import pathlib
import subprocess
import sys
import time
from decimal import Decimal, InvalidOperation

# Queries whose ORDER BY leaves ties, and the columns that it does sort by. All others are ordered throughout.
SORTED_BY = {3: [1, 2], 10: [2], 11: [1], 18: [4, 3]}
RELATIVE = Decimal("1e-9")


def run(dsn, schema, sql, seconds):
    """The header, the rows and the time of one query."""
    text = f"SET search_path = {schema};\n{sql}"
    command = ["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "--csv", "-f", "-", dsn]
    start = time.monotonic()
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=seconds)
    took = time.monotonic() - start
    if done.returncode != 0:
        raise RuntimeError(done.stderr.strip() or f"psql ended with {done.returncode}")
    rows = list(csv.reader(io.StringIO(done.stdout)))
    return rows[0], rows[1:], took


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


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gateway", default="postgres://analyst:analyst@127.0.0.1:6433/mesh")
    parser.add_argument("--gateway-schema", default="tpch")
    parser.add_argument("--postgres", default="postgres://127.0.0.1:5432/tpch")
    parser.add_argument("--postgres-schema", default="reference")
    parser.add_argument("--queries", default=",".join(str(number) for number in range(1, 23)), help="for example 1,6,14")
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=600, help="the longest that a query may take")
    options = parser.parse_args()

    folder = pathlib.Path(__file__).parent / "queries"
    failed, ours_total, theirs_total = [], 0.0, 0.0
    print(f"{'query':>5} {'rows':>6} {'gateway s':>10} {'postgres s':>10} {'ratio':>6}  answer")
    for query in (int(text) for text in options.queries.split(",")):
        sql = (folder / f"q{query:02}.sql").read_text()
        try:
            theirs, theirs_took = best(options.postgres, options.postgres_schema, sql, options.runs, options.seconds)
            ours, ours_took = best(options.gateway, options.gateway_schema, sql, options.runs, options.seconds)
        except (RuntimeError, subprocess.TimeoutExpired) as error:
            failed.append(query)
            print(f"{query:>5} {'':>6} {'':>10} {'':>10} {'':>6}  FAILED: {error}", flush=True)
            continue
        fault = difference(query, ours, theirs)
        if fault:
            failed.append(query)
        ours_total, theirs_total = ours_total + ours_took, theirs_total + theirs_took
        print(
            f"{query:>5} {len(ours[1]):>6} {ours_took:>10.3f} {theirs_took:>10.3f} {ours_took / theirs_took:>6.2f}  "
            + (f"DIFFERS: {fault}" if fault else "equal"),
            flush=True,
        )
    print(f"{'total':>5} {'':>6} {ours_total:>10.3f} {theirs_total:>10.3f}")
    if failed:
        print(f"compare.py: queries {failed} failed", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
