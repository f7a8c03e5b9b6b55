#!/usr/bin/env python3
"""What a RADIUS request costs: this program beside the cheapest honest responder and beside FreeRADIUS, in one run.

    cargo build --release --locked
    benches/radius.py --tools DIR [--edge target/release/dotmac-edge] [--rounds 5] [--seconds 3]

DIR holds `radload`, a closed-loop load generator that reads a server's CPU time, and `radfloor`, which checks and signs and looks
nothing up. Debian's package `freeradius` is measured when it is there: `files` with the same users for logins, `sql` on SQLite
in WAL mode (`acct_unique`) for accounting.

How to read it: the servers take turns, round after round, so whatever else the machine does falls on all of them. A row is the
median of CPU microseconds a request, and its ratio to the floor and to FreeRADIUS. Rates are of a closed loop on a machine that the load
generator shares: compare them within a run, never between machines.
"""

import argparse
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SECRET = "a-secret-of-the-bench-with-length"
MODES = ["pap", "chap", "mschapv2", "acct"]


def free_port():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(what, is_so, seconds=60):
    until = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > until:
            sys.exit(f"{what} did not come up")
        time.sleep(0.1)


class Edge:
    """This program, with its users in place."""

    name = "edge"

    def __init__(self, program, folder, users):
        self.auth, self.acct = free_port(), free_port()
        self.folder, self.program = folder, program
        config = folder / "edge.toml"
        config.write_text(
            f"""[site]
name = "Bench"
timezone = "UTC"
currency = "NGN"
[store]
path = "{folder}/store"
[http]
admin = "127.0.0.1:{free_port()}"
metrics = "127.0.0.1:{free_port()}"
[radius]
authentication = ["127.0.0.1:{self.auth}"]
accounting = ["127.0.0.1:{self.acct}"]
[control]
socket = "{folder}/control.sock"
[log]
level = "warn"
[secrets]
key = "file:{folder}/box.key"
"""
        )
        self.config = config
        self.log = open(folder / "edge.log", "w", encoding="utf-8")
        self.process = subprocess.Popen([program, "--config", config, "serve"], stderr=self.log, stdout=self.log)
        wait_for("edge", lambda: self.command("session", "list", check=False).returncode == 0)
        self.command("nas", "add", "bench", "127.0.0.1", "--secret-stdin", text=SECRET + "\n")
        plan = ["plan", "create", "bench", "--name", "Bench", "--price", "0", "--down", "20", "--up", "5"]
        self.command(*plan)
        rows = ["customer_number,first_name,last_name,plan_code,username,password"]
        rows += [f"B-{n:06},User,Number,bench,user{n:06},pass{n:06}" for n in range(users)]
        (folder / "users.csv").write_text("\n".join(rows) + "\n")
        self.command("customer", "import", str(folder / "users.csv"))
        self.provision(users)

    def command(self, *words, text=None, check=True):
        done = subprocess.run(
            [self.program, "--config", self.config, *words], input=text, capture_output=True, text=True, check=False
        )
        if check and done.returncode != 0:
            sys.exit(f"{words}: {done.stdout}{done.stderr}")
        return done

    def provision(self, users):
        """Every service is let in once the last one is."""
        last = f"user{users - 1:06}"

        def is_in():
            why = self.command("why", last, "--json", check=False)
            return why.returncode == 0

        wait_for("the last service", is_in, 300)

    @property
    def pid(self):
        return self.process.pid

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()


class Floor:
    """The least that an honest responder does."""

    name = "floor"

    def __init__(self, tools):
        self.auth = self.acct = free_port()
        self.process = subprocess.Popen([tools / "radfloor", f"127.0.0.1:{self.auth}", SECRET])
        time.sleep(0.5)

    @property
    def pid(self):
        return self.process.pid

    def stop(self):
        self.process.kill()
        self.process.wait()


