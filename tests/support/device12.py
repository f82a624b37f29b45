"""A LwM2M 1.2 client: the aiocoap device with composites, LwM2M CBOR, conditions of observations, and sleep.

    device = Device12(daemon.coap, "dev1")
    device.register()                 # register_profile("6:1234abcd") without a list, with it after 4.09
    device.sleep()                    # deaf: what is sent to it is lost, and kept in .missed
    device.wake()                     # hears again, at the same address; says nothing by itself
    device.lose_answers()             # carries out what it is asked, but its answers are lost …
    device.find_answers()             # … until they are sent after all
    device.reboot()                   # another address; observations, attributes and location are gone
    device.set("/3303/0/5700", 23.0)  # notifies observers as their attributes say

`composites=False` makes a device that does not know FETCH and iPATCH, `etch=False` one that takes only SenML in
them, `queries=False` one that rejects attributes in an Observe, as 1.1 devices do.

Attributes are those of the Observe request, else those attached to the observed paths (LwM2M Core 1.2, 6.4 and
7.3). All times are real. What became due while it slept, and has hqmax, is told with its times afterwards.
"""

import asyncio
import time

from aiocoap.blockwise import _extract_block_key
from aiocoap.numbers.constants import Reliable, Unreliable

from . import formats, formats12, wire
from .daemon import free_port
from .device import Device, _Site, world
from .formats import parts
from .formats12 import ETCH_CBOR, ETCH_JSON, LWM2M_CBOR, LWM2M_JSON, REMOVED
from .settings import limit

SENML = (formats.SENML_JSON, formats.SENML_CBOR)
HIDDEN = (0, 21, 23)  # not among what "/" reads (LwM2M Core 1.2, Read-Composite)
CONDITIONS = ("pmin", "pmax", "gt", "lt", "st", "edge", "con", "epmin", "epmax", "hqmax")
OF_ALL_PATHS = ("pmin", "pmax", "epmin", "epmax", "con")


class Watch:
    """One observation of ours: what was asked, under which attributes, what was told when."""

    def __init__(self, request, paths, attributes):
        self.request, self.paths, self.attributes = request, paths, attributes
        self.composite = request.method == "FETCH"
        self.wake = asyncio.Event()
        self.told = self.evaluated = time.monotonic()
        self.last = self.before = {}  # values told last, and seen last
        self.due = self.look = None  # timers
        self.stored = []  # (time, values) that could not be told
        self.pending = False  # something could not be told

    def stop(self):
        for timer in (self.due, self.look):
            if timer is not None:
                timer.cancel()


class _Site12(_Site):
    """aiocoap observes with GET and FETCH, but never in blocks; this does both."""

    async def render_to_pipe(self, pipe):
        request = pipe.request
        if request.opt.observe != 0 or (request.opt.block2 and request.opt.block2.block_number):
            await super().render_to_pipe(pipe)
            return
        request = self._block1.feed_and_take(request)
        device, (seen, answer) = self.device, await self.device.respond(request)
        watch = device.watch(seen) if answer.code.is_successful() else None
        if watch is None:
            pipe.add_response(self._first_block(request, answer), is_last=True)
            return
        try:
            while True:
                answer.opt.observe = device.next_sequence()
                pipe.add_response(self._first_block(request, answer), is_last=False)
                await watch.wake.wait()
                watch.wake.clear()
                answer = device.notification(watch)
                if not answer.code.is_successful():
                    pipe.add_response(answer, is_last=True)
                    return
        finally:
            watch.stop()
            device.watches.remove(watch)

    def _first_block(self, request, answer):
        szx = self.device.szx
        if request.opt.block2 is not None:
            szx = min(szx, request.opt.block2.size_exponent)
        if len(answer.payload) <= 16 << szx:
            return answer
        self._block2._completes[_extract_block_key(request)] = answer  # asked for without Observe
        return answer._extract_block(0, szx, 1024)


