"""Chunks spread over workers: threads of this process that own worker processes, or actors of a Ray cluster."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import closing

from data.errors import ConfigError, OutputError
from data.videos.chunks import Chunk, ChunkConfig, ChunkReport, ChunkWorker
from data.videos.plan.outcomes import Outcome

_RAY_RETRIES = 3  # of a chunk whose machine is lost


def run_locally(
    chunks: Iterator[Chunk],
    config: ChunkConfig,
    num_workers: int,
    stop: threading.Event,
    on_outcome: Callable[[Outcome], None],
) -> Iterator[ChunkReport]:
    """Do chunks on this machine.

    Args:
        chunks: Chunks, read as workers become free.
        config: Settings of all chunks.
        num_workers: Number of chunks under way at once.
        stop: Event that ends the run early: chunks under way are published as far as they are done, no other begins.
        on_outcome: Function that is called with each outcome, from any thread.

    Yields:
        Reports in the order in which chunks end.

    Raises:
        Wav2FaceError: The error of a chunk; all other chunks are stopped then.
    """
    lock, results = threading.Lock(), queue.SimpleQueue[ChunkReport | BaseException | None]()

    def work() -> None:
        try:
            with closing(ChunkWorker(config)) as worker:
                while not stop.is_set():
                    with lock:
                        chunk = next(chunks, None)
                    if chunk is None:
                        break
                    results.put(worker.prepare(chunk, stop, on_outcome))
        except BaseException as error:
            results.put(error)
        finally:
            results.put(None)

    threads = [threading.Thread(target=work, daemon=True) for _ in range(num_workers)]
    for thread in threads:
        thread.start()
    failure: BaseException | None = None
    num_ended = 0
    try:
        while num_ended < num_workers:
            result = results.get()
            if result is None:
                num_ended += 1
            elif isinstance(result, BaseException):
                failure = failure or result
                stop.set()
            else:
                yield result
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    if failure is not None:
        raise failure


def run_on_ray(
    chunks: Iterator[Chunk],
    config: ChunkConfig,
    num_workers: int,
    stop: threading.Event,
    on_outcome: Callable[[Outcome], None],
) -> Iterator[ChunkReport]:
    """Do chunks on the Ray cluster that RAY_ADDRESS names, or on one of this machine's cores.

    Shards, sources and models must be reachable from all machines under the same names. Arguments, results and
    errors as `run_locally`, but chunks that are under way when the run is stopped are done again by the next run.

    Raises:
        ConfigError: If Ray is not installed or the cluster can't be reached.
    """
    try:
        import ray
    except ImportError as error:
        raise ConfigError("--executor ray needs Ray: pip install 'wav2face[ray]'") from error
    ours = not ray.is_initialized()
    if ours:
        _start_ray(num_workers)
    actor_class = ray.remote(max_restarts=_RAY_RETRIES, max_task_retries=_RAY_RETRIES)(ChunkWorker)
    actors = [actor_class.remote(config) for _ in range(num_workers)]
    under_way = {actor.prepare.remote(chunk): actor for actor, chunk in zip(actors, chunks, strict=False)}
    try:
        while under_way and not stop.is_set():
            ready, _ = ray.wait(list(under_way), timeout=0.5)
            for reference in ready:
                actor = under_way.pop(reference)
                report = ray.get(reference)
                if (chunk := next(chunks, None)) is not None:
                    under_way[actor.prepare.remote(chunk)] = actor
                for outcome in report.outcomes:
                    on_outcome(outcome)
                yield report
    except ray.exceptions.RayTaskError as error:
        raise error.cause from None
    except ray.exceptions.RayError as error:
        raise OutputError(f"the Ray cluster failed: {error}; run the same command again to go on") from error
    finally:
        for actor in actors:
            ray.kill(actor)
        if ours:
            ray.shutdown()


def _start_ray(num_workers: int) -> None:
    """Join the cluster that RAY_ADDRESS names, or start one on this machine."""
    import os

    import ray

    try:
        if os.environ.get("RAY_ADDRESS"):
            ray.init(log_to_driver=False, logging_level="error")
        else:
            ray.init(num_cpus=num_workers, include_dashboard=False, log_to_driver=False, logging_level="error")
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise ConfigError(f"the Ray cluster can't be reached or started: {error}") from error
