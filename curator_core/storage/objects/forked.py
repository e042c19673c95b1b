"""Whether this process may use the clients of object stores: their threads do not survive a fork."""

from __future__ import annotations

import os

from curator_core.errors import PipelineStateError

_users: set[int] = set()


def require_unforked() -> None:
    """Call it before every use of such a client.

    Raises
    ------
    PipelineStateError
        A process that used one forked this one, which would wait for an answer for ever.
    """
    _users.add(os.getpid())
    if len(_users) > 1:
        raise PipelineStateError(
            "This process was forked from one that used an object store, and such a connection does not survive that: "
            "start workers with mp_context='forkserver' or 'spawn'."
        )
