#!/usr/bin/env python3
"""What the audit log costs a gateway, and what a question about a long log costs.

    benches/audit_cost.py --meshgate target/release/meshgate --unaudited FOLDER/release/meshgate cost
    benches/audit_cost.py --meshgate target/release/meshgate --log FOLDER questions

cost        gateways over the quickstart: one with its log on the disk of the temporary folder, one with it in memory (/dev/shm), where a sync costs
            nothing, and one that makes no record of a statement. No gateway can be told to leave records out, so the last one is a program of its own, to
            be built in another folder with benches/unaudited.patch applied; without --unaudited it is left out. Prepared look-ups of 16 clients in turns;
            whole scans right after one another, and the median of their ratios; and the processor time of the thread that seals and writes records
questions   a gateway over the log that `cargo bench --bench audit` leaves in MESHGATE_BENCH_FOLDER: who read a column in June, and on one day, with
            copies by columns and without

Needs pgbench and psql, and nothing else.
"""

import argparse
import json
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import tempfile
import time

from speed import Wire

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent
LOOK_UP = "\\set id random(1, 3000)\nSELECT tier, lifetime_value_usd FROM customer.customer_360 WHERE customer_id = :id;\n"
SCAN = "SELECT * FROM payments.transaction_events_v1"
WHO = "SELECT principal, count(*) FROM mesh.lineage WHERE column_name = 'full_name' AND day BETWEEN '2026-06-{0:02}' AND '2026-06-{1:02}' GROUP BY 1"