class FreeRadius:
    """Debian's FreeRADIUS with as little configured as the same work needs."""

    name = "freeradius"

    def __init__(self, folder, users):
        self.auth, self.acct = free_port(), free_port()
        folder.mkdir()
        lines = [f'user{n:06} Cleartext-Password := "pass{n:06}"' for n in range(users)]
        (folder / "users").write_text("\n".join(lines) + "\n")
        (folder / "radiusd.conf").write_text(self.text(folder))
        os.chmod(folder, 0o755)
        schema = (
            "PRAGMA journal_mode = WAL; CREATE TABLE radacct (radacctid INTEGER PRIMARY KEY AUTOINCREMENT,"
            " acctsessionid TEXT, acctuniqueid TEXT UNIQUE, username TEXT, nasipaddress TEXT, acctstarttime INTEGER,"
            " acctupdatetime INTEGER, acctstoptime INTEGER, acctsessiontime INTEGER, acctinputoctets INTEGER,"
            " acctoutputoctets INTEGER);"
        )
        subprocess.run(["/usr/bin/python3", "-c", f"import sqlite3; sqlite3.connect('{folder}/acct.db').executescript({schema!r})"], check=True)
        self.log = open(folder / "out.log", "w", encoding="utf-8")
        self.process = subprocess.Popen(
            ["freeradius", "-f", "-d", folder, "-l", "stdout"], stdout=self.log, stderr=self.log
        )
        time.sleep(3)
        if self.process.poll() is not None:
            sys.exit("freeradius: " + (folder / "out.log").read_text()[-2000:])

    def text(self, folder):
        insert = (
            "INSERT OR IGNORE INTO radacct (acctsessionid, acctuniqueid, username, nasipaddress, acctstarttime,"
            " acctupdatetime, acctsessiontime, acctinputoctets, acctoutputoctets) VALUES ('%{Acct-Session-Id}',"
            " '%{Acct-Unique-Session-Id}', '%{SQL-User-Name}', '%{NAS-IP-Address}', %l, %l, 0, 0, 0)"
        )
        update = (
            "UPDATE radacct SET acctupdatetime = %l, acctsessiontime = %{%{Acct-Session-Time}:-0},"
            " acctinputoctets = %{%{Acct-Input-Octets}:-0}, acctoutputoctets = %{%{Acct-Output-Octets}:-0}"
            " WHERE acctuniqueid = '%{Acct-Unique-Session-Id}'"
        )
        stop = update.replace("SET ", "SET acctstoptime = %l, ")
        return f"""
name = radiusd
libdir = /usr/lib/freeradius
logdir = {folder}
run_dir = {folder}
max_requests = 65536
hostname_lookups = no
log {{
  destination = stdout
  auth = no
}}
security {{
  max_attributes = 200
  reject_delay = 0
  status_server = yes
  allow_vulnerable_openssl = yes
}}
thread pool {{
  start_servers = 2
  max_servers = 2
  min_spare_servers = 2
  max_spare_servers = 2
}}
client bench {{
  ipaddr = 127.0.0.1
  secret = {SECRET}
  require_message_authenticator = no
}}
modules {{
  expr {{
  }}
  files {{
    usersfile = {folder}/users
  }}
  pap {{
  }}
  chap {{
  }}
  mschap {{
  }}
  sql {{
    driver = "rlm_sql_sqlite"
    dialect = "sqlite"
    sqlite {{
      filename = "{folder}/acct.db"
    }}
    acct_table1 = "radacct"
    acct_table2 = "radacct"
    sql_user_name = "%{{User-Name}}"
    pool {{
      start = 2
      min = 2
      max = 2
      spare = 0
      uses = 0
      lifetime = 0
      idle_timeout = 0
      retry_delay = 1
    }}
    accounting {{
      reference = "%{{tolower:type.%{{Acct-Status-Type}}.query}}"
      type {{
        start {{
          query = "{insert}"
        }}
        interim-update {{
          query = "{update}"
          query = "{insert}"
        }}
        stop {{
          query = "{stop}"
          query = "{insert}"
        }}
      }}
    }}
  }}
}}
policy {{
  unique {{
    update request {{
      &Acct-Unique-Session-Id := "%{{md5:%{{User-Name}},%{{Acct-Session-ID}},%{{NAS-IP-Address}},%{{NAS-Port-ID}},%{{NAS-Port}}}}"
    }}
  }}
}}
server bench {{
  listen {{
    type = auth
    ipaddr = 127.0.0.1
    port = {self.auth}
  }}
  listen {{
    type = acct
    ipaddr = 127.0.0.1
    port = {self.acct}
  }}
  authorize {{
    chap
    mschap
    files
    pap
  }}
  authenticate {{
    Auth-Type PAP {{
      pap
    }}
    Auth-Type CHAP {{
      chap
    }}
    Auth-Type MS-CHAP {{
      mschap
    }}
  }}
  preacct {{
    unique
  }}
  accounting {{
    sql
  }}
}}
"""

    @property
    def pid(self):
        return self.process.pid

    def stop(self):
        self.process.terminate()
        self.process.wait()


