"""psycopg 3: parameters in text and binary, server-side cursors, COPY, pipelines, prepared statements, errors."""

import concurrent.futures
import datetime
import decimal
import time
import uuid

import psycopg
from psycopg.types.json import Jsonb

from checks import DATABASE, HOST, PASSWORD, PORT, USER, check, equal, run

OPTIONS = f"host={HOST} port={PORT} user={USER} password={PASSWORD} dbname={DATABASE}"


def connect(**options):
    return psycopg.connect(OPTIONS, autocommit=True, **options)


@check
def values_have_their_python_types():
    for binary in (False, True):
        with connect() as session, session.cursor(binary=binary) as cursor:
            row = cursor.execute(
                "SELECT customer_id, tier, lifetime_value_usd, marketing_consent, created_at FROM customer.customer_360 "
                "WHERE customer_id > %s ORDER BY customer_id", (1,)).fetchone()
            equal([type(value) for value in row], [int, str, decimal.Decimal, bool, datetime.datetime])


@check
def a_parameter_whose_type_no_place_tells_is_refused():
    with connect() as session:
        for query, fault in [
            ("SELECT %s IS NULL", psycopg.errors.IndeterminateDatatype),
            ("SELECT concat(%s)", psycopg.errors.IndeterminateDatatype),
            ("SELECT current_date + %s", psycopg.errors.AmbiguousFunction),
        ]:
            try:
                session.execute(query, ("x",))
            except fault:
                continue
            raise AssertionError(f"{query} was answered")
        equal(session.execute("SELECT %s::text IS NULL, 'a' = %s", (None, "a")).fetchone(), (True, True))


@check
def own_sessions_are_stopped_by_their_number():
    with connect() as session, connect() as other:
        number = other.info.backend_pid
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            slept = pool.submit(other.execute, "SELECT pg_sleep(30)")
            time.sleep(0.3)
            equal(session.execute("SELECT pg_cancel_backend(%s)", (number,)).fetchone(), (True,))
            equal(type(slept.exception(10)), psycopg.errors.QueryCanceled)
        equal(session.execute("SELECT pg_terminate_backend(%s), pg_terminate_backend(-1)", (number,)).fetchone(), (True, False))
        try:
            time.sleep(0.2)
            other.execute("SELECT 1")
        except psycopg.OperationalError as ended:
            equal(ended.sqlstate, "57P01")
            return
    raise AssertionError("the session goes on")


@check
def parameters_find_their_types():
    with connect() as session:
        wanted = ["bronze", "gold"]
        found = session.execute("SELECT DISTINCT tier FROM customer.customer_360 WHERE tier = ANY(%s) ORDER BY 1", (wanted,)).fetchall()
        equal([tier for (tier,) in found], wanted)
        (count,) = session.execute(
            "SELECT count(*) FROM customer.customer_360 WHERE created_at > %s AND lifetime_value_usd >= %s",
            (datetime.datetime(2000, 1, 1, tzinfo=datetime.timezone.utc), decimal.Decimal("0.00"))).fetchone()
        assert count > 100


@check
def parameters_keep_their_declared_types():
    for value in (uuid.UUID(int=5), 3, datetime.date(2026, 1, 2), decimal.Decimal("1.10"), [uuid.UUID(int=1)], datetime.timedelta(days=1)):
        with connect() as session:
            equal(session.execute("SELECT %s", (value,)).fetchone(), (value,))
    with connect() as session:
        equal(session.execute("SELECT %s", (Jsonb({"b": 1, "a": [2]}),)).fetchone(), ({"a": [2], "b": 1},))
        equal(session.execute("SELECT substr('abcdef', %s, %s)", (2, 3)).fetchone(), ("bcd",))
        equal(session.execute("SELECT date '2026-01-01' + %s", (5,)).fetchone(), (datetime.date(2026, 1, 6),))
        equal(session.execute("SELECT %s * 2", (datetime.timedelta(days=1),)).fetchone(), (datetime.timedelta(days=2),))
        equal(session.execute("SELECT to_char(%s, 'YYYY')", (datetime.datetime(2026, 1, 2),)).fetchone(), ("2026",))


@check
def a_plain_cursor_goes_back_and_survives_a_savepoint():
    with psycopg.connect(OPTIONS) as session, session.cursor(name="back") as cursor:
        cursor.execute("SELECT customer_id FROM customer.customer_360 ORDER BY customer_id")
        first = cursor.fetchmany(5)
        cursor.scroll(-3)
        equal(cursor.fetchone(), first[2])
        try:
            with session.transaction():
                session.execute("SELECT 1/0")
        except psycopg.errors.DivisionByZero:
            pass
        equal(cursor.fetchone(), first[3])


