"""What the running page forgets."""

from __future__ import annotations

import datetime
import threading
from types import SimpleNamespace

from eval.app.server import forget_sessions


def test_sessions_that_were_not_used_for_a_while_are_forgotten() -> None:
    now = datetime.datetime.now()
    sessions = SimpleNamespace(
        lock=threading.Lock(),
        session_data={"old": "drawings", "new": "drawings"},
        time_last_used={"old": now - datetime.timedelta(seconds=70), "new": now - datetime.timedelta(seconds=5)},
    )
    forget_sessions(sessions, keep_seconds=60)
    assert sessions.session_data == {"new": "drawings"} and set(sessions.time_last_used) == {"new"}
