"""One row of a list of videos into rows of a shard: speech first, as silence is found out soonest, then the face."""

from __future__ import annotations

import functools
import gc
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import numpy as np

from data.errors import MediaError, Wav2FaceError, one_line
from data.faces.alignment import CROP_REGION, extract_region
from data.faces.analyzer import AnalyzedFace, FaceAnalyzer
from data.faces.protocol import Device
from data.faces.registry import cached_analyzer, cached_recognizer
from data.media.audio import Span, VoiceActivity, even_loudness, find_speech, loudness_range, prepare_speech, take_spans
from data.media.waveform import SAMPLE_RATE, Waveform
from data.store.shards import Row, make_row
from data.videos.plan.requests import SourceFile, VideoRequest
from data.videos.watch.decode import Frame, VideoFile, count_samples
from data.videos.watch.segments import choose_segments
from data.videos.watch.track import choose_views, follow_speaker, outside_share

MAX_CLIP_SECONDS = 30.0
"""Longer parts of a video are cut into clips, as whole videos are."""

MIN_LOUDNESS_RANGE = 16.0
"""dB, as `loudness_range` measures it. Of 55 recordings of AVSpeech, VoxCeleb and others 2 % lie below it; with music
or noise 10 dB below the speech 89 and 95 % do, 15 dB below it 11 and 15 %; with other voices 5 and 10 dB below it 98
and 35 %."""

MAX_OUTSIDE = 0.2
"""Share of the crops that may lie outside the picture; beyond it the flag `cut-off` says so."""

_STAGES = ("decode", "speech", "faces", "features")
_MIN_SAMPLES = 4  # frames that faces are looked for in, however short a clip is


@dataclass(frozen=True)
class VideoRecipe:
    """How rows of a list of videos become rows of a shard.

    Attributes:
        face_analyzer: As `load_analyzer` takes it.
        face_encoder: Another T than the analyzer's own, as `load_recognizer` takes it.
        insightface_root: Holds `models/<pack>/`; None for `~/.insightface`.
        face_size: Side of the crops in pixels.
        fps: Frames a second that faces are looked for in.
        num_faces: The most crops that are kept of a clip.
        min_face: Smaller faces are refused, in pixels of the longer side of their box.
        min_speech: Seconds of speech that a clip must hold.
        voice_activity: Whether silence is cut.
        clip_seconds: Length of clips that are cut out of whole videos.
        max_clips: The most that are cut out of one.
        device: Where face networks run.
    """

    face_analyzer: str
    face_encoder: str | None = None
    insightface_root: str | None = None
    face_size: int = 128
    fps: float = 2.0
    num_faces: int = 4
    min_face: int = 48
    min_speech: float = 1.0
    voice_activity: VoiceActivity = "silero"
    clip_seconds: float = 6.0
    max_clips: int = 10
    device: Device = "cpu"


@dataclass(frozen=True)
class ExtractedClips:
    """What became of a row of the list.

    Attributes:
        rows: Of a shard, one a clip; besides the usual columns `flags` holds words separated by spaces:
            `other-faces` (more people in the picture), `cut` (the clip ends at a cut), `cut-off`
            (see `MAX_OUTSIDE`), `loud-background` (see `MIN_LOUDNESS_RANGE`).
        reason: Why there are none; empty if there are.
        message: The same in one line.
        seconds: Spent by stage: `decode`, `speech`, `faces`, `features`.
    """

    rows: list[Row]
    reason: str
    message: str
    seconds: dict[str, float]


@dataclass(frozen=True)
class _Clip:
    """A part of a video on the file's clock, and its name; `spans` of speech since its start where they are known."""

    clip_id: str
    start: float
    end: float
    position: tuple[float, float] | None
    spans: list[Span] | None = None


def extract_clips(row: VideoRequest, source: SourceFile, recipe: VideoRecipe) -> ExtractedClips:
    """Decode, find the speaker, clean the speech and describe all clips of one row; what fails becomes the reason.

    Args:
        row: What is asked for.
        source: The file it was fetched into, and where on the file's clock the video begins.
        recipe: How.

    Raises:
        ModelError: If a network is missing; nothing that is wrong with a video is raised.
    """
    describer = _Describer(row, source, recipe, load_face_networks(recipe))
    try:
        rows = describer.describe()
    except MediaError as error:
        return ExtractedClips([], error.reason, one_line(f"{row.clip_id}: {error}"), describer.watch.seconds)
    except Wav2FaceError:
        raise
    except Exception as error:  # a library that trips over one strange file must not end the run
        message = one_line(f"{row.clip_id}: {source.path}: {type(error).__name__}: {error}")
        return ExtractedClips([], "unexpected", message, describer.watch.seconds)
    finally:
        _free_frames()
    return ExtractedClips(rows, "", "", describer.watch.seconds)


def _free_frames() -> None:
    """Frames whose side data was read refer to themselves, and so hold megabytes until the garbage is collected."""
    gc.collect()
    _spare_networks()


@functools.cache
def _spare_networks() -> None:
    """What is loaded by now is left out of further collections, which makes them a thousand times as fast."""
    gc.freeze()


def load_face_networks(recipe: VideoRecipe) -> FaceAnalyzer:
    """Detector and T of a recipe, once a process.

    Raises:
        ConfigError: If a name is unknown.
        ModelError: If a file or a package is missing.
    """
    analyzer = cached_analyzer(recipe.face_analyzer, recipe.insightface_root, recipe.device)
    if recipe.face_encoder is None:
        return analyzer
    return replace(analyzer, recognizer=cached_recognizer(recipe.face_encoder, recipe.insightface_root, recipe.device))


