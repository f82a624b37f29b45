"""The northbound API as a client sees it: requests, problems, the event stream.

Only the standard library, so that a test can also send what no HTTP library would.
"""

import http.client
import json
import queue
import re
import socket
import threading
import time
import urllib.parse

from .settings import limit

SETTLED = ("done", "rejected", "device-error", "unknown", "cancelled", "expired", "failed")


def quote(endpoint):
    """An endpoint name as one path segment: ':' and '/' are encoded too."""
    return urllib.parse.quote(endpoint, safe="")


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout):
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Response:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def type(self):
        return (self.headers.get("Content-Type") or "").split(";")[0]

    @property
    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"<{self.status} {self.type} {self.body[:400]!r}>"


class Rest:
    """address: (host, port), or the path of a unix socket."""

    def __init__(self, address, token=None):
        self.address, self.token = address, token

    def connection(self, timeout=15):
        if isinstance(self.address, str):
            return _UnixConnection(self.address, limit(timeout))
        return http.client.HTTPConnection(*self.address, timeout=limit(timeout))

    def request(self, method, path, body=None, raw=None, headers=None, timeout=15):
        """body: an object sent as JSON. raw: bytes sent as they are; then headers are the caller's."""
        sent = dict(headers or {})
        if self.token:
            sent.setdefault("Authorization", f"Bearer {self.token}")
        data = raw
        if body is not None:
            data = json.dumps(body).encode()
            sent.setdefault("Content-Type", "application/json")
        connection = self.connection(timeout)
        try:
            connection.request(method, path, data, sent)
            answer = connection.getresponse()
            return Response(answer.status, answer.headers, answer.read())
        finally:
            connection.close()

    def get(self, path, **named):
        return self.request("GET", path, **named)

    def ok(self, method, path, body=None, status=None, **named):
        """A request that must succeed, with exactly `status` when given."""
        answer = self.request(method, path, body, **named)
        wanted = (status,) if isinstance(status, int) else status
        assert (
            answer.status in wanted if wanted else 200 <= answer.status < 300
        ), f"{method} {path} {body}: {answer}"
        return answer

    def problem(self, method, path, status, body=None, **named):
        """A request that must fail with `status` and an RFC 9457 problem, which is returned."""
        answer = self.request(method, path, body, **named)
        assert answer.status == status, f"{method} {path}: expected {status}, got {answer}"
        assert answer.type == "application/problem+json", f"{method} {path}: not a problem document: {answer}"
        problem = answer.json
        assert problem["status"] == status and problem["title"], problem
        assert problem["type"].startswith("urn:lwm2m-serverd:problem:"), problem
        return problem

    # -- routes ----------------------------------------------------------------------------------------------

    @staticmethod
    def device_path(endpoint, *rest):
        return "/".join(["/v1/devices", quote(endpoint), *[part.strip("/") for part in rest]])

    def devices(self, **query):
        """Every device of the listing, following the cursor."""
        found, query = [], {name: str(value) for name, value in query.items()}
        while True:
            page = self.ok("GET", f"/v1/devices?{urllib.parse.urlencode(query)}").json
            found += page["devices"]
            if page["next"] is None:
                return found
            query["cursor"] = page["next"]

    def device(self, endpoint):
        """The device, or None when it is not registered."""
        answer = self.get(self.device_path(endpoint))
        if answer.status == 404:
            return None
        assert answer.status == 200, answer
        return answer.json if "registrationId" in answer.json else None

    def wait_device(self, endpoint, wanted=lambda device: device is not None, seconds=10):
        """Polls until wanted(device); the device is None when not registered."""
        end = time.monotonic() + limit(seconds)
        while True:
            device = self.device(endpoint)
            if wanted(device):
                return device
            assert time.monotonic() < end, f"{endpoint} is still {device}"
            time.sleep(0.05)

    def read(self, endpoint, path, source="device", **named):
        return self.ok(
            "GET", self.device_path(endpoint, "resources", path) + f"?source={source}", status=200, **named
        ).json

    def value(self, endpoint, path, **named):
        return self.read(endpoint, path, **named)["value"]

    def values(self, endpoint, path, **named):
        """{path: value} of a wider read."""
        return {value["path"]: value["value"] for value in self.read(endpoint, path, **named)["values"]}

    def write(self, endpoint, path, value=None, values=None, method="PUT", **named):
        body = {"value": value} if values is None else {"values": values}
        return self.ok(method, self.device_path(endpoint, "resources", path), body, **named)

    def execute(self, endpoint, path, arguments=None, **named):
        body = None if arguments is None else {"arguments": arguments}
        return self.ok("POST", self.device_path(endpoint, "resources", path), body, **named)

    def create(self, endpoint, path, instance, values, **named):
        return self.ok(
            "POST",
            self.device_path(endpoint, "resources", path),
            {"instance": instance, "values": values},
            status=201,
            **named,
        )

    def delete(self, endpoint, path, **named):
        return self.ok("DELETE", self.device_path(endpoint, "resources", path), **named)

    def discover(self, endpoint, path, depth=None):
        """{path: {attribute: value}} of the links, in the order of the answer."""
        query = "" if depth is None else f"?depth={depth}"
        answer = self.ok("GET", self.device_path(endpoint, "discover", path) + query, status=200).json
        return {link["path"]: link.get("attributes", {}) for link in answer["links"]}

    def set_attributes(self, endpoint, path, attributes):
        return self.ok("PUT", self.device_path(endpoint, "attributes", path), attributes)

    def attributes(self, endpoint, path):
        """{name: value} the device says it has for us at this path."""
        answer = self.ok("GET", self.device_path(endpoint, "attributes", path), status=200).json
        return answer.get("attributes", answer)

    def observe(self, endpoint, *paths, attributes=None):
        body = {"paths": list(paths)}
        if attributes:
            body["attributes"] = attributes
        return self.ok("POST", self.device_path(endpoint, "observations"), body, status=201).json

    def observations(self, endpoint):
        return self.ok("GET", self.device_path(endpoint, "observations"), status=200).json["observations"]

    def cancel(self, endpoint, identifier):
        return self.ok("DELETE", self.device_path(endpoint, "observations", str(identifier)))

    def read_many(self, endpoint, *paths, source="device", **named):
        """{path: value} of one operation on several paths."""
        path = self.device_path(endpoint, "resources:read") + f"?source={source}"
        answer = self.ok("POST", path, {"paths": list(paths)}, status=200, **named).json
        return {value["path"]: value["value"] for value in answer["values"]}

    def write_many(self, endpoint, values, query="", **named):
        """values: {path: value}; None removes a resource instance."""
        body = {"values": [{"path": path, "value": value} for path, value in values.items()]}
        return self.ok("POST", self.device_path(endpoint, "resources:write") + query, body, **named)

    def accepted(self, method, path, body=None, **named):
        """A request that ends as an operation under way: its representation."""
        answer = self.ok(method, path, body, status=202, **named)
        operation = answer.json["operation"]
        assert answer.headers["Location"] == operation["href"] == f"/v1/operations/{operation['id']}"
        return operation

    def operation(self, identifier):
        return self.ok("GET", f"/v1/operations/{identifier}", status=200).json

    def operations(self, **query):
        """Newest first, all pages."""
        found = []
        while True:
            page = self.ok("GET", f"/v1/operations?{urllib.parse.urlencode(query)}", status=200).json
            found += page["operations"]
            if page["next"] is None:
                return found
            query["cursor"] = page["next"]

    def wait_operation(self, identifier, *states, seconds=20):
        """Polls until it is in one of the states (or settled, when none is named)."""
        end = time.monotonic() + limit(seconds)
        while True:
            operation = self.operation(identifier)
            if operation["state"] in (states or SETTLED):
                return operation
            assert time.monotonic() < end, f"not {states or 'settled'}: {operation}"
            time.sleep(0.05)

    def history(self, endpoint, **query):
        """What the device has told, newest first, all pages."""
        return self._pages(endpoint, "history", "values", query)

    def timeline(self, endpoint, **query):
        return self._pages(endpoint, "timeline", "timeline", query)

    def _pages(self, endpoint, what, name, query):
        found = []
        while True:
            path = self.device_path(endpoint, what) + f"?{urllib.parse.urlencode(query)}"
            page = self.ok("GET", path, status=200).json
            found += page[name]
            if page["next"] is None:
                return found
            query["cursor"] = page["next"]

    def put_model(self, xml):
        return self.ok("PUT", "/v1/models", raw=xml, headers={"Content-Type": "application/xml"})

    def events(self, last_id=None, path="/v1/events"):
        return Events(self, last_id, path)


