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


def django():
    import contextlib
    import io

    import django
    from django.conf import settings
    from django.core.management import call_command

    host = URL.rsplit("@", 1)[1].split("/")[0].split(":")
    options = {"options": f"-c search_path={SCHEMA}"}
    settings.configure(
        DATABASES={"default": {"ENGINE": "django.db.backends.postgresql", "NAME": "mesh", "USER": "steward", "PASSWORD": "steward",
                               "HOST": host[0], "PORT": host[1], "OPTIONS": options}},
    )
    django.setup()
    from django.db import connection, models, transaction
    from django.db.models import Avg, Count, F, Q, Window
    from django.db.models.functions import Rank, TruncMonth

    with contextlib.redirect_stdout(io.StringIO()) as model:
        call_command("inspectdb", TABLE)
    assert "customer_id = models.BigIntegerField(primary_key=True" in model.getvalue(), model.getvalue()

    class Customer(models.Model):
        customer_id = models.BigIntegerField(primary_key=True)
        tier = models.TextField()
        country = models.CharField(max_length=2)
        orders_count = models.IntegerField()
        created_at = models.DateTimeField()

        class Meta:
            app_label, managed, db_table = "mesh", False, TABLE

    customers = Customer.objects
    assert len(customers.values("tier").annotate(n=Count("*"), mean=Avg("orders_count")).order_by("tier")) == 4
    assert customers.filter(Q(tier="gold") | Q(country__in=["DE"]), created_at__year__gte=2000).exists()
    assert customers.annotate(month=TruncMonth("created_at")).values("month").annotate(n=Count("*")).order_by("month")[0]["n"] > 0
    ranked = customers.annotate(rank=Window(Rank(), partition_by="tier", order_by=F("customer_id").asc()))
    assert len(ranked.filter(rank__lte=2)) == 8
    with transaction.atomic(), transaction.atomic():
        assert sum(1 for _ in customers.all().iterator(chunk_size=500)) == customers.count()
    assert connection.introspection.get_primary_key_column(connection.cursor(), TABLE) == "customer_id"


def peewee():
    import peewee

    host = URL.rsplit("@", 1)[1].split("/")[0].split(":")
    database = peewee.PostgresqlDatabase("mesh", user="steward", password="steward", host=host[0], port=int(host[1]))

    class Customer(peewee.Model):
        customer_id = peewee.BigIntegerField(primary_key=True)
        tier = peewee.TextField()

        class Meta:
            schema, table_name = SCHEMA, TABLE

    Customer.bind(database)
    assert TABLE in database.get_tables(schema=SCHEMA)
    assert len(database.get_columns(TABLE, SCHEMA)) == 12
    assert database.get_primary_keys(TABLE, SCHEMA) == ["customer_id"]
    with database.atomic():
        assert Customer.select().where(Customer.tier.contains("OL")).order_by(Customer.customer_id).paginate(2, 3).count() == 3


globals()[CLIENT]()
