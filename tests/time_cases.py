"""Files of every container that begin anywhere, pause, end apart or were joined: is everything published where it lies?

A clock video (see `clock_video`) is muxed anew with other time stamps. Where its pictures and tones then lie is read by
decoding the file from its first packet on with nothing but PyAV, and where we publish them by the code under test. Many
combinations, with a summary: `python -m tests.time_cases --seconds 300`.
"""

from __future__ import annotations

import argparse
import collections
import dataclasses
import random
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np

from data.errors import MediaError
from data.media.audio import read_waveform
from data.media.waveform import SAMPLE_RATE
from data.videos.watch.decode import VideoFile
from tests.clock_video import FPS, find_tones, make_clock_video, read_frames, read_number

SECONDS = 5.0
TOLERANCE = 0.04

# Name of the container: suffix, source of the packets, options of the muxer.
CONTAINERS: dict[str, tuple[str, str, dict[str, str]]] = {
    "mp4": (".mp4", "h264", {}),
    "fragmented mp4": (".mp4", "h264", {"movflags": "frag_keyframe+empty_moov+delay_moov"}),
    "mov": (".mov", "h264", {}),
    "mkv": (".mkv", "h264", {}),
    "webm": (".webm", "vp8", {}),
    "ts": (".ts", "h264", {}),
    "ps": (".mpg", "mpeg2", {}),
    "avi": (".avi", "mpeg4", {}),
    "flv": (".flv", "h264", {}),
    "m4a": (".m4a", "h264", {}),
    "aac": (".aac", "h264", {}),
    "mp3": (".mp3", "mpeg4", {}),
    "ogg": (".ogg", "vp8", {}),
}
SOUND_ALONE = ("m4a", "aac", "mp3", "ogg")
_SOURCES = {
    "h264": ("h264.mp4", "libx264", "aac"),
    "vp8": ("vp8.webm", "libvpx", "libopus"),
    "mpeg2": ("mpeg2.mkv", "mpeg2video", "mp2"),
    "mpeg4": ("mpeg4.mp4", "mpeg4", "libmp3lame"),
}
_KEEPS_SYNC = ("mp4", "mov", "mkv", "webm", "ts", "ps", "flv")  # containers that hold the time stamps they are given


@dataclass(frozen=True)
class Case:
    """What is done to a clock video.

    Attributes:
        container: Key of `CONTAINERS`.
        offset: Second of its first time stamp.
        delay: Seconds by which the sound begins later than the pictures; earlier where negative.
        gap: What pauses from second 2 to 3: `none`, `sound`, `pictures`, or `both`; with `late` all that comes after
            second 3 is 20 s later.
        shorter: The stream that ends at second 3.5, or `none`.
        joined: Whether the file's bytes are there twice.
        part: First and last second that are wanted; None for the whole file.
    """

    container: str
    offset: float = 0.0
    delay: float = 0.0
    gap: str = "none"
    shorter: str = "none"
    joined: bool = False
    part: tuple[float, float] | None = None


CHOICES: dict[str, tuple[object, ...]] = {
    "container": tuple(CONTAINERS),
    "offset": (0.0, 0.667, 3.0, 100.0, 5000.0, 95440.0),  # MPEG's clocks wrap 3.7 s after the last
    "delay": (0.0, 0.0, -1.0, -0.3, 0.3, 1.0),
    "gap": ("none", "none", "sound", "pictures", "both", "late"),
    "shorter": ("none", "none", "sound", "pictures"),
    "joined": (False, False, False, True),
    "part": (None, None, (1.2, 3.1), (2.4, 4.4)),
}


@dataclass(frozen=True)
class Result:
    """What came of a case.

    Attributes:
        reason: Why the file was refused; empty where it was not.
        error: Largest distance in seconds between where something lies and where it is published.
        num_checked: Pictures and tones that were compared.
    """

    reason: str
    error: float = 0.0
    num_checked: int = 0


