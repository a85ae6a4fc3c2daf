"""Independent calls in worker processes, where a crash or a hang costs one call; how many cores and threads to use."""

from __future__ import annotations

import math
import multiprocessing
import os
import signal
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from queue import SimpleQueue
from typing import Any, TypeVar

from data.errors import Wav2FaceError

Item = TypeVar("Item")
Result = TypeVar("Result")

_HAS_GROUPS = hasattr(os, "setsid")  # Windows has no process groups of this kind
_CGROUP = Path("/sys/fs/cgroup")
_SECONDS_TO_END = 10.0  # what a process that has nothing to do takes at most


def map_in_processes(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    num_workers: int,
    on_crash: Callable[[Item], Result],
    initializer: Callable[[], None] | None = None,
) -> Iterator[Result]:
    """Apply a function to items in worker processes.

    Args:
        function: Function that can be imported by name; its exceptions are raised here, those other than `OSError` and
            `Wav2FaceError` as a `RuntimeError` that holds the traceback.
        items: Arguments, read only as far ahead as keeps the workers busy.
        num_workers: Number of processes; 1 works in this process, without protection against crashes.
        on_crash: Function that gives the result of an item whose process died twice (a decoder's segmentation fault,
            out of memory).
        initializer: Function called once in each worker process.

    Yields:
        One result an item, in the items' order, whatever `num_workers` is.
    """
    if num_workers <= 1:
        yield from map(function, items)
        return
    pool = WorkerPool(num_workers, initializer)
    remaining = iter(items)
    waiting: deque[tuple[Item, Future[Result]]] = deque()
    try:
        while True:
            for item in islice(remaining, 4 * num_workers - len(waiting)):
                waiting.append((item, pool.submit(function, item)))
            if not waiting:
                return
            item, future = waiting.popleft()
            try:
                result = future.result()
            except WorkerDiedError:
                # The item may have killed it, or the others, which left it no memory: it is tried again on its own.
                wait(other for _, other in waiting)
                try:
                    result = pool.submit(function, item).result()
                except WorkerDiedError:
                    result = on_crash(item)
            yield result
    finally:
        pool.close()


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
        # A process forked while torch's or onnxruntime's threads hold locks could wait for these locks for ever.
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
                    self.kill()
                    raise WorkerStoppedError
                if time.monotonic() >= deadline:
                    self.kill()
                    raise TimeoutError(f"not done within {time_limit:g} s")
            succeeded, result = self._pipe.recv()
        except (EOFError, ConnectionError) as error:
            self._process.join(timeout=5)
            code = self._process.exitcode
            self.kill()
            raise WorkerDiedError(f"the process died over it (exit code {code})") from error
        if not succeeded:
            raise result
        return result

    def close(self) -> None:
        """End the process, which removes its temporary files; the next call would start another."""
        if self._process is not None:
            self._pipe.close()  # which ends its loop
            self._process.join(timeout=_SECONDS_TO_END)
            self.kill()

    def kill(self) -> None:
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


class WorkerPool:
    """Processes that share calls; each is a `WorkerProcess`, and starts with its first call."""

    def __init__(self, num_workers: int, initializer: Callable[[], None] | None = None) -> None:
        """Set up without starting the processes.

        Args:
            num_workers: Number of processes.
            initializer: Function called once in each new process.
        """
        self._workers = [WorkerProcess(initializer) for _ in range(num_workers)]
        self._free: SimpleQueue[WorkerProcess] = SimpleQueue()
        for worker in self._workers:
            self._free.put(worker)
        self._threads = ThreadPoolExecutor(num_workers)  # each waits for a process
        self._stop = threading.Event()

    def submit(self, function: Callable[..., Result], *arguments: Any) -> Future[Result]:
        """Run a function in the next free process.

        Args:
            function: Function that can be imported by name.
            *arguments: Arguments of the function.

        Returns:
            Its result to come. Its exceptions other than `OSError` and `Wav2FaceError` come as a `RuntimeError` that
            holds the traceback; if its process dies, a `WorkerDiedError` comes.
        """
        return self._threads.submit(self._call, function, arguments)

    def close(self) -> None:
        """End the processes; calls that are not done are cancelled, or killed and end with a `WorkerStoppedError`."""
        self._stop.set()
        self._threads.shutdown(cancel_futures=True)
        with ThreadPoolExecutor(len(self._workers)) as threads:  # many would take a minute one after the other
            list(threads.map(WorkerProcess.close, self._workers))

    def _call(self, function: Callable[..., Result], arguments: tuple[Any, ...]) -> Result:
        worker = self._free.get()
        try:
            outcome = worker.call(_attempt, function, arguments, time_limit=math.inf, stop=self._stop)
        finally:
            self._free.put(worker)
        if isinstance(outcome, _Raised):
            raise outcome.error
        return outcome


@dataclass(frozen=True)
class _Raised:
    """The exception of a call."""

    error: Exception


def _attempt(function: Callable[..., Result], arguments: tuple[Any, ...]) -> Result | _Raised:
    """A call that returns its exceptions other than `Wav2FaceError`; a bug's with the traceback of this process."""
    try:
        return function(*arguments)
    except Wav2FaceError:
        raise
    except OSError as error:
        return _Raised(error)
    except Exception:
        return _Raised(RuntimeError(f"in a worker process:\n{traceback.format_exc()}"))


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
    """Initializer of processes or threads that share the cores: more threads than cores would wait for each other."""
    import torch  # here, so that a parent that needs no torch does not wait for it

    torch.set_num_threads(1)


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
