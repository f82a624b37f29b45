"""What survives: kill -9, restarts, other shard counts, outages, a store that fails, backups.

The rule under test: what was answered is durable (2.01, 2.02, a changing 2.04), and nobody has to do
anything after a restart.
"""

import re
import resource
import shutil
import signal
import sqlite3
import threading
import time

import pytest
from support import settings, wire
from support.background import Background
from support.raw import Crowd, RawPeer
from support.settings import limit
from support.wire import Message

LINKS = "</>;ct=110,</1/0>,</3/0>,</3303/0>"


def listed(rest):
    """Those that have a registration, whether or not its lifetime is over."""
    return {
        device["endpoint"]: device for device in rest.devices(limit=500) if "registrationId" in device
    }


def store_file(one):
    """The database of a daemon: the biggest file of its data directory."""
    files = [
        path
        for path in one.config["data_dir"].iterdir()
        if path.is_file() and path.read_bytes()[:16] == b"SQLite format 3\0"
    ]
    assert len(files) == 1, files
    return files[0]


def damage(one, sql):
    with sqlite3.connect(store_file(one)) as database:
        database.execute(sql)
    database.close()


# -- one device, closely ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_a_registration_is_the_same_after_a_restart(daemon, endpoint, how):
    one = daemon(shards=2)
    with RawPeer(one.coap) as peer:
        peer.register(
            endpoint,
            '</>;ct="60 110",</1/0>,</3>;ver=1.2,</3/0>,</3303/0>',
            777,
            "1.2",
            "U",
            ["Q", "sms=123", "pid=6:1234abcd"],
        )
        before = one.rest.device(endpoint)
        getattr(one, how)()
        one.start()
        after = one.rest.device(endpoint)
        for name in set(before) - {"expiresAt", "lastSeenAt", "awakeUntil"}:
            assert after[name] == before[name], name
        assert peer.update().text == "2.04"


def test_answered_changes_survive_kill(daemon, endpoint):
    one = daemon()
    with RawPeer(one.coap) as peer:
        peer.register(endpoint, lifetime=300)
        assert peer.update(["lt=901", "b=UT"], links="</1/0>,</3/0>,</4/0>").text == "2.04"
        one.kill()
        one.start()
        device = one.rest.device(endpoint)
        assert device["lifetime"] == 901 and sorted(device["binding"]) == ["T", "U"]
        assert "/4/0" in [entry["path"] for entry in device["objects"]]
        assert peer.deregister().text == "2.02"
        one.kill()
        one.start()
        assert one.rest.device(endpoint) is None
        assert peer.update().text == "4.04"


def test_an_unreadable_row_keeps_nobody_else_away(daemon, endpoint):
    one = daemon()
    good, bad = endpoint + "-good", endpoint + "-bad"
    with RawPeer(one.coap) as peer, RawPeer(one.coap, "127.8.8.8") as other:
        peer.register(good)
        other.register(bad)
        one.kill()
        damage(one, f"UPDATE registration SET peer = x'01' WHERE endpoint = '{bad}'")
        one.start()
        assert list(listed(one.rest)) == [good]
        assert one.metrics()[("lwm2m_rows_unreadable_total", ())] == 1
        assert len(re.findall("cannot be read and is left out.*key=", one.log())) == 1
        assert peer.update().text == "2.04" and other.update().text == "4.04"
        assert other.register(bad).text == "2.01"
        assert set(listed(one.rest)) == {good, bad}