class Event(dict):
    """The data of one event, with the `id:` and `event:` of its frame as .id and .kind."""


class Events:
    """A reader of /v1/events in a thread of its own; events are kept until asked for.

    The constructor returns when the response head is there: what happens afterwards is seen.
    """

    def __init__(self, rest, last_id=None, path="/v1/events"):
        headers = {"Accept": "text/event-stream"}
        if last_id is not None:
            headers["Last-Event-ID"] = last_id
        if rest.token:
            headers["Authorization"] = f"Bearer {rest.token}"
        self.connection = rest.connection(timeout=60)
        self.connection.request("GET", path, headers=headers)
        self.socket = self.connection.sock  # the connection forgets it when the response says close
        self.response = self.connection.getresponse()
        assert self.response.status == 200, (self.response.status, self.response.read())
        assert self.response.headers["Content-Type"].split(";")[0] == "text/event-stream"
        self.seen = []  # everything so far, in order
        self.comments = 0
        self._queue = queue.Queue()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._thread.join(5)
        self.connection.close()

    def _read(self):
        fields = {}
        try:
            while True:
                line = self.response.readline()
                if not line:
                    break
                line = line.decode().rstrip("\r\n")
                if line.startswith(":"):
                    self.comments += 1
                elif line:
                    name, _, value = line.partition(":")
                    fields.setdefault(name, []).append(value.removeprefix(" "))
                elif "data" in fields:
                    event = Event(json.loads("\n".join(fields["data"])))
                    event.id = fields.get("id", [None])[-1]
                    event.kind = fields.get("event", ["message"])[-1]
                    self._queue.put(event)
                    fields = {}
                else:
                    fields = {}
        except (OSError, ValueError, http.client.HTTPException):
            pass
        self._queue.put(None)

    def next(self, kind=None, endpoint=None, seconds=10, wanted=lambda event: True):
        """The next event that fits; others are passed over (and stay in .seen)."""
        end = time.monotonic() + limit(seconds)
        while True:
            try:
                event = self._queue.get(timeout=max(0.001, end - time.monotonic()))
            except queue.Empty:
                raise AssertionError(
                    f"no event {kind} of {endpoint} within {limit(seconds):.0f} s; seen: {self.seen[-10:]}"
                ) from None
            assert event is not None, f"the event stream ended; seen: {self.seen[-10:]}"
            self.seen.append(event)
            kinds = (kind,) if isinstance(kind, str) else kind
            if (kinds is None or event.kind in kinds) and (
                endpoint is None or event.get("endpoint") == endpoint
            ):
                if wanted(event):
                    return event

    def drain(self, seconds=0.3):
        """What comes within `seconds`, without waiting for anything particular."""
        end, found = time.monotonic() + seconds, []
        while True:
            try:
                event = self._queue.get(timeout=max(0.001, end - time.monotonic()))
            except queue.Empty:
                return found
            if event is None:
                return found
            self.seen.append(event)
            found.append(event)

    def ended(self, seconds=10):
        """True when the server ends the stream within the limit."""
        end = time.monotonic() + limit(seconds)
        while time.monotonic() < end:
            try:
                event = self._queue.get(timeout=max(0.001, end - time.monotonic()))
            except queue.Empty:
                return False
            if event is None:
                return True
            self.seen.append(event)
        return False


class RawHttp:
    """A TCP (or unix) connection on which anything can be sent."""

    def __init__(self, address, timeout=10):
        family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_STREAM)
        self.socket.settimeout(limit(timeout))
        self.socket.connect(address)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def receive(self):
        """Everything until the server closes; an abortive close counts as closed."""
        data = b""
        try:
            while True:
                part = self.socket.recv(65536)
                if not part:
                    return data
                data += part
        except (ConnectionResetError, BrokenPipeError):
            return data

    @staticmethod
    def status(data):
        found = re.match(rb"HTTP/1\.[01] (\d{3})", data)
        return int(found[1]) if found else None
