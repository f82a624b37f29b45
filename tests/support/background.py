"""Calls that wait for a device while the test plays the device."""

import threading

from .settings import limit


class Background:
    """Runs call() in a thread; result() waits for it and returns or raises what it did."""

    def __init__(self, call, *arguments, **named):
        self._outcome = None

        def run():
            try:
                self._outcome = (call(*arguments, **named), None)
            except BaseException as error:  # handed to the test
                self._outcome = (None, error)

        self._thread = threading.Thread(target=run, daemon=True)
        self._thread.start()

    @property
    def running(self):
        return self._thread.is_alive()

    def result(self, seconds=20):
        self._thread.join(limit(seconds))
        assert not self._thread.is_alive(), "the call did not come back"
        value, error = self._outcome
        if error is not None:
            raise error
        return value
