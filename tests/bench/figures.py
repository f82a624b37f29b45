"""Figures, what is asked of them, and where they are written down."""

import datetime
import statistics
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent


@dataclass
class Figure:
    """One number per round. `target`: what to reach; `required`: the least that will do (None: as the target)."""

    name: str
    values: list
    unit: str = ""
    target: float = None
    required: float = None
    at_most: bool = False
    note: str = ""
    profile: list = field(default_factory=list)

    @property
    def median(self):
        return statistics.median(self.values)

    def reaches(self, bound):
        return self.median <= bound if self.at_most else self.median >= bound

    @property
    def verdict(self):
        if self.target is None:
            return "-"
        if self.reaches(self.target):
            return "met"
        if self.required is not None and self.reaches(self.required):
            return f"missed (reaches {show(self.required)})"
        return "missed"

    @property
    def aim(self):
        if self.target is None:
            return "-"
        return ("<= " if self.at_most else ">= ") + show(self.target)

    @property
    def spread(self):
        if len(self.values) < 2:
            return ""
        return f"{show(min(self.values))} - {show(max(self.values))}"


def show(value):
    if abs(value) >= 1000:
        return f"{value:.0f}"
    if abs(value) >= 20:
        return f"{value:.1f}"
    return f"{value:.3g}" if abs(value) < 1 else f"{value:.2f}"


def table(figures):
    """Lines for people."""
    rows = [("figure", "median", "min - max", "target", "verdict", "")]
    rows += [(f.name, f"{show(f.median)} {f.unit}".strip(), f.spread, f.aim, f.verdict, f.note) for f in figures]
    widths = [max(len(row[i]) for row in rows) for i in range(5)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths)) + "  " + row[5]


def commit():
    """The short hash, with a + when the tree has changes."""
    def git(*arguments):
        return subprocess.run(["git", "-C", str(HERE), *arguments], capture_output=True, text=True,
                              check=True).stdout.strip()

    try:
        changed = git("status", "--porcelain", "--untracked-files=no", "--", ":/src", ":/sql", ":/contrib/fleet")
        return git("rev-parse", "--short", "HEAD") + ("+" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def append(path, figures, layout):
    """One line per figure, also when it has become worse."""
    date, where = datetime.date.today().isoformat(), commit()
    with open(path, "a", encoding="utf-8") as log:
        for f in figures:
            cells = (date, where, layout, f.name, f"{show(f.median)} {f.unit}".strip(), f.spread or "-", f.aim,
                     f.verdict)
            log.write("- " + " | ".join(cells) + (f" | {f.note}" if f.note else "") + "\n")
            for line in f.profile:
                log.write(f"      {line}\n")
