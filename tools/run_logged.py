"""run_logged.py LOG COMMAND...: runs a command; LOG has the command first, its output, and its exit status last.

What the command prints still goes where it would have gone. On a terminal the command sees a terminal (a pseudo one),
so it shows its progress bar, and the log gets the finished lines only. The command does not outlive its caller.
"""

from __future__ import annotations

import fcntl
import os
import selectors
import shlex
import signal
import subprocess
import sys
import termios
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

_BLOCK = 1 << 16
_CALLER_CHECK_S = 1.0


@dataclass
class Stream:
    """One output of the command.

    Attributes:
        source: descriptor that the command's output is read from.
        sink: descriptor that the command, but for the log, would have had.
        pending: the line that is not finished yet.
    """

    source: int
    sink: int
    pending: bytes = field(default=b"", init=False)

    def read(self) -> bytes:
        """What has come, b"" at the end."""
        try:
            return os.read(self.source, _BLOCK)
        except OSError:  # a pseudo terminal's way to say that its other end is closed
            return b""

    def finished_lines(self, output: bytes) -> bytes:
        """Whole lines for the log; of a line that was drawn over with carriage returns, the last state."""
        *lines, self.pending = (self.pending + output).split(b"\n")
        self.pending = self.pending[self.pending.rfind(b"\r", 0, -1) + 1 :]
        return b"".join(_last_state(line) + b"\n" for line in lines)


def _last_state(line: bytes) -> bytes:
    return line.rstrip(b"\r").rpartition(b"\r")[2]


def run_logged(log: BinaryIO, command: list[str]) -> int:
    """Run `command` and return its exit status, 128 + n where signal n ended it."""
    streams, ends = [], []
    for sink in (1, 2):
        source, end = _terminal_like(sink) if os.isatty(sink) else os.pipe()
        streams.append(Stream(source, sink))
        ends.append(end)
    caller = os.getppid()
    try:
        process = subprocess.Popen(command, stdout=ends[0], stderr=ends[1])
    except OSError as error:
        sys.stderr.write(f"run_logged.py: {command[0]}: {error.strerror}\n")
        return 127
    for end in ends:
        os.close(end)
    for number in (signal.SIGINT, signal.SIGQUIT):  # a terminal sends these to the command, too: it decides
        signal.signal(number, signal.SIG_IGN)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda received, _: process.send_signal(received))
    try:
        with selectors.DefaultSelector() as selector:
            for stream in streams:
                selector.register(stream.source, selectors.EVENT_READ, stream)
            while selector.get_map():
                for key, _ in selector.select(_CALLER_CHECK_S):
                    output = key.data.read()
                    if not output:
                        selector.unregister(key.fd)
                    _write_all(key.data.sink, output)
                    log.write(key.data.finished_lines(output or b"\n" * bool(key.data.pending)))
                    log.flush()
                if os.getppid() != caller:
                    process.terminate()
    except OSError:
        process.terminate()
        raise
    status = process.wait()
    return status if status >= 0 else 128 - status


def _terminal_like(terminal: int) -> tuple[int, int]:
    """Both ends of a pseudo terminal of the same size, which passes output on as it is."""
    source, end = os.openpty()
    fcntl.ioctl(end, termios.TIOCSWINSZ, fcntl.ioctl(terminal, termios.TIOCGWINSZ, b"\0" * 8))
    attributes = termios.tcgetattr(end)
    attributes[1] &= ~termios.OPOST
    termios.tcsetattr(end, termios.TCSANOW, attributes)
    return source, end


def _write_all(sink: int, output: bytes) -> None:
    while output:
        output = output[os.write(sink, output) :]


def main(arguments: list[str]) -> int:
    """Entry point; the exit status is the command's."""
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    path, command = Path(arguments[0]), arguments[1:]
    begin = time.monotonic()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "wb") as log:
            log.write(f"# {shlex.join(command)}\n".encode())
            log.flush()
            status = run_logged(log, command)
            log.write(f"# {time.monotonic() - begin:.1f} s\n# exit status {status}\n".encode())
    except OSError as error:
        sys.stderr.write(f"run_logged.py: {path}: {error.strerror} (the log cannot be written)\n")
        return 1
    return status


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