def test_the_newest_of_several_registers_survives_kill(daemon, endpoint):
    one = daemon(shards=2)
    with RawPeer(one.coap) as peer, RawPeer(one.coap, "127.8.8.8") as other:
        for number in range(5):
            assert peer.register(endpoint, lifetime=100 + number).text == "2.01"
            assert other.register(endpoint, lifetime=200 + number).text == "2.01"
        one.kill()
        one.start()
        assert one.rest.device(endpoint)["lifetime"] == 204
        assert other.update().text == "2.04" and peer.update().text == "4.04"


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_an_observation_keeps_delivering(daemon, endpoint, how):
    """Same token, same registration: the device did not notice anything."""
    one = daemon(shards=2)
    with RawPeer(one.coap) as peer:
        peer.register(endpoint, LINKS)
        call = Background(one.rest.observe, endpoint, "/3303/0/5700")
        request = peer.expect_request(wire.GET)
        peer.answer(request, "2.05", b"1.5", observe=1, content_format=wire.TEXT)
        identifier = call.result()["id"]
        getattr(one, how)()
        one.start()
        assert [entry["id"] for entry in one.rest.observations(endpoint)] == [identifier]
        with one.rest.events() as events:
            sent = peer.notify(request.token, 5, b"2.5", type=wire.CON)
            answer = peer.receive()
            assert (answer.type, answer.mid) == (wire.ACK, sent.mid)
            event = events.next("notification", endpoint)
            assert event["values"][0]["value"] == 2.5
        call = Background(one.rest.cancel, endpoint, identifier)
        cancel = peer.expect_request(wire.GET)
        assert cancel.token == request.token and cancel.uint(wire.OBSERVE) == 1
        peer.answer(cancel, "2.05", b"1", content_format=wire.TEXT)
        call.result()
        one.kill()
        one.start()
        assert one.rest.observations(endpoint) == []


def test_requests_reach_the_device_after_a_restart(daemon, endpoint):
    """Where it is and what it speaks is known without a word from it."""
    one = daemon()
    with RawPeer(one.coap) as peer:
        peer.register(endpoint, '</alt>;rt="oma.lwm2m";ct=112,</alt/1/0>,</alt/3/0>', version="1.1")
        one.kill()
        one.start()
        read = Background(one.rest.value, endpoint, "/3/0/0")
        request = peer.expect_request(wire.GET, "/alt/3/0/0")
        assert request.uint(wire.ACCEPT) == 112
        peer.answer(request, "2.05", b"\x81\xa2\x00\x6a/alt/3/0/0\x03\x61x", content_format=wire.SENML_CBOR)
        assert read.result() == "x"


# -- the number of shards ------------------------------------------------------------------------------------------


def test_shards_may_change_between_restarts(daemon):
    """1, 2, 3, 1: nobody registers again, and everybody is served by whichever shard now owns the address."""
    one = daemon(shards=1)
    peers = [RawPeer(one.coap, f"127.{40 + number}.{number}.1") for number in range(24)]
    try:
        tokens = {}
        for number, peer in enumerate(peers):
            assert peer.register(f"dev:{number}", LINKS).text == "2.01"
            if number % 4 == 0:
                call = Background(one.rest.observe, f"dev:{number}", "/3303/0/5700")
                request = peer.expect_request(wire.GET)
                peer.answer(request, "2.05", b"0", observe=1, content_format=wire.TEXT)
                call.result()
                tokens[number] = request.token
        for step, shards in enumerate((2, 3, 1, 2)):
            if step % 2:
                one.stop()
            else:
                one.kill()
            one.start(shards=shards)
            with one.rest.events() as events:
                for number, peer in enumerate(peers):
                    if number % 2:
                        assert peer.update().text == "2.04", (shards, number)
                for number, token in tokens.items():
                    sent = peers[number].notify(token, 10 + step, b"%d" % step, type=wire.CON)
                    answer = peers[number].receive()
                    assert (answer.type, answer.mid) == (wire.ACK, sent.mid), (shards, number)
                    events.next("notification", f"dev:{number}")
                for number in range(0, 24, 3):
                    read = Background(one.rest.value, f"dev:{number}", "/3/0/0")
                    request = peers[number].expect_request(wire.GET, "/3/0/0")
                    peers[number].answer(
                        request, "2.05", b'[{"n":"/3/0/0","vs":"x"}]', content_format=wire.SENML_JSON
                    )
                    assert read.result() == "x"
            assert len(listed(one.rest)) == 24
    finally:
        for peer in peers:
            peer.close()


