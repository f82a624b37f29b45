"""Many devices in queue mode, what was queued for them, and a server that dies while they fetch it."""

import time
from collections import Counter

from support import fleet
from support.settings import limit

DEVICES = 1000
OPERATIONS = 3  # of each: a Write, an Execute, a Read
KILLS = 3
WINDOW_S = 5  # that the server counts on
LISTENS_S = WINDOW_S + limit(1)  # a device after its last message


def operations(rest):
    """Every operation, following the cursor."""
    found, cursor = [], ""
    while cursor is not None:
        page = rest.ok("GET", f"/v1/operations?limit=1000&cursor={cursor}").json
        found += page["operations"]
        cursor = page["next"]
    return found


def asleep(one, within_s):
    """The devices of a daemon: registered, and not listening any more."""
    sleepers = fleet.Sleepers(
        server=f"127.0.0.1:{one.coap_port}",
        devices=DEVICES,
        awake=LISTENS_S,
        within=within_s,
        window=DEVICES,
    )
    assert sleepers.next("ready")["registered"] == DEVICES
    sleepers.next("asleep")
    return sleepers


def hand_in(one):
    done = fleet.run("submit", api=f"127.0.0.1:{one.api_port}", devices=DEVICES, operations=OPERATIONS)
    assert done["accepted"] == done["ok"] == DEVICES * OPERATIONS, done


def wait_updates(one, number):
    """Since the start of the daemon; a slow one may have had them all before."""
    end = time.monotonic() + limit(3)
    while time.monotonic() < end:
        if sum(v for (name, _), v in one.metrics().items() if name == "lwm2m_updates_total") >= number:
            return
        time.sleep(0.01)


def test_a_drain_outlives_kill_9(daemon):
    """Every operation ends, as done or, an Execute, as unknown; no Execute is carried out twice, nothing
    overtakes, and nobody who sleeps is spoken to. They wake at once, so that many are asked at each kill."""
    one = daemon(shards=2, awake_window_s=WINDOW_S, log_level="warn")
    with asleep(one, within_s=0.3) as sleepers:
        hand_in(one)
        sleepers.wake()
        for _ in range(KILLS):
            wait_updates(one, DEVICES / (KILLS + 2))
            one.kill()
            one.start()
        sleepers.next("asleep")
        for _ in range(3):  # whoever slept before the server was back has it the next time
            if not one.rest.ok("GET", "/v1/operations?state=open&limit=1").json["operations"]:
                break
            sleepers.wake()
            sleepers.next("asleep")
        told = sleepers.stop()

    ended = Counter((o["kind"], o["state"]) for o in operations(one.rest))
    executes = ended["execute", "done"], ended["execute", "unknown"]
    assert sum(ended.values()) == DEVICES * OPERATIONS, ended
    assert ended["write", "done"] == ended["read", "done"] == sum(executes) == DEVICES, ended
    assert told["writes"] == told["reads"] == DEVICES, told
    assert executes[0] <= told["executes"] <= sum(executes), (ended, told)
    assert told["executes_again"] == 0, told
    assert told["out_of_order"] == told["foreign"] == told["asleep_datagrams"] == 0, told
