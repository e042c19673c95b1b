"""A child process that is killed before its n-th step."""

import os
import signal
import sys
from contextlib import suppress


def killed_at(n, action, events):
    """Do something in a child that is killed before its n-th audit event of `events`; ``False`` if it ended before."""
    pid = os.fork()
    if pid:
        _, status = os.waitpid(pid, 0)
        assert os.WIFSIGNALED(status) or os.waitstatus_to_exitcode(status) == 0, status
        return os.WIFSIGNALED(status)
    left = n

    def hook(event, _):
        nonlocal left
        if event.startswith(events):
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)
    code = 1
    with suppress(BaseException):
        action()
        code = 0
    os._exit(code)
