"""psqlODBC over unixODBC: the catalogue functions of ODBC, parameters, row counts of a fetch."""

import glob

import pyodbc

from checks import COLUMNS, DATABASE, HOST, PASSWORD, PORT, SCHEMA, TABLE, USER, check, equal, run

DRIVER = glob.glob("/usr/lib/*/odbc/psqlodbcw.so")[0]


def cursor(options=""):
    text = f"DRIVER={DRIVER};SERVER={HOST};PORT={PORT};UID={USER};PWD={PASSWORD};DATABASE={DATABASE};{options}"
    return pyodbc.connect(text, autocommit=True).cursor()


@check
def tables_and_columns_are_listed():
    assert TABLE in [row.table_name for row in cursor().tables(schema=SCHEMA)]
    equal([row.column_name for row in cursor().columns(table=TABLE, schema=SCHEMA)], COLUMNS)


@check
def keys_and_statistics_are_told():
    equal([row.column_name for row in cursor().primaryKeys(TABLE, schema=SCHEMA)], ["customer_id"])
    equal(cursor().foreignKeys(TABLE, schema=SCHEMA).fetchall(), [])
    equal(cursor().foreignKeys(foreignTable=TABLE, foreignSchema=SCHEMA).fetchall(), [])
    assert [row for row in cursor().statistics(TABLE, schema=SCHEMA) if row.index_name == f"{TABLE}_pkey"]


@check
def types_and_procedures_are_told():
    assert len(cursor().getTypeInfo().fetchall()) > 5
    assert cursor().procedures(procedure="lower", schema="pg_catalog").fetchall()
    types = {row.type_name for row in cursor().procedureColumns("lower")}
    assert "text" in types, types


@check
def rows_are_read_with_parameters():
    rows = cursor().execute("SELECT customer_id, tier FROM customer.customer_360 WHERE customer_id < ? ORDER BY 1", 1500).fetchall()
    assert rows and all(row.customer_id < 1500 for row in rows)


@check
def declared_cursors_are_fetched_from():
    rows = cursor("UseDeclareFetch=1;Fetch=50;").execute("SELECT customer_id FROM customer.customer_360 ORDER BY 1").fetchall()
    assert len(rows) > 1000


run("psqlODBC")