@check
def a_statement_is_prepared_on_the_server():
    with connect(prepare_threshold=1) as session:
        for number in range(1, 6):
            found = session.execute("SELECT %s::int + 1", (number,)).fetchone()
            equal(found, (number + 1,))
        (count,) = session.execute("SELECT count(*) FROM pg_prepared_statements WHERE NOT from_sql").fetchone()
        assert count > 0


@check
def a_server_side_cursor_reads_in_parts():
    with psycopg.connect(OPTIONS) as session, session.cursor(name="parts") as cursor:
        cursor.itersize = 100
        cursor.execute("SELECT customer_id FROM customer.customer_360 ORDER BY customer_id")
        first = cursor.fetchmany(10)
        rest = sum(1 for _ in cursor)
        equal(len(first), 10)
        assert rest > 1000


@check
def copy_writes_every_format():
    with connect() as session, session.cursor() as cursor:
        for options, rows in (("", 20), ("(FORMAT csv, HEADER)", 21)):
            with cursor.copy(f"COPY (SELECT customer_id, tier FROM customer.customer_360 LIMIT 20) TO STDOUT {options}") as copy:
                equal(b"".join(bytes(part) for part in copy).count(b"\n"), rows)
        with cursor.copy("COPY (SELECT customer_id, tier FROM customer.customer_360 LIMIT 20) TO STDOUT (FORMAT binary)") as copy:
            copy.set_types(["int8", "text"])
            equal(sum(1 for _ in copy.rows()), 20)


@check
def texts_are_in_the_character_set_of_the_client():
    def refused(session, statement, state):
        try:
            session.execute(statement)
            raise AssertionError(f"{statement} was answered")
        except psycopg.Error as error:
            equal(error.sqlstate, state)

    with connect(client_encoding="LATIN1") as session:
        for binary in (False, True):
            cursor = session.cursor(binary=binary)
            row = cursor.execute("SELECT %s::text, ARRAY['ü'], 'é' AS \"ä\", octet_length(%s::text)", ("é", "é")).fetchone()
            equal(row, ("é", ["ü"], "é", 2))
            equal(cursor.description[2].name, "ä")
        for options, line in (("", b"\xe9\n"), ("(ENCODING 'utf-8')", "é\n".encode())):
            with session.cursor().copy(f"COPY (SELECT 'é') TO STDOUT {options}") as copy:
                equal(b"".join(bytes(part) for part in copy), line)
        refused(session, "SELECT chr(8364)", "22P05")
    with connect() as session:
        session.execute("SET client_encoding TO 'WIN1252'")
        equal(session.pgconn.parameter_status(b"client_encoding"), b"WIN1252")
        equal(session.pgconn.exec_(b"SELECT '\x80', length('\x80')").get_value(0, 0), b"\x80")
        refused(session, "SET client_encoding TO 'klingon'", "22023")


@check
def a_pipeline_keeps_its_order():
    with connect() as session, session.pipeline():
        cursors = [session.execute("SELECT %s::int", (number,)) for number in range(20)]
        equal([cursor.fetchone()[0] for cursor in cursors], list(range(20)))


@check
def a_failed_transaction_says_so():
    with psycopg.connect(OPTIONS) as session:
        for statement, state in (("SELECT nothing FROM customer.customer_360", "42703"), ("SELECT 1", "25P02")):
            try:
                session.execute(statement)
                raise AssertionError(f"{statement} was answered")
            except psycopg.Error as error:
                equal(error.sqlstate, state)
        session.rollback()
        equal(session.execute("SELECT 1").fetchone(), (1,))


@check
def types_are_loaded_by_name():
    with connect() as session:
        info = psycopg.types.TypeInfo.fetch(session, "int4")
        equal((info.oid, info.array_oid), (23, 1007))
        equal(psycopg.types.TypeInfo.fetch(session, "no_such_type"), None)
        equal(psycopg.types.range.RangeInfo.fetch(session, "int4range").subtype_oid, 23)
        equal(psycopg.types.composite.CompositeInfo.fetch(session, "no_such_type"), None)
        equal(psycopg.types.enum.EnumInfo.fetch(session, "no_such_type"), None)


run("psycopg 3")
