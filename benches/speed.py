#!/usr/bin/env python3
"""Ratios of the gateway to Postgres and to the bare engine, side by side in one run.

    benches/speed.py --meshgate target/release/meshgate --config examples/tpch/meshgate.yaml \\
        --postgres postgres://127.0.0.1:5432/tpch --bare target/release/deps/tpch_bare-… [PART …]

Needs the data of `examples/tpch/generate.sh 1`, `TPCH_POSTGRES` in the environment, and Linux. It starts the gateway itself, again for each part, and
ends it. Parts (all of them if none is named):

    rows        processor time of 1,000,000 rows of lineitem as text, in binary, and as COPY in each format; time to the first row; memory
    statement   processor time of `SELECT 1`, simple and prepared
    lookup      one row by its key, prepared: Parquet beside the bare engine, a Postgres source beside asking Postgres, a synced append to the disk
    pgbench     statements a second of 16 clients, in each protocol
    memory      start, idle memory, 1,000 idle connections, 64 results that nobody reads

Processor time is that of the server's threads alone (`/proc/PID/task/*/schedstat`), the kernel's work for its sockets included; of Postgres it is
the backend's. Servers run on the first of two processors (`--server-cpus`), clients on the second. Needs nothing beyond Python and pgbench.
"""

import argparse
import base64
import hashlib
import hmac
import os
import pathlib
import re
import resource
import shutil
import signal
import socket
import statistics
import struct
import subprocess
import sys
import time
import urllib.parse

DONE = b"Z\x00\x00\x00\x05I"
ROWS = 1_000_000
MIB = 1 << 20


class Wire:
    """A connection that speaks just enough of the protocol; results are read and dropped."""

    def __init__(self, dsn, **settings):
        parts = urllib.parse.urlsplit(dsn)
        user = urllib.parse.unquote(parts.username or os.environ.get("PGUSER") or os.environ["USER"])
        self.password = urllib.parse.unquote(parts.password or os.environ.get("PGPASSWORD") or "")
        self.socket = socket.create_connection((parts.hostname or "127.0.0.1", parts.port or 5432))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = bytearray(1 << 20)
        startup = {"user": user, "database": parts.path.lstrip("/") or user, **settings}
        body = b"".join(f"{key}\0{value}\0".encode() for key, value in startup.items()) + b"\0"
        self.socket.sendall(struct.pack("!ii", len(body) + 8, 196608) + body)
        self.backend = None
        self.log_in()

    def exactly(self, count):
        data = b""
        while len(data) < count:
            more = self.socket.recv(count - len(data))
            if not more:
                raise ConnectionError("the server closed the connection")
            data += more
        return data

    def message(self):
        kind, length = struct.unpack("!ci", self.exactly(5))
        return kind, self.exactly(length - 4)

    def log_in(self):
        nonce = base64.b64encode(os.urandom(18)).decode()
        bare = f"n=,r={nonce}"
        while True:
            kind, body = self.message()
            if kind == b"E":
                raise ConnectionError(body.decode(errors="replace"))
            if kind == b"K":
                self.backend = struct.unpack("!i", body[:4])[0]
            if kind == b"Z":
                return
            if kind != b"R":
                continue
            step = struct.unpack("!i", body[:4])[0]
            if step == 10:
                first = f"n,,{bare}".encode()
                self.send(b"p", b"SCRAM-SHA-256\0" + struct.pack("!i", len(first)) + first)
            elif step == 11:
                self.send(b"p", self.proof(bare, body[4:].decode()))
            elif step not in (0, 12):
                raise ConnectionError(f"authentication request {step} is not understood")

    def proof(self, bare, challenge):
        fields = dict(part.split("=", 1) for part in challenge.split(","))
        salted = hashlib.pbkdf2_hmac("sha256", self.password.encode(), base64.b64decode(fields["s"]), int(fields["i"]))
        key = hmac.digest(salted, b"Client Key", "sha256")
        final = f"c=biws,r={fields['r']}"
        signature = hmac.digest(hashlib.sha256(key).digest(), f"{bare},{challenge},{final}".encode(), "sha256")
        proof = bytes(one ^ other for one, other in zip(key, signature))
        return f"{final},p={base64.b64encode(proof).decode()}".encode()

    def send(self, kind, body):
        self.socket.sendall(kind + struct.pack("!i", len(body) + 4) + body)

    def drain(self):
        """Reads until the server is ready. Returns the bytes and the seconds to the first of them."""
        start, first, total, tail = time.perf_counter(), None, 0, b""
        while True:
            count = self.socket.recv_into(self.buffer)
            if not count:
                raise ConnectionError("the server closed the connection")
            if first is None:
                first = time.perf_counter() - start
                if self.buffer[0:1] == b"E":
                    raise RuntimeError(bytes(self.buffer[:count]).decode(errors="replace"))
            total += count
            tail = (tail + bytes(self.buffer[max(0, count - 6) : count]))[-6:]
            if tail == DONE:
                return total, first

    def query(self, text):
        self.send(b"Q", text.encode() + b"\0")
        return self.drain()

    def ask_extended(self, text, binary):
        parse = b"\0" + text.encode() + b"\0" + struct.pack("!h", 0)
        bind = b"\0\0" + struct.pack("!hhhh", 0, 0, 1, 1 if binary else 0)
        parts = [(b"P", parse), (b"B", bind), (b"D", b"P\0"), (b"E", b"\0" + struct.pack("!i", 0)), (b"S", b"")]
        self.socket.sendall(b"".join(kind + struct.pack("!i", len(body) + 4) + body for kind, body in parts))

    def extended(self, text, binary):
        self.ask_extended(text, binary)
        return self.drain()

    def prepare(self, name, text):
        self.socket.sendall(framed(b"P", f"{name}\0{text}\0".encode() + struct.pack("!h", 0)) + framed(b"S", b""))
        return self.drain()

    def execute(self, name, *values):
        texts = [str(value).encode() for value in values]
        given = b"".join(struct.pack("!i", len(text)) + text for text in texts)
        bind = f"\0{name}\0".encode() + struct.pack("!hh", 0, len(texts)) + given + struct.pack("!h", 0)
        self.socket.sendall(framed(b"B", bind) + framed(b"E", b"\0" + struct.pack("!i", 0)) + framed(b"S", b""))
        return self.drain()

    def close(self):
        self.socket.close()


