"""SQLAlchemy: reflection over psycopg 3, psycopg 2, pg8000 and asyncpg."""

import asyncio
import sys

import sqlalchemy
from sqlalchemy.ext.asyncio import create_async_engine

from checks import COLUMNS, SCHEMA, TABLE, URL, check, equal, run


class Driver:
    """Runs a piece of work on a connection of one driver."""

    def __init__(self, name):
        self.url, self.asynchronous = f"postgresql+{name}://{URL}", name == "asyncpg"

    def __call__(self, work):
        if not self.asynchronous:
            engine = sqlalchemy.create_engine(self.url)
            with engine.connect() as connection:
                return work(connection)

        async def inner():
            engine = create_async_engine(self.url)
            async with engine.connect() as connection:
                found = await connection.run_sync(work)
            await engine.dispose()
            return found

        return asyncio.run(inner())

    def inspect(self, work):
        return self(lambda connection: work(sqlalchemy.inspect(connection)))


@check
def schemas_and_tables_are_listed(driver):
    schemas = driver.inspect(lambda inspector: inspector.get_schema_names())
    assert {"customer", "logistics", "payments", "public"} <= set(schemas), schemas
    tables = driver.inspect(lambda inspector: inspector.get_table_names(SCHEMA))
    assert TABLE in tables, tables
    equal(driver.inspect(lambda inspector: inspector.get_view_names(SCHEMA)), [])


@check
def columns_have_types_and_comments(driver):
    columns = driver.inspect(lambda inspector: inspector.get_columns(TABLE, SCHEMA))
    equal([column["name"] for column in columns], COLUMNS)
    by_name = {column["name"]: column for column in columns}
    equal(str(by_name["lifetime_value_usd"]["type"]), "NUMERIC(12, 2)")
    equal(by_name["customer_id"]["nullable"], False)
    assert "personal data" in by_name["full_name"]["comment"]


@check
def keys_and_indexes_are_told(driver):
    equal(driver.inspect(lambda inspector: inspector.get_pk_constraint(TABLE, SCHEMA))["constrained_columns"], ["customer_id"])
    for method in ("get_foreign_keys", "get_indexes", "get_unique_constraints", "get_check_constraints"):
        found = driver.inspect(lambda inspector: getattr(inspector, method)(TABLE, SCHEMA))
        equal(found, [])
    comment = driver.inspect(lambda inspector: inspector.get_table_comment(TABLE, SCHEMA))
    assert "owner: customer-platform" in comment["text"], comment


@check
def tables_are_known_or_not(driver):
    equal(driver.inspect(lambda inspector: (inspector.has_table(TABLE, SCHEMA), inspector.has_table("nothing", SCHEMA))), (True, False))


@check
def a_schema_is_reflected_and_read(driver):
    def work(connection):
        metadata = sqlalchemy.MetaData()
        metadata.reflect(connection, schema=SCHEMA)
        table = metadata.tables[f"{SCHEMA}.{TABLE}"]
        query = sqlalchemy.select(table.c.tier, sqlalchemy.func.count()).where(table.c.customer_id < 1500).group_by(table.c.tier)
        return [column.name for column in table.columns], connection.execute(query).fetchall()

    columns, rows = driver(work)
    equal(columns, COLUMNS)
    assert rows


run(f"SQLAlchemy over {sys.argv[1]}", Driver(sys.argv[1]))
