"""Counts a pytest junit report: prints "passed failed skipped".

usage: junit.py REPORT STATUS RAN

The ids of the tests that passed (file.py::name) are appended to RAN. STATUS is pytest's exit
status: one that says "failed" without a failed test in the report counts as one failure.
"""

import sys
import xml.etree.ElementTree as ElementTree

NO_TESTS = 5  # pytest: nothing collected


def main():
    report, status, ran = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    passed, failed, skipped = [], 0, 0
    try:
        cases = ElementTree.parse(report).getroot().iter("testcase")
    except (OSError, ElementTree.ParseError):
        print(0, 1, 0)
        return
    for case in cases:
        kinds = {child.tag for child in case}
        if kinds & {"failure", "error"}:
            failed += 1
        elif "skipped" in kinds:
            skipped += 1
        else:
            passed.append((case.get("file"), case.get("name")))
    if status not in (0, NO_TESTS) and failed == 0:
        failed = 1
    with open(ran, "a", encoding="utf-8") as out:
        for file, name in passed:
            out.write(f"{file}::{name}\n")
            if "[" in name:
                out.write(f"{file}::{name.split('[')[0]}\n")
    print(len(passed), failed, skipped)


main()