def framed(kind, body):
    return kind + struct.pack("!i", len(body) + 4) + body


def processor_seconds(pid):
    """What all threads of a process have used."""
    total = 0
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        try:
            total += int((task / "schedstat").read_text().split()[0])
        except FileNotFoundError:
            pass
    return total / 1e9


def memory(pid, key="VmRSS"):
    return int(re.search(rf"{key}:\s+(\d+) kB", pathlib.Path(f"/proc/{pid}/status").read_text())[1]) * 1024


def forget_peak(pid):
    pathlib.Path(f"/proc/{pid}/clear_refs").write_text("5")


class Gateway:
    """A gateway that runs while the block does."""

    def __init__(self, options):
        self.options = options

    def __enter__(self):
        start = time.perf_counter()
        command = ["taskset", "-c", self.options.server_cpus, self.options.meshgate, "serve", self.options.config]
        log = open(self.options.log, "ab")
        self.process = subprocess.Popen(command, stdout=log, stderr=log)
        self.pid = self.process.pid
        parts = urllib.parse.urlsplit(self.options.gateway)
        while True:
            try:
                socket.create_connection((parts.hostname, parts.port)).close()
                break
            except OSError:
                if self.process.poll() is not None or time.perf_counter() - start > 30:
                    raise RuntimeError(f"the gateway does not start, see {self.options.log}") from None
                time.sleep(0.0005)
        self.started = time.perf_counter() - start
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()

    def connect(self, **settings):
        return Wire(self.options.gateway, search_path="tpch", **settings)


def postgres(options, schema="reference"):
    wire = Wire(options.postgres, options=f"-c search_path={schema}")
    subprocess.run(["taskset", "-p", "-c", options.server_cpus, str(wire.backend)], check=False, capture_output=True)
    return wire


def line(what, ours, theirs, unit, limit, against="postgres"):
    ratio = ours / theirs if theirs else float("nan")
    mark = "" if limit is None else f"  (<= {limit})" + ("" if ratio <= limit else "  MISSED")
    print(f"{what:<34} {ours:>10.3f} {theirs:>10.3f} {unit:<10} {ratio:>6.2f} x {against}{mark}", flush=True)


def single(what, ours, unit, limit):
    print(f"{what:<34} {ours:>10.3f} {'':>10} {unit:<10} (<= {limit})" + ("" if ours <= limit else "  MISSED"), flush=True)


FORMATS = {
    "text": lambda wire, sql: wire.query(sql),
    "binary": lambda wire, sql: wire.extended(sql, True),
    "copy text": lambda wire, sql: wire.query(f"COPY ({sql}) TO STDOUT"),
    "copy csv": lambda wire, sql: wire.query(f"COPY ({sql}) TO STDOUT (FORMAT csv)"),
    "copy binary": lambda wire, sql: wire.query(f"COPY ({sql}) TO STDOUT (FORMAT binary)"),
}


