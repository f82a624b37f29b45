"""Checks that need the compiler: on the objects of a build, and on headers."""

import os
import re
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor

import common
import source


def object_of(build, name):
    return os.path.join(build, "obj", name[:-2] + ".o")


def nm(*arguments):
    return subprocess.run(["nm", *arguments], capture_output=True, text=True,
                          check=True).stdout.splitlines()


def built(build, *folders):
    """(source, object) for each C file; a missing object is a finding of its own."""
    for name in common.c_files(*folders):
        if name.endswith(".c"):
            yield name, object_of(build, name)


def line_of(name, symbol):
    """Where a symbol is defined in its file, as well as text can tell."""
    lines = common.strip_c(common.read(name)).split("\n")
    for number, line in enumerate(lines, 1):
        if re.match(rf"\S.*\b{re.escape(symbol)}\b", line) and not line.rstrip().endswith(";"):
            return number
    return 1


def prefix(build):
    """What a file exports begins with its stem."""
    for name, obj in built(build, "src", "contrib/fleet"):
        if not os.path.exists(obj):
            yield f"{name}:1: not built: {obj} is missing"
            continue
        stem = re.sub(r"\W", "_", os.path.basename(name)[:-2])
        for line in nm("-g", "--defined-only", obj):
            symbol = line.split()[-1]
            if symbol != stem and not symbol.startswith(stem + "_") and symbol != "main":
                yield f"{name}:{line_of(name, symbol)}: {symbol} does not begin with {stem}_"


# What an object without I/O does not call (a few names stand for many).
IO = re.compile(
    r"(?:socket|bind|connect|listen|accept4?|send(?:to|msg|mmsg)?|recv(?:from|msg|mmsg)?|p?poll|"
    r"epoll_.*|select|open(?:64|at|at64)?|f?open(?:64)?|read|write|p(?:read|write)v?(?:64)?|close|"
    r"mmap(?:64)?|unlink|rename|time|clock_gettime|gettimeofday|nanosleep|u?sleep|getrandom|random|"
    r"getenv|pthread_.*|fork|exec[lv].*|uv_.*|sqlite3_.*|clock_(?:mono|wall)_.*)(?:_chk)?$")


def no_io(build):
    """The folders that work on bytes and a given time call nothing that does I/O."""
    table = source.Layers("tests/lint/layers")
    for name, obj in built(build, *(f"src/{f}" for f in table.words["noio"])):
        if not os.path.exists(obj):
            continue
        for line in nm("-u", obj):
            symbol = line.split()[-1].split("@")[0]
            if IO.match(symbol):
                yield f"{name}:{use_of(name, symbol)}: calls {symbol}: no I/O and no clock here"


def no_globals(build):
    """The same folders hold no state of their own: no writable variable outlives a call."""
    table = source.Layers("tests/lint/layers")
    for name, obj in built(build, *(f"src/{f}" for f in table.words["noio"])):
        if not os.path.exists(obj):
            continue
        for line in nm("-f", "sysv", "--defined-only", obj):
            fields = [f.strip() for f in line.split("|")]
            # constant tables with pointers are in .data.rel.ro; a log site is its rate limit
            if len(fields) == 7 and re.match(r"\.(data|bss|tbss|tdata)(\.(?!rel\.ro)|$)",
                                             fields[6]):
                if not fields[0].startswith("log_site_"):
                    yield (f"{name}:{use_of(name, fields[0].split('.')[0])}: "
                           f"{fields[0]} is a variable that outlives the call")


def use_of(name, symbol):
    lines = common.strip_c(common.read(name)).split("\n")
    for number, line in enumerate(lines, 1):
        if re.search(rf"\b{re.escape(symbol)}\b", line):
            return number
    return 1


def headers(build):
    """Every header compiles alone, and twice."""
    command = common.flags(build)
    if command is None:
        yield f"{build}:1: not built: compile.flags is missing"
        return
    names = [n for n in common.c_files("src", "contrib", "tests") if n.endswith(".h")]

    def compile_one(name):
        text = f'#include "{os.path.abspath(name)}"\n' * 2
        with tempfile.NamedTemporaryFile("w", suffix=".c") as file:
            file.write(text + "extern int header_check;\n")
            file.flush()
            done = subprocess.run(command + ["-Werror", "-fsyntax-only", "-Itests", file.name],
                                  capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return []
        top = os.getcwd() + "/"
        found = [line.replace(top, "") for line in done.stderr.splitlines() if "error:" in line]
        return found[:5] or [f"{name}:1: does not compile"]

    with ThreadPoolExecutor(2) as pool:
        for found in pool.map(compile_one, names):
            yield from found


CHECKS = [prefix, no_io, no_globals, headers]