def _source(folder: Path, kind: str) -> Path:
    """The clock video whose packets are muxed anew; made once a folder."""
    name, video_codec, audio_codec = _SOURCES[kind]
    path = folder / name
    return path if path.exists() else make_clock_video(path, SECONDS, 25, video_codec, audio_codec)


def write_case(case: Case, folder: Path) -> Path:
    """Mux the clock video as the case wants it."""
    suffix, kind, options = CONTAINERS[case.container]
    source = _source(folder, kind)
    path = folder / f"case{suffix}"
    with av.open(str(source)) as reader, av.open(str(path), "w", options=options) as writer:
        kinds = ("audio",) if case.container in SOUND_ALONE else ("video", "audio")
        streams = [stream for stream in reader.streams if stream.type in kinds]
        copies = {stream.index: writer.add_stream_from_template(stream) for stream in streams}
        writer.start_encoding()
        shifted = []
        for packet in reader.demux(streams):
            if packet.dts is None or packet.pts is None:
                continue
            is_sound = packet.stream.type == "audio"
            second = float(packet.pts * packet.time_base)
            what = "sound" if is_sound else "pictures"
            if case.gap in (what, "both", "late") and 2.0 <= second < 3.0:
                continue
            if case.shorter == what and second >= 3.5:
                continue
            shift = case.offset + max(0.0, case.delay if is_sound else -case.delay)
            shift += 20.0 if case.gap == "late" and second >= 3.0 else 0.0
            ticks = round(shift / packet.time_base)
            packet.pts += ticks
            packet.dts += ticks
            shifted.append((float(packet.dts * packet.time_base), packet))
        for _, packet in sorted(shifted, key=lambda item: item[0]):
            packet.stream = copies[packet.stream.index]
            writer.mux(packet)
    if case.joined:
        path.write_bytes(path.read_bytes() * 2)
    return path


def run_case(case: Case, folder: Path) -> Result:
    """Publish the case's file and compare."""
    path = write_case(case, folder)
    try:
        if case.container in SOUND_ALONE:
            waveform = read_waveform(path)
            published_tones, published_frames = find_tones(waveform, SAMPLE_RATE), []
        else:
            published_frames, published_tones = _publish(path, case)
    except MediaError as error:
        return Result(error.reason)
    frames = [] if case.container in SOUND_ALONE else read_frames(str(path))
    pieces = _read_sound(path)
    begin = min(second for second, *_ in [*pieces, *frames])
    tones = find_tones(_in_place(pieces, begin), SAMPLE_RATE)
    errors = [
        min((abs(second - (there - begin)) for there, shown in frames if shown == told), default=np.inf)
        for second, told in published_frames
    ]
    errors += [
        min((abs(second - there) for there, told_there in tones if told_there == told), default=np.inf)
        for second, told in published_tones
    ]
    # Of pictures as small as these MPEG-PS holds a time stamp in twenty, so that a pause moves when it is read.
    has_stamps = case.container != "ps" or case.gap in ("none", "sound")
    if case.container in _KEEPS_SYNC and has_stamps:
        # What is published together lies as far apart as it was muxed, whoever reads it.
        shown = {told: second for second, told in published_frames}
        apart = [second - shown[told] - case.delay for second, told in published_tones if told in shown]
        errors += [abs(value) for value in apart]
    return Result("", max(errors, default=0.0), len(errors))


def _publish(path: Path, case: Case) -> tuple[list[tuple[float, float]], list[tuple[float, float]]]:
    """(second at which it is published, second that it tells) of the pictures and of the tones."""
    with VideoFile(path) as video:
        wanted = (None, None) if case.part is None else (video.begin + case.part[0], video.begin + case.part[1])
        start, end = video.part(*wanted)
        waveform = video.waveform(start, end)
        last = start + waveform.size / SAMPLE_RATE if end is None else end
        frames = []
        for first in np.arange(start, last - 0.05, 3.0):
            for frame in video.frames(first, min(first + 3.0, last), FPS):
                frames.append((frame.time - video.begin, read_number(frame.image.mean(-1)) / FPS))
        tones = [(start - video.begin + second, told) for second, told in find_tones(waveform, SAMPLE_RATE)]
    return frames, tones