class _Stopwatch:
    """Seconds by stage; within a stage another one stops it for a while."""

    def __init__(self) -> None:
        self.seconds = dict.fromkeys(_STAGES, 0.0)
        self._running: list[str] = []
        self._since = 0.0

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        self._charge()
        self._running.append(stage)
        try:
            yield
        finally:
            self._charge()
            self._running.pop()

    def _charge(self) -> None:
        now = time.perf_counter()
        if self._running:
            self.seconds[self._running[-1]] += now - self._since
        self._since = now


@dataclass
class _Describer:
    """The work on one row, and the time it takes."""

    row: VideoRequest
    source: SourceFile
    recipe: VideoRecipe
    analyzer: FaceAnalyzer
    watch: _Stopwatch = field(default_factory=_Stopwatch)

    def describe(self) -> list[Row]:
        row = self.row
        with self.watch("decode"):
            video = VideoFile(self.source.path)
        with video:
            # The second of the file's clock at which the video begins.
            origin = video.begin - self.source.offset
            start = video.begin if row.start is None else origin + row.start
            end = None if row.end is None else origin + row.end
            with self.watch("decode"):
                waveform = video.waveform(start, end)
            if row.start is not None and end is not None and end - start <= MAX_CLIP_SECONDS:
                position = None if row.x is None or row.y is None else (row.x, row.y)
                return [self._describe_clip(video, _Clip(row.clip_id, start, end, position), waveform, origin)]
            return self._describe_segments(video, start, waveform, origin)

    def _describe_segments(self, video: VideoFile, start: float, waveform: Waveform, origin: float) -> list[Row]:
        """Cut a long part into clips; those that fail are left out, unless all do."""
        with self.watch("speech"):
            spans = self._speech(waveform)
        recipe = self.recipe
        duration = waveform.size / SAMPLE_RATE
        segments = choose_segments(spans, duration, recipe.clip_seconds, recipe.max_clips, recipe.min_speech)
        if not segments:
            raise MediaError("no-speech", f"less than {recipe.min_speech:g} s of speech in the whole video")
        rows: list[Row] = []
        failures: list[MediaError] = []
        for i, segment in enumerate(segments):
            inside = [
                (max(begin, segment.start) - segment.start, min(end, segment.end) - segment.start)
                for begin, end in spans
                if begin < segment.end and end > segment.start
            ]
            clip = _Clip(f"{self.row.clip_id}/{i}", start + segment.start, start + segment.end, None, inside)
            part = waveform[round(segment.start * SAMPLE_RATE) : round(segment.end * SAMPLE_RATE)]
            try:
                rows.append(self._describe_clip(video, clip, part, origin))
            except MediaError as error:
                failures.append(error)
        if not rows:
            raise failures[0]
        return rows

    def _speech(self, waveform: Waveform) -> list[Span]:
        if self.recipe.voice_activity == "none":
            return [(0.0, waveform.size / SAMPLE_RATE)]
        return find_speech(even_loudness(waveform))

    def _hear(self, clip: _Clip, waveform: Waveform) -> Waveform:
        """The speech of a clip; where it is known already it is not looked for again."""
        recipe = self.recipe
        with self.watch("speech"):
            if clip.spans is None:
                return prepare_speech(waveform, recipe.voice_activity, recipe.min_speech)
            return prepare_speech(take_spans(waveform, clip.spans), "none", recipe.min_speech)

    def _describe_clip(self, video: VideoFile, clip: _Clip, waveform: Waveform, origin: float) -> Row:
        recipe, recognizer = self.recipe, self.analyzer.recognizer
        speech = self._hear(clip, waveform)
        fps = max(recipe.fps, _MIN_SAMPLES / (clip.end - clip.start))
        frames = self._timed(video.frames(clip.start, clip.end, fps))
        num_samples = count_samples(clip.end - clip.start, fps)
        with self.watch("faces"):
            track = follow_speaker(frames, self.analyzer, clip.position, num_samples, recipe.min_face)
            views = choose_views(track.views, recipe.num_faces)
        if track.end is not None and track.end < clip.end:
            # What is said after a cut may be another's.
            clip = replace(clip, end=track.end)
            speech = self._hear(clip, waveform[: round((clip.end - clip.start) * SAMPLE_RATE)])
        flags = [*track.flags]
        if loudness_range(speech) < MIN_LOUDNESS_RANGE:
            flags.append("loud-background")
        if statistics.median(outside_share(view) for view in views) > MAX_OUTSIDE:
            flags.append("cut-off")
        with self.watch("features"):
            crops = [extract_region(view.image, view.to_template, CROP_REGION, recipe.face_size) for view in views]
            size, region = recognizer.input_size, recognizer.region
            inputs = [extract_region(view.image, view.to_template, region, size) for view in views]
            features = recognizer.embed(np.stack(inputs))
            x, y = clip.position or track.position
            faces = [AnalyzedFace(crop, feature) for crop, feature in zip(crops, features, strict=True)]
            return {
                **make_row(clip.clip_id, self.row.identity, self.row.attributes, speech, faces),
                "video_id": self.row.video_id,
                "start": clip.start - origin,
                "end": clip.end - origin,
                "x": x,
                "y": y,
                "flags": " ".join(flags),
            }

    def _timed(self, frames: Iterator[Frame]) -> Iterator[Frame]:
        while True:
            with self.watch("decode"):
                frame = next(frames, None)
            if frame is None:
                return
            yield frame
