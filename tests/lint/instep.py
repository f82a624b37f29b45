"""Checks that what is written twice says the same: the option table and its manual page, the routes and
the OpenAPI document and their page, the commands and their page and completion, the counters of the code."""

import json
import os
import re
import subprocess

from tools import Skip


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def options_in_step(build):
    """man/lwm2m-serverd.conf.5 is what the option table prints."""
    program = os.path.join(build, "lwm2m-serverd")
    page = "man/lwm2m-serverd.conf.5"
    if not os.path.exists(program) or not os.path.exists(page):
        raise Skip("nothing built or no page")
    printed = subprocess.run([program, "--print-config-man"], capture_output=True, text=True, check=True)
    if printed.stdout != read(page):
        yield f"{page}: stale; write it anew with {program} --print-config-man"


def routes():
    """(method, pattern) of each row of the route table."""
    found = re.findall(r'\{"([A-Z]+)",\s*"(/[^"]*)"', read("src/api/route.c"))
    return {(method, pattern) for method, pattern in found}


def openapi_in_step(_build):
    """src/api/openapi.json has the routes of src/api/route.c, no more and no less."""
    if not os.path.exists("src/api/openapi.json"):
        raise Skip("no document")
    document = json.loads(read("src/api/openapi.json"))
    described = {
        (method.upper(), path)
        for path, item in document["paths"].items()
        for method in item
        if method in ("get", "put", "post", "delete", "patch")
    }
    for method, path in sorted(routes() - described):
        yield f"src/api/openapi.json: lacks {method} {path}"
    for method, path in sorted(described - routes()):
        yield f"src/api/openapi.json: describes {method} {path}, which is no route"


def unescaped(page):
    return read(page).replace("\\-", "-")


def pages_in_step(_build):
    """Each route is in lwm2m-server-api(7), each command in lwm2m-serverctl(1) and its completion."""
    if not os.path.exists("man/lwm2m-server-api.7"):
        raise Skip("no pages")
    api = unescaped("man/lwm2m-server-api.7")
    for path in sorted({path for _, path in routes()}):
        if path not in api:
            yield f"man/lwm2m-server-api.7: lacks {path}"
    page = unescaped("man/lwm2m-serverctl.1")
    completion = read("contrib/bash-completion/lwm2m-serverctl")
    table = read("src/ctl/command.c").split("commands[] = {", 1)[1].split("};", 1)[0]
    for name, second in re.findall(r'^\s*\{"(\w+)",\s*(NULL|"\w+")', table, re.M):
        words = name if second == "NULL" else f"{name} {second.strip(chr(34))}"
        if words not in page:
            yield f"man/lwm2m-serverctl.1: lacks {words}"
        if not re.search(rf"\b{name}\b", completion):
            yield f"contrib/bash-completion/lwm2m-serverctl: lacks {name}"


def counters_used(_build):
    """Each counter of counter.def is counted somewhere."""
    if not os.path.exists("src/base/counter.def"):
        raise Skip("no counters")
    names = re.findall(r"^COUNTER\((\w+)", read("src/base/counter.def"), re.M)
    code = ""
    for folder, _, files in os.walk("src"):
        for file in files:
            if file.endswith((".c", ".h")):
                code += read(os.path.join(folder, file))
    for name in names:
        if f"COUNTER_{name}" not in code:
            yield f"src/base/counter.def: {name} is never counted"


CHECKS = [options_in_step, openapi_in_step, pages_in_step, counters_used]
