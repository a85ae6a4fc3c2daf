import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from data.files import exclusive_lock

HOLD = """
import sys, time
from pathlib import Path
from data.files import exclusive_lock
with exclusive_lock(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_one_has_the_lock_at_a_time_and_no_file_is_left(tmp_path: Path) -> None:
    path = tmp_path / ".lock"
    with exclusive_lock(path):
        with pytest.raises(TimeoutError), exclusive_lock(path, time_limit=0):
            pass
        assert path.exists()
    with exclusive_lock(path, time_limit=0):
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_the_lock_goes_with_its_process(tmp_path: Path) -> None:
    path = tmp_path / ".lock"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-c", HOLD, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as process:
        assert process.stdout is not None and process.stdout.readline() == b"held\n"
        with pytest.raises(TimeoutError), exclusive_lock(path, time_limit=0.1):
            pass
        process.kill()
    start = time.monotonic()
    with exclusive_lock(path, time_limit=5):
        assert time.monotonic() - start < 5


def test_a_lock_file_that_another_put_in_its_place_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / ".lock"
    with exclusive_lock(path):
        path.rename(tmp_path / "moved")
        path.touch()
    assert path.exists()
