"""OpenLineage: the events of real queries follow the official schemas, and so does each facet by the address that it names."""

import json
import pathlib
import threading
import time

import jsonschema
import psycopg
import referencing
from referencing.jsonschema import DRAFT202012

from checks import DATABASE, HOST, PASSWORD, PORT, USER, check, equal, run

OPTIONS = f"host={HOST} port={PORT} user={USER} password={PASSWORD} dbname={DATABASE}"
SCHEMAS = {
    schema["$id"]: schema
    for schema in (json.loads(path.read_text()) for path in (pathlib.Path(__file__).parent / "openlineage").glob("*.json"))
}
REGISTRY = referencing.Registry().with_resources((name, DRAFT202012.create_resource(schema)) for name, schema in SCHEMAS.items())
EVENT = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent"
FACETS = {"facets", "inputFacets", "outputFacets"}

COMPLETE = "SELECT tier, upper(max(country)), count(*) FROM customer.customer_360 WHERE orders_count > 0 GROUP BY tier ORDER BY 1"
FAIL = "SELECT 1 / (orders_count - orders_count) FROM customer.customer_360"
ABORT = "SELECT count(*) FROM customer.customer_360 a, customer.customer_360 b, customer.customer_360 c WHERE a.tier <> b.tier OR b.tier <> c.tier"


def validator(reference):
    return jsonschema.Draft202012Validator(
        {"$ref": reference}, registry=REGISTRY, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER)


def facets(part):
    """Every facet of an event: what stands under its name in an object of facets."""
    if isinstance(part, dict):
        for key, value in part.items():
            if key in FACETS:
                yield from value.items()
            else:
                yield from facets(value)
    elif isinstance(part, list):
        for value in part:
            yield from facets(value)


def cancelled(statement):
    with psycopg.connect(OPTIONS, autocommit=True) as session:
        timer = threading.Timer(0.7, session.cancel)
        timer.start()
        try:
            session.execute(statement)
        except psycopg.errors.QueryCanceled:
            return
        finally:
            timer.cancel()


def events(file):
    """The events of the three statements, once all are there."""
    with psycopg.connect(OPTIONS, autocommit=True) as session:
        session.execute(COMPLETE).fetchall()
        try:
            session.execute(FAIL).fetchall()
        except psycopg.errors.DivisionByZero:
            pass
    cancelled(ABORT)
    for _ in range(100):
        lines = [json.loads(line) for line in pathlib.Path(file).read_text().splitlines()] if pathlib.Path(file).exists() else []
        by_text = {text: [event for event in lines if event["job"]["facets"]["sql"]["query"] == text] for text in (COMPLETE, FAIL, ABORT)}
        if all(len(found) >= 2 for found in by_text.values()):
            return by_text
        time.sleep(0.1)
    raise AssertionError({text: len(found) for text, found in by_text.items()})


@check
def each_statement_starts_and_ends(by_text):
    for text, ending in ((COMPLETE, "COMPLETE"), (FAIL, "FAIL"), (ABORT, "ABORT")):
        equal([event["eventType"] for event in by_text[text]], ["START", ending])
        equal(len({event["run"]["runId"] for event in by_text[text]}), 1)


@check
def events_follow_the_official_schema(by_text):
    official = validator(EVENT)
    for event in (event for found in by_text.values() for event in found):
        official.validate(event)
        equal(event["schemaURL"], EVENT)
    broken = dict(by_text[COMPLETE][0], eventTime="yesterday", run={"runId": "none"})
    assert not official.is_valid(broken), "the schema refuses nothing"


@check
def facets_follow_the_schemas_that_they_name(by_text):
    seen = set()
    for event in (event for found in by_text.values() for event in found):
        for name, facet in facets(event):
            validator(facet["_schemaURL"]).validate(facet)
            seen.add(name)
    equal(seen, {"columnLineage", "errorMessage", "jobType", "outputStatistics", "processing_engine", "schema", "sql", "version"})


@check
def columns_and_errors_are_told(by_text):
    lineage = by_text[COMPLETE][1]["outputs"][0]["facets"]["columnLineage"]
    equal([source["field"] for source in lineage["fields"]["upper"]["inputFields"]], ["country"])
    equal({source["field"] for source in lineage["dataset"]}, {"tier", "orders_count"})
    equal(by_text[FAIL][1]["run"]["facets"]["errorMessage"]["message"], "division by zero")


if __name__ == "__main__":
    import sys

    run("openlineage", events(sys.argv[1]))