def measure(tools, server, mode, options):
    port = server.acct if mode == "acct" else server.auth
    command = [tools / "radload", f"127.0.0.1:{port}", "--secret", SECRET, "--mode", mode, "--users", str(options.users)]
    command += ["--seconds", str(options.seconds), "--pid", str(server.pid)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    text = done.stdout + done.stderr
    replies = re.search(r"ok (\d+)\s+reject (\d+)\s+other (\d+)\s+invalid (\d+).*lost (\d+)", text)
    rate = re.search(r"rate ([\d.]+)/s", text)
    cpu = re.search(r"([\d.]+) us/request", text)
    if not (replies and rate and cpu):
        sys.exit(f"radload said what this script cannot read:\n{text}")
    wrong = sum(int(count) for count in replies.groups()[1:])
    return {"cpu_us": float(cpu.group(1)), "rate": float(rate.group(1)), "ok": int(replies.group(1)), "wrong": wrong}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--tools", type=Path, required=True)
    parser.add_argument("--edge", type=Path, default=Path("target/release/dotmac-edge"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--users", type=int, default=10_000)
    parser.add_argument("--modes", default=",".join(MODES))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=".") as folder:
        folder = Path(folder).resolve()
        servers = []
        try:
            servers.append(Floor(options.tools))
            servers.append(Edge(options.edge.resolve(), folder, options.users))
            if shutil.which("freeradius"):
                servers.append(FreeRadius(folder / "freeradius", options.users))
            table(options, servers)
        finally:
            for server in servers:
                server.stop()


def table(options, servers):
    seen = {}
    for round_number in range(options.rounds):
        for mode in options.modes.split(","):
            for server in answering(servers, mode):
                said = measure(options.tools, server, mode, options)
                seen.setdefault((mode, server.name), []).append(said)
                print(f"round {round_number + 1} {mode:9} {server.name:10} {said}", flush=True)
    print(f"\n{'':9} {'':10} {'CPU us':>8} {'rate/s':>9} {'of floor':>9} {'of FreeRADIUS':>14}")
    for mode in options.modes.split(","):
        medians = {}
        for server in answering(servers, mode):
            rounds = seen[(mode, server.name)]
            medians[server.name] = statistics.median(one["cpu_us"] for one in rounds)
            rate = statistics.median(one["rate"] for one in rounds)
            of = f"{medians[server.name] / medians['floor']:9.2f}" if "floor" in medians else f"{'':9}"
            print(f"{mode:9} {server.name:10} {medians[server.name]:8.2f} {rate:9.0f} {of}", end="")
            if server.name == "edge" and "freeradius" in seen_names(servers):
                other = statistics.median(one["cpu_us"] for one in seen[(mode, "freeradius")])
                print(f" {medians['edge'] / other:14.3f}", end="")
            print()


def answering(servers, mode):
    """The floor knows logins only: there is no honest accounting without keeping it."""
    return [server for server in servers if not (mode == "acct" and server.name == "floor")]


def seen_names(servers):
    return {server.name for server in servers}


main()
