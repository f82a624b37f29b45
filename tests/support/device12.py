"""A LwM2M 1.2 client: the aiocoap device with composites, LwM2M CBOR, observation attributes, and sleep.

    device = Device12(daemon.coap, "dev1")
    device.register()
    device.sleep()                    # deaf: what is sent to it is lost
    device.wake()                     # hears again, at the same address; says nothing by itself
    device.set("/3303/0/5700", 23.0)  # notifies observers as their attributes say

`composites=False` makes a device that does not know FETCH and iPATCH.
"""

import asyncio
import time

import aiocoap
from aiocoap.numbers.codes import Code

from . import formats, formats12
from .daemon import free_port
from .device import Device, world
from .formats import NotRepresentable, parts
from .formats12 import ETCH_CBOR, ETCH_JSON, LWM2M_CBOR, REMOVED
from .raw import RawPeer

FETCH, IPATCH = 5, 7
FETCH_FORMATS = (ETCH_JSON, ETCH_CBOR, formats.SENML_JSON, formats.SENML_CBOR)
PATCH_FORMATS = FETCH_FORMATS + (LWM2M_CBOR,)
HIDDEN = (0, 21, 23)  # not among what "/" reads (LwM2M Core 1.2, Read-Composite)


class Watch:
    """One observation of ours: its paths and the attributes that came with it."""

    def __init__(self, observation, paths, attributes):
        self.observation, self.paths, self.attributes = observation, paths, attributes
        self.told = time.monotonic()
        self.last = {}
        self.due = None
        self.over = False


