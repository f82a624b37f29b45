"""Checks done by tools of their own. A check that cannot run here says so by Skip."""

import os
import re
import shutil
import subprocess

import common

# Releases of clang-format differ in what they do to the same file; this one is the judge.
CLANG_FORMAT = "14"


class Skip(Exception):
    pass


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def clang_format(_build):
    """C is formatted as .clang-format says."""
    tool = shutil.which("clang-format-" + CLANG_FORMAT) or shutil.which("clang-format")
    if tool is None:
        yield ".clang-format:1: clang-format is missing: run contrib/deps.sh test"
        return
    version = re.search(r"version (\d+)", run(tool, "--version")[1])
    if version is None or version[1] != CLANG_FORMAT:
        raise Skip(f"clang-format {CLANG_FORMAT} is the judge, here is another")
    names = common.c_files("src", "tests", "contrib")
    for start in range(0, len(names), 50):
        status, out = run(tool, "--dry-run", "-Werror", "--ferror-limit=1",
                          *names[start:start + 50])
        if status != 0:
            yield from (line for line in out.splitlines() if "error:" in line)


def mandoc(_build):
    """Manual pages are without errors."""
    pages = [n for n in common.tracked() if re.match(r"man/.*\.[1-8]$", n)]
    if not pages:
        raise Skip("no manual pages yet")
    if shutil.which("mandoc") is None:
        yield "man:1: mandoc is missing: run contrib/deps.sh test"
        return
    status, out = run("mandoc", "-T", "lint", "-W", "error", *pages)
    if status != 0:
        yield from out.splitlines()


def shell(_build):
    """Shell scripts parse."""
    for name in common.tracked():
        if common.is_corpus(name):
            continue
        with open(name, "rb") as file:
            first = file.readline(80)
        for interpreter in ("bash", "sh"):
            if re.match(rb"#!.*\b%s\b" % interpreter.encode(), first):
                status, out = run(interpreter, "-n", name)
                if status != 0:
                    yield f"{name}:1: {out.strip()}"
                if not os.access(name, os.X_OK):
                    yield f"{name}:1: a script that cannot be executed"
                break


CHECKS = [clang_format, mandoc, shell]