def cost(pid, act, runs):
    """The least processor time of a run, and what it returned."""
    best = (float("inf"), None)
    for _ in range(runs):
        before = processor_seconds(pid)
        done = act()
        spent = processor_seconds(pid) - before
        best = min(best, (spent, done), key=lambda pair: pair[0])
    return best


def rows(options):
    print(f"-- rows: seconds of processor time for {ROWS:,} rows of lineitem")
    sql = f"SELECT * FROM lineitem LIMIT {ROWS}"
    theirs = postgres(options)
    for name in options.formats.split(","):
        act = FORMATS[name]
        with Gateway(options) as gateway:
            ours = gateway.connect()
            act(ours, "SELECT * FROM lineitem LIMIT 1000")
            forget_peak(gateway.pid)
            base = memory(gateway.pid)
            spent, (_, first) = cost(gateway.pid, lambda: act(ours, sql), options.runs)
            grown = memory(gateway.pid, "VmHWM") - base
            theirs_spent, _ = cost(theirs.backend, lambda: act(theirs, sql), options.runs)
            line(name, spent, theirs_spent, "s", 0.6)
            single("  first row", first * 1000, "ms", 20)
            single("  memory", grown / MIB, "MiB", 64)


def statement(options):
    print("-- statement: microseconds of processor time for SELECT 1")
    theirs = postgres(options)
    with Gateway(options) as gateway:
        ours = gateway.connect()
        for wire in (ours, theirs):
            wire.prepare("one", "SELECT 1")
        acts = {"simple": lambda wire: wire.query("SELECT 1"), "prepared": lambda wire: wire.execute("one")}
        for name, act in acts.items():
            spent = []
            for wire, pid in ((ours, gateway.pid), (theirs, theirs.backend)):
                times(wire, act, 200)
                micros, _ = cost(pid, lambda: times(wire, act, options.statements), options.runs)
                spent.append(micros * 1e6 / options.statements)
            line(f"SELECT 1 {name}", *spent, "us", None)
            single("", spent[0], "us", 40)


def times(wire, act, count):
    for _ in range(count):
        act(wire)


def median_latency(act, count):
    taken = []
    for _ in range(count):
        start = time.perf_counter()
        act()
        taken.append(time.perf_counter() - start)
    return statistics.median(taken) * 1e6