class Gateway:
    def __init__(self, binary, audit, work, auditor=False, columns=True):
        self.work = pathlib.Path(tempfile.mkdtemp(dir=work))
        for file in (REPOSITORY / "examples/quickstart").glob("*.yaml"):
            shutil.copy(file, self.work)
        config = self.work / "meshgate.yaml"
        text = re.sub(r"^(catalogs|policies): .*$", lambda found: f"{found[1]}: {REPOSITORY / found[1]}", config.read_text(), flags=re.M)
        text = re.sub(r"^listen: .*$", "listen: 127.0.0.1:0", text, flags=re.M)
        text = re.sub(r"^audit: .*$", f"audit: {{folder: {audit}, columns: {str(columns).lower()}}}", text, flags=re.M)
        config.write_text(re.sub(r"^lineage: .*$", "", text, flags=re.M))
        if auditor:
            principals = self.work / "principals.yaml"
            principals.write_text(principals.read_text().replace("roles: [metadata]", "roles: [metadata, auditor]"))
        self.process = subprocess.Popen([binary, "serve", str(config)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.port = re.search(r":(\d+)$", self.process.stdout.readline().strip())[1]

    def environment(self, user):
        return {**os.environ, "PGHOST": "127.0.0.1", "PGPORT": self.port, "PGUSER": user, "PGPASSWORD": user, "PGDATABASE": "mesh"}

    def pgbench(self, script, clients, seconds):
        with tempfile.NamedTemporaryFile("w", suffix=".sql") as file:
            file.write(script)
            file.flush()
            command = ["pgbench", "-n", "-M", "prepared", "-c", str(clients), "-T", str(seconds), "-f", file.name]
            said = subprocess.run(command, env=self.environment("steward"), capture_output=True, text=True, check=True).stdout
        return float(re.search(r"tps = ([\d.]+)", said)[1])

    def wire(self, user):
        return Wire(f"postgres://{user}:{user}@127.0.0.1:{self.port}/mesh")

    def seconds(self, question):
        start = time.perf_counter()
        said = subprocess.run(["psql", "-X", "-A", "-t", "-c", question], env=self.environment("harvester"), capture_output=True, text=True, check=True)
        return time.perf_counter() - start, len(said.stdout.splitlines())

    def processor(self):
        """Nanoseconds of each thread, by its name."""
        spent = {}
        for task in pathlib.Path(f"/proc/{self.process.pid}/task").iterdir():
            name = (task / "comm").read_text().strip()
            spent[name] = spent.get(name, 0) + int((task / "schedstat").read_text().split()[0])
        return spent

    def stop(self):
        self.process.terminate()
        self.process.wait()
        shutil.rmtree(self.work)


def cost(arguments):
    with tempfile.TemporaryDirectory() as disk, tempfile.TemporaryDirectory(dir="/dev/shm") as memory:
        gateways = {"disk": Gateway(arguments.meshgate, f"{disk}/audit", disk), "memory": Gateway(arguments.meshgate, f"{memory}/audit", disk)}
        if arguments.unaudited:
            gateways["none"] = Gateway(arguments.unaudited, f"{disk}/unaudited", disk)
        look_ups = {name: [] for name in gateways}
        for number in range(arguments.rounds):
            for name in sorted(gateways, reverse=number % 2 == 1):
                look_ups[name].append(gateways[name].pgbench(LOOK_UP, 16, arguments.seconds))
        times = scans({name: gateway.wire("steward") for name, gateway in gateways.items()}, arguments.pairs)
        before = gateways["disk"].processor()
        gateways["disk"].pgbench(LOOK_UP, 16, arguments.seconds)
        spent = {name: after - before.get(name, 0) for name, after in gateways["disk"].processor().items()}
        for gateway in gateways.values():
            gateway.stop()
    print(json.dumps({"look-ups a second": look_ups, "threads_ns": spent}))
    names = {"disk": "log on disk", "memory": "log in memory", "none": "no records"}
    for other in list(gateways)[1:]:
        throughput = {name: statistics.median(look_ups[name]) for name in ("disk", other)}
        print(f"look-ups, 16 clients: {throughput['disk']:.0f}/s with a log on disk, {throughput[other]:.0f}/s with {names[other]}: "
              f"{throughput['disk'] / throughput[other]:.2f}")
        ratios = sorted(disk / against for disk, against in zip(times["disk"], times[other]))
        disk, against = (statistics.median(times[name]) * 1000 for name in ("disk", other))
        print(f"a scan: {disk:.2f} ms with a log on disk, {against:.2f} ms with {names[other]}; of {len(ratios)} pairs the median ratio "
              f"{statistics.median(ratios):.3f}, between {ratios[len(ratios) // 4]:.3f} and {ratios[3 * len(ratios) // 4]:.3f} in the middle half")
    print(f"the thread that seals and writes: {100 * spent['audit'] / sum(spent.values()):.1f} % of the processor time of look-ups")


def scans(wires, rounds):
    """Seconds of scans over each gateway, one after the other in rounds; each begins in its turn, so that none has the better place."""
    order = sorted(wires)
    times = {name: [] for name in wires}
    for number in range(rounds + 10):
        for name in order[number % len(order):] + order[:number % len(order)]:
            start = time.perf_counter()
            wires[name].query(SCAN)
            times[name].append(time.perf_counter() - start)
    return {name: taken[10:] for name, taken in times.items()}


def questions(arguments):
    with tempfile.TemporaryDirectory() as work:
        for columns in (True, False):
            gateway = Gateway(arguments.meshgate, os.path.abspath(arguments.log), work, auditor=True, columns=columns)
            folder = pathlib.Path(arguments.log) / "columns"
            if not columns:
                folder.rename(folder.with_name("set-aside"))
            for days in ((1, 30), (7, 7)):
                times = [gateway.seconds(WHO.format(*days)) for _ in range(3 if columns else 1)]
                print(f"{'with' if columns else 'without'} copies, {days[1] - days[0] + 1} days: {min(times)[0]:.2f} s, {times[0][1]} rows", flush=True)
            if not columns:
                folder.with_name("set-aside").rename(folder)
            gateway.stop()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--meshgate", required=True)
    parser.add_argument("--unaudited", help="a gateway that makes no records")
    parser.add_argument("--log")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--pairs", type=int, default=400)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("part", choices=["cost", "questions"])
    arguments = parser.parse_args()
    {"cost": cost, "questions": questions}[arguments.part](arguments)


if __name__ == "__main__":
    main()
