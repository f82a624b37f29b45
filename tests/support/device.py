"""A LwM2M client on top of aiocoap: a CoAP stack that is neither ours nor libcoap.

    device = Device(daemon.coap, "dev1", version="1.1", formats=[110])
    device.register()
    device.set("/3303/0/5700", 23.0)          # notifies observers
    device.seen("PUT", "/3303/0/5750")        # what the server asked
    device.close()

The methods are synchronous; all devices live in one asyncio loop in a thread of its own.

`formats` is what the device can write and read; the first one is its default when a request has no Accept.
`advertise` is the ct list of the root link (None: no root link). `behaviours` maps a path to a function that
takes the Seen request and returns None (go on), a code text, or (code text, payload, content format); it may
be a coroutine function, and one that sleeps makes aiocoap answer in a separate response.
"""

import asyncio
import copy
import re
import threading
import time
import warnings
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass, field

import aiocoap
import aiocoap.blockwise
import aiocoap.error
import aiocoap.resource
from aiocoap.numbers.codes import Code
from aiocoap.optiontypes import BlockOption

from . import formats
from .daemon import free_port
from .formats import Link, NotRepresentable, Time, Unsigned
from .settings import MODELS, limit

XML_KINDS = {
    "String": str,
    "Integer": int,
    "Unsigned Integer": Unsigned,
    "Float": float,
    "Boolean": bool,
    "Opaque": bytes,
    "Time": Time,
    "Objlnk": Link,
    "Corelnk": str,
}


def _model():
    """{(object, resource): (kind, operations)} of the definitions beside this file and what objects 1 and 3 need."""
    found = {
        (1, 0): (int, "R"),
        (1, 1): (int, "RW"),
        (1, 2): (int, "RW"),
        (1, 3): (int, "RW"),
        (1, 6): (bool, "RW"),
        (1, 7): (str, "RW"),
        (1, 8): (None, "E"),
        (3, 0): (str, "R"),
        (3, 1): (str, "R"),
        (3, 4): (None, "E"),
        (3, 5): (None, "E"),
        (3, 9): (int, "R"),
        (3, 11): (int, "R"),
        (3, 12): (None, "E"),
        (3, 13): (Time, "RW"),
        (3, 14): (str, "RW"),
        (3, 15): (str, "RW"),
        (3, 16): (str, "R"),
    }
    for path in MODELS.glob("*.xml"):
        for definition in ElementTree.parse(path).getroot().iter("Object"):
            number = int(definition.findtext("ObjectID"))
            for item in definition.iter("Item"):
                kind = XML_KINDS.get(item.findtext("Type"))
                found[(number, int(item.get("ID")))] = (kind, item.findtext("Operations"))
    return found


MODEL = _model()

OBJECTS = {
    1: {0: {0: 101, 1: 300, 6: True, 7: "U"}},
    3: {
        0: {
            0: "Test Works",
            1: "Model T",
            2: "0001",
            9: 95,
            11: {0: 0},
            13: Time(1700000000),
            14: "+01",
            15: "Europe/Berlin",
            16: "U",
        }
    },
    3303: {0: {5700: 22.5, 5601: 20.0, 5602: 25.0, 5701: "Cel", 5750: "cellar"}},
    3442: {
        0: {
            110: "text",
            120: -7,
            125: Unsigned(4294967295),
            130: 3.25,
            140: True,
            150: b"\x01\x02\xff",
            160: Time(1700000000),
            170: Link("3303:0"),
            1110: {0: "a", 7: "b"},
            1120: {0: 1, 1: -300},
            1140: {3: False},
            1150: {0: b"\x00", 1: b"\xff"},
        }
    },
}


class _World:
    """The asyncio loop that all devices of the test run live in."""

    def __init__(self):
        self.loop = asyncio.new_event_loop()
        self.loop.set_exception_handler(
            lambda loop, context: None
        )  # a closed device may leave answers behind
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()

    def run(self, coroutine, timeout=30):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(limit(timeout))


