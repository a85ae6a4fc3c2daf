"""From one video to its clips: speech first, as silence is the cheapest to find, then the face."""

from __future__ import annotations

import functools
import gc
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import numpy as np

from data.errors import MediaError, Reason, Wav2FaceError, one_line
from data.faces.alignment import CROP_REGION, extract_region
from data.faces.analyzer import FaceAnalyzer
from data.media.audio import prepare_speech
from data.media.loudness import level_loudness, loudness_range
from data.media.voice_activity import VoiceActivity, find_speech, take_spans
from data.media.waveform import SAMPLE_RATE, Span, Waveform
from data.sources.recipe import FaceRecipe, load_face_networks
from data.store.clip import Clip, Row, Source, to_row
from data.videos.plan.requests import SourceFile, VideoRequest
from data.videos.watch.decode import Frame, VideoFile, count_samples
from data.videos.watch.segments import choose_segments
from data.videos.watch.track import choose_views, follow_speaker, outside_share

MAX_UNCUT_SECONDS = 30.0
"""Longest request that becomes one clip; longer ones are cut into clips, as whole videos are."""

MIN_LOUDNESS_RANGE = 16.0
"""Least `loudness_range` in dB of clips without the flag `loud-background`. Of 55 recordings of AVSpeech, VoxCeleb and
others 2 % lie below it; with music or noise 10 dB below the speech 89 and 95 % do, 15 dB below it 11 and 15 %; with
other voices 5 and 10 dB below it 98 and 35 %."""

MAX_OUTSIDE = 0.2
"""Largest share of a crop outside the picture; clips whose median is above it get the flag `cut-off`."""

_STEPS = ("decode", "speech", "faces", "features")
_MIN_SAMPLES = 4  # frames that faces are looked for in, however short a clip is


@dataclass(frozen=True)
class VideoRecipe(FaceRecipe):
    """How videos become clips.

    Attributes:
        fps: Number of frames a second in which faces are looked for.
        num_faces: Largest number of crops of a clip.
        min_face: Smallest face that is accepted, in pixels of the longer side of its box.
        min_speech: Seconds of speech that a clip must hold.
        voice_activity: Method by which silence is found and cut.
        clip_seconds: Length of clips that are cut out of whole videos.
        max_clips: Largest number of clips that are cut out of one video.
    """

    fps: float = 2.0
    num_faces: int = 4
    min_face: int = 48
    min_speech: float = 1.0
    voice_activity: VoiceActivity = "silero"
    clip_seconds: float = 6.0
    max_clips: int = 10


@dataclass(frozen=True)
class ExtractedClips:
    """The clips of a request, or why there are none.

    Attributes:
        rows: Clips as rows of a shard; their `flags` are words separated by spaces: `other-faces` (more people in the
            picture), `cut` (the clip ends at a cut), `cut-off` (see `MAX_OUTSIDE`), `loud-background` (see
            `MIN_LOUDNESS_RANGE`).
        reason: Reason of the failure; None if there are clips.
        message: Explanation of the reason, in one line.
        seconds: Seconds spent, by step: `decode`, `speech`, `faces`, `features`.
    """

    rows: list[Row]
    reason: Reason | None
    message: str
    seconds: dict[str, float]


@dataclass(frozen=True)
class _Part:
    """A part of a video that becomes a clip.

    Attributes:
        clip_id: Name of the clip.
        start: Second on the file's clock at which it begins.
        end: Second at which it ends.
        position: Relative (x, y) of the speaker's face, where it is known.
        spans: Spans of speech in seconds since the start, where they are known.
    """

    clip_id: str
    start: float
    end: float
    position: tuple[float, float] | None
    spans: list[Span] | None = None


def extract_clips(request: VideoRequest, source: SourceFile, recipe: VideoRecipe) -> ExtractedClips:
    """Decode a video, find the speaker, clean the speech, and make all clips of one request.

    Args:
        request: The request.
        source: File that it was fetched into.
        recipe: Settings.

    Raises:
        ModelError: If a network is missing. Whatever is wrong with a video is the result's reason instead.
    """
    extractor = _Extractor(request, source, recipe, load_face_networks(recipe))
    try:
        rows = extractor.extract()
    except MediaError as error:
        return ExtractedClips([], error.reason, one_line(f"{request.clip_id}: {error}"), extractor.watch.seconds)
    except Wav2FaceError:
        raise
    except Exception as error:  # one file that a library can't handle must not end the run
        message = one_line(f"{request.clip_id}: {source.path}: {type(error).__name__}: {error}")
        return ExtractedClips([], "unexpected", message, extractor.watch.seconds)
    finally:
        _free_frames()
    return ExtractedClips(rows, None, "", extractor.watch.seconds)


