"""The live display of a run on a terminal."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest

TARGET = Path(__file__).with_name("progress_target.py")
HIDE, SHOW = b"\x1b[?25l", b"\x1b[?25h"

# These two would say more than the terminal itself.
_ENVIRONMENT = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}


class Watched:
    """A process with a display, on a terminal of its own."""

    def __init__(self, total, n_workers, columns=80, rows=30):
        pyte = pytest.importorskip("pyte")
        self.screen = pyte.Screen(columns, rows)
        self._stream = pyte.ByteStream(self.screen)
        self.raw = b""
        self._terminal, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        orders, self._orders = os.pipe()
        self.process = subprocess.Popen(
            ["bash", "-c", f"exec {sys.executable} {TARGET} {total} {n_workers} 3<&{orders}"],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            pass_fds=[orders],
            start_new_session=True,
            env=_ENVIRONMENT | {"TERM": "xterm-256color", "LANG": "C.UTF-8"},
        )
        os.close(theirs)
        os.close(orders)

    def do(self, *orders):
        """Let things happen."""
        os.write(self._orders, "".join(f"{order}\n" for order in orders).encode())

    def close(self):
        """Nothing more happens; wait for the end."""
        os.close(self._orders)
        self.until(lambda: self._is_over)
        self.process.wait(timeout=60)
        os.close(self._terminal)
        return self.text

    _is_over = False

    def until(self, condition):
        """Read what the process prints until a condition holds."""
        deadline = time.monotonic() + 60
        while not condition():
            assert time.monotonic() < deadline, self.text
            if select.select([self._terminal], [], [], 0.5)[0]:
                try:
                    data = os.read(self._terminal, 65536)
                except OSError:  # the other side is closed
                    data = b""
                if not data:
                    self._is_over = True
                    return
                self.raw += data
                self._stream.feed(data)

    def sees(self, pattern):
        """Wait until the screen shows it."""
        self.until(lambda: re.search(pattern, self.text))
        assert re.search(pattern, self.text), self.text

    @property
    def lines(self):
        return [line.rstrip() for line in self.screen.display]

    @property
    def text(self):
        return "\n".join(self.lines).rstrip()


@pytest.fixture
def watched():
    """Start a watched process; it ends with the test."""
    started = []

    def start(*arguments, **options):
        started.append(Watched(*arguments, **options))
        return started[-1]

    yield start
    for one in started:
        one.process.kill()
        one.process.wait()


def test_terminal_shows_counts_workers_and_time(watched):
    """Bar, counts, failures, rate, time left; each worker with its index, key and how long it has been on it."""
    run = watched(1000, 2)
    run.sees("0 of 1,000 items")
    run.do("display.worker_start('w1', 7, 'train/a.xyz')", "display.worker_start('w2', 8)")
    for k in range(1, 11):
        run.do("[display.complete_item() for _ in range(24)]", "display.complete_item(failed=True)", "pass_time(5)")
        run.sees(rf"{25 * k} of (?s:.*) · {5 * k}(\.0)? s")
    run.sees(r"250 of 1,000 items · 10 failed · .*/s · 50 s · .*left")
    run.sees(r"\nw1 +index 7 +train/a.xyz +50 s\nw2 +index 8 +50 s")
    run.do("display.worker_done('w2')")
    run.sees(r"w2 +idle")
    end = run.close()
    assert "w1" not in end
    assert "250 of 1,000 items" in end
    assert run.raw.count(HIDE) == run.raw.count(SHOW) >= 1
    assert run.raw.rindex(SHOW) > run.raw.rindex(HIDE)


def test_failures_are_red(watched):
    """The number of failed items cannot be overlooked."""
    run = watched(10, 1)
    run.do("display.complete_item(failed=True)")
    run.sees("1 failed")
    row = next(y for y, line in enumerate(run.lines) if "1 failed" in line)
    assert run.screen.buffer[row][run.lines[row].index("1 failed")].fg == "red"


def test_narrow_terminal(watched):
    """On 40 columns every line fits, and no number is lost."""
    run = watched(100_000, 2, columns=40)
    run.do(
        "display.worker_start('ab' * 16, 99999, 'a/very/long/name/of/a/file/' * 3)",
        "[display.complete_item(failed=True) for _ in range(12345)]",
        "pass_time(100)",
    )
    run.sees(r"12,345 of 100,000 items · 12,345 failed")
    run.sees(r"index 99999 .*… +1 min 40 s")
    assert all(len(line) <= 40 for line in run.lines)
    assert run.lines[0].startswith(" 12%")


def test_more_workers_than_lines(watched):
    """Of many workers, those longest on their item are shown, and how many others there are."""
    run = watched(100, 64)
    run.do("for k in range(64): display.worker_start(f'worker-{k}', k); pass_time(1)")
    run.sees("and 49 more")
    run.sees(r"worker-0 +index 0 +1 min 04 s")
    assert sum("index" in line for line in run.lines) == 15


def test_low_terminal(watched):
    """On 10 rows the display keeps to the screen."""
    run = watched(100, 64, rows=10)
    run.do("for k in range(64): display.worker_start(f'worker-{k}', k)")
    run.sees("and 61 more")
    assert run.lines[0].startswith("  0%")


def test_keys_cannot_steer_the_terminal(watched):
    """Control characters of a key are shown, not obeyed."""
    run = watched(100, 1)
    run.do(r"display.worker_start('w', 1, 'a\x1b[31mred\nb')")
    run.sees(r"a\\x1b\[31mred\\nb")


def test_printing_keeps_the_display(watched):
    """What others print appears above the display."""
    run = watched(100, 1)
    run.do("display.complete_item()", "print('a word')", "display.complete_item()")
    run.sees("a word\n(?s:.*)2 of 100")
    assert run.lines[0] == "a word"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_gives_the_cursor_back(watched, number):
    """Ctrl-C in the middle leaves the cursor visible; so does SIGTERM, which a run takes as an interrupt."""
    run = watched(100, 1)
    run.do("import signal, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))", "display.complete_item()")
    run.sees("1 of 100")
    assert run.raw.rindex(HIDE) > run.raw.rfind(SHOW)
    run.process.send_signal(number)
    run.until(lambda: run._is_over)
    assert run.raw.rindex(SHOW) > run.raw.rindex(HIDE)


def test_a_forgotten_display_gives_the_cursor_back(watched):
    """A display that nobody closes is closed at the end of the process."""
    run = watched(100, 1)
    run.do("display.__class__.__exit__ = lambda *_: None", "display.complete_item()")
    run.sees("1 of 100")
    run.close()
    assert run.raw.rindex(SHOW) > run.raw.rindex(HIDE)


def test_redraws_are_bounded(watched):
    """A hundred thousand items a second are drawn at most ten times a second."""
    run = watched(10**9, 1)
    run.sees("0 of")
    begun = time.monotonic()
    run.do("import time; end = time.monotonic() + 1.5", "while time.monotonic() < end: display.complete_item()")
    run.close()
    took = time.monotonic() - begun
    assert 5 <= run.raw.count(b"of 1,000,000,000") <= 10 * took + 3


def test_second_display_of_a_process_logs(watched):
    """Of two runs at once in one process, one has the terminal."""
    run = watched(10, 1)
    run.do(
        "import logging; logging.basicConfig(level='INFO', format='LOG %(message)s')",
        "other = WorkerProgressDisplay(5, 1); other.complete_item(); other.close()",
        "display.complete_item()",
    )
    run.sees(r"LOG 1 of 5 items")
    run.sees(r"1 of 10 items")
