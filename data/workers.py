"""Independent calls in worker processes, where a crash or a hang costs one call; how many cores and threads to use."""

from __future__ import annotations

import math
import multiprocessing
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any, TypeVar

from data.errors import Wav2FaceError

Item = TypeVar("Item")
Result = TypeVar("Result")

_HAS_GROUPS = hasattr(os, "setsid")  # Windows has no process groups of this kind
_CGROUP = Path("/sys/fs/cgroup")


def map_in_processes(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    num_workers: int,
    on_crash: Callable[[Item], Result],
    initializer: Callable[[], None] | None = None,
) -> Iterator[Result]:
    """Apply a function to items in worker processes.

    Args:
        function: Function that can be imported by name; its exceptions are raised here.
        items: Arguments, read only as far ahead as keeps the workers busy.
        num_workers: Number of processes; 1 works in this process, without protection against crashes.
        on_crash: Function that gives the result of an item whose process died (a decoder's segmentation fault, out
            of memory).
        initializer: Function called once in each worker process.

    Yields:
        One result an item, in the items' order, whatever `num_workers` is.
    """
    if num_workers <= 1:
        yield from map(function, items)
        return
    pool = _start(num_workers, initializer)
    remaining = iter(items)
    waiting: deque[tuple[Item, Future[Result]]] = deque()
    try:
        while True:
            while len(waiting) < 4 * num_workers and (item := next(remaining, None)) is not None:
                waiting.append((item, pool.submit(function, item)))
            if not waiting:
                return
            item, future = waiting.popleft()
            try:
                result = future.result()
            except BrokenProcessPool:
                # Any of the items in progress may have killed the pool: this one is tried in a process of its own, the
                # others are submitted again.
                _kill(pool)
                result = _alone(function, item, on_crash, initializer)
                pool = _start(num_workers, initializer)
                waiting = deque((other, pool.submit(function, other)) for other, _ in waiting)
            yield result
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


class WorkerDiedError(Exception):
    """A call killed the process that ran it."""


class WorkerStoppedError(Exception):
    """A call was ended early because its caller asked for it."""


class WorkerProcess:
    """One process that runs one call after another, each within a time limit.

    The process starts with the first call. A call that exceeds its limit is killed with all processes that it started;
    the next call gets a new process.
    """

    def __init__(self, initializer: Callable[[], None] | None = None) -> None:
        """Set up without starting the process.

        Args:
            initializer: Function called once in each new process.
        """
        self._initializer = initializer
        self._context = multiprocessing.get_context("spawn")
        self._process: Any = None
        self._pipe: Any = None

    def call(
        self,
        function: Callable[..., Result],
        *arguments: Any,
        time_limit: float,
        stop: threading.Event | None = None,
    ) -> Result:
        """Run a function in the process.

        Args:
            function: Function that can be imported by name; a `Wav2FaceError` that it raises is raised here.
            *arguments: Arguments of the function.
            time_limit: Seconds.
            stop: Event that ends the call early once it is set.

        Raises:
            RuntimeError: With the type and message of any other exception of the function.
            TimeoutError: If the call is not done within the limit.
            WorkerDiedError: If the process died during the call.
            WorkerStoppedError: If `stop` was set.
        """
        if self._process is None:
            self._start()
        deadline = time.monotonic() + time_limit
        try:
            self._pipe.send((function, arguments))
            while not self._pipe.poll(0.2 if stop is not None else time_limit):
                if stop is not None and stop.is_set():
                    self.close()
                    raise WorkerStoppedError
                if time.monotonic() >= deadline:
                    self.close()
                    raise TimeoutError(f"not done within {time_limit:g} s")
            succeeded, result = self._pipe.recv()
        except (EOFError, ConnectionError) as error:
            self._process.join(timeout=5)
            code = self._process.exitcode
            self.close()
            raise WorkerDiedError(f"the process died over it (exit code {code})") from error
        if not succeeded:
            raise result
        return result

    def close(self) -> None:
        """Kill the process and the processes that it started; the next call would start another."""
        if self._process is None:
            return
        try:
            if _HAS_GROUPS:
                os.killpg(self._process.pid, signal.SIGKILL)
            else:
                self._process.kill()
        except (ProcessLookupError, PermissionError):
            self._process.kill()  # it has ended, or has not made its own group yet
        self._process.join()
        self._pipe.close()
        self._process = None

    def _start(self) -> None:
        self._pipe, other_end = self._context.Pipe()
        self._process = self._context.Process(target=_serve, args=(other_end, self._initializer), daemon=True)
        self._process.start()
        other_end.close()


