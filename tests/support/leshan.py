"""The Eclipse Leshan client as a peer process.

The demo client itself is not to be had from the artefact registry; its libraries are (leshan-tl-cf-client-coap,
pinned in interop/leshan/pom.xml). interop/leshan/LeshanPeer.java puts the library's client together and
lets it be steered by lines. Libraries are fetched once by mvn into $LWM2M_BUILD/leshan and the class is
compiled there; both are made again when the pom or the source changes.
"""

import fcntl
import hashlib
import queue
import re
import shutil
import subprocess
import threading
import time

from . import settings
from .settings import limit

SOURCE = settings.REPOSITORY / "tests" / "interop" / "leshan"
HOME = settings.BUILD / "leshan"
LIBRARIES, CLASSES, STAMP = HOME / "lib", HOME / "classes", HOME / "stamp"


def _run(*command):
    done = subprocess.run(command, capture_output=True, text=True, timeout=limit(600), check=False)
    assert (
        done.returncode == 0
    ), f"{command[0]} failed ({done.returncode}):\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"


def build():
    """Fetches and compiles what is not there yet; returns the class path."""
    for program in ("java", "javac", "mvn"):
        assert shutil.which(program), f"{program} is missing: run contrib/deps.sh test"
    pom, source = SOURCE / "pom.xml", SOURCE / "LeshanPeer.java"
    HOME.mkdir(parents=True, exist_ok=True)
    with open(HOME / "lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        wanted = hashlib.sha256(pom.read_bytes()).hexdigest(), hashlib.sha256(source.read_bytes()).hexdigest()
        have = tuple(STAMP.read_text().split()) if STAMP.exists() else (None, None)
        if have[0] != wanted[0]:
            STAMP.unlink(missing_ok=True)
            shutil.rmtree(LIBRARIES, ignore_errors=True)
            _run(
                "mvn",
                "-q",
                "-B",
                "-f",
                str(pom),
                "dependency:copy-dependencies",
                f"-DoutputDirectory={LIBRARIES}",
            )
        if have != wanted:
            shutil.rmtree(CLASSES, ignore_errors=True)
            _run("javac", "-nowarn", "-d", str(CLASSES), "-cp", f"{LIBRARIES}/*", str(source))
            STAMP.write_text(" ".join(wanted))
    return f"{CLASSES}:{LIBRARIES}/*"


class LeshanPeer:
    """One client process. formats: the content formats it has, e.g. "0,42,11542"."""

    def __init__(self, server, endpoint, lifetime=300, formats=None, queue_mode=False):
        host, port = server
        command = [
            "java",
            "-Xshare:auto",
            "-XX:TieredStopAtLevel=1",
            "-XX:+UseSerialGC",  # few threads: the machine is shared with the server
            "-Xmx128m",
            "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
            "-cp",
            build(),
            "LeshanPeer",
            "--url",
            f"coap://{f'[{host}]' if ':' in host else host}:{port}",
            "--endpoint",
            endpoint,
            "--lifetime",
            str(lifetime),
            "--models",
            str(settings.MODELS),
        ]
        if formats:
            command += ["--formats", formats]
        if queue_mode:
            command += ["--queue"]
        self.endpoint = endpoint
        self.lines = []
        self._errors = []
        self._queue = queue.Queue()
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        for stream, sink in ((self.process.stdout, self._line), (self.process.stderr, self._errors.append)):
            threading.Thread(target=self._pump, args=(stream, sink), daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    @staticmethod
    def _pump(stream, sink):
        for line in stream:
            sink(line.rstrip("\n"))

    def _line(self, line):
        self.lines.append(line)
        self._queue.put(line)

    def wait(self, pattern, seconds=30):
        """The match of the next output line that fits; lines before it are passed over."""
        end = time.monotonic() + limit(seconds)
        while True:
            try:
                line = self._queue.get(timeout=max(0.01, end - time.monotonic()))
            except queue.Empty:
                raise AssertionError(
                    f"the Leshan client did not say {pattern!r}:\n"
                    + "\n".join(self.lines[-20:] + self._errors[-20:])
                ) from None
            found = re.fullmatch(pattern, line)
            if found:
                return found

    def command(self, text):
        """Runs one command line; what it causes is waited for separately."""
        self.process.stdin.write(text + "\n")
        self.process.stdin.flush()

    def wait_registered(self):
        return self.wait(r"EVENT registered (\S+)", 60)[1]

    def stop(self):
        """De-registers and ends."""
        self.command("stop")
        self.wait("EVENT deregistered")
        self.process.wait(limit(20))

    def kill(self):
        """Ends without a word to the server."""
        self.process.kill()
        self.process.wait()

    def close(self):
        if self.process.poll() is None:
            self.kill()
        self.process.stdin.close()
