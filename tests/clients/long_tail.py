"""The long tail: each function does with one client what its users do first."""

import sys

CLIENT, URL = sys.argv[1:]
SCHEMA, TABLE = "customer", "customer_360"
QUERY = f"SELECT * FROM {SCHEMA}.{TABLE} ORDER BY customer_id"


def pandas():
    import pandas
    import sqlalchemy

    engine = sqlalchemy.create_engine(URL.replace("postgresql:", "postgresql+psycopg:"))
    frame = pandas.read_sql_query(QUERY, engine)
    assert len(frame) > 1000 and len(frame.columns) == 12
    assert len(pandas.read_sql_table(TABLE, engine, schema=SCHEMA)) == len(frame)
    assert sum(len(part) for part in pandas.read_sql_query(QUERY, engine, chunksize=500)) == len(frame)


def polars():
    import polars

    for engine in ("connectorx", "adbc"):
        frame = polars.read_database_uri(QUERY, URL, engine=engine)
        assert frame.height > 1000 and frame.schema["customer_id"] == polars.Int64, frame.schema


def connectorx():
    import connectorx

    counts = {protocol: len(connectorx.read_sql(URL, QUERY, protocol=protocol)) for protocol in ("binary", "csv", "cursor", "simple")}
    counts["parts"] = len(connectorx.read_sql(URL, f"SELECT * FROM {SCHEMA}.{TABLE}", partition_on="customer_id", partition_num=3))
    assert len(set(counts.values())) == 1, counts


def adbc():
    import adbc_driver_postgresql.dbapi as driver

    with driver.connect(URL) as connection, connection.cursor() as cursor:
        cursor.execute(QUERY)
        assert cursor.fetch_arrow_table().num_columns == 12
        assert "customer_id: int64" in str(connection.adbc_get_table_schema(TABLE, db_schema_filter=SCHEMA))
        objects = connection.adbc_get_objects(depth="all", db_schema_filter=SCHEMA).read_all().to_pylist()
        schemas = [schema for catalog in objects for schema in catalog["catalog_db_schemas"]]
        tables = {table["table_name"]: table for schema in schemas for table in schema["db_schema_tables"]}
        assert len(tables[TABLE]["table_columns"]) == 12, tables
        assert tables[TABLE]["table_constraints"][0]["constraint_type"] == "PRIMARY KEY"


def duckdb():
    import duckdb
    import duckdb_extensions

    session = duckdb.connect()
    duckdb_extensions.import_extension("postgres_scanner", con=session)
    session.execute("LOAD postgres_scanner")
    session.execute(f"ATTACH '{URL}' AS mesh (TYPE postgres, READ_ONLY)")
    (count,) = session.execute(f"SELECT count(*) FROM mesh.{SCHEMA}.{TABLE}").fetchone()
    assert count > 1000
    columns = session.execute(f"DESCRIBE mesh.{SCHEMA}.{TABLE}").fetchall()
    assert ("lifetime_value_usd", "DECIMAL(12,2)") in [column[:2] for column in columns], columns
    joined = f"SELECT count(*) FROM mesh.{SCHEMA}.{TABLE} JOIN mesh.customer.customer_events_v1 USING (customer_id) WHERE tier = 'gold'"
    assert session.execute(joined).fetchone()[0] > 0


def pooled():
    import psycopg

    for _ in range(3):
        with psycopg.connect(URL, prepare_threshold=None) as connection:
            for _ in range(5):
                assert connection.execute(f"SELECT customer_id FROM {SCHEMA}.{TABLE} WHERE tier = %s LIMIT 1", ("gold",)).fetchone()
            connection.commit()
            with connection.transaction(), connection.cursor("parts") as cursor:
                cursor.execute(f"SELECT * FROM {SCHEMA}.{TABLE}")
                assert len(cursor.fetchmany(10)) == 10


def superset():
    import pandas
    import sqlalchemy

    engine = sqlalchemy.create_engine(URL.replace("postgresql:", "postgresql+psycopg2:"))
    inspector = sqlalchemy.inspect(engine)
    assert SCHEMA in inspector.get_schema_names()
    assert TABLE in inspector.get_table_names(SCHEMA)
    assert inspector.get_view_names(SCHEMA) == []
    assert len(inspector.get_columns(TABLE, SCHEMA)) == 12
    assert inspector.get_pk_constraint(TABLE, SCHEMA)["constrained_columns"] == ["customer_id"]
    assert inspector.get_indexes(TABLE, SCHEMA) == [] and inspector.get_foreign_keys(TABLE, SCHEMA) == []
    assert "owner" in inspector.get_table_comment(TABLE, SCHEMA)["text"]
    chart = f"""SELECT DATE_TRUNC('month', created_at) AS __timestamp, tier AS tier, sum(lifetime_value_usd) AS "SUM(value)"
        FROM {SCHEMA}.{TABLE} WHERE created_at >= TO_TIMESTAMP('2000-01-01 00:00:00.000000', 'YYYY-MM-DD HH24:MI:SS.US')
        GROUP BY DATE_TRUNC('month', created_at), tier ORDER BY "SUM(value)" DESC LIMIT 10000"""
    with engine.connect() as connection:
        assert len(pandas.DataFrame(connection.execute(sqlalchemy.text(chart)).fetchall())) > 0
        connection.execute(sqlalchemy.text(f"EXPLAIN {chart}")).fetchall()


def great_expectations():
    import great_expectations

    context = great_expectations.get_context(mode="ephemeral")
    source = context.data_sources.add_postgres("mesh", connection_string=URL.replace("postgresql:", "postgresql+psycopg2:"))
    asset = source.add_table_asset("customers", table_name=TABLE, schema_name=SCHEMA)
    batch = asset.add_batch_definition_whole_table("all").get_batch()
    expectations = great_expectations.expectations
    for expectation in (
        expectations.ExpectColumnValuesToNotBeNull(column="customer_id"),
        expectations.ExpectColumnValuesToBeUnique(column="customer_id"),
        expectations.ExpectColumnValuesToBeInSet(column="tier", value_set=["bronze", "silver", "gold", "platinum"]),
        expectations.ExpectTableColumnCountToEqual(value=12),
    ):
        result = batch.validate(expectation)
        assert result.success, result


globals()[CLIENT]()
