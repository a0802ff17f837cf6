"""The warm worker process: `python -m consilo.training.worker --parent PID`. Reads and writes JSON lines and artifacts.

It imports a task and its framework once and then trains round after round. It is started with a scrubbed environment
and gets paths of models only: no key, token or URL ever reaches the code of a task through it. Invariants:

- The protocol has the original standard input and output to itself. What a task prints, even from native code, goes to
  standard error; what it reads is empty.
- A thread reads requests, so a cancellation is heard while the task is training.
- It dies with its parent: by the kernel's signal on Linux, and everywhere when its standard input closes.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import io
import os
import queue
import signal
import sys
import threading
from typing import BinaryIO, Final, NoReturn

from pydantic import ValidationError

from consilo.training.hosting import TaskHost, Work
from consilo.training.messages import REQUESTS, Cancel, Reply, line_of

_PR_SET_PDEATHSIG: Final = 1
_MALFORMED_STATUS: Final = 2
_ORPHANED_STATUS: Final = 3


class CountingOutput(io.TextIOWrapper):
    """Text output that counts how often it is written to."""

    writes = 0

    def write(self, text: str, /) -> int:
        """Write, and count."""
        self.writes += 1
        return super().write(text)


class _Inbox:
    """Requests in order, each with the event that cancels it. Filled by a thread of its own until the input ends."""

    def __init__(self, requests: BinaryIO) -> None:
        self._requests = requests
        self._queue: queue.SimpleQueue[tuple[Work, threading.Event]] = queue.SimpleQueue()
        self._events: dict[int, threading.Event] = {}

    def start(self) -> None:
        threading.Thread(target=self._read, name="requests", daemon=True).start()

    def next(self) -> tuple[Work, threading.Event]:
        return self._queue.get()

    def _read(self) -> None:
        for line in self._requests:
            try:
                request = REQUESTS.validate_json(line)
            except ValidationError as error:
                sys.stderr.write(f"the worker got a request it does not understand: {error.errors()[0]['msg']}\n")
                os._exit(_MALFORMED_STATUS)
            if isinstance(request, Cancel):
                if event := self._events.get(request.id):
                    event.set()
                continue
            self._events = {request.id: threading.Event()}
            self._queue.put((request, self._events[request.id]))
        os._exit(0)  # nobody is there to take a result, whatever the task is doing


def main() -> NoReturn:
    """Serve requests until the input ends or the parent is gone."""
    parser = argparse.ArgumentParser(prog="python -m consilo.training.worker")
    parser.add_argument("--parent", type=int, required=True, help="process id of the parent")
    _die_with(parser.parse_args().parent)
    requests, replies, output = _take_streams()
    lock = threading.Lock()  # a task may report progress from threads of its own

    def send(reply: Reply) -> None:
        line = line_of(reply)
        with lock:
            replies.write(line)
            replies.flush()

    inbox = _Inbox(requests)
    inbox.start()
    host = TaskHost(send, lambda: output.writes)
    while True:
        request, stopped = inbox.next()
        reply = host.answer(request, stopped)
        _flush()
        send(reply)


def _die_with(parent: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it was gone before the signal was asked for
        os._exit(_ORPHANED_STATUS)


def _flush() -> None:
    with contextlib.suppress(OSError, ValueError):  # a task may have closed or replaced them
        sys.stdout.flush()
        sys.stderr.flush()


def _take_streams() -> tuple[BinaryIO, BinaryIO, CountingOutput]:
    """Keep the original streams for the protocol; leave a task an empty input and the log as its output."""
    requests = os.fdopen(os.dup(0), "rb")
    replies = os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    output = CountingOutput(os.fdopen(1, "wb", closefd=False), "utf-8", "backslashreplace", line_buffering=True)
    sys.stdin = io.TextIOWrapper(os.fdopen(0, "rb", closefd=False), "utf-8")
    sys.stdout = output
    return requests, replies, output


if __name__ == "__main__":
    main()
