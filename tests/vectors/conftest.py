"""The program tests/vectors/convert.c as a fixture."""

import os
import subprocess
from pathlib import Path

import pytest

USES = ["answer", "composite", "write", "update", "create", "fetch", "patch", "send"]


class Refused(Exception):
    """What content_encode or content_decode returned."""


class Convert:
    def __init__(self):
        program = Path(os.environ["LWM2M_BUILD"]) / "tests" / "vectors" / "convert"
        self.process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ask(self, *fields):
        self.process.stdin.write("\t".join(fields).encode() + b"\n")
        self.process.stdin.flush()
        verdict, *fields = self.process.stdout.readline().decode().rstrip("\n").split("\t")
        if verdict != "ok":
            raise Refused(verdict.removeprefix("error "))
        return fields

    def encode(self, number, use, base, records, gateway="-"):
        texts = [text_of(record) for record in records]
        fields = self.ask("encode", str(number), str(USES.index(use)), base, gateway, *texts)
        return bytes.fromhex(fields[0]) if fields else b""

    def decode(self, number, use, base, body, gateway="-"):
        fields = self.ask("decode", str(number), str(USES.index(use)), base, gateway, body.hex())
        return [record_of(field) for field in fields]


def text_of(record):
    prefix, path, kind, value, time = record
    if kind in ("string", "corelnk"):
        value = value.encode().hex()
    elif kind == "opaque":
        value = value.hex()
    elif kind == "boolean":
        value = int(value)
    elif kind == "none":
        value = "-"
    elif kind == "float":
        value = repr(value)
    where = "/" + "/".join(map(str, path))
    return f"{prefix + ':' if prefix else ''}{where} {kind} {value} {'-' if time is None else time}"


def record_of(text):
    where, kind, value, time = text.split(" ")
    prefix, _, path = where.rpartition(":")
    read = {
        "string": lambda: bytes.fromhex(value).decode(),
        "corelnk": lambda: bytes.fromhex(value).decode(),
        "opaque": lambda: bytes.fromhex(value),
        "boolean": lambda: value == "1",
        "none": lambda: None,
        "float": lambda: float(value),
        "objlnk": lambda: value,
    }.get(kind, lambda: int(value))
    ids = tuple(int(part) for part in path.split("/") if part)
    return prefix, ids, kind, read(), None if time == "-" else int(time)


@pytest.fixture(scope="session")
def convert():
    c = Convert()
    yield c
    c.process.stdin.close()
    assert c.process.wait(10) == 0
