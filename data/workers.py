"""Independent tasks in worker processes, in order; a task that kills its process costs only itself."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

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
    os._exit(1)