def _read_sound(path: Path) -> list[tuple[float, np.ndarray]]:
    """(second, samples at 16 kHz) of all decoded frames of the sound."""
    pieces = []
    with av.open(str(path)) as container:
        expected = 0.0
        for packet in container.demux(audio=0):
            try:
                frames = packet.decode()
            except av.FFmpegError:
                continue
            for frame in frames:
                second = expected if frame.pts is None else frame.time
                expected = second + frame.samples / frame.sample_rate
                samples = frame.to_ndarray().reshape(-1)
                if samples.dtype.kind == "i":
                    samples = samples / -float(np.iinfo(samples.dtype).min)
                pieces.append((second, samples[:: frame.sample_rate // SAMPLE_RATE]))  # tones lie below its limit
    return pieces


def _in_place(pieces: list[tuple[float, np.ndarray]], begin: float) -> np.ndarray:
    """[T] of sound from a second on."""
    last = max(second for second, _ in pieces)
    sound = np.zeros(round((last - begin + 1) * SAMPLE_RATE), np.float32)
    for second, samples in pieces:
        at = round((second - begin) * SAMPLE_RATE)
        sound[at : at + samples.size] = samples[: sound.size - at]
    return sound


def random_case(rng: random.Random) -> Case:
    """One of the combinations."""
    return Case(**{name: rng.choice(values) for name, values in CHOICES.items()})  # type: ignore[arg-type]


def simplified(case: Case) -> Case:
    """The case without what its container can't hold, so that equal files count once."""
    if case.container in SOUND_ALONE:
        gap = {"pictures": "none", "both": "sound"}.get(case.gap, case.gap)
        case = dataclasses.replace(case, delay=0.0, part=None, shorter="none", gap=gap)
    if case.container in ("aac", "mp3"):
        case = dataclasses.replace(case, offset=0.0, gap="none")
    if case.container == "avi" and case.offset > 3:
        case = dataclasses.replace(case, offset=3.0)  # it fills what lies before with empty frames
    return case


def main() -> None:
    """Run combinations for a while and print what came of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    rng, seen = random.Random(arguments.seed), set()
    deadline = time.monotonic() + arguments.seconds
    reasons: collections.Counter[str] = collections.Counter()
    largest: dict[str, float] = collections.defaultdict(float)
    counts: dict[str, list[int]] = collections.defaultdict(lambda: [0, 0, 0])
    with tempfile.TemporaryDirectory() as folder:
        while time.monotonic() < deadline:
            case = simplified(random_case(rng))
            if case in seen:
                continue
            seen.add(case)
            try:
                result = run_case(case, Path(folder))
            except Exception as error:
                print(f"FAILED {case}: {type(error).__name__}: {error}", flush=True)
                continue
            count = counts[case.container]
            count[0] += 1
            count[1] += bool(result.reason)
            count[2] += result.num_checked
            if result.reason:
                reasons[result.reason] += 1
            else:
                largest[case.container] = max(largest[case.container], result.error)
                if result.error > TOLERANCE or not result.num_checked:
                    print(f"WRONG by {1000 * result.error:.1f} ms ({result.num_checked}): {case}", flush=True)
    print("| container | combinations | refused | pictures and tones compared | largest error, ms |")
    print("|---|---|---|---|---|")
    for name, (num_cases, num_refused, num_checked) in counts.items():
        print(f"| {name} | {num_cases} | {num_refused} | {num_checked} | {1000 * largest[name]:.1f} |")
    num_cases = sum(count[0] for count in counts.values())
    print(f"{num_cases} combinations; largest error {1000 * max(largest.values()):.1f} ms; refused: {dict(reasons)}")


if __name__ == "__main__":
    main()
