"""lwm2m-serverctl as a user runs it: on a pipe, or on a terminal."""

import json
import os
import pty
import re
import select
import subprocess
import time

from . import settings
from .settings import limit


class Result:
    def __init__(self, status, out, err):
        self.status, self.out, self.err = status, out, err

    @property
    def json(self):
        return json.loads(self.out)

    def __repr__(self):
        return f"<exit {self.status} out={self.out!r} err={self.err!r}>"


class Ctl:
    def __init__(self, socket_path=None):
        self.base = [settings.SERVERCTL]
        if socket_path is not None:
            self.base += [settings.CTL_SOCKET_OPTION, socket_path]

    def __call__(self, *arguments, status=0, stdin=None, timeout=20):
        """Runs with pipes (JSON is the default there); asserts the exit status unless it is None."""
        done = subprocess.run(
            [*self.base, *arguments],
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            timeout=limit(timeout),
            check=False,
        )
        result = Result(done.returncode, done.stdout, done.stderr)
        assert status is None or result.status == status, f"lwm2m-serverctl {' '.join(arguments)}: {result}"
        return result

    def fails(self, *arguments, **named):
        """A run that must end with a non-zero status and say why on standard error."""
        result = self(*arguments, status=None, **named)
        assert result.status != 0, f"lwm2m-serverctl {' '.join(arguments)} did not fail: {result}"
        assert result.status > 0, f"lwm2m-serverctl died of a signal: {result}"
        assert result.err.strip(), result
        return result

    def popen(self, *arguments):
        """For commands that keep printing (watch)."""
        return subprocess.Popen(
            [*self.base, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def on_terminal(self, *arguments, timeout=20, columns=120):
        """Runs with standard output on a pseudo terminal; escape sequences are removed."""
        master, slave = pty.openpty()
        environment = dict(os.environ, TERM="xterm", COLUMNS=str(columns))
        process = subprocess.Popen(
            [*self.base, *arguments],
            stdin=slave,
            stdout=slave,
            stderr=subprocess.PIPE,
            env=environment,
            close_fds=True,
        )
        os.close(slave)
        data, end = b"", time.monotonic() + limit(timeout)
        while time.monotonic() < end:
            ready, _, _ = select.select([master], [], [], 0.2)
            if ready:
                try:
                    part = os.read(master, 65536)
                except OSError:  # the other side is closed
                    break
                if not part:
                    break
                data += part
            elif process.poll() is not None:
                break
        os.close(master)
        error = process.stderr.read().decode()
        text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", data.decode()).replace("\r\n", "\n")
        return Result(process.wait(limit(5)), text, error)
