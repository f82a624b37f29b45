"""Makes tests/support importable, wherever pytest is started from, and takes the fixtures from there."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from support.fixtures import *  # noqa: E402,F401,F403
from support.fixtures import _server_lives  # noqa: E402,F401
