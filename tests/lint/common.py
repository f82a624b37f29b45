"""What the lint checks share: the list of files, C text without comments, and the report."""

import os
import subprocess

MAX_FILE_LINES = 800
MAX_FUNCTION_LINES = 80
GENERATED_FILES = ("configure", "configure~", "config.h.in", "config.h.in~")


def tracked():
    """The files of the project, also those not committed yet. Where git cannot tell (a tarball,
    or no git, or somebody else's clone): all that the build has not made."""
    try:
        out = subprocess.run(
            ["git", "ls-files", "-z", "-co", "--exclude-standard"],
            check=True, capture_output=True).stdout if os.path.exists(".git") else b""
    except (OSError, subprocess.CalledProcessError):
        out = b""
    names = [name for name in out.decode().split("\0") if name]
    if not names:
        for folder, folders, files in os.walk("."):
            folders[:] = [f for f in folders if not generated(folder, f)]
            names += [os.path.relpath(os.path.join(folder, f)) for f in files]
        names = [n for n in names if n not in GENERATED_FILES]
    return sorted(n for n in names if os.path.isfile(n) and not os.path.islink(n))


def generated(parent, name):
    """Whether a folder is made by the build (as .gitignore says)."""
    if name in (".git", "__pycache__", ".pytest_cache", "autom4te.cache"):
        return True
    return parent == "." and (name.startswith("build") or name == "run")


def is_corpus(name):
    parts = name.split("/")
    return any(p.endswith((".in", ".repro")) for p in parts[:-1])


def c_files(*folders):
    return [n for n in tracked()
            if n.endswith((".c", ".h")) and n.startswith(tuple(f + "/" for f in folders))]


def read(name):
    with open(name, encoding="utf-8", errors="replace") as file:
        return file.read()


def strip_c(text, keep_strings=False):
    """Comments (and what is inside string and character literals) become spaces, so that
    lines and columns stay."""
    out, i, n = [], 0, len(text)
    while i < n:
        two = text[i:i + 2]
        if two == "/*":
            end = text.find("*/", i + 2)
            end = n if end < 0 else end + 2
        elif two == "//":
            end = text.find("\n", i)
            end = n if end < 0 else end
        elif text[i] in "\"'":
            end = i + 1
            while end < n and text[end] not in (text[i], "\n"):
                end += 2 if text[end] == "\\" else 1
            end = min(end + 1, n)
            if keep_strings:
                out.append(text[i:end])
                i = end
                continue
        else:
            out.append(text[i])
            i += 1
            continue
        out.append("".join(c if c == "\n" else " " for c in text[i:end]))
        i = end
    return "".join(out)


def flags(build):
    """The command that compiles an object of this build directory, as a list."""
    try:
        return read(os.path.join(build, "compile.flags")).split()
    except OSError:
        return None