# -- outages ----------------------------------------------------------------------------------------------------------


def test_an_outage_longer_than_the_lifetimes_expires_nobody_at_once(daemon):
    """Deadlines are shifted by the outage; only who stays silent afterwards goes."""
    one = daemon(grace_s=2)
    with RawPeer(one.coap) as stays, RawPeer(one.coap, "127.0.0.2") as goes:
        stays.register("stays", lifetime=2)
        goes.register("goes", lifetime=2)
        one.kill()
        time.sleep(5)
        with RawPeer(one.coap) as _:
            one.start()
            started = time.monotonic()
            assert set(listed(one.rest)) == {"stays", "goes"}
            with one.rest.events() as events:
                end = started + 1.5
                while time.monotonic() < end:
                    assert stays.update().text == "2.04"
                    time.sleep(0.2)
                assert set(listed(one.rest)) == {"stays", "goes"}
                while "goes" in listed(one.rest):
                    assert stays.update().text == "2.04"
                    assert time.monotonic() < started + limit(15), "a silent device stays for ever"
                    time.sleep(0.3)
                assert events.next("expired").get("endpoint") == "goes"
        assert set(listed(one.rest)) == {"stays"}


def test_devices_that_talk_while_the_server_loads_meet_silence(daemon):
    """Once the port is bound: 2.04 or nothing. No RST, no 4.04, no ICMP error, however early the word."""
    one = daemon(shards=2)
    count = 1000
    with Crowd(one.coap) as crowd:
        register_all(crowd, one, range(count))
    with RawPeer(one.coap) as peer:
        peer.register("talker", lifetime=300)
        for _ in range(3):
            one.kill()
            answers, stop = [], threading.Event()

            def talk(answers=answers, stop=stop):
                bound = False
                while not stop.is_set():
                    try:
                        peer.send(
                            Message(wire.CON, wire.POST, peer.mid(), b"talk", wire.options(peer.location))
                        )
                        answer = Message.decode(peer.receive_bytes(0.003))
                        answers.append(answer.text if answer.type != wire.RST else "RST")
                        bound = True
                    except ConnectionRefusedError:
                        if bound:
                            answers.append("ICMP")
                    except AssertionError:
                        bound = True  # silence: somebody holds the port

            talker = threading.Thread(target=talk)
            talker.start()
            one.start()
            time.sleep(0.3)
            stop.set()
            talker.join()
            assert "2.04" in answers
            assert set(answers) <= {"2.04", "0.00"}, sorted(set(answers))
            # drain what is still under way
            while True:
                try:
                    peer.receive_bytes(0.1)
                except AssertionError:
                    break
    assert len(listed(one.rest)) == count + 1


def test_not_ready_while_loading_is_said(daemon):
    """/healthz answers as soon as the process lives; /readyz says 503 and why, then 200."""
    one = daemon()
    with Crowd(one.coap) as crowd:
        register_all(crowd, one, range(500))
    one.kill()
    one.start(ready=False)
    seen, end = [], time.monotonic() + limit(15)
    while time.monotonic() < end:
        try:
            answer = one.rest.get("/readyz")
        except OSError:
            continue
        seen.append(answer)
        if answer.status == 200:
            break
    assert seen[-1].status == 200
    for answer in seen[:-1]:
        assert answer.status == 503 and answer.type == "application/problem+json" and answer.json["detail"]


# -- storms ------------------------------------------------------------------------------------------------------------


def register_message(number, mid):
    query = [f"ep=crowd:{number:05d}", "lt=3600", "lwm2m=1.1", "b=U"]
    token = number.to_bytes(4, "big")
    return Message(
        wire.CON, wire.POST, mid, token, wire.options("/rd", query, content_format=wire.LINK), LINKS.encode()
    )