class Device12(Device):
    def __init__(
        self,
        server,
        endpoint,
        version="1.2",
        composites=True,
        etch=True,
        queries=None,
        formats=(LWM2M_CBOR, 112, 110, 60, 0, 42, 11542),
        advertise="auto",
        **named,
    ):
        if advertise == "auto":
            advertise = [number for number in formats if number not in (0, 40, 42)]
            if composites and etch and version >= "1.2":
                advertise += [number for number in (ETCH_CBOR, ETCH_JSON) if number - 210 in formats]
        self.composites = composites
        self.fetch_formats = [number for number in SENML if number in formats]
        if etch:
            self.fetch_formats += [number + 210 for number in self.fetch_formats]
        self.patch_formats = self.fetch_formats + [LWM2M_CBOR] * (LWM2M_CBOR in formats)
        self.queries = version >= "1.2" if queries is None else queries
        self.watches = []
        self.missed = []  # datagrams that came while it slept
        self._asleep, self._lost = False, None
        self._sequence = 0
        super().__init__(server, endpoint, version=version, formats=formats, advertise=advertise, **named)
        self.site = _Site12(self)
        self.site.trigger = self._changed
        self.context.serversite = self.site

    async def _open(self):
        """Between the socket and the stack: what is not heard, and what does not get through."""
        context = await super()._open()
        interface = context.request_interfaces[0].token_interface.message_interface
        receive, send = interface.datagram_msg_received, interface.send

        def heard(data, *more):
            if self._asleep:
                self.missed.append(wire.Message.decode(data))
            else:
                receive(data, *more)

        def said(message):
            if self._lost is None or message.code.is_request():
                send(message)
            elif message.code.is_response():
                self._lost.append((send, message))

        interface.datagram_msg_received, interface.send = heard, said
        return context

    # -- life --------------------------------------------------------------------------------------------------

    def register_profile(self, pid, links="", fall_back=True):
        """Registers by profile ID and perhaps a few links; with the whole list when that does not do."""
        named = {"query": self.query + [f"pid={pid}"]}
        answer = self.register(expect=("2.01", "4.09"), links=links, **named)
        if answer.code.dotted == "4.09" and fall_back:
            answer = self.register(**named)
        return answer

    def sleep(self):
        self._asleep = True

    def wake(self):
        def awake():
            self._asleep = False
            for watch in list(self.watches):
                if watch.pending:
                    watch.wake.set()

        world().loop.call_soon_threadsafe(awake)
        world().run(asyncio.sleep(0))

    def lose_answers(self):
        self._lost = []

    def find_answers(self, send=True):
        """From now on answers get through; those that were lost only when `send`."""
        lost, self._lost = self._lost, None
        for transmit, message in lost if send else ():
            world().loop.call_soon_threadsafe(transmit, message)
        return len(lost)

    def reboot(self, source=None):
        """Comes up at another address with its values alone; register() is up to the caller."""
        world().run(self.context.shutdown())
        self.source = (source or self.source[0], free_port(host=source or self.source[0]))
        self.location, self.attributes, self._asleep, self._sequence = None, {}, False, 0
        self.context = world().run(self._open())

    # -- observations ------------------------------------------------------------------------------------------

    def next_sequence(self):
        self._sequence += 1
        return self._sequence

    def watch(self, seen):
        """The observation that a successful Observe begins."""
        paths = [seen.path]
        if seen.method == "FETCH":
            paths = [self.below(path) for path in formats12.fetch_paths(seen.content_format, seen.payload)]
        watch = Watch(seen, paths, dict(part.partition("=")[::2] for part in seen.query))
        watch.last = watch.before = self._values(paths)
        self.watches.append(watch)
        self._again(watch)
        return watch

    def notification(self, watch):
        watch.pending = False
        try:
            if watch.stored:
                message = self._stored(watch)
            elif watch.composite:
                message = self._on_fetch(watch.request, ())
            else:
                message = self._on_get(watch.request, parts(watch.paths[0]))
        except (KeyError, IndexError):
            return self._message("4.04")
        confirmed = any(self._condition(watch, path, "con") for path in watch.paths)
        message.transport_tuning = Reliable() if confirmed else Unreliable()
        return message

    def _stored(self, watch):
        number = watch.request.accept if watch.request.accept in SENML else formats.SENML_CBOR
        series = [
            (self.alternate + name, value, when) for when, values in watch.stored for name, value in values.items()
        ]
        watch.stored = []
        return self._message("2.05", formats12.series_encode(number, series), number)

    def _condition(self, watch, path, name):
        """The attribute of the observation, else the nearest one attached to the path or above it."""
        if any(key in watch.attributes for key in CONDITIONS):
            text = watch.attributes.get(name)
        else:
            levels = path.split("/")
            ways = ["/".join(levels[:depth]) for depth in range(len(levels), 1, -1)]
            text = next((self.attributes[way][name] for way in ways if name in self.attributes.get(way, {})), None)
        return float(text) if text else None

    def _period(self, watch, name, choose):
        found = [self._condition(watch, path, name) for path in watch.paths]
        return choose([seconds for seconds in found if seconds], default=0)

    def _values(self, paths):
        found = {}
        for path in paths:
            try:
                found.update(formats.leaves(path, self._readable(path)))
            except (KeyError, IndexError):
                continue
        return found

    def _again(self, watch):
        pmin, pmax = self._period(watch, "pmin", max), self._period(watch, "pmax", min)
        if pmax and pmax >= pmin:
            self._tell_in(watch, pmax)

    def _tell_in(self, watch, seconds):
        """Sooner than what is planned, never later."""
        when = world().loop.time() + max(seconds, 0)
        if watch.due is not None and not watch.due.cancelled() and watch.due.when() <= when:
            return
        if watch.due is not None:
            watch.due.cancel()
        watch.due = world().loop.call_at(when, self._tell, watch)

    def _tell(self, watch):
        watch.due = None
        watch.told = time.monotonic()
        watch.last = self._values(watch.paths)
        hqmax = self._period(watch, "hqmax", max)
        if not self._asleep:
            watch.wake.set()
            self._again(watch)
            return
        watch.pending = True
        if hqmax:
            watch.stored = [*watch.stored, (time.time(), watch.last)][-int(hqmax) :]
        self._again(watch)

    def _fulfils(self, watch, path, before, told, now):
        """LwM2M Core 1.2 section 7.3.3: gt, lt, st and edge; none of them: any change."""
        where = next((way for way in watch.paths if path == way), None)  # theirs are resources
        gt, lt, st, edge = (
            self._condition(watch, where, name) if where else None for name in ("gt", "lt", "st", "edge")
        )
        if (gt, lt, st, edge) == (None,) * 4:
            return told != now
        if None in (before, now) or isinstance(now, (str, bytes)):
            return told != now
        if edge is not None:
            return before != now and now is bool(edge)
        crossed = any(border is not None and (before <= border) != (now <= border) for border in (gt, lt))
        return crossed or (st is not None and abs(now - told) >= st)

    def _evaluate(self, watch):
        watch.look = None
        watch.evaluated = time.monotonic()
        before, now = watch.before, self._values(watch.paths)
        watch.before = now
        if any(
            self._fulfils(watch, name, before.get(name), watch.last.get(name), now.get(name))
            for name in set(now) | set(watch.last)
        ):
            pmin = self._period(watch, "pmin", max)
            self._tell_in(watch, watch.told + pmin - time.monotonic())

    def _changed(self, _):
        for watch in list(self.watches):
            epmin = self._period(watch, "epmin", max)
            wait = watch.evaluated + epmin - time.monotonic()
            if wait <= 0:
                self._evaluate(watch)
            elif watch.look is None:
                watch.look = world().loop.call_later(wait, self._evaluate, watch)

    # -- requests ----------------------------------------------------------------------------------------------

    def strip(self, uri_path):
        return super().strip(uri_path) if uri_path else "/"

    def below(self, path):
        """A name of SenML without the alternate path."""
        if self.alternate and (path + "/").startswith(self.alternate + "/"):
            path = path[len(self.alternate) :] or "/"
        return path

    def _readable(self, path):
        levels = parts(path)
        if not levels:
            return {number: self._readable(f"/{number}") for number in self.objects if number not in HIDDEN}
        if len(levels) >= 3 and "R" not in self.operations(levels):
            raise KeyError(path)
        return self.get(path)

    def _on_get(self, seen, levels):
        asked = [part.partition("=")[0] for part in seen.query]
        if seen.observe == 0 and asked and (not self.queries or set(asked) - set(CONDITIONS)):
            return self._message("4.02")
        return super()._on_get(seen, levels)

    def _on_fetch(self, seen, levels):
        asked = {part.partition("=")[0] for part in seen.query}
        if not self.composites:
            return self._message("4.05")
        if levels or asked and (seen.observe is None or not self.queries or asked - set(OF_ALL_PATHS)):
            return self._message("4.02")
        if seen.content_format not in self.fetch_formats:
            return self._message("4.15")
        values = {}
        for path in formats12.fetch_paths(seen.content_format, seen.payload):
            path = self.below(path)
            try:
                values[path] = self._readable(path)
            except (KeyError, IndexError):
                continue
        if not values:
            return self._message("4.04")
        accept = seen.accept
        if accept is None:
            accept = next(number for number in self.formats if number in SENML + (LWM2M_CBOR,))
        if accept not in SENML + (LWM2M_CBOR,) or accept not in self.formats:
            return self._message("4.06")
        if "/" in values:
            values = {f"/{number}": tree for number, tree in values["/"].items()}
        if accept != LWM2M_CBOR:
            values = {self.alternate + path: value for path, value in values.items()}
        return self._message("2.05", formats12.encode_many(accept, values), accept)

    def _on_ipatch(self, seen, levels):
        if not self.composites:
            return self._message("4.05")
        if levels or seen.query:
            return self._message("4.02")
        if seen.content_format not in self.patch_formats:
            return self._message("4.15")
        entries = formats12.patch_entries(seen.content_format, seen.payload, self.kinds, self.alternate)
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
        self._changed("/")
        return self._message("2.04")

    # -- formats -----------------------------------------------------------------------------------------------

    def encode(self, number, path, value):
        return formats12.encode(number, path if number in SENML + (LWM2M_JSON,) else self.below(path), value)

    def decode(self, number, path, data):
        return formats12.decode(number, path, data, self.kinds, self.alternate)

    # -- Send --------------------------------------------------------------------------------------------------

    def send_values(self, values, number=formats.SENML_CBOR, **named):
        """values: {path: value or tree}; a Send without times."""
        return self.send(formats12.encode_many(number, values), number, **named)

    def send_series(self, series, number=formats.SENML_CBOR, **named):
        """series: [(path, value, Unix time)]; all times in one base time and offsets."""
        return self.send(formats12.series_encode(number, series), number, **named)

    # -- waiting -----------------------------------------------------------------------------------------------

    def wait_until(self, fulfilled, seconds=10, what="it"):
        """Polls; only for what the device does by itself."""
        end = time.monotonic() + limit(seconds)
        while not fulfilled():
            assert time.monotonic() < end, f"{what} did not happen: {[str(one) for one in self.requests[-8:]]}"
            time.sleep(0.02)
