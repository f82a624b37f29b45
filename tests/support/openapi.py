"""The OpenAPI document as Schemathesis reads it: what it sends, and what every answer is held against.

    SCHEMA     @SCHEMA.parametrize() makes a test of each operation of the document
    Fleet      the devices that generated requests name
    Local      reaches http:// over a unix socket: session.mount("http://", Local(path))

LWM2M_API_EXAMPLES: generated requests for each operation (30); LWM2M_API_SEED: where generation begins (1).
"""

import json
import os
import re
import socket

import requests.adapters
import schemathesis
import urllib3
import urllib3.connection
from hypothesis import strategies
from schemathesis.config import SchemathesisConfig

from . import settings
from .device12 import Device12
from .raw import RawPeer

EXAMPLES = int(os.environ.get("LWM2M_API_EXAMPLES", "30"))
SEED = int(os.environ.get("LWM2M_API_SEED", "1"))

ANSWERS = "urn:imei:490154203237518"  # the example of the document
ASLEEP, SILENT, NOBODY = "urn:dev:asleep", "urn:dev:silent", "urn:dev:nobody"
PREFERENCES = ("respond-async", "wait=0", "wait=1")
PATHS = (
    "3/0/9",
    "3303/0/5700",
    "3303/0",
    "3",
    "1/0/1",
    "3442/0/1110",
    "3442/0/1110/7",
    "3442/0/150",
    "3/0/4",
    "9999/0/1",
)

CONFIG = SchemathesisConfig.from_dict(
    {
        "seed": SEED,
        "suppress-health-check": ["all"],
        "cache": {"enabled": False},
        "generation": {
            "max-examples": EXAMPLES,
            "deterministic": False,
            "database": "none",
            "exclude-header-characters": "\r\n\0",
        },
        "checks": {
            # 502 and 504 tell of a device, 503 of limits: the document lists them where they may be
            "not_a_server_error": {"expected-statuses": ["2xx", "4xx", "502", "503", "504"]},
            "positive_data_acceptance": {
                "expected-statuses": ["2xx", "404", "409", "422", "429", "502", "503", "504"]
            },
            # these need a token, or a series of requests; other tests have them
            "ignored_auth": {"enabled": False},
            "object_level_authorization": {"enabled": False},
            "use_after_free": {"enabled": False},
            "ensure_resource_availability": {"enabled": False},
        },
        "phases": {"stateful": {"enabled": False}},
        "operations": [
            {  # no schema of a body knows the path, the definitions or what XML is
                "include-method": ["PUT", "POST"],
                "checks": {
                    "positive_data_acceptance": {
                        "expected-statuses": ["2xx", "400", "404", "409", "415", "422", "429", "502", "503", "504"]
                    }
                },
            }
        ],
    }
)
PATH = settings.REPOSITORY / "src/api/openapi.json"
DOCUMENT = json.loads(PATH.read_text())
SCHEMA = schemathesis.openapi.from_dict(DOCUMENT, config=CONFIG)


@schemathesis.check
def answers_are_listed(_context, response, case):
    """The status is listed by number, `default` does not count; an error is a problem document."""
    status = response.status_code
    method_listed = case.method.lower() in case.operation.schema.raw_schema["paths"][case.path]
    if method_listed:
        assert str(status) in case.operation.definition.raw["responses"], f"{status} is not listed"
    if status >= 400:
        assert response.headers["content-type"] == ["application/problem+json"], response.headers
        problem = json.loads(response.content)
        assert problem["status"] == status, problem
        assert problem["type"].startswith("urn:lwm2m-serverd:problem:"), problem
        assert (status in (429, 503)) == ("retry-after" in response.headers), response.headers


# -- what is sent -------------------------------------------------------------------------------------------------


KNOWN = {"ep": (ANSWERS, ANSWERS, ANSWERS, ASLEEP, SILENT, NOBODY), "path": PATHS, "object": (3, 3303)}
WELL_FORMED = {name: DOCUMENT["components"]["parameters"][name]["schema"]["pattern"] for name in ("ep", "path")}


def _well_formed(name, value):
    """Only such a value is replaced: what is meant to be wrong stays wrong."""
    if name == "object":
        return isinstance(value, int) and 0 <= value <= 65534
    return name in KNOWN and isinstance(value, str) and re.search(WELL_FORMED[name], value)


@SCHEMA.hook
def flatmap_path_parameters(_context, path_parameters):
    """Mostly what exists: generated names would nearly all be unknown."""
    return strategies.fixed_dictionaries(
        {
            name: (
                strategies.sampled_from([*KNOWN[name], value])
                if _well_formed(name, value)
                else strategies.just(value)
            )
            for name, value in (path_parameters or {}).items()
        }
    )


@SCHEMA.hook
def map_headers(_context, headers):
    """No request waits for long."""
    if headers and "Prefer" in headers:
        headers["Prefer"] = PREFERENCES[len(str(headers["Prefer"])) % len(PREFERENCES)]
    return headers


# -- to whom ------------------------------------------------------------------------------------------------------


class Fleet:
    """A device that answers, one that sleeps and one that is silent; what tests took away is there again by mend()."""

    def __init__(self, daemon):
        self.daemon = daemon
        self.answers = Device12(daemon.coap, ANSWERS)
        self.asleep, self.silent = RawPeer(daemon.coap), RawPeer(daemon.coap)
        self.mend()

    def mend(self):
        known = {device["endpoint"] for device in self.daemon.rest.devices(state="registered")}
        if ANSWERS not in known:
            self.answers.register()
        if ASLEEP not in known:
            assert self.asleep.register(ASLEEP, query=["Q"]).text == "2.01"
        if SILENT not in known:
            assert self.silent.register(SILENT).text == "2.01"
        for endpoint in (ASLEEP, SILENT):
            self._cancel(endpoint)

    def _cancel(self, endpoint):
        """Operations that pile up would keep the next ones waiting, and then refused."""
        rest = self.daemon.rest
        waiting = rest.get(f"/v1/operations?endpoint={endpoint}&state=queued").json["operations"]
        for one in waiting if len(waiting) > 3 else ():
            rest.request("DELETE", one["href"])

    def close(self):
        self.answers.close()
        self.asleep.close()
        self.silent.close()


# -- over what ----------------------------------------------------------------------------------------------------


class _Connection(urllib3.connection.HTTPConnection):
    path = None

    def _new_conn(self):
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.settimeout(self.timeout)
        sock.connect(self.path)
        return sock


class Local(requests.adapters.HTTPAdapter):
    """Everything goes to a unix socket, whatever host a URL names."""

    def __init__(self, path):
        self.path = str(path)
        super().__init__()

    def init_poolmanager(self, *arguments, **named):
        super().init_poolmanager(*arguments, **named)
        connection = type("Connection", (_Connection,), {"path": self.path})
        pool = type("Pool", (urllib3.HTTPConnectionPool,), {"ConnectionCls": connection})
        self.poolmanager.pool_classes_by_scheme = {"http": pool}