_world = None


def world():
    global _world
    if _world is None:
        _world = _World()
    return _world


@dataclass
class Seen:
    """A request of the server, as the device got it after reassembly."""

    method: str
    path: str
    query: list
    content_format: int
    accept: int
    observe: int
    payload: bytes
    block1: tuple  # (NUM, M, SZX) of the last block, or None
    block2: tuple
    time: float = field(default_factory=time.monotonic, repr=False)

    def __str__(self):
        query = "?" + "&".join(self.query) if self.query else ""
        return f"{self.method} {self.path}{query} cf={self.content_format} accept={self.accept} {self.payload[:48]!r}"


class _Block1Spool(aiocoap.blockwise.Block1Spool):
    """Asks for smaller blocks in the first 2.31, as RFC 7959 section 2.3 allows."""

    def __init__(self, szx):
        super().__init__()
        self.szx = szx

    def feed_and_take(self, req):
        try:
            return super().feed_and_take(req)
        except aiocoap.blockwise.ContinueException as more:
            if more.block1.size_exponent > self.szx:
                more.block1 = BlockOption.BlockwiseTuple(more.block1.block_number, True, self.szx)
            raise


class _Site(aiocoap.resource.ObservableResource):
    """The root resource: every request of the server comes here."""

    def __init__(self, device):
        super().__init__()
        self.device = device
        self.observers = {}  # path -> [server observation]
        self._block1 = _Block1Spool(device.szx)

    async def needs_blockwise_assembly(self, request):
        block2 = request.opt.block2
        if request.code in (Code.GET, Code.FETCH) and (block2 is None or block2.block_number == 0):
            szx = self.device.szx if block2 is None else min(self.device.szx, block2.size_exponent)
            if block2 is not None or szx < 6:
                request.opt.block2 = BlockOption.BlockwiseTuple(0, False, szx)
        return True

    async def add_observation(self, request, observation):
        path = self.device.strip(request.opt.uri_path)
        self.observers.setdefault(path, []).append(observation)
        observation.accept(lambda: self.observers[path].remove(observation))

    def trigger(self, path):
        for observed, observations in self.observers.items():
            if (
                path == observed
                or path.startswith(observed.rstrip("/") + "/")
                or observed.startswith(path + "/")
            ):
                for observation in list(observations):
                    observation.trigger()

    async def render(self, request):
        return await self.device.render(request)


def _block(option):
    return None if option is None else (option.block_number, option.more, option.size_exponent)


