"""asyncpg: binary values, introspection of types, prepared statements, cursors, COPY, reset."""

import asyncio
import decimal
import io

import asyncpg

from checks import COLUMNS, DATABASE, HOST, PASSWORD, PORT, SCHEMA, TABLE, USER, check, equal, run


def session(body):
    async def inner():
        connection = await asyncpg.connect(host=HOST, port=PORT, user=USER, password=PASSWORD, database=DATABASE)
        try:
            return await body(connection)
        finally:
            await connection.close()

    return asyncio.run(inner())


@check
def rows_come_as_records():
    async def body(connection):
        rows = await connection.fetch("SELECT customer_id, tier FROM customer.customer_360 WHERE customer_id < $1 ORDER BY 1", 1500)
        assert rows and all(row["customer_id"] < 1500 for row in rows)

    session(body)


@check
def types_are_introspected():
    async def body(connection):
        key = await connection.fetchrow(
            "SELECT conname, conkey, contype FROM pg_constraint WHERE conrelid = 'customer.customer_360'::regclass")
        equal((key["conname"], key["conkey"], key["contype"]), ("customer_360_pkey", [1], b"p"))
        index = await connection.fetchrow("SELECT indkey, indclass FROM pg_index WHERE indrelid = 'customer.customer_360'::regclass")
        equal((index["indkey"], index["indclass"]), ([1], [3124]))
        series = await connection.fetchrow("SELECT proargtypes, proallargtypes FROM pg_proc WHERE oid = 1066")
        equal(series["proargtypes"], [23, 23, 23])
        names = await connection.fetchval("SELECT current_schemas(true)")
        equal(names[0], "pg_catalog")

    session(body)


@check
def columns_are_found_by_parameters():
    async def body(connection):
        rows = await connection.fetch(
            "SELECT attname FROM pg_attribute WHERE attrelid = $1::regclass AND attnum > 0 ORDER BY attnum", f"{SCHEMA}.{TABLE}")
        equal([row["attname"] for row in rows], COLUMNS)
        rows = await connection.fetch(
            "SELECT column_name FROM information_schema.columns WHERE table_schema = $1 AND table_name = $2 ORDER BY ordinal_position",
            SCHEMA, TABLE)
        equal([row["column_name"] for row in rows], COLUMNS)
        rows = await connection.fetch("SELECT typname FROM pg_type WHERE oid = ANY($1::oid[]) ORDER BY 1", [16, 20, 25])
        equal([row["typname"] for row in rows], ["bool", "int8", "text"])

    session(body)


@check
def a_prepared_statement_tells_its_types():
    async def body(connection):
        statement = await connection.prepare("SELECT oid, typname, typlen FROM pg_type WHERE oid = $1")
        equal([parameter.name for parameter in statement.get_parameters()], ["oid"])
        equal([attribute.type.name for attribute in statement.get_attributes()], ["oid", "name", "int2"])
        equal((await statement.fetchrow(23))["typname"], "int4")

    session(body)


@check
def a_cursor_reads_in_parts():
    async def body(connection):
        async with connection.transaction():
            cursor = await connection.cursor("SELECT customer_id FROM customer.customer_360 ORDER BY 1")
            equal(len(await cursor.fetch(5)), 5)
            equal(len(await cursor.fetch(5)), 5)

    session(body)


@check
def a_cursor_is_moved_by_sql():
    async def body(connection):
        async with connection.transaction():
            cursor = await connection.cursor("SELECT customer_id FROM customer.customer_360 ORDER BY 1")
            equal(await cursor.forward(2), 2)
            third = (await cursor.fetchrow())["customer_id"]
            equal(await cursor.forward(3), 3)
            seventh = (await cursor.fetchrow())["customer_id"]
        wanted = await connection.fetch("SELECT customer_id FROM customer.customer_360 ORDER BY 1 LIMIT 7")
        equal([third, seventh], [wanted[2]["customer_id"], wanted[6]["customer_id"]])

    session(body)


@check
def numerics_and_arrays_are_parameters():
    async def body(connection):
        for value in ("-5", "12345678901234567890.123456789", "1E+20"):
            number = decimal.Decimal(value)
            equal(await connection.fetchval("SELECT $1::numeric", number), number)
        equal(await connection.fetchval("SELECT $1::int[]", [[1, 2], [3, 4]]), [[1, 2], [3, 4]])

    session(body)


@check
def a_query_is_copied():
    async def body(connection):
        target = io.BytesIO()
        await connection.copy_from_query("SELECT customer_id FROM customer.customer_360 LIMIT 7", output=target, format="csv")
        equal(target.getvalue().count(b"\n"), 7)

    session(body)


@check
def a_session_is_reset_and_codecs_are_set():
    async def body(connection):
        await connection.set_type_codec("json", encoder=str, decoder=str, schema="pg_catalog")
        await connection.execute("SET search_path = customer")
        await connection.reset()
        equal(await connection.fetchval("SHOW search_path"), '"$user", public')

    session(body)


run("asyncpg")
