"""One lwm2m-serverd of our own: directories, ports, configuration, life and death.

    with Daemon(shards=2, grace_s=1) as daemon:
        daemon.rest.devices()

Every Daemon has a short directory under /tmp (a unix socket path is at most 107 bytes). The configuration
file is written from the keywords by the table in settings. stop() asserts a clean end; kill() is kill -9.
"""

import os
import random
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from . import settings
from .ctl import Ctl
from .rest import Rest
from .settings import limit

SANITIZER = re.compile(r"ERROR: \w+Sanitizer|WARNING: ThreadSanitizer|runtime error:|SUMMARY: \w+Sanitizer")
LIVING = []  # daemons of the running test, for the report of a failure


def free_port(kind=socket.SOCK_DGRAM, host="127.0.0.1"):
    """A port nobody has, below the range the kernel gives to clients.

    Bound without SO_REUSEPORT, so that a port shared by another daemon counts as taken.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for _ in range(200):
        port = random.randrange(20000, 32000)
        with socket.socket(family, kind) as probe:
            try:
                probe.bind((host, port))
                return port
            except OSError:
                continue
    raise RuntimeError("no free port")


class Daemon:
    def __init__(self, start=True, environment=None, keep_ignored=False, **config):
        """keep_ignored: signals this process ignores (SIGXFSZ) are ignored in the server too."""
        self.keep_ignored = keep_ignored
        self.directory = Path(tempfile.mkdtemp(prefix="lwm2m-"))
        self.coap_port = free_port()
        self.api_port = free_port(socket.SOCK_STREAM)
        self.coap = ("127.0.0.1", self.coap_port)
        self.environment = dict(os.environ, **(environment or {}))
        self.config = {
            "run_dir": self.directory / "run",
            "data_dir": self.directory / "data",
            "shards": 1,
            "log_level": "debug",
            "coap_listen": f"127.0.0.1:{self.coap_port}",
            "api_listen": f"127.0.0.1:{self.api_port}",
            "api_socket": self.directory / "api.sock",
        }
        self.config.update(config)
        self.config_path = self.directory / "server.conf"
        self.process = None
        self.starts = 0
        for name in ("run", "data"):
            (self.directory / name).mkdir()
        self.write_config()
        if start:
            try:
                self.start()
            except BaseException:
                self.close(check=False)
                raise

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        self.close(check=kind is None)

    # -- configuration ------------------------------------------------------------------------------------

    def write_config(self, extra=""):
        sections = {}
        for name, value in self.config.items():
            if value is not None:
                section, key = settings.KEYS[name]
                sections.setdefault(section, []).append(f"{key} = {value}\n")
        text = "".join(f"[{section}]\n{''.join(lines)}\n" for section, lines in sections.items())
        self.config_path.write_text(text + extra)
        return self.config_path

    # -- life ------------------------------------------------------------------------------------------------

    @property
    def log_path(self):
        return self.directory / f"log.{self.starts}"

    def log(self):
        """Everything all runs have written, standard output and error together."""
        return "".join(
            (self.directory / f"log.{n}").read_text(errors="replace") for n in range(1, self.starts + 1)
        )

    def start(self, ready=True, **changes):
        """Starts the program; waits for /readyz unless ready is False."""
        if changes:
            self.config.update(changes)
            self.write_config()
        assert self.process is None, "runs already"
        self.starts += 1
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(
                [settings.SERVERD, settings.CONFIG_OPTION, str(self.config_path)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self.environment,
                restore_signals=not self.keep_ignored,
                cwd=self.directory,
            )
        if self not in LIVING:
            LIVING.append(self)
        if ready:
            self.wait_ready()
        return self

    def wait_ready(self, seconds=20):
        end = time.monotonic() + limit(seconds)
        state = "not asked"
        while time.monotonic() < end:
            if self.process.poll() is not None:
                raise AssertionError(
                    f"the server ended with {self.process.returncode} while starting\n{self.tail()}"
                )
            try:
                answer = self.rest.get("/readyz")
                state = f"{answer.status} {answer.body[:200]!r}"
                if answer.status == 200:
                    return
            except OSError as error:
                state = str(error)
            time.sleep(0.02)
        raise AssertionError(f"not ready after {limit(seconds):.0f} s: {state}\n{self.tail()}")

    def stop(self, check=True, seconds=20):
        """SIGTERM; asserts a clean end."""
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        self._reap(seconds, check)
        if check:
            assert self.returncode == 0, f"the server ended with {self.returncode}\n{self.tail()}"
            self.check_log()

    def kill(self):
        """kill -9: no destructor, no flush."""
        self.process.kill()
        self._reap(20, False)

    def crash_check(self):
        """Fails when the process has ended by itself."""
        status = self.process.poll()
        assert status is None, f"the server ended with {status}\n{self.tail()}"

    def restart(self, **changes):
        self.stop()
        return self.start(**changes)

    def signal(self, number):
        self.process.send_signal(number)

    def _reap(self, seconds, check):
        try:
            self.returncode = self.process.wait(limit(seconds))
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.returncode = self.process.wait()
            if check:
                raise AssertionError(
                    f"the server did not stop within {limit(seconds):.0f} s\n{self.tail()}"
                ) from None
        finally:
            self.process = None

    def check_log(self):
        finding = SANITIZER.search(self.log())
        assert finding is None, f"sanitizer report:\n{self.log()[finding.start() : finding.start() + 6000]}"

    def close(self, check=True):
        try:
            self.stop(check)
        finally:
            if self in LIVING:
                LIVING.remove(self)
            shutil.rmtree(self.directory, ignore_errors=True)

    def tail(self, lines=60):
        try:
            return "".join(f"  | {line}\n" for line in self.log().splitlines()[-lines:])
        except OSError as error:
            return str(error)

    # -- how it is reached --------------------------------------------------------------------------------------

    @property
    def rest(self):
        return Rest(("127.0.0.1", self.api_port))

    @property
    def admin(self):
        """The same API over the unix socket, with the routes that exist only there."""
        return Rest(str(self.config["api_socket"]))

    @property
    def ctl(self):
        return Ctl(str(self.config["api_socket"]))

    # -- what it counts --------------------------------------------------------------------------------------------

    def metrics(self):
        """{(name, ((label, value), …)): number} of /metrics."""
        found = {}
        for line in self.rest.ok("GET", "/metrics").body.decode().splitlines():
            sample = re.fullmatch(r"([A-Za-z_:][\w:]*)(?:\{(.*)\})? (\S+)(?: \d+)?", line)
            if sample and not line.startswith("#"):
                labels = tuple(sorted(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', sample[2] or "")))
                found[(sample[1], labels)] = float(sample[3])
        return found

    def rss_kb(self):
        return int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{self.process.pid}/status").read_text())[1])


def check_config(text, *arguments):
    """Runs -T on a configuration text: (exit status, everything printed, file name)."""
    with tempfile.TemporaryDirectory(prefix="lwm2m-") as directory:
        path = Path(directory, "test.conf")
        path.write_text(text)
        done = subprocess.run(
            [settings.SERVERD, settings.CHECK_OPTION, *arguments, settings.CONFIG_OPTION, str(path)],
            capture_output=True,
            text=True,
            timeout=limit(10),
            check=False,
        )
        return done.returncode, done.stdout + done.stderr, str(path)
