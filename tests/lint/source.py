"""Checks that read the text of the sources. Each yields "file:line: message"."""

import fnmatch
import re

import common


def rows(name, separator):
    """The rows of a table in this folder, without comments and empty lines."""
    for line in common.read(name).splitlines():
        if line.strip() and not line.startswith("#"):
            yield [field.strip() for field in line.split(separator)]


def banned(_build):
    """Functions that are not to be used."""
    for words, where, exceptions, instead in rows("tests/lint/banned", "|"):
        words = "|".join(words.split())
        # a call, but of no member; stdio's streams and, as they are handed on, allocators bare
        pattern = re.compile(rf"(?<![\w.])(?<!->)({words})\s*\("
                             r"|(?<![\w.])(?<!->)(stdout|stderr)\b"
                             r"|[=,(&?:]\s*(malloc|calloc|realloc|free)\s*(?=[,);])")
        for name in common.c_files(*where.split()):
            if any(fnmatch.fnmatch(name, e) for e in exceptions.split()):
                continue
            lines = common.strip_c(common.read(name)).split("\n")
            for number, line in enumerate(lines, 1):
                if line.lstrip().startswith("#"):
                    continue
                for match in pattern.finditer(line):
                    word = match[1] or match[2] or match[3]
                    if word not in words.split("|"):
                        continue
                    yield f"{name}:{number}: {word} is banned here; use {instead}"


def file_length(_build):
    """Files are at most 800 lines."""
    for name in common.tracked():
        if name.endswith((".c", ".h", ".py", ".sh", "Makefile")) or is_script(name):
            lines = common.read(name).count("\n")
            if lines > common.MAX_FILE_LINES:
                yield f"{name}:{lines}: {lines} lines, at most {common.MAX_FILE_LINES}"


def is_script(name):
    if common.is_corpus(name) or "." in name.rsplit("/", 1)[-1]:
        return False
    with open(name, "rb") as file:
        return file.read(2) == b"#!"


def function_length(_build):
    """Functions are at most 80 lines, from their name to the closing brace."""
    for name in common.c_files("src", "tests", "contrib"):
        lines = common.strip_c(common.read(name)).split("\n")
        head = opened = None
        for number, line in enumerate(lines, 1):
            if opened is None and re.match(r"[A-Za-z_].*\(", line):
                head = number
            if line == "{":
                opened = head or number
            elif line.startswith("}") and opened is not None:
                length = number - opened + 1
                if length > common.MAX_FUNCTION_LINES:
                    yield (f"{name}:{opened}: a function of {length} lines, "
                           f"at most {common.MAX_FUNCTION_LINES}")
                head = opened = None
            elif line.startswith("}") or line.endswith(";") and opened is None:
                head = None


def left_over(_build):
    """No reminders left in the text."""
    pattern = re.compile(r"\b(" + "|".join(["TO" "DO", "FIX" "ME", "X" "XX"]) + r")\b")
    yield from grep(pattern, "is a reminder; do it or drop it")


def machine(_build):
    """No path of the machine it was written on."""
    pattern = re.compile(r"(?<![\w.~<-])(/(?:work|root|home)(?=[/\s\"'`:;,)]|$))", re.M)
    yield from grep(pattern, "is a path of one machine")


def registries(_build):
    """No host of a package registry: where packages come from is the user's business."""
    hosts = [r"pypi\.org", r"pythonhosted\.org", r"repo1?\.maven\.", r"search\.maven\.",
             r"npmjs\.(?:org|com)", r"crates\.io", r"proxy\.golang\.", r"(?:deb|security|archive|"
             r"snapshot)\.debian\.org", r"docker\.io", r"ghcr\.io", r"quay\.io"]
    yield from grep(re.compile("((?:" + "|".join(hosts) + "))", re.I), "is a registry's host")


def grep(pattern, what):
    for name in common.tracked():
        if common.is_corpus(name) or name == "LICENSE":
            continue
        with open(name, "rb") as file:
            if b"\0" in file.read(8192):
                continue
        for number, line in enumerate(common.read(name).split("\n"), 1):
            for match in pattern.finditer(line):
                yield f"{name}:{number}: {match[1]} {what}"


def tabs(_build):
    """No tabs and no trailing blanks in C."""
    for name in common.c_files("src", "tests", "contrib"):
        for number, line in enumerate(common.read(name).split("\n"), 1):
            if "\t" in line:
                yield f"{name}:{number}: a tab"
            if line != line.rstrip():
                yield f"{name}:{number}: blanks at the end of the line"


def layers(_build):
    """Folders include only what the table tests/lint/layers lets them."""
    table = Layers("tests/lint/layers")
    yield from table.cycles()
    for name in common.c_files("src", "contrib/fleet"):
        yield from table.check(name)


class Layers:
    def __init__(self, name):
        self.name = name
        self.folders, self.public, self.libraries = {}, {}, []
        self.words = {"system": [], "io": [], "pure": [], "noio": []}
        for line in common.read(name).splitlines():
            kind, _, rest = line.partition(" ")
            fields = [f.strip() for f in rest.split(":")]
            if kind == "folder":
                folder = fields[0]
                self.folders[folder] = fields[1].split()
                base = folder.rsplit("/", 1)[-1]
                self.public[folder] = [base + ".h"] + fields[2].split()
            elif kind == "library":
                self.libraries.append((fields[0], fields[1].split(), fields[2].split()))
            elif kind in self.words:
                self.words[kind] += rest.split()

    def cycles(self):
        """A row may name only rows above it: then there is no cycle."""
        seen = set()
        for folder, others in self.folders.items():
            for other in others:
                if other not in seen:
                    yield f"{self.name}:1: {folder} may include {other}, which is not below it"
            seen.add(folder)

    def folder_of(self, name):
        for folder in self.folders:
            if name.startswith((f"src/{folder}/", f"{folder}/")):
                return folder
        return None

    def check(self, name):
        folder = self.folder_of(name)
        if folder is None:
            yield f"{name}:1: its folder has no row in {self.name}"
            return
        text = common.strip_c(common.read(name), keep_strings=True)
        for number, line in enumerate(text.split("\n"), 1):
            match = re.match(r"\s*#\s*include\s*([\"<])([^\">]+)[\">]", line)
            if match:
                quoted, header = match[1] == '"', match[2]
                problem = (self.ours if quoted else self.foreign)(name, folder, header)
                if problem:
                    yield f"{name}:{number}: {problem}"

    def ours(self, _name, folder, header):
        if header == "config.h":
            return None
        other, _, rest = header.rpartition("/")
        if other == folder or folder == "contrib/fleet" and other in ("", "fleet"):
            return None
        if other not in self.folders:
            return f'"{header}" is not rooted at src'
        if other not in self.folders[folder]:
            return f"{folder} may not include {other}"
        if rest not in self.public[other]:
            return f'"{header}" is private to {other}'
        return None

    def foreign(self, name, folder, header):
        for library, headers, places in self.libraries:
            if not any(fnmatch.fnmatch(header, h) for h in headers):
                continue
            path = name.removeprefix("src/")
            if not any(path.startswith(p + "/") or fnmatch.fnmatch(path, p) for p in places):
                return f"{library} may be included in {' '.join(places)} only"
            return None
        if header in self.words["system"]:
            return None
        if any(fnmatch.fnmatch(header, h) for h in self.words["io"]):
            if folder in self.words["pure"]:
                return f"<{header}> in {folder}, which does no I/O"
            return None
        return f"<{header}> has no row in {self.name}"


CHECKS = [banned, layers, file_length, function_length, left_over, machine, registries, tabs]
