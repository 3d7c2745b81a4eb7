"""What the Python clients share: where the gateway is, and checks that print one line each."""

import os
import sys
import traceback

HOST = os.environ.get("MESHGATE_HOST", "127.0.0.1")
PORT = int(os.environ["MESHGATE_PORT"])
USER = "steward"
PASSWORD = "steward"
DATABASE = "mesh"
SCHEMA = "customer"
TABLE = "customer_360"
URL = f"{USER}:{PASSWORD}@{HOST}:{PORT}/{DATABASE}"
COLUMNS = [
    "customer_id", "full_name", "email_hash", "phone_hash", "email_domain", "tier", "country", "lifetime_value_usd",
    "orders_count", "marketing_consent", "last_seen_at", "created_at",
]

_checks = []


def check(function):
    """Marks a check: it fails by raising."""
    _checks.append(function)
    return function


def equal(found, wanted):
    """Raises unless both are equal."""
    if found != wanted:
        raise AssertionError(f"{found!r} instead of {wanted!r}")


def run(client, *arguments):
    """Runs all checks of a file and ends the process: with 1 if one failed."""
    failed = 0
    for function in _checks:
        name = function.__name__.replace("_", " ")
        try:
            function(*arguments)
            print(f"ok    {client}: {name}", flush=True)
        except Exception as error:
            failed += 1
            print(f"FAIL  {client}: {name}: {type(error).__name__}: {error}", flush=True)
            if os.environ.get("CLIENTS_DEBUG"):
                traceback.print_exc()
    sys.exit(1 if failed else 0)