def register_all(crowd, one, numbers, window=100, stop_after=None, seconds=120):
    """Registers each number from its own address; returns {number: location} of what was answered 2.01.

    Keeps `window` Registers under way, sends again after a second of silence, acknowledges separate
    responses. stop_after: returns as soon as so many were answered.
    """
    waiting, locations, numbers = {}, {}, iter(numbers)
    end, exhausted = time.monotonic() + limit(seconds), False
    while time.monotonic() < end:
        while len(waiting) < window and not exhausted:
            number = next(numbers, None)
            if number is None:
                exhausted = True
                break
            message = register_message(number, number & 0xFFFF)
            crowd.send(number, message.encode())
            waiting[number] = (message, time.monotonic())
        if exhausted and not waiting:
            return locations
        got = crowd.receive(0.2)
        if got is None:
            for number, (message, sent) in list(waiting.items()):
                if time.monotonic() - sent > 1.0:
                    crowd.send(number, message.encode())
                    waiting[number] = (message, time.monotonic())
            continue
        _, message = got
        if not message.is_response:
            continue
        number = int.from_bytes(message.token, "big")
        if message.type == wire.CON:
            crowd.send(number, Message(wire.ACK, wire.EMPTY, message.mid).encode())
        assert message.text == "2.01", (number, message)
        locations[number] = message.location
        waiting.pop(number, None)
        if stop_after is not None and len(locations) >= stop_after:
            return locations
    raise AssertionError(f"{len(waiting)} Registers were not answered, for example {list(waiting)[:5]}")


def drain_answers(crowd, locations):
    """Takes answers that were sent before the kill and are still in the socket."""
    while True:
        got = crowd.receive(0.05)
        if got is None:
            return
        if got[1].is_response and got[1].text == "2.01":
            locations[int.from_bytes(got[1].token, "big")] = got[1].location


