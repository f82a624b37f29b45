"""What a measurement needs: the load generator, the floor, a server whose shard stays on one processor."""

import contextlib
import json
import math
import os
import re
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from support import settings  # noqa: E402
from support.daemon import Daemon, free_port  # noqa: E402

settings.KEYS["renewal_interval_s"] = ("registration", "renewal-interval-s")

FLEET = os.environ.get("LWM2M_FLEET", str(settings.BUILD / "fleet"))
STEPS = settings.BUILD / "tests" / "bench" / "bench_steps"
PROCESSORS = sorted(os.sched_getaffinity(0))
GENERATOR_CPU = PROCESSORS[0]
SHARD_CPU = PROCESSORS[1 % len(PROCESSORS)]
DEVICE_PORT = free_port()  # one for all runs: a device that moves is more work for the server


class Failure(Exception):
    """Something is wrong that is not a matter of speed."""


def fleet_command(mode, options):
    command = [FLEET, mode]
    for name, value in options.items():
        command += ["--" + name.replace("_", "-"), str(value)]
    return command


def fleet(mode, limit_s=600, **options):
    """One run of the load generator on its processor; its line of JSON."""
    command = fleet_command(mode, {"cpu": GENERATOR_CPU, **options})
    done = subprocess.run(command, capture_output=True, text=True, timeout=limit_s, check=False)
    if done.returncode != 0:
        raise Failure(f"{' '.join(command)}: {done.stderr.strip()}")
    return json.loads(done.stdout.splitlines()[-1])


def load(mode, port, **options):
    """A load on a server or the floor; an answer that never comes, or a refusal, is a failure."""
    result = fleet(mode, server=f"127.0.0.1:{port}", port=DEVICE_PORT, **options)
    if result["refused"] or result["reset"] or result["lost"]:
        raise Failure(f"{mode}: {result}")
    return result


class Background:
    """A mode of the load generator that runs until it is stopped; `ready` is its first line."""

    def __init__(self, mode, **options):
        self.process = subprocess.Popen(fleet_command(mode, options), stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        if not line:
            raise Failure(f"fleet {mode} did not start")
        self.ready = json.loads(line)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        out, _ = self.process.communicate(timeout=30)
        return json.loads(out.splitlines()[-1])

    def cpu_ns(self):
        return schedstat_ns(self.process.pid)


class Floor(Background):
    def __init__(self):
        self.port = free_port()
        super().__init__("floor", listen=f"127.0.0.1:{self.port}", cpu=SHARD_CPU)


def schedstat_ns(pid, task=None):
    """Processor time of a thread so far."""
    return int(Path(f"/proc/{pid}/task/{task or pid}/schedstat").read_text().split()[0])


class Server(Daemon):
    """A daemon with one shard, on the processor beside the generator's."""

    def __init__(self, **config):
        self.shard_task = None
        super().__init__(start=False, shards=1, log_level="warn", **config)

    def begin(self, limit_s=120):
        """Starts; returns the seconds until /readyz says yes."""
        self.shard_task = None
        start = time.monotonic()
        self.start(ready=False)
        while True:
            if self.process.poll() is not None:
                raise Failure(f"the server has ended\n{self.tail()}")
            try:
                if self.rest.get("/readyz").status == 200:
                    return time.monotonic() - start
            except OSError:
                pass
            if time.monotonic() - start > limit_s:
                raise Failure(f"not ready after {limit_s} s\n{self.tail()}")
            time.sleep(0.01)

    def tasks(self):
        return [int(name) for name in os.listdir(f"/proc/{self.process.pid}/task")]

    def pin(self, port_load):
        """The shard is the thread that works most while `port_load` runs; it is put on its processor."""
        before = {task: self.cpu_ns(task) for task in self.tasks()}
        result = port_load()
        work = {task: self.cpu_ns(task) - before.get(task, 0) for task in self.tasks()}
        self.shard_task = max(work, key=work.get)
        os.sched_setaffinity(self.shard_task, {SHARD_CPU})
        return result

    def pin_shard(self):
        """The same by the thread's name, where no load is at hand."""
        for task in self.tasks():
            if Path(f"/proc/{self.process.pid}/task/{task}/comm").read_text().startswith("shard-"):
                self.shard_task = task
                os.sched_setaffinity(task, {SHARD_CPU})

    def cpu_ns(self, task=None):
        return schedstat_ns(self.process.pid, task or self.shard_task)

    def anonymous_kib(self):
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("RssAnon:"):
                return int(line.split()[1])
        raise Failure("no RssAnon in /proc")

    def metric(self, name):
        """Sum over all labels."""
        return int(sum(v for (n, _), v in self.metrics().items() if n == "lwm2m_" + name))

    def database_bytes(self):
        """As all transactions so far have made it, whether or not they are in the main file yet."""
        with contextlib.closing(sqlite3.connect(f"file:{self.database}?mode=ro", uri=True)) as base:
            return math.prod(base.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "page_size"))

    def count_operations(self, state):
        """By the pages of the listing."""
        found, cursor = 0, ""
        while cursor is not None:
            page = self.rest.ok("GET", f"/v1/operations?state={state}&limit=1000&cursor={cursor}").json
            found += len(page["operations"])
            cursor = page["next"]
        return found

    @property
    def database(self):
        return Path(self.config["data_dir"]) / "lwm2m.db"


def profile(process, seconds, top=15):
    """Where a busy process spends its time, by thread name and symbol; [] without perf."""
    with tempfile.TemporaryDirectory(prefix="lwm2m-perf-") as folder:
        data = str(Path(folder, "perf.data"))
        try:
            subprocess.run(["perf", "record", "-q", "-F", "997", "-p", str(process), "-o", data, "--", "sleep",
                            str(seconds)], capture_output=True, check=True, timeout=seconds + 60)
            text = subprocess.run(["perf", "report", "--stdio", "-q", "--no-children", "--sort", "comm,symbol",
                                   "-i", data], capture_output=True, check=True, text=True,
                                  timeout=120).stdout
        except (OSError, subprocess.SubprocessError):
            return []
    lines = (re.sub(r"(\s+-)+\s*$", "", re.sub(r" {2,}", "  ", line)).strip() for line in text.splitlines())
    return [line for line in lines if line and not line.startswith("#")][:top]


def steps(*databases):
    """Step counts of bench_steps, one dictionary per database."""
    done = subprocess.run([str(STEPS), *map(str, databases)], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Failure(f"bench_steps: {done.stderr.strip()}")
    return [json.loads(line) for line in done.stdout.splitlines()]