def lookup(options):
    print("-- lookup: one row by its key, median microseconds on one processor")
    theirs = postgres(options, "mesh")
    with Gateway(options) as gateway:
        ours = gateway.connect()
        count = max(50, options.statements // 10)
        for name, sql in LOOKUPS.items():
            if options.bare:
                bare = bare_engine(options)
                query = pathlib.Path(options.log).with_suffix(".sql")
                query.write_text(sql.replace("$1", "12345") + ";\n")
                taken = [ask_bare(bare, query) for _ in range(count)]
                bare.stdin.close()
                bare.wait()
                ours.prepare(name, sql)
                times(ours, lambda wire: wire.execute(name, 12345), 20)
                latency = median_latency(lambda: ours.execute(name, 12345), count)
                line(f"{name} by key", latency, statistics.median(taken[5:]) * 1e6, "us", 0.7, "the bare engine")
        sql = "SELECT o_custkey, o_totalprice, o_orderdate FROM orders WHERE o_orderkey = $1"
        for wire in (ours, theirs):
            wire.prepare("orders", sql)
            times(wire, lambda wire: wire.execute("orders", 12352), 20)
        latencies = [median_latency(lambda: wire.execute("orders", 12352), count) for wire in (ours, theirs)]
        line("orders of Postgres by key", *latencies, "us", 2.5)
        # No row leaves before its opening record is on the disk: this much is waited for whatever the rest costs.
        print(f"{'  a record synced to this disk':<34} {synced_append(pathlib.Path(options.log).parent, count):>10.3f} {'':>10} us", flush=True)


def synced_append(folder, count):
    path = folder / "synced"
    with open(path, "ab", buffering=0) as file:
        def append():
            file.write(b"x" * 4000)
            os.fdatasync(file.fileno())

        taken = median_latency(append, count)
    path.unlink()
    return taken


LOOKUPS = {
    "part": "SELECT p_name, p_retailprice FROM part WHERE p_partkey = $1",
    "lineitem": "SELECT l_partkey, l_quantity FROM lineitem WHERE l_orderkey = $1",
}


def bare_engine(options):
    command = ["taskset", "-c", options.server_cpus, options.bare, options.config]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def ask_bare(bare, path):
    bare.stdin.write(f"{path}\n")
    bare.stdin.flush()
    return float(bare.stdout.readline().split()[0])


PGBENCH = {
    "SELECT 1": "SELECT 1;",
    "nation by key": "\\set key random(0, 24)\nSELECT n_name FROM nation WHERE n_nationkey = :key;",
}


class ServerPinned:
    """A Postgres whose new backends run on the servers' processor while the block does."""

    def __init__(self, options):
        wire = Wire(options.postgres)
        self.server = int(pathlib.Path(f"/proc/{wire.backend}/stat").read_text().rsplit(")", 1)[1].split()[1])
        wire.close()
        self.cpus = options.server_cpus

    def __enter__(self):
        self.before = ",".join(map(str, os.sched_getaffinity(self.server)))
        self.pin(self.cpus)

    def __exit__(self, *_):
        self.pin(self.before)

    def pin(self, cpus):
        subprocess.run(["taskset", "-p", "-c", cpus, str(self.server)], check=True, capture_output=True)


def pgbench(options):
    print("-- pgbench: thousands of statements a second, 16 clients")
    for name, text in PGBENCH.items():
        script = pathlib.Path(options.log).with_suffix(".pgbench")
        script.write_text(text + "\n")
        for protocol in ("simple", "extended", "prepared"):
            with Gateway(options):
                ours = throughput(options, options.gateway, "tpch", script, protocol)
            with ServerPinned(options):
                theirs = throughput(options, options.postgres, "reference", script, protocol)
            ratio = ours / theirs
            mark = "" if ratio >= 0.5 or name != "SELECT 1" else "  MISSED"
            print(f"{name + ', ' + protocol:<34} {ours / 1e3:>10.3f} {theirs / 1e3:>10.3f} {'k/s':<10} {ratio:>6.2f} x postgres  (>= 0.5){mark}", flush=True)


def throughput(options, dsn, schema, script, protocol):
    command = [shutil.which("pgbench") or "pgbench", "-n", "-M", protocol, "-c", "16", "-j", "1", "-T", str(options.seconds), "-f", script, dsn]
    environment = {**os.environ, "PGOPTIONS": f"-c search_path={schema}"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    found = re.search(r"tps = ([0-9.]+)", done.stdout)
    if not found:
        raise RuntimeError(done.stderr)
    return float(found[1])


def memory_part(options):
    print("-- memory")
    resource.setrlimit(resource.RLIMIT_NOFILE, (4096, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    with Gateway(options) as gateway:
        single("start", gateway.started * 1000, "ms", 50)
        time.sleep(1)
        base = memory(gateway.pid)
        single("idle", base / MIB, "MiB", 60)
        try:
            idle = [gateway.connect() for _ in range(options.connections)]
            single(f"{len(idle)} idle connections", (memory(gateway.pid) - base) / MIB, "MiB", 100)
            for wire in idle:
                wire.close()
        except ConnectionError as error:
            print(f"idle connections: {error}")
    for name in ("simple", "extended"):
        with Gateway(options) as gateway:
            base = memory(gateway.pid)
            unread = [gateway.connect() for _ in range(64)]
            for wire in unread:
                if name == "simple":
                    wire.send(b"Q", b"SELECT * FROM lineitem\0")
                else:
                    wire.ask_extended("SELECT * FROM lineitem", True)
            time.sleep(options.seconds)
            single(f"64 unread results, {name}", (memory(gateway.pid) - base) / MIB, "MiB", 1024)
            for wire in unread:
                wire.close()


PARTS = {"rows": rows, "statement": statement, "lookup": lookup, "pgbench": pgbench, "memory": memory_part}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART")
    parser.add_argument("--meshgate", required=True, help="the release build")
    parser.add_argument("--config", required=True, help="that of examples/tpch; for 1,000 connections it must allow as many")
    parser.add_argument("--gateway", default="postgres://analyst:analyst@127.0.0.1:6433/mesh")
    parser.add_argument("--postgres", default="postgres://127.0.0.1:5432/tpch")
    parser.add_argument("--bare", help="the built bench tpch_bare")
    parser.add_argument("--server-cpus", default="0", help="as taskset takes them")
    parser.add_argument("--client-cpus", default="1")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--statements", type=int, default=2000)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--connections", type=int, default=1000)
    parser.add_argument("--formats", default=",".join(FORMATS))
    parser.add_argument("--log", default="/tmp/meshgate-speed.log")
    options = parser.parse_args()
    unknown = [part for part in options.parts if part not in PARTS]
    if unknown:
        parser.error(f"no such part: {', '.join(unknown)}")
    subprocess.run(["taskset", "-p", "-c", options.client_cpus, str(os.getpid())], check=True, capture_output=True)
    print(f"{'':<34} {'meshgate':>10} {'other':>10}")
    for part in options.parts or PARTS:
        PARTS[part](options)
    return 0


if __name__ == "__main__":
    sys.exit(main())