@pytest.mark.storm
@pytest.mark.parametrize("synchronous", ["normal", "full"])
def test_kill_9_in_a_storm_of_registers(daemon, synchronous):
    """Every 2.01 that was received is a registration after the restart, and none is half there."""
    one = daemon(shards=2, synchronous=synchronous, log_level="info")
    total = settings.STORM
    with Crowd(one.coap) as crowd:
        locations = register_all(crowd, one, range(total), window=200, stop_after=total * 6 // 10)
        one.kill()
        drain_answers(crowd, locations)
        one.start()
        found = listed(one.rest)
        for number, location in locations.items():
            device = found.get(f"crowd:{number:05d}")
            assert device is not None, f"{number} was answered {location} and is lost"
            assert device["registrationId"] == location.split("/")[2]
        for name, device in found.items():
            number = int(name.split(":")[1])
            assert (
                device["lifetime"] == 3600 and device["version"] == "1.1" and device["state"] == "registered"
            )
            assert [entry["path"] for entry in device["objects"]] == ["/1/0", "/3/0", "/3303/0"]
            assert device["address"] == f"{crowd.address(number)}:{crowd.port}"
        # the locations work, from the same addresses
        asked = list(locations.items())[:: max(1, len(locations) // 300)]
        for number, location in asked:
            message = Message(
                wire.CON,
                wire.POST,
                0x8000 | (number & 0x7FFF),
                number.to_bytes(4, "big"),
                wire.options(location),
            )
            crowd.send(number, message.encode())
        answered = {}
        end = time.monotonic() + limit(10)
        while len(answered) < len(asked) and time.monotonic() < end:
            got = crowd.receive(0.2)
            if got and got[1].is_response and got[1].mid & 0x8000:
                answered[int.from_bytes(got[1].token, "big")] = got[1].text
        assert set(answered.values()) == {"2.04"} and len(answered) == len(asked)
        # and the rest of the crowd comes in
        register_all(crowd, one, range(total), window=200)
    assert len(listed(one.rest)) == total
    with sqlite3.connect(f"file:{store_file(one)}?mode=ro", uri=True) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)


@pytest.mark.storm
def test_registers_reads_and_event_readers_at_once(daemon):
    """Every thread of the server at work: shards, writer, HTTP; meant for ThreadSanitizer too."""
    one = daemon(shards=2, log_level="info")
    readers, failures, stop = [], [], threading.Event()

    def answer_reads(peer):
        while not stop.is_set():
            try:
                request = peer.receive(0.2)
            except AssertionError:
                continue
            if request.is_request:
                peer.answer(request, "2.05", b'[{"n":"/3/0/0","vs":"busy"}]', content_format=wire.SENML_JSON)

    def read(name):
        while not stop.is_set():
            try:
                assert one.rest.value(name, "/3/0/0") == "busy"
                one.rest.devices(limit=200)
                one.rest.ok("GET", "/metrics")
            except (AssertionError, OSError) as failure:
                failures.append(failure)
                return

    peers = [RawPeer(one.coap, f"127.0.{number}.1") for number in range(1, 5)]
    for number, peer in enumerate(peers):
        peer.register(f"busy:{number}", LINKS)
        readers.append(threading.Thread(target=answer_reads, args=(peer,)))
        readers.append(threading.Thread(target=read, args=(f"busy:{number}",)))
    with one.rest.events() as events, Crowd(one.coap) as crowd:
        for reader in readers:
            reader.start()
        register_all(crowd, one, range(settings.STORM // 2))
        register_all(crowd, one, range(settings.STORM // 4))  # again: replaces
        registered = {event["endpoint"] for event in events.drain(1.5) if event.kind == "registered"}
        stop.set()
        for reader in readers:
            reader.join(limit(30))
    for peer in peers:
        peer.close()
    assert not failures, failures[0]
    assert len({name for name in registered if name.startswith("crowd:")}) == settings.STORM // 2
    assert len(listed(one.rest)) == settings.STORM // 2 + 4


@pytest.mark.storm
def test_devices_wander_between_shards(daemon):
    """Updates of one registration from ever other addresses, while it is read: it is always somewhere, once."""
    one = daemon(shards=3, log_level="info")
    peers = [RawPeer(one.coap, f"127.{number}.0.{number}") for number in range(1, 25)]
    try:
        assert peers[0].register("wanderer", LINKS).text == "2.01"
        for turn in range(120):
            peer = peers[turn * 7 % 24]
            peer.location = peers[0].location
            assert peer.update().text == "2.04", turn
            if turn % 5 == 0:
                read = Background(one.rest.value, "wanderer", "/3/0/0")
                request = peer.expect_request(wire.GET)
                peer.answer(request, "2.05", b'[{"n":"/3/0/0","vs":"here"}]', content_format=wire.SENML_JSON)
                assert read.result() == "here"
            assert len(one.rest.devices(q="wanderer")) == 1
        one.kill()
        one.start()
        assert one.rest.device("wanderer")["address"] == "%s:%d" % peers[119 * 7 % 24].address
        assert peers[119 * 7 % 24].update().text == "2.04"
    finally:
        for peer in peers:
            peer.close()


# -- a store that fails ---------------------------------------------------------------------------------------------------


def test_a_failing_store_changes_nothing_that_was_there(daemon):
    """No write gets through (file size limit): Registers get no 2.01, the old state stands, Updates are served."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    one = daemon(keep_ignored=True, log_level="info")
    pid = one.process.pid
    with RawPeer(one.coap) as old, RawPeer(one.coap, "127.0.0.2") as new:
        old.register("old", lifetime=300)
        before = one.rest.device("old")
        unlimited = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        try:
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (1, unlimited[1]))
            try:
                answer = new.register("new", timeout=3)
                assert answer.text not in ("2.01",), answer
            except AssertionError as silence:
                assert "nothing" in str(silence)
            try:
                answer = new.register("old", lifetime=99, timeout=3)
                assert answer.text not in ("2.01",), answer
            except AssertionError as silence:
                assert "nothing" in str(silence)
            assert old.update().text == "2.04", "the old registration stands, renewals come from memory"
            problem = one.rest.problem("GET", "/readyz", 503)
            assert re.search("store|disk", problem["detail"])
            device = one.rest.device("old")
            assert (device["registrationId"], device["address"]) == (
                before["registrationId"],
                before["address"],
            )
            assert one.rest.device("new") is None
            assert one.rest.get("/healthz").status == 200
        finally:
            resource.prlimit(pid, resource.RLIMIT_FSIZE, unlimited)
        # it recovers by itself
        end = time.monotonic() + limit(20)
        while True:
            try:
                if new.register("new", timeout=2).text == "2.01":
                    break
            except AssertionError:
                pass
            assert time.monotonic() < end, "no Register is accepted after the disk has room again"
        one.wait_ready()
        assert set(listed(one.rest)) == {"old", "new"}
        one.kill()
        one.start()
        assert set(listed(one.rest)) == {"old", "new"}
        assert one.rest.device("old")["registrationId"] == before["registrationId"]


def test_a_newer_database_is_refused_and_left_alone(daemon):
    one = daemon()
    with RawPeer(one.coap) as peer:
        peer.register("kept")
    one.stop()
    with sqlite3.connect(store_file(one)) as database:
        version = database.execute("PRAGMA user_version").fetchone()[0]
        database.execute("PRAGMA user_version = 9999")
    database.close()
    one.start(ready=False)
    assert one.process.wait(limit(10)) > 0
    one.process = None
    assert re.search("newer|version", one.log().splitlines()[-1] + one.log())
    with sqlite3.connect(store_file(one)) as database:
        assert database.execute("PRAGMA user_version").fetchone()[0] == 9999
        database.execute(f"PRAGMA user_version = {version}")
    database.close()
    one.start()
    assert set(listed(one.rest)) == {"kept"}


def test_somebody_elses_database_is_refused(daemon):
    one = daemon()
    one.stop()
    path = store_file(one)
    path.unlink()
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE recipes(name TEXT)")
        database.execute("PRAGMA application_id = 12345")
    database.close()
    one.start(ready=False)
    assert one.process.wait(limit(10)) > 0
    one.process = None
    with sqlite3.connect(path) as database:
        assert [row[0] for row in database.execute("SELECT name FROM sqlite_master")] == ["recipes"]
    database.close()


# -- backup -----------------------------------------------------------------------------------------------------------------


def test_backup_while_running_and_restore(daemon):
    """A consistent copy in the middle of a storm; a server on the copy has everything answered before it began."""
    one = daemon(shards=2, log_level="info")
    copy = one.directory / "backup.db"
    with Crowd(one.coap) as crowd:
        locations = register_all(crowd, one, range(300))
        more = Background(register_all, crowd, one, range(300, 900))
        one.ctl("backup", str(copy))
        more.result(60)
        assert one.rest.get("/readyz").status == 200
    with sqlite3.connect(f"file:{copy}?mode=ro", uri=True) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    database.close()
    assert copy.stat().st_mode & 0o077 == 0, "a backup is not for everybody's eyes"
    assert one.ctl.fails("backup", str(copy)).err, "an existing file is not overwritten"
    # restore: the copy becomes the database of a new server
    other = daemon(start=False)
    other.config["store_path"] = other.config["data_dir"] / "restored.db"
    shutil.copy(copy, other.config["store_path"])
    other.write_config()
    other.start()
    found = listed(other.rest)
    for number, location in locations.items():
        assert found[f"crowd:{number:05d}"]["registrationId"] == location.split("/")[2]
    assert 300 <= len(found) <= 900
