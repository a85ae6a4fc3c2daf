"""Test videos: a persona's face that sways and moves its mouth to synthetic speech.

They are encoded by FFmpeg's encoders through PyAV, so that the decoders get files as from cameras and sites.
"""

from __future__ import annotations

import functools
import importlib.util
import itertools
import struct
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Literal

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from data.media.waveform import SAMPLE_RATE
from data.personas.footage.vowels import speak

Sound = Literal["speech", "silence", "noise", "music", "none"]

NUM_PERSONAS = 16
"""Personas that videos may show."""

_POPULATION_SEED = 7
_NUM_OPENINGS = 6  # steps of the mouth between shut and open
_SWAY = 0.02  # of the face's side


def make_talking_video(
    path: Path,
    persona: int = 0,
    seconds: float = 4.0,
    size: tuple[int, int] = (320, 240),
    fps: float = 25,
    position: tuple[float, float] = (0.5, 0.5),
    face_size: int = 160,
    others: Sequence[tuple[int, tuple[float, float]]] = (),
    still: bool = False,
    brightness: float = 1.0,
    blur: float = 0.0,
    sound: Sound = "speech",
    background_sound: float = 0.0,
    codec: str = "libx264",
    audio_codec: str = "aac",
    pixel_format: str = "yuv420p",
    keyframe_interval: int = 50,
) -> Path:
    """Write a video of a talking persona; about 50 ms of work for each second at 320 x 240 pixels.

    Args:
        path: The suffix decides about the container.
        persona: Index of the speaker: 0 to `NUM_PERSONAS` - 1.
        seconds: Length of picture and sound.
        size: Width and height in pixels; odd ones need a pixel format such as yuv444p.
        fps: Pictures a second.
        position: Position of the tip of the nose, relative to width and height.
        face_size: Side in pixels of the crop pasted in; the face itself takes about 0.6 of it.
        others: Silent people: persona and position of each.
        still: Whether nothing moves, as in a slide.
        brightness: Factor on all pixels.
        blur: Radius in pixels of a Gaussian.
        sound: Content of the audio stream; `none` for no stream.
        background_sound: Amplitude of music under the sound.
        codec: FFmpeg's encoder of pictures.
        audio_codec: FFmpeg's encoder of sound.
        pixel_format: As the encoder takes it.
        keyframe_interval: Pictures from one keyframe to the next.

    Returns:
        The path.
    """
    waveform = make_sound(sound, persona, seconds)
    if background_sound:
        waveform = (waveform + background_sound * play_music(seconds)).clip(-1, 1)
    frames = draw_frames(
        [(persona, position), *others],
        loudness(waveform, round(seconds * fps), fps),
        size,
        face_size,
        still,
        brightness,
        blur,
    )
    return write_video(
        path,
        frames,
        None if sound == "none" else waveform,
        fps=fps,
        size=size,
        codec=codec,
        audio_codec=audio_codec,
        pixel_format=pixel_format,
        keyframe_interval=keyframe_interval,
    )


def make_sound(sound: Sound, persona: int, seconds: float) -> NDArray[np.float32]:
    """Sound of a video, [T] float32 at 16 kHz."""
    num_samples = round(seconds * SAMPLE_RATE)
    if sound == "speech":
        return np.resize(say(persona), num_samples)
    if sound == "noise":
        return np.random.default_rng(0).normal(0, 0.05, num_samples).astype(np.float32)
    if sound == "music":
        return play_music(seconds)
    return np.zeros(num_samples, np.float32)


