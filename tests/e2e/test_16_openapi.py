"""Every operation of the OpenAPI document, with requests that Schemathesis makes from the document.

What it may answer is what the document says: status, content type, headers and body. The stream of events
is left out; test_07 has it.
"""

import json
import re
from urllib.parse import unquote

import jsonschema_rs
import pytest
import requests
from schemathesis.specs.openapi.checks import positive_data_acceptance
from support import settings
from support.daemon import Daemon
from support.openapi import DOCUMENT, PREFERENCES, SCHEMA, SILENT, Fleet, Local


@pytest.fixture(scope="module")
def server():
    # a silent device is given up after some 200 ms
    with Daemon(shards=2, grace_s=1, ack_timeout_ms=50, max_retransmit=1, log_level="info") as daemon:
        yield daemon


@pytest.fixture(scope="module")
def fleet(server):
    devices = Fleet(server)
    yield devices
    devices.close()


@pytest.fixture(scope="module")
def session(server):
    """Routes over TCP, and /admin over the unix socket."""
    with requests.Session() as one:
        one.mount("http://local", Local(server.config["api_socket"]))
        yield one


def is_for(endpoint, case):
    return unquote(str((case.path_parameters or {}).get("ep"))) == endpoint


def keep_inside(directory, case):
    """A backup goes where this test cleans up."""
    if isinstance(case.body, dict) and str(case.body.get("file", "")).startswith("/"):
        case.body["file"] = f"{directory}/{len(case.body['file'])}.db"


@SCHEMA.exclude(path="/v1/events").parametrize()
def test_operation(case, server, fleet, session):
    fleet.mend()
    local = case.path.startswith("/admin")
    base = "http://local" if local else f"http://127.0.0.1:{server.api_port}"
    if case.path == "/admin/backup":
        keep_inside(server.directory, case)
    if is_for(SILENT, case) and case.method != "GET" and case.headers.get("Prefer") not in PREFERENCES:
        case.headers["Prefer"] = "wait=0"  # else the answer would come after the 110 s a request may take
    made_up = isinstance(case.query, dict) and "cursor" in case.query  # may be refused, whatever it looks like
    case.call_and_validate(
        base_url=base,
        session=session,
        timeout=settings.limit(30),
        excluded_checks=[positive_data_acceptance] if made_up else None,
    )
    server.crash_check()


# -- the document -------------------------------------------------------------------------------------------------


def test_document_is_valid():
    SCHEMA.validate()


def test_document_is_what_is_served(server):
    assert server.rest.ok("GET", "/v1/openapi.json", status=200).json == DOCUMENT


def test_every_component_is_used():
    named = {
        f"#/components/{kind}/{name}"
        for kind, items in DOCUMENT["components"].items()
        for name in items
        if kind != "securitySchemes"
    }
    assert named == set(re.findall(r'"\$ref": "([^"]+)"', json.dumps(DOCUMENT)))


def illustrated(node):
    """(schema, value) of each example and default below."""
    if isinstance(node, dict):
        if "schema" in node:
            if "example" in node:
                yield node["schema"], node["example"]
            for example in node.get("examples", {}).values():
                yield node["schema"], example["value"]
        elif "type" in node:
            for value in node.get("examples", []) + [node[key] for key in ("default",) if key in node]:
                yield node, value
    for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from illustrated(child)


def test_examples_are_valid():
    found = list(illustrated(DOCUMENT))
    assert len(found) > 10
    for schema, value in found:
        complete = {**schema, "components": DOCUMENT["components"]}
        jsonschema_rs.Draft202012Validator(complete, validate_formats=True).validate(value)