class Device:
    def __init__(
        self,
        server,
        endpoint,
        version="1.1",
        lifetime=300,
        objects=None,
        formats=(formats.SENML_JSON, formats.TLV, formats.SENML_CBOR, formats.TEXT, formats.OPAQUE),
        advertise="auto",
        binding="U",
        alternate="",
        query=(),
        source="127.0.0.1",
        szx=6,
    ):
        self.server, self.endpoint, self.version, self.lifetime = server, endpoint, version, lifetime
        self.objects = copy.deepcopy(OBJECTS) if objects is None else objects
        self.formats = list(formats)
        if advertise == "auto":
            advertise = [number for number in self.formats if number not in (0, 40, 42)]
        self.advertise = advertise
        self.binding, self.alternate, self.query, self.szx = binding, alternate, list(query), szx
        self.requests = []
        self.executed = []  # (path, arguments)
        self.attributes = {}  # path -> {name: value}
        self.behaviours = {}
        self.location = None
        self.source = (source, free_port(host=source))
        self._arrived = threading.Condition()
        self.site = _Site(self)
        self.context = world().run(self._open())

    async def _open(self):
        return await aiocoap.Context.create_server_context(self.site, bind=self.source, transports=["udp6"])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        if self.context is not None:
            context, self.context = self.context, None
            world().run(context.shutdown())

    # -- towards the server ------------------------------------------------------------------------------------

    def links(self):
        found = []
        if self.advertise is not None or self.alternate:
            root = f"<{self.alternate or '/'}>;rt=\"oma.lwm2m\""
            if self.advertise:
                root += (
                    f';ct="{" ".join(map(str, self.advertise))}"'
                    if len(self.advertise) > 1
                    else f";ct={self.advertise[0]}"
                )
            found.append(root)
        for number, instances in sorted(self.objects.items()):
            if not instances:
                found.append(f"<{self.alternate}/{number}>")
            found += [f"<{self.alternate}/{number}/{instance}>" for instance in sorted(instances)]
        return ",".join(found)

    async def _request(self, code, path, query=(), payload=b"", content_format=None, szx=None):
        host, port = self.server
        message = aiocoap.Message(
            code=code, uri=f"coap://{f'[{host}]' if ':' in host else host}:{port}", payload=payload
        )
        message.opt.uri_host = None
        message.opt.uri_port = None
        message.opt.uri_path = [part for part in path.split("/") if part]
        message.opt.uri_query = list(query)
        if content_format is not None:
            message.opt.content_format = content_format
        if szx is not None:
            message.remote.maximum_block_size_exp = szx
        return await self.context.request(message).response

    def request(self, method, path, query=(), payload=b"", content_format=None, szx=None, timeout=30):
        """Any request to the server; returns the aiocoap response message."""
        return world().run(self._request(Code[method], path, query, payload, content_format, szx), timeout)

    def register(self, expect="2.01", links=None, query=None, **named):
        """links, query: other ones than the device has. expect: a code, or several."""
        parameters = [f"ep={self.endpoint}"]
        if self.lifetime is not None:
            parameters.append(f"lt={self.lifetime}")
        if self.version is not None:
            parameters.append(f"lwm2m={self.version}")
        if self.binding is not None:
            parameters.append(f"b={self.binding}")
        parameters += self.query if query is None else query
        payload = (self.links() if links is None else links).encode()
        answer = self.request("POST", "/rd", parameters, payload, formats.LINK if payload else None, **named)
        codes = (expect,) if isinstance(expect, str) else expect
        assert answer.code.dotted in codes, f"Register: {answer.code} {answer.payload!r}"
        if answer.code.dotted == "2.01":
            self.location = "/" + "/".join(answer.opt.location_path)
        return answer

    def update(self, query=(), links=False, expect="2.04"):
        payload = self.links().encode() if links else b""
        answer = self.request("POST", self.location, query, payload, formats.LINK if links else None)
        assert answer.code.dotted == expect, f"Update: {answer.code}"
        return answer

    def deregister(self, expect="2.02"):
        answer = self.request("DELETE", self.location)
        assert answer.code.dotted == expect, f"De-register: {answer.code}"
        return answer

    def send(self, payload, content_format=formats.SENML_JSON, expect="2.04", **named):
        answer = self.request("POST", "/dp", payload=payload, content_format=content_format, **named)
        assert answer.code.dotted == expect, f"Send: {answer.code} {answer.payload!r}"
        return answer

    # -- values --------------------------------------------------------------------------------------------------

    def get(self, path):
        """The value or subtree at a path; KeyError when absent."""
        node = self.objects
        for part in formats.parts(path):
            node = node[part]
        return node

    def set(self, path, value):
        """Changes a value; observers are notified."""

        def change():
            self._put(formats.parts(path), value)
            self.site.trigger(path)

        world().loop.call_soon_threadsafe(change)

    def remove(self, path):
        """An instance, or anything else, is gone; observers are notified."""

        def change():
            *way, last = formats.parts(path)
            node = self.objects
            for part in way:
                node = node[part]
            del node[last]
            self.site.trigger(path)

        world().loop.call_soon_threadsafe(change)

    def _put(self, path, value):
        node = self.objects
        for part in path[:-1]:
            node = node.setdefault(part, {})
        node[path[-1]] = value

    def encode(self, number, path, value):
        return formats.encode(number, path, value)

    def decode(self, number, path, data):
        return formats.decode(number, path, data, self.kinds)

    def kinds(self, path):
        """The type of a resource; a path without an instance is one in a Create."""
        kind = MODEL.get((path[0], path[-1]), (None, ""))[0]
        return kind or str

    def operations(self, path):
        return MODEL.get((path[0], path[2]), (None, "RW"))[1]

    # -- what the server asked -----------------------------------------------------------------------------------

    def seen(self, method=None, path=None, seconds=10, count=1):
        """The last of the requests that fit, once there are `count` of them."""

        def fitting():
            return [
                request
                for request in list(self.requests)
                if (method is None or request.method == method) and (path is None or request.path == path)
            ]

        with self._arrived:
            ok = self._arrived.wait_for(lambda: len(fitting()) >= count, limit(seconds))
        assert ok, f"the server sent no {method} {path}: {[str(request) for request in self.requests]}"
        return fitting()[-1]

    def strip(self, uri_path):
        """The path below the alternate path; requests outside it have none."""
        path = "/" + "/".join(uri_path)
        if self.alternate:
            if not path.startswith(self.alternate + "/"):
                return None
            path = path[len(self.alternate) :]
        return path

    async def render(self, request):
        _, answer = await self.respond(request)
        return answer

    async def respond(self, request):
        """(what was seen, the answer to it)"""
        path = self.strip(request.opt.uri_path)
        seen = Seen(
            request.code.name,
            path,
            list(request.opt.uri_query),
            (
                request.opt.content_format
                if request.opt.content_format is None
                else int(request.opt.content_format)
            ),
            None if request.opt.accept is None else int(request.opt.accept),
            request.opt.observe,
            request.payload,
            _block(request.opt.block1),
            _block(request.opt.block2),
        )
        with self._arrived:
            self.requests.append(seen)
            self._arrived.notify_all()
        return seen, await self._answer(seen)

    async def _answer(self, seen):
        if seen.path is None:
            return self._message("4.04")
        behave = self.behaviours.get(seen.path)
        if behave is not None:
            result = behave(seen)
            if asyncio.iscoroutine(result):
                result = await result
            if isinstance(result, str):
                return self._message(result)
            if result is not None:
                return self._message(*result)
        levels = formats.parts(seen.path)
        try:
            return getattr(self, f"_on_{seen.method.lower()}")(seen, levels)
        except KeyError:
            return self._message("4.04")
        except NotRepresentable:
            return self._message("4.06" if seen.method == "GET" else "4.15")
        except (ValueError, IndexError, TypeError):
            return self._message("4.00")

    @staticmethod
    def _message(code, payload=b"", content_format=None):
        major, minor = code.split(".")
        message = aiocoap.Message(code=Code(int(major) << 5 | int(minor)), payload=payload)
        if content_format is not None:
            message.opt.content_format = content_format
        return message

    # -- requests, by method ----------------------------------------------------------------------------------------

    def _on_get(self, seen, levels):
        if seen.accept == formats.LINK:
            return self._message("2.05", self._discover(seen, levels).encode(), formats.LINK)
        value = self.get(seen.path)
        if len(levels) == 3 and "R" not in self.operations(levels):
            return self._message("4.05")
        if seen.accept is not None:
            if seen.accept not in self.formats:
                return self._message("4.06")
            choices = [seen.accept]
        else:
            choices = self.formats
        for number in choices:
            try:
                return self._message(
                    "2.05", self.encode(number, self.alternate + seen.path, value), number
                )
            except NotRepresentable:
                if seen.accept is not None:
                    raise
        return self._message("4.06")

    def _discover(self, seen, levels):
        depth = next((int(part[6:]) for part in seen.query if part.startswith("depth=")), None)
        if depth is None:
            depth = {1: 2, 2: 1, 3: 1}[len(levels)]

        def walk(path, node, left):
            link = f"<{self.alternate}{path}>"
            if isinstance(node, dict) and len(formats.parts(path)) == 3:
                link += f";dim={len(node)}"
            link += "".join(f";{name}={value}" for name, value in self.attributes.get(path, {}).items())
            found = [link]
            if left and isinstance(node, dict):
                for key in sorted(node):
                    found += walk(f"{path}/{key}", node[key], left - 1)
            return found

        return ",".join(walk(seen.path, self.get(seen.path), depth))

    def _on_put(self, seen, levels):
        if seen.query:
            self.get(seen.path)
            attached = self.attributes.setdefault(seen.path, {})
            for part in seen.query:
                name, _, value = part.partition("=")
                if value:
                    attached[name] = value
                else:
                    attached.pop(name, None)
            return self._message("2.04")
        return self._write(seen, levels, replace=True)

    def _write(self, seen, levels, replace):
        if seen.content_format is not None and seen.content_format not in self.formats + [
            formats.TEXT,
            formats.OPAQUE,
        ]:
            return self._message("4.15")
        self.objects[levels[0]][levels[1]]  # a Write never makes an instance
        entries = self.decode(seen.content_format, seen.path, seen.payload)
        if any("W" not in self.operations(path) for path, _ in entries):
            return self._message("4.05")
        if (
            replace
            and len(levels) == 3
            and isinstance(self.objects[levels[0]][levels[1]].get(levels[2]), dict)
        ):
            self.objects[levels[0]][levels[1]][levels[2]] = {}
        if replace and len(levels) == 2:
            instance = self.objects[levels[0]][levels[1]]
            for resource in list(instance):
                if "W" in self.operations(levels + (resource,)):
                    del instance[resource]
        for path, value in entries:
            self._put(path, value)
        self.site.trigger(seen.path)
        return self._message("2.04")

    def _on_post(self, seen, levels):
        if len(levels) == 1:
            return self._create(seen, levels)
        if len(levels) == 3 and self.operations(levels) == "E":
            self.get(f"/{levels[0]}/{levels[1]}")
            text = seen.payload.decode()
            if text and not re.fullmatch(r"\d(='[^'\"\\ ]*')?(,\d(='[^'\"\\ ]*')?)*", text):
                return self._message("4.00")
            self.executed.append((seen.path, text))
            return self._message("2.04")
        if len(levels) == 3 and not isinstance(self.get(seen.path), dict):
            return self._message("4.05")
        return self._write(seen, levels, replace=False)

    def _create(self, seen, levels):
        instances = self.objects[levels[0]]
        if seen.content_format not in self.formats:
            return self._message("4.15")
        entries = self.decode(seen.content_format, seen.path, seen.payload)
        if all(len(path) == 2 for path, _ in entries):  # the device chooses the instance
            free = next(number for number in range(65535) if number not in instances)
            entries = [(path[:1] + (free,) + path[1:], value) for path, value in entries]
        numbers = {path[1] for path, _ in entries}
        if len(numbers) != 1:
            return self._message("4.00")
        number = numbers.pop()
        if number in instances:
            return self._message("4.00")
        instances[number] = {}
        for path, value in entries:
            if "W" in self.operations(path):
                self._put(path, value)
        answer = self._message("2.01")
        answer.opt.location_path = [str(levels[0]), str(number)]
        return answer

    def _on_delete(self, seen, levels):
        if len(levels) == 2:
            del self.objects[levels[0]][levels[1]]
        elif len(levels) == 4:
            del self.objects[levels[0]][levels[1]][levels[2]][levels[3]]
        else:
            return self._message("4.05")
        return self._message("2.02")


# aiocoap speaks about its own plans; they are none of the tests' business.
warnings.filterwarnings("ignore", module="aiocoap")