class Device12(Device):
    def __init__(self, server, endpoint, version="1.2", composites=True, formats=None, **named):
        formats = formats or (LWM2M_CBOR, 112, 110, 60, 0, 42, 11542)
        super().__init__(server, endpoint, version=version, formats=formats, **named)
        self.composites = composites
        self.watches = []
        self.site.add_observation = self._add_observation
        self.site.trigger = self._trigger

    # -- sleep -------------------------------------------------------------------------------------------------------

    def sleep(self):
        """Deaf and dumb until wake; another socket holds the port so that nothing is told to be unreachable."""
        if self.context is not None:
            context, self.context = self.context, None
            world().run(context.shutdown())
            self.holder = RawPeer(self.server, self.source[0], self.source[1])

    def wake(self):
        if self.context is None:
            self.holder.close()
            self.context = world().run(self._open())

    def close(self):
        if self.context is None:
            self.holder.close()
        super().close()

    # -- observations ---------------------------------------------------------------------------------------------------

    async def _add_observation(self, request, observation):
        paths = [self.strip(request.opt.uri_path)]
        if int(request.code) == FETCH:
            paths = formats12.fetch_paths(int(request.opt.content_format), request.payload)
        watch = Watch(observation, paths, dict(part.partition("=")[::2] for part in request.opt.uri_query))
        watch.last = self._values(paths)
        watch.over = False
        self.watches.append(watch)

        def ended():
            watch.over = True
            if watch in self.watches:
                self.watches.remove(watch)

        observation.accept(ended)
        if self._number(watch, "pmax"):
            self._later(watch, self._number(watch, "pmax"))

    @staticmethod
    def _number(watch, name):
        text = watch.attributes.get(name)
        return float(text) if text else None

    def _values(self, paths):
        found = {}
        for path in paths:
            try:
                for name, leaf in formats.leaves(path, self._readable(path)):
                    found[name] = leaf
            except (KeyError, IndexError):
                continue
        return found

    def _later(self, watch, seconds):
        if watch.due is not None:
            watch.due.cancel()
        watch.due = world().loop.call_later(max(seconds, 0), self._tell, watch)

    def _tell(self, watch):
        watch.due = None
        if watch.over or self.context is None:
            return
        watch.told = time.monotonic()
        watch.last = self._values(watch.paths)
        watch.observation.trigger()
        if self._number(watch, "pmax"):
            self._later(watch, self._number(watch, "pmax"))

    def _wants(self, watch, path, before, after):
        """LwM2M Core 1.2 section 7.3.3: gt, lt, st and edge; none of them: any change."""
        gt, lt, st, edge = (self._number(watch, name) for name in ("gt", "lt", "st", "edge"))
        if gt is None and lt is None and st is None and edge is None:
            return before != after
        if edge is not None:
            return before != after and bool(after) == bool(edge)
        if before is None or isinstance(before, (str, bytes)):
            return before != after
        crossed = any(limit is not None and (before - limit) * (after - limit) <= 0 and before != after for limit in (gt, lt))
        return crossed or (st is not None and abs(after - before) >= st)

    def _trigger(self, changed):
        for watch in list(self.watches):
            now = self._values(watch.paths)
            if not any(self._wants(watch, name, watch.last.get(name), now.get(name)) for name in set(now) | set(watch.last)):
                continue
            pmin = self._number(watch, "pmin") or 0
            self._later(watch, watch.told + pmin - time.monotonic())

    # -- composites ----------------------------------------------------------------------------------------------------------

    def _readable(self, path):
        levels = parts(path)
        if not levels:
            return {number: instances for number, instances in self.objects.items() if number not in HIDDEN}
        if len(levels) >= 3 and "R" not in self.operations(levels):
            raise KeyError(path)
        return self.get(path)

    def _on_fetch(self, seen, levels):
        if not self.composites:
            return self._message("4.05")
        if levels or any(part.partition("=")[0] not in ("pmin", "pmax", "epmin", "epmax", "con") for part in seen.query):
            return self._message("4.02")
        if seen.content_format not in FETCH_FORMATS:
            return self._message("4.15")
        paths = [self._below(path) for path in formats12.fetch_paths(seen.content_format, seen.payload)]
        values = {}
        for path in paths:
            try:
                values[self.alternate + path if path != "/" else path] = self._readable(path)
            except (KeyError, IndexError):
                continue
        if not values:
            return self._message("4.04")
        accept = LWM2M_CBOR if seen.accept is None else seen.accept
        if accept not in (LWM2M_CBOR, formats.SENML_JSON, formats.SENML_CBOR) or accept not in self.formats:
            return self._message("4.06")
        if accept == LWM2M_CBOR:
            values = {path[len(self.alternate) :]: value for path, value in values.items()}
            if "/" in values:
                values = {f"/{number}": tree for number, tree in values["/"].items()}
        return self._message("2.05", formats12.encode_many(accept, values), accept)

    def _below(self, path):
        if self.alternate and path.startswith(self.alternate):
            path = path[len(self.alternate) :] or "/"
        return path

    def _on_ipatch(self, seen, levels):
        if not self.composites:
            return self._message("4.05")
        if levels or seen.query:
            return self._message("4.02")
        if seen.content_format not in PATCH_FORMATS:
            return self._message("4.15")
        skip = len(parts(self.alternate)) if seen.content_format != LWM2M_CBOR else 0
        entries = [
            (path[skip:], value)
            for path, value in formats12.patch_entries(
                seen.content_format, seen.payload, lambda path: self.kinds(path[skip:])
            )
        ]
        for path, value in entries:  # all or nothing
            instance = self.objects[path[0]][path[1]]
            if "W" not in self.operations(path):
                return self._message("4.05")
            if value is REMOVED:
                instance[path[2]][path[3]]
        for path, value in entries:
            if value is REMOVED:
                del self.objects[path[0]][path[1]][path[2]][path[3]]
            else:
                self._put(path, value)
        self._trigger("/")
        return self._message("2.04")

    # -- formats ----------------------------------------------------------------------------------------------------------------

    async def render(self, request):
        if int(request.code) in (FETCH, IPATCH) and not request.opt.uri_path:
            request.opt.uri_path = ()
        return await super().render(request)

    def encode(self, number, path, value):
        if number == LWM2M_CBOR:
            return formats12.lwm2m_cbor_encode({path[len(self.alternate) :]: value})
        return formats12.encode(number, path, value)

    def decode(self, number, path, data):
        return formats12.decode(number, path, data, self.kinds)

    def send_values(self, values, number=formats.SENML_CBOR, **named):
        """values: {path: value}; a Send without times."""
        return self.send(formats12.encode_many(number, values), number, **named)
