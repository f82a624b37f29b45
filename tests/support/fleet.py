"""The simulator of devices in a process of its own: tests at a size that Python cannot serve."""

import json
import select
import signal
import subprocess
import time

from . import settings
from .settings import limit


def command(mode, options):
    line = [settings.FLEET, mode]
    for name, value in options.items():
        line += ["--" + name.replace("_", "-"), str(value)]
    return line


def run(mode, limit_s=60, **options):
    """One run; its last line of JSON."""
    done = subprocess.run(
        command(mode, options), capture_output=True, text=True, timeout=limit(limit_s), check=False
    )
    assert done.returncode == 0, f"fleet {mode}: {done.stderr}"
    return json.loads(done.stdout.splitlines()[-1])


class Sleepers:
    """Devices in queue mode; wake() lets all of them wake once."""

    def __init__(self, **options):
        self.process = subprocess.Popen(command("sleepers", options), stdout=subprocess.PIPE)
        self.last = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def next(self, event, seconds=60):
        """The report of the next event, which must be this one."""
        end = time.monotonic() + limit(seconds)
        line = b""
        while not line.endswith(b"\n"):
            ready, _, _ = select.select([self.process.stdout], [], [], max(0, end - time.monotonic()))
            assert ready, f"no {event} of the sleepers after {limit(seconds):.0f} s; the last was {self.last}"
            more = self.process.stdout.read1(65536)
            assert more, f"the sleepers have ended; their last report was {self.last}"
            line += more
        self.last = json.loads(line)
        assert self.last["event"] == event, self.last
        return self.last

    def wake(self):
        self.process.send_signal(signal.SIGUSR1)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        return self.next("end")
