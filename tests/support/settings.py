"""Where things are and what they are called: one edit when a name changes."""

import os
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("LWM2M_BUILD", REPOSITORY / "build")).resolve()
SERVERD = os.environ.get("LWM2M_SERVERD", str(BUILD / "lwm2m-serverd"))
SERVERCTL = os.environ.get("LWM2M_SERVERCTL", str(BUILD / "lwm2m-serverctl"))
FLEET = os.environ.get("LWM2M_FLEET", str(BUILD / "fleet"))
MODELS = Path(__file__).resolve().parent / "models"

# Slow builds (sanitizers, valgrind) stretch every limit; they never shorten a wait that a test is about.
TIMEOUT_SCALE = float(os.environ.get("TIMEOUT_SCALE", "1"))
# Registers in the kill -9 storm: 10 000 in CI.
STORM = int(os.environ.get("LWM2M_STORM", "2000"))

# Command line of the daemon.
CONFIG_OPTION = "--config"
CHECK_OPTION = "-T"
# Command line of the control program.
CTL_SOCKET_OPTION = "--socket"
CTL_FORMAT_OPTION = "-o"

# keyword of Daemon(...) -> (section, key) of the configuration file
KEYS = {
    "run_dir": ("server", "run-dir"),
    "data_dir": ("server", "data-dir"),
    "shards": ("server", "shards"),
    "log_level": ("server", "log-level"),
    "log_format": ("server", "log-format"),
    "coap_listen": ("coap", "listen"),
    "ack_timeout_ms": ("coap", "ack-timeout-ms"),
    "max_retransmit": ("coap", "max-retransmit"),
    "steering": ("coap", "steering"),
    "nbiot_endpoints": ("coap", "nbiot-endpoints"),
    "nbiot_ack_timeout_ms": ("coap", "nbiot-ack-timeout-ms"),
    "nbiot_max_retransmit": ("coap", "nbiot-max-retransmit"),
    "awake_window_s": ("registration", "awake-window-s"),
    "uplink_body_limit": ("coap", "uplink-body-limit"),
    "read_body_limit": ("coap", "read-body-limit"),
    "grace_s": ("registration", "grace-s"),
    "replace_policy": ("registration", "replace-policy"),
    "api_listen": ("api", "listen"),
    "api_socket": ("api", "socket"),
    "token_file": ("api", "token-file"),
    "body_limit": ("api", "body-limit"),
    "idle_timeout_s": ("api", "idle-timeout-s"),
    "event_ring": ("api", "event-ring"),
    "device_operations": ("limits", "operations-per-device"),
    "profiles_file": ("profiles", "file"),
    "profiles_learn": ("profiles", "learn"),
    "profiles_limit": ("profiles", "limit"),
    "store_path": ("store", "path"),
    "synchronous": ("store", "synchronous"),
}


def limit(seconds):
    """A time limit for something that should happen, stretched on slow builds."""
    return seconds * TIMEOUT_SCALE