def _free_frames() -> None:
    """Collect garbage: frames whose side data was read hold references to themselves, and megabytes each."""
    gc.collect()
    _exempt_models()


@functools.cache
def _exempt_models() -> None:
    """Exempt loaded models from further collections, which makes these a thousand times as fast."""
    gc.freeze()


class _Stopwatch:
    """Seconds by step; a step within a step pauses the outer one."""

    def __init__(self) -> None:
        self.seconds = dict.fromkeys(_STEPS, 0.0)
        self._running: list[str] = []
        self._since = 0.0

    @contextmanager
    def __call__(self, step: str) -> Iterator[None]:
        self._charge()
        self._running.append(step)
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
class _Extractor:
    """The work on one request, and the time it takes."""

    request: VideoRequest
    source: SourceFile
    recipe: VideoRecipe
    analyzer: FaceAnalyzer
    watch: _Stopwatch = field(default_factory=_Stopwatch)

    def extract(self) -> list[Row]:
        request = self.request
        with self.watch("decode"):
            video = VideoFile(self.source.path)
        with video:
            origin = video.begin if self.source.origin is None else self.source.origin
            start, end = video.part(
                None if request.start is None else origin + request.start,
                None if request.end is None else origin + request.end,
            )
            with self.watch("decode"):
                waveform = video.waveform(start, end)
            is_named = request.start is not None and request.end is not None
            if is_named and end is not None and end - start <= MAX_UNCUT_SECONDS:
                position = None if request.x is None or request.y is None else (request.x, request.y)
                return [self._make_clip(video, _Part(request.clip_id, start, end, position), waveform, origin)]
            return self._make_clips(video, start, waveform, origin)

    def _make_clips(self, video: VideoFile, start: float, waveform: Waveform, origin: float) -> list[Row]:
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
            part = _Part(f"{self.request.clip_id}/{i}", start + segment.start, start + segment.end, None, inside)
            samples = waveform[round(segment.start * SAMPLE_RATE) : round(segment.end * SAMPLE_RATE)]
            try:
                rows.append(self._make_clip(video, part, samples, origin))
            except MediaError as error:
                failures.append(error)
        if not rows:
            raise failures[0]
        return rows

    def _speech(self, waveform: Waveform) -> list[Span]:
        if self.recipe.voice_activity == "none":
            return [(0.0, waveform.size / SAMPLE_RATE)]
        return find_speech(level_loudness(waveform))

    def _find_speech_in(self, part: _Part, waveform: Waveform) -> Waveform:
        """The speech of a part; where its spans are known already they are not looked for again."""
        recipe = self.recipe
        with self.watch("speech"):
            if part.spans is None:
                return prepare_speech(waveform, recipe.voice_activity, recipe.min_speech)
            return prepare_speech(take_spans(waveform, part.spans), "none", recipe.min_speech)

    def _make_clip(self, video: VideoFile, part: _Part, waveform: Waveform, origin: float) -> Row:
        recipe, recognizer = self.recipe, self.analyzer.recognizer
        speech = self._find_speech_in(part, waveform)
        fps = max(recipe.fps, _MIN_SAMPLES / (part.end - part.start))
        frames = self._timed(video.frames(part.start, part.end, fps))
        num_samples = count_samples(part.end - part.start, fps)
        with self.watch("faces"):
            track = follow_speaker(frames, self.analyzer, part.position, num_samples, recipe.min_face)
            views = choose_views(track.views, recipe.num_faces)
        if track.end is not None and track.end < part.end:
            # Speech after a cut may be another person's.
            part = replace(part, end=track.end)
            speech = self._find_speech_in(part, waveform[: round((part.end - part.start) * SAMPLE_RATE)])
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
            x, y = part.position or track.position
            clip = Clip(
                clip_id=part.clip_id,
                identity=self.request.identity,
                waveform=speech,
                faces=crops,
                face_features=features,
                attributes=self.request.attributes,
                source=Source(self.request.video_id, part.start - origin, part.end - origin, x, y),
                flags=tuple(flags),
            )
            return to_row(clip)

    def _timed(self, frames: Iterator[Frame]) -> Iterator[Frame]:
        while True:
            with self.watch("decode"):
                frame = next(frames, None)
            if frame is None:
                return
            yield frame