@functools.cache
def say(persona: int, clip: int = 0) -> NDArray[np.float32]:
    """Sentence of a persona and half a second of pause: by espeak-ng if it is installed, else vowels."""
    if importlib.util.find_spec("espeakng_loader"):
        from data.personas.voices import VoiceSynthesizer

        with VoiceSynthesizer() as synthesizer:
            spoken = synthesizer.speak(_population(), persona, clip)
    else:
        spoken = speak(persona, clip, seconds=4.0)
    return np.concatenate([spoken, np.zeros(SAMPLE_RATE // 2, np.float32)])


def play_music(seconds: float) -> NDArray[np.float32]:
    """Chords [T] at 16 kHz, a new one every half second, of amplitude 0.3."""
    time = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    root = 220 * 2 ** (np.array([0, 5, 7, 3])[(2 * time).astype(int) % 4] / 12)
    phase = 2 * np.pi * np.cumsum(root) / SAMPLE_RATE
    chord = sum(np.sin(ratio * phase) / ratio for ratio in (1, 1.25, 1.5, 2, 3, 4))
    return (0.3 * chord / np.abs(chord).max()).astype(np.float32)


def loudness(waveform: NDArray[np.float32], num_frames: int, fps: float) -> NDArray[np.float64]:
    """Opening of the mouth in [0, 1] by the sound's level, [num_frames]."""
    edges = (np.arange(num_frames + 1) * SAMPLE_RATE / fps).astype(int)
    levels = np.array([np.sqrt(np.mean(waveform[a:b] ** 2)) if b > a else 0.0 for a, b in itertools.pairwise(edges)])
    return levels / max(1e-6, levels.max())


def draw_frames(
    people: Sequence[tuple[int, tuple[float, float]]],
    openings: NDArray[np.float64],
    size: tuple[int, int],
    face_size: int = 160,
    still: bool = False,
    brightness: float = 1.0,
    blur: float = 0.0,
) -> Iterator[NDArray[np.uint8]]:
    """Frames [H, W, 3] uint8 RGB of a scene, in which the first person speaks.

    Args:
        people: Persona and position of the tip of the nose, for each person.
        openings: [N] openings of the speaker's mouth, in [0, 1].
        size: Width and height in pixels.
        face_size: Side in pixels of the crops pasted in.
        still: Whether all frames equal the first one.
        brightness: Factor on all pixels.
        blur: Radius in pixels of a Gaussian.
    """
    canvas = _background(size)
    cached: dict[tuple[int, ...], NDArray[np.uint8]] = {}
    for i, opening in enumerate(openings):
        # Openings and shifts are rounded, so that few different frames have to be made.
        mouth = 0 if still else round(float(opening) * (_NUM_OPENINGS - 1))
        sway = 0 if still else round(_SWAY * face_size * np.sin(i / 6))
        if (mouth, sway) not in cached:
            picture = canvas.copy()
            for j, (persona, position) in enumerate(people):
                patches, nose = talking_face(persona, face_size)
                # The silent ones move as well, but not their mouths.
                x = round(position[0] * size[0] - nose[0]) + (sway if j == 0 else -sway)
                y = round(position[1] * size[1] - nose[1])
                picture.paste(patches[mouth if j == 0 else 0], (x, y), _mask(face_size))
            if blur:
                picture = picture.filter(ImageFilter.GaussianBlur(blur))
            cached[mouth, sway] = (np.asarray(picture) * brightness).clip(0, 255).astype(np.uint8)
        yield cached[mouth, sway]


@functools.cache
def talking_face(persona: int, face_size: int) -> tuple[list[Image.Image], NDArray[np.float64]]:
    """Crops of a persona from a closed to an open mouth, and the (x, y) of the tip of the nose in them."""
    from data.personas.faces import render_with_landmarks

    images = np.arange(4)
    faces, all_landmarks = render_with_landmarks(_population(), np.full(4, persona), images, 128)
    # The most frontal picture: that whose nose is nearest to the middle of the eyes.
    turned = np.abs(all_landmarks[:, 2, 0] - all_landmarks[:, :2, 0].mean(1))
    best = int(turned.argmin())
    face = Image.fromarray(faces[best]).resize((face_size, face_size), Image.Resampling.BICUBIC)
    landmarks = all_landmarks[best] * face_size / 128
    return [_open_mouth(face, landmarks, step / (_NUM_OPENINGS - 1)) for step in range(_NUM_OPENINGS)], landmarks[2]


def _open_mouth(face: Image.Image, landmarks: NDArray[np.float64], opening: float) -> Image.Image:
    """Open the mouth: move the chin down and draw a dark ellipse between the lips."""
    left, right = landmarks[3], landmarks[4]
    middle = (left + right) / 2
    width, gap = np.hypot(*(right - left)), 0.06 * face.height * opening
    pixels = np.asarray(face)
    rows = np.arange(face.height, dtype=np.float64)
    # The part below the mouth is compressed by the height of the gap.
    below = rows > middle[1]
    rows[below] -= gap * (1 - (rows[below] - middle[1]) / (face.height - middle[1]))
    moved = Image.fromarray(pixels[np.rint(rows).astype(int)])
    if gap > 1:
        box = (middle[0] - 0.3 * width, middle[1] - 0.2 * gap, middle[0] + 0.3 * width, middle[1] + gap)
        ImageDraw.Draw(moved).ellipse(tuple(box), fill=(70, 20, 25))
    return moved


@functools.cache
def _mask(face_size: int) -> Image.Image:
    """Mask with soft edges for pasting a crop."""
    edge = face_size // 12
    mask = Image.new("L", (face_size, face_size), 0)
    mask.paste(255, (edge, edge, face_size - edge, face_size - edge))
    return mask.filter(ImageFilter.GaussianBlur(edge / 2))


@functools.cache
def _background(size: tuple[int, int]) -> Image.Image:
    """A wall with a pattern that no detector takes for a face."""
    y, x = np.mgrid[: size[1], : size[0]]
    wall = 120 + 30 * np.sin(x / 23) + 20 * np.sin(y / 31) + 30 * x / size[0]
    noise = np.random.default_rng(3).normal(0, 4, wall.shape)
    return Image.fromarray(np.stack([wall + noise, 0.9 * wall, 0.8 * wall + 20], -1).clip(0, 255).astype(np.uint8))


@functools.cache
def _population():  # type: ignore[no-untyped-def]
    from data.personas.population import draw_population

    return draw_population(NUM_PERSONAS, _POPULATION_SEED)


def write_video(
    path: Path,
    frames: Iterable[NDArray[np.uint8]],
    waveform: NDArray[np.float32] | None,
    *,
    fps: float = 25,
    size: tuple[int, int],
    codec: str = "libx264",
    audio_codec: str = "aac",
    pixel_format: str = "yuv420p",
    keyframe_interval: int = 50,
    times: Sequence[float] | None = None,
    interlaced: bool = False,
    transfer: Literal["pq", "hlg"] | None = None,
    pixel_aspect: Fraction | None = None,
    colorspace: int | None = None,
) -> Path:
    """Encode pictures and sound.

    Args:
        path: The suffix decides about the container.
        frames: [H, W, 3] uint8 RGB each, or RGBA; no frames for an empty video stream.
        waveform: [T] at 16 kHz; None for no audio stream.
        fps: Frames a second.
        size: Width and height.
        codec: FFmpeg's video encoder; empty for no video stream.
        audio_codec: FFmpeg's audio encoder.
        pixel_format: Pixel format of the encoder.
        keyframe_interval: Frames from one keyframe to the next.
        times: Second of each frame, for a variable rate.
        interlaced: Whether to flag frames as two fields.
        transfer: High dynamic range: pictures keep their look, with a white of 203 cd/m2.
        pixel_aspect: Width of a pixel relative to its height.
        colorspace: FFmpeg's number of the matrix, for the tag and for the coding.

    Returns:
        The path.
    """
    options = {"preset": "ultrafast", "crf": "20"} if codec in ("libx264", "libx265") else {}
    if codec == "libx265":
        options["x265-params"] = "log-level=none"
    if interlaced:
        options["flags"] = "+ilme+ildct"
    with av.open(str(path), "w") as container:
        rate = Fraction(fps).limit_denominator(1001)
        video = container.add_stream(codec, rate=rate, options=options) if codec else None
        if video:
            context = video.codec_context
            video.width, video.height = size
            video.pix_fmt = pixel_format
            context.gop_size, context.thread_count = keyframe_interval, 1
            if times is not None:
                context.time_base = Fraction(1, 1000)
            if not options:
                context.bit_rate = 1_000_000
            if pixel_aspect:
                context.sample_aspect_ratio = pixel_aspect
            if transfer:
                context.color_trc, context.color_primaries, context.colorspace = _TRANSFERS[transfer], 9, 9
            if colorspace:
                context.colorspace, context.color_range = colorspace, 1
        sound = _Sound(container, audio_codec, waveform) if waveform is not None else None
        for i, pixels in enumerate(frames):
            if not video:
                break
            if transfer:
                frame = av.VideoFrame.from_ndarray(to_hdr(pixels, transfer), "rgb48le")
                frame = frame.reformat(format=pixel_format, dst_colorspace=9, dst_color_range=1)
                frame.color_trc, frame.color_primaries = _TRANSFERS[transfer], 9
            else:
                frame = av.VideoFrame.from_ndarray(pixels, "rgba" if pixels.shape[2] == 4 else "rgb24")
                if colorspace:
                    frame = frame.reformat(format=pixel_format, dst_colorspace=colorspace, dst_color_range=1)
            frame.pts, frame.time_base = (i, 1 / rate) if times is None else (round(1000 * times[i]), Fraction(1, 1000))
            container.mux(video.encode(frame))
            if sound:
                sound.write_until((i + 1) / float(rate) if times is None else times[i])
        if video:
            container.mux(video.encode(None))
        if sound:
            sound.finish()
    return path


_TRANSFERS = {"pq": 16, "hlg": 18}


def to_hdr(pixels: NDArray[np.uint8], transfer: Literal["pq", "hlg"]) -> NDArray[np.uint16]:
    """Encode an sRGB picture for high dynamic range, with white at 203 cd/m2 (BT.2408)."""
    code = pixels / 255
    light = np.where(code <= 0.04045, code / 12.92, ((code + 0.055) / 1.055) ** 2.4)
    light = light @ np.array([[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]]).T
    if transfer == "pq":
        power = (203 * light / 10_000) ** (2610 / 16384)
        coded = ((3424 / 4096 + 2413 / 128 * power) / (1 + 2392 / 128 * power)) ** (2523 / 32)
    else:
        luminance = np.maximum(203 / 1000 * light @ (0.2627, 0.6780, 0.0593), 1e-9)[..., None]
        scene = 203 / 1000 * light * luminance ** (1 / 1.2 - 1)
        coded = np.where(
            scene <= 1 / 12,
            np.sqrt(3 * scene),
            0.17883277 * np.log(np.maximum(12 * scene - 0.28466892, 1e-9)) + 0.55991073,
        )
    return np.rint(65535 * coded.clip(0, 1)).astype(np.uint16)


def rotate_mp4(path: Path, matrix: tuple[int, int, int, int]) -> None:
    """Set the display matrix (a, b, c, d) of an MP4's first track, as phones do: x' = a x + c y, y' = b x + d y."""
    content = bytearray(path.read_bytes())
    at = content.index(b"tkhd") + 4 + 4 + 20 + 8 + 8
    a, b, c, d = (value * 0x10000 for value in matrix)
    struct.pack_into(">9i", content, at, a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(content)


class _Sound:
    """Audio stream that is interleaved with the frames."""

    def __init__(self, container: av.container.OutputContainer, codec: str, waveform: NDArray[np.float32]) -> None:
        rate = 44_100 if codec in ("aac", "libmp3lame", "mp2") else 48_000
        self._container, self._waveform, self._position = container, waveform, 0
        self._stream = container.add_stream(codec, rate=rate, layout="mono")
        context = self._stream.codec_context
        self._resampler = av.AudioResampler(context.format, "mono", rate, frame_size=context.frame_size or None)

    def write_until(self, second: float) -> None:
        end = min(self._waveform.size, round(second * SAMPLE_RATE))
        if end > self._position:
            samples = np.ascontiguousarray(self._waveform[None, self._position : end], np.float32)
            frame = av.AudioFrame.from_ndarray(samples, "flt", "mono")
            frame.sample_rate, frame.time_base, frame.pts = SAMPLE_RATE, Fraction(1, SAMPLE_RATE), self._position
            self._position = end
            self._encode(self._resampler.resample(frame))

    def finish(self) -> None:
        self.write_until(self._waveform.size / SAMPLE_RATE)
        self._encode(self._resampler.resample(None))
        self._container.mux(self._stream.encode(None))

    def _encode(self, frames: Iterable[av.AudioFrame]) -> None:
        for frame in frames:
            self._container.mux(self._stream.encode(frame))
