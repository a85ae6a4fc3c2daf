"""Independent tasks in worker processes; a task that kills its process, or never ends, costs only itself."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

from data.errors import Wav2FaceError

Item = TypeVar("Item")
Result = TypeVar("Result")


def map_in_processes(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    num_workers: int,
    on_crash: Callable[[Item], Result],
    initializer: Callable[[], None] | None = None,
) -> Iterator[Result]:
    """Apply a function to items in worker processes.

    Args:
        function: Importable by name; its exceptions are raised here.
        items: Read only as far ahead as keeps the workers busy.
        num_workers: 1 works in this process, without protection against crashes.
        on_crash: Gives the result of an item whose process died (a decoder's segmentation fault, out of
            memory).
        initializer: Called once in each worker process.

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
                # Any of those under way may have killed the pool: this one is tried alone, the others start
                # afresh.
                pool.shutdown(wait=False, cancel_futures=True)
                result = _alone(function, item, on_crash, initializer)
                pool = _start(num_workers, initializer)
                waiting = deque((other, pool.submit(function, other)) for other, _ in waiting)
            yield result
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


class WorkerDiedError(Exception):
    """A call killed the process that ran it."""


class WorkerStoppedError(Exception):
    """A call was given up because everything is to stop."""


class WorkerProcess:
    """A process of its own for one call after the other, each within a time limit.

    It starts with the first call. What exceeds its limit is killed with all processes that it started; the next
    call finds a fresh process.
    """

    def __init__(self, initializer: Callable[[], None] | None = None) -> None:
        """Prepare, start nothing.

        Args:
            initializer: Called once in each new process.
        """
        self._initializer = initializer
        self._context = multiprocessing.get_context("spawn")
        self._process: Any = None
        self._pipe: Any = None

    def call(
        self,
        function: Callable[..., Result],
        *arguments: Any,
        seconds: float,
        stop: threading.Event | None = None,
    ) -> Result:
        """Run a function in the process.

        Args:
            function: Importable by name; a `Wav2FaceError` of its own is raised here.
            *arguments: Of the function.
            seconds: Time limit.
            stop: Ends the call early once it is set.

        Raises:
            RuntimeError: With the type and message of any other exception of the function.
            TimeoutError: If the limit is over.
            WorkerDiedError: If the process died over it.
            WorkerStoppedError: If `stop` was set.
        """
        if self._process is None:
            self._start()
        deadline = time.monotonic() + seconds
        try:
            self._pipe.send((function, arguments))
            while not self._pipe.poll(0.2 if stop is not None else seconds):
                if stop is not None and stop.is_set():
                    self.close()
                    raise WorkerStoppedError
                if time.monotonic() >= deadline:
                    self.close()
                    raise TimeoutError(f"not done within {seconds:g} s")
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
        """Kill the process and what it started; the next call would start another."""
        if self._process is None:
            return
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            self._process.kill()  # it is gone, or has not made its own group yet
        self._process.join()
        self._pipe.close()
        self._process = None

    def _start(self) -> None:
        self._pipe, other_end = self._context.Pipe()
        self._process = self._context.Process(target=_serve, args=(other_end, self._initializer), daemon=True)
        self._process.start()
        other_end.close()


def _serve(pipe: Any, initializer: Callable[[], None] | None) -> None:
    """What a `WorkerProcess` runs: calls out of a pipe, results into it."""
    os.setsid()  # what it starts dies with it; signals of the terminal are the parent's affair
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
        except Exception as error:  # not every one survives the pipe
            result = False, RuntimeError(f"{type(error).__name__}: {error}")
        pipe.send(result)


def count_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def use_one_thread() -> None:
    """An initializer: workers share the cores, and more threads than cores would wait for each other."""
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
    # Forking a process that runs torch's or onnxruntime's threads can leave their locks held for ever.
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(num_workers, mp_context=context, initializer=_begin, initargs=(initializer,))


def _begin(initializer: Callable[[], None] | None) -> None:
    """Make a worker process end with the one that started it, also when that one is killed, then initialize it."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if initializer is not None:
        initializer()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    if os.getpgrp() == os.getpid():  # a group of its own: what this process started goes too
        os.killpg(0, signal.SIGKILL)
    os._exit(1)