def _serve(pipe: Any, initializer: Callable[[], None] | None) -> None:
    """The loop of a `WorkerProcess`: receive calls from a pipe, send results into it."""
    if _HAS_GROUPS:
        os.setsid()  # what it starts dies with it; the parent handles signals of the terminal
    _begin(initializer)
    while True:
        try:
            function, arguments = pipe.recv()
        except EOFError:
            return
        try:
            result = True, function(*arguments)
        except Wav2FaceError as error:
            result = False, error
        except Exception as error:  # not all of them can be pickled
            result = False, RuntimeError(f"{type(error).__name__}: {error}")
        pipe.send(result)


def count_cores() -> int:
    """Cores that this process may use: by its CPU affinity, and by the quota of its container; at least 1."""
    num_cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, math.floor(min(num_cores, _read_quota(_CGROUP))))


def count_threads(num_processes: int = 1) -> int:
    """Threads that each of some equal processes on this machine should use, so that together they fill its cores.

    Args:
        num_processes: Processes that compute at the same time.

    Returns:
        The environment's `OMP_NUM_THREADS` if it is set, else the cores divided by the processes; at least 1.
    """
    wanted = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    if wanted.isdecimal() and int(wanted) > 0:
        return int(wanted)
    return max(1, count_cores() // num_processes)


def _read_quota(cgroup: Path) -> float:
    """CPU time a second that a container allows, by cgroup version 2 or 1; infinite where there is no limit."""
    try:
        quota, period = (cgroup / "cpu.max").read_text().split()
    except (OSError, ValueError):
        try:
            quota, period = ((cgroup / f"cpu/cpu.cfs_{name}_us").read_text().strip() for name in ("quota", "period"))
        except OSError:
            return math.inf
    limited = quota.isdecimal() and period.isdecimal() and int(period) > 0  # without a limit it is "max" or -1
    return int(quota) / int(period) if limited else math.inf


def use_one_thread() -> None:
    """Initializer of workers that share the cores: more threads than cores would wait for each other."""
    import torch  # here, so that a parent that needs no torch does not wait for it

    torch.set_num_threads(1)


def _alone(
    function: Callable[[Item], Result],
    item: Item,
    on_crash: Callable[[Item], Result],
    initializer: Callable[[], None] | None,
) -> Result:
    with _start(1, initializer) as pool:
        try:
            return pool.submit(function, item).result()
        except BrokenProcessPool:
            return on_crash(item)


def _start(num_workers: int, initializer: Callable[[], None] | None) -> ProcessPoolExecutor:
    # A process forked while torch's or onnxruntime's threads hold locks could wait for these locks for ever.
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(num_workers, mp_context=context, initializer=_begin, initargs=(initializer,))


def _kill(pool: ProcessPoolExecutor) -> None:
    """End a broken pool.

    It ends the workers that it knows when it breaks. One that is being started at that moment would wait for ever for
    somebody to take its result, and the interpreter at its end for that worker.
    """
    workers = list((pool._processes or {}).values())  # Python 3.14 has `kill_workers`
    pool.shutdown(wait=False, cancel_futures=True)
    for worker in workers:
        worker.kill()


def _begin(initializer: Callable[[], None] | None) -> None:
    """Make a worker process end with its parent, also when the parent is killed, then initialize it."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if initializer is not None:
        initializer()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    if _HAS_GROUPS and os.getpgrp() == os.getpid():  # its own group: the processes that it started end too
        os.killpg(0, signal.SIGKILL)
    os._exit(1)
