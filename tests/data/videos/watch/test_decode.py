"""Sound and pictures of parts of video files of every kind."""

import socket
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from data.errors import MediaError
from data.media.waveform import SAMPLE_RATE
from data.personas.footage.videos import make_sound, make_talking_video, rotate_mp4, write_video
from data.videos.watch import picture
from data.videos.watch.decode import MAX_FRAMES, VideoFile
from tests.clock_video import FPS, draw_number, make_clock_video, read_number

CONTAINERS = [
    ("a.mp4", "libx264", "aac"),
    ("a.mkv", "libx264", "aac"),
    ("a.webm", "libvpx", "libopus"),
    ("a.avi", "mpeg4", "libmp3lame"),
    ("a.mpg", "mpeg2video", "mp2"),
    ("a.ts", "libx264", "aac"),
]


def refusal(path: Path, start: float = 0.0, end: float = 1.0, fps: float = 2.0) -> str:
    with pytest.raises(MediaError) as caught, VideoFile(path) as video:
        video.waveform(video.begin + start, video.begin + end)
        list(video.frames(video.begin + start, video.begin + end, fps))
    assert str(path) in str(caught.value)
    return caught.value.reason


def shown_seconds(frames: list) -> list[float]:
    return [read_number(frame.image.mean(-1)) / FPS for frame in frames]


def picture_of(path: Path) -> np.ndarray:
    with VideoFile(path) as video:
        return next(video.frames(video.begin, video.begin + 0.5, 2)).image


def solid(colour: tuple[int, ...], size: tuple[int, int]) -> np.ndarray:
    return np.broadcast_to(np.array(colour, np.uint8), (size[1], size[0], len(colour))).copy()


SILENCE = make_sound("silence", 0, 0.5)


@pytest.mark.parametrize("name, video_codec, audio_codec", CONTAINERS)
def test_the_beginning_can_be_read_again_and_again(
    tmp_path: Path, name: str, video_codec: str, audio_codec: str
) -> None:
    path = make_clock_video(tmp_path / name, 4.0, 40, video_codec, audio_codec)
    with VideoFile(path) as video:
        waveform = video.waveform(video.begin, video.begin + 2)
        for _ in range(2):
            frames = list(video.frames(video.begin, video.begin + 2, FPS))
            np.testing.assert_array_equal(video.waveform(video.begin, video.begin + 2), waveform)
            np.testing.assert_allclose(shown_seconds(frames), np.arange(0, 2, 1 / FPS), atol=0.041)
    assert np.abs(waveform[:1000]).max() > 0.2


@pytest.mark.parametrize("name, video_codec, audio_codec", CONTAINERS)
def test_a_part_is_cut_exactly_whatever_the_container(
    tmp_path: Path, name: str, video_codec: str, audio_codec: str
) -> None:
    path = make_clock_video(tmp_path / name, 6.0, 40, video_codec, audio_codec)
    with VideoFile(path) as video:
        frames = list(video.frames(video.begin + 2.6, video.begin + 4.6, FPS))
        waveform = video.waveform(video.begin + 2.6, video.begin + 4.6)
    error = 0.041 if name == "a.avi" else 0.004  # AVI holds no times, only a rate
    np.testing.assert_allclose(shown_seconds(frames), np.arange(2.6, 4.6, 1 / FPS), atol=error)
    assert waveform.size == 2 * SAMPLE_RATE
    # Tones start at 3.0, 3.5, 4.0 and 4.5 s, 100 Hz apart.
    waveform[:1000] = 0
    loud = np.flatnonzero(np.abs(waveform) > 0.2)
    starts = loud[np.flatnonzero(np.diff(loud, prepend=-SAMPLE_RATE) > 2000)] / SAMPLE_RATE
    np.testing.assert_allclose(starts, [0.4, 0.9, 1.4, 1.9], atol=error)
    spectrum = np.abs(np.fft.rfft(waveform[6400:8000] * np.hanning(1600)))
    assert abs(spectrum.argmax() * 10 - 1200) <= 10


def test_parts_fit_together_to_one_sample(tmp_path: Path) -> None:
    path = make_talking_video(tmp_path / "a.mp4", seconds=4.0)
    with VideoFile(path) as video:
        whole = video.waveform(0.0, None)
        for start in (0.0, 0.5, 1.25, 2.9375):
            part = video.waveform(start, start + 1.0)
            first = round(start * SAMPLE_RATE)
            inner = slice(1000, -1000)
            near = [part[inner] @ whole[first + lag :][: part.size][inner] for lag in range(-3 if first else 0, 4)]
            assert np.argmax(near) == (3 if first else 0)


def test_few_samples_are_near_their_moments_though_most_frames_are_skipped(tmp_path: Path) -> None:
    path = make_clock_video(tmp_path / "a.mp4", 5.0, 50, num_b_frames=3)
    with VideoFile(path) as video:
        frames = list(video.frames(1.1, 4.6, 2))
    moments = np.arange(1.1, 4.6, 0.5)
    np.testing.assert_allclose([frame.time for frame in frames], moments, atol=0.13)
    assert all(frame.time >= moment - 1e-3 for frame, moment in zip(frames, moments, strict=True))
    np.testing.assert_allclose(shown_seconds(frames), [frame.time for frame in frames], atol=1e-3)


def test_a_variable_rate_is_sampled_by_time_and_a_slide_is_given_again(tmp_path: Path) -> None:
    times = [0.0, 0.04, 0.08, 0.12, 2.0, 2.04, 2.5]
    frames = [draw_number(number) for number in range(len(times))]
    size = frames[0].shape[1::-1]
    path = write_video(tmp_path / "a.mkv", frames, make_sound("silence", 0, 3.0), size=size, times=times)
    with VideoFile(path) as video:
        sampled = list(video.frames(0.0, 2.5, 2))
    assert [round(25 * second) for second in shown_seconds(sampled)] == [0, 3, 3, 3, 4]
    assert sampled[1].image is sampled[2].image


def test_long_parts_are_sampled_less_often(tmp_path: Path) -> None:
    path = make_clock_video(tmp_path / "a.mp4", 6.0)
    with VideoFile(path) as video:
        frames = list(video.frames(0.0, 6.0, 25))
    assert len(frames) == MAX_FRAMES
    assert frames[-1].time > 5.8


def test_a_cut_begins_another_shot(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    scenes = [rng.integers(0, 255, (9, 16, 3), np.uint8).repeat(10, 0).repeat(10, 1) for _ in range(3)]
    frames = [scene for scene in scenes for _ in range(25)]
    path = write_video(tmp_path / "a.mp4", frames, make_sound("silence", 0, 3.0), size=(160, 90))
    with VideoFile(path) as video:
        sampled = list(video.frames(0.0, 3.0, 4))
    shots = [frame.shot for frame in sampled]
    assert shots == [shots[0] + i // 4 for i in range(12)]
    np.testing.assert_allclose([frame.shot_begin for frame in sampled[4:]], [1.0] * 4 + [2.0] * 4)


@pytest.mark.parametrize("size", [(161, 121), (160, 121), (1, 1), (17, 33)])
def test_odd_sizes_keep_every_pixel(tmp_path: Path, size: tuple[int, int]) -> None:
    path = write_video(
        tmp_path / "a.mkv", [solid((200, 60, 20), size)] * 13, SILENCE, size=size, codec="ffv1", pixel_format="yuv444p"
    )
    image = picture_of(path)
    assert image.shape == (size[1], size[0], 3)
    assert np.abs(image.astype(int) - (200, 60, 20)).max() <= 4


@pytest.mark.parametrize(
    "matrix, corners",
    [
        ((1, 0, 0, 1), "rgbw"),
        ((0, 1, -1, 0), "brwg"),  # clockwise, as most phones held upright
        ((-1, 0, 0, -1), "wbgr"),
        ((0, -1, 1, 0), "gwrb"),
        ((-1, 0, 0, 1), "grwb"),  # a mirrored self-portrait
    ],
)
def test_a_display_matrix_turns_and_mirrors_pictures(tmp_path: Path, matrix: tuple, corners: str) -> None:
    colours = {"r": (220, 30, 30), "g": (30, 180, 30), "b": (30, 30, 220), "w": (240, 240, 240)}
    upper = np.concatenate([solid(colours["r"], (80, 48)), solid(colours["g"], (80, 48))], 1)
    lower = np.concatenate([solid(colours["b"], (80, 48)), solid(colours["w"], (80, 48))], 1)
    path = write_video(tmp_path / "a.mp4", [np.concatenate([upper, lower])] * 13, SILENCE, size=(160, 96))
    rotate_mp4(path, matrix)
    image = picture_of(path).astype(int)
    assert image.shape == ((160, 96, 3) if matrix[0] == 0 else (96, 160, 3))
    seen = [image[8, 8], image[8, -8], image[-8, 8], image[-8, -8]]
    assert "".join(min(colours, key=lambda name: np.abs(colours[name] - pixel).sum()) for pixel in seen) == corners


def test_pixels_that_are_not_square_become_so(tmp_path: Path) -> None:
    y, x = np.mgrid[:96, :80]
    disc = np.where(((x - 40) * 2) ** 2 + (y - 48) ** 2 < 30**2, 255, 0).astype(np.uint8)
    frames = [np.stack([disc] * 3, -1)] * 13
    path = write_video(tmp_path / "a.mkv", frames, SILENCE, size=(80, 96), pixel_aspect=Fraction(2, 1))
    image = picture_of(path)
    assert image.shape == (96, 160, 3)
    rows, columns = np.nonzero(image[..., 0] > 128)
    assert abs(np.ptp(rows) - np.ptp(columns)) <= 3


@pytest.mark.parametrize("codec", ["libx264", "mpeg2video"])
def test_the_two_fields_of_interlaced_frames_are_not_mixed(tmp_path: Path, codec: str) -> None:
    moments = [np.zeros((96, 160, 3), np.uint8) for _ in range(50)]
    for i, moment in enumerate(moments):
        moment[:, 3 * i : 3 * i + 24] = 255
    woven = [moments[2 * i].copy() for i in range(25)]
    for i, frame in enumerate(woven):
        frame[1::2] = moments[2 * i + 1][1::2]
    sound = make_sound("silence", 0, 1.0)
    combs = {}
    for interlaced in (False, True):
        path = write_video(
            tmp_path / f"{interlaced}.mkv", woven, sound, size=(160, 96), codec=codec, interlaced=interlaced
        )
        with VideoFile(path) as video:
            images = [frame.image[20:-20, :, 0].astype(int) for frame in video.frames(0.2, 0.8, 25)]
        assert len(images) == 15
        combs[interlaced] = np.mean([np.abs(image[1:] - image[:-1]).mean() for image in images])
    assert combs[True] < 0.3 * combs[False]


@pytest.mark.parametrize("transfer", ["pq", "hlg"])
def test_high_dynamic_range_looks_as_ordinary_pictures_do(tmp_path: Path, transfer: str) -> None:
    colours = [(200, 150, 120), (120, 80, 60), (60, 40, 30), (90, 120, 160), (128, 128, 128)]
    frame = np.concatenate([solid(colour, (32, 64)) for colour in colours], 1)
    path = write_video(
        tmp_path / "a.mkv", [frame] * 13, SILENCE, size=(160, 64), codec="libx265", pixel_format="yuv420p10le",
        transfer=transfer,
    )  # fmt: skip
    image = picture_of(path).astype(int)
    for i, colour in enumerate(colours):
        assert np.abs(image[32, 32 * i + 16] - colour).max() <= 14, (colour, image[32, 32 * i + 16])


def test_10_bits_become_8(tmp_path: Path) -> None:
    frames = [solid((200, 150, 120), (64, 64))] * 13
    path = write_video(tmp_path / "a.mkv", frames, SILENCE, size=(64, 64), codec="ffv1", pixel_format="yuv444p10le")
    assert np.abs(picture_of(path).astype(int) - (200, 150, 120)).max() <= 3


@pytest.mark.parametrize("colorspace, size", [(1, (64, 64)), (5, (64, 64)), (1, (1280, 720))])
def test_colours_are_right_for_either_matrix(tmp_path: Path, colorspace: int, size: tuple[int, int]) -> None:
    frames = [solid((200, 60, 40), size)] * 13
    path = write_video(tmp_path / "a.mkv", frames, SILENCE, size=size, colorspace=colorspace)
    assert np.abs(picture_of(path).astype(int) - (200, 60, 40)).max() <= 6


def test_transparency_lies_over_white(tmp_path: Path) -> None:
    frames = [solid((200, 0, 0, 128), (64, 64))] * 13
    path = write_video(tmp_path / "a.mov", frames, SILENCE, size=(64, 64), codec="png", pixel_format="rgba")
    assert np.abs(picture_of(path).astype(int) - (227, 127, 127)).max() <= 3


def test_large_pictures_are_reduced_and_huge_ones_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frames = [solid((200, 60, 40), (1920, 1080))] * 3
    path = write_video(tmp_path / "a.mp4", frames, SILENCE, size=(1920, 1080), fps=6)
    assert picture_of(path).shape == (720, 1280, 3)
    monkeypatch.setattr(picture, "MAX_PIXELS", 1_000_000)
    assert refusal(path) == "too-large"


def test_cover_art_is_no_video(tmp_path: Path) -> None:
    path = tmp_path / "a.m4a"
    with av.open(str(path), "w", format="mp4") as container:
        sound = container.add_stream("aac", rate=48_000, layout="mono")
        cover = container.add_stream("mjpeg", rate=1)
        cover.width = cover.height = 64
        cover.pix_fmt = "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        container.mux(cover.encode(av.VideoFrame.from_ndarray(solid((9, 9, 9), (64, 64)), "rgb24")))
        for i in range(20):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
            frame.sample_rate, frame.pts, frame.time_base = 48_000, 1024 * i, Fraction(1, 48_000)
            container.mux(sound.encode(frame))
        container.mux([*cover.encode(None), *sound.encode(None)])
    assert refusal(path) == "no-video"


def test_files_that_lack_something_say_what(tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "page.mp4").write_text("<html><body>Sign in to confirm</body></html>" * 99)
    write_video(tmp_path / "mute.mp4", [solid((9, 9, 9), (64, 64))] * 25, None, size=(64, 64))
    write_video(tmp_path / "dark.mp4", [], make_sound("speech", 0, 1.0), size=(64, 64), codec="")
    reasons = {name: refusal(tmp_path / f"{name}.mp4") for name in ("empty", "page", "mute", "dark", "missing")}
    assert reasons == {
        "empty": "empty", "page": "unreadable", "mute": "no-audio", "dark": "no-video", "missing": "unreadable",
    }  # fmt: skip


def test_what_is_not_wholly_there_is_truncated(tmp_path: Path) -> None:
    path = make_clock_video(tmp_path / "a.mp4", 4.0)
    assert refusal(path, 3.0, 5.0) == "truncated"
    assert refusal(path, 10.0, 12.0) == "truncated"
    assert refusal(path, -2.0, 1.0) == "truncated"
    with VideoFile(path) as video:
        assert abs(video.waveform(3.0, 4.2).size / SAMPLE_RATE - 1.0) < 0.1  # sound and picture seldom end together


@pytest.mark.parametrize("share", [0.4, 0.8])
@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_half_a_file_is_refused_where_its_end_is_wanted(tmp_path: Path, name: str, share: float) -> None:
    options = {"movflags": "faststart"} if name == "a.mp4" else {}
    path = make_clock_video(tmp_path / name, 6.0, container_options=options)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    assert refusal(path, 4.5, 6.0) in ("truncated", "damaged")
    with VideoFile(path) as video:
        assert len(list(video.frames(0.0, 1.0, 2))) == 2  # what is there can be used


def test_damaged_pictures_are_refused_and_end(tmp_path: Path) -> None:
    path = make_talking_video(tmp_path / "a.mp4", seconds=2.0, keyframe_interval=10)
    content = bytearray(path.read_bytes())
    rng = np.random.default_rng(0)
    begin = content.index(b"mdat") + 4
    for at in rng.integers(begin, begin + (len(content) - begin) * 9 // 10, 4000):
        content[at] = rng.integers(256)
    path.write_bytes(content)
    try:
        with VideoFile(path) as video:
            video.waveform(0.0, 2.0)
            list(video.frames(0.0, 2.0, 2))
    except MediaError as error:
        assert error.reason in ("damaged", "truncated", "unreadable", "not-finite")


def test_hours_are_not_decoded(tmp_path: Path) -> None:
    path = make_clock_video(tmp_path / "a.mp4", 2.0)
    assert refusal(path, 0.0, 4000.0) == "too-long"


def test_a_playlist_that_calls_itself_a_video_opens_nothing(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/x.ts"
        (tmp_path / "a.mp4").write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{url}\n#EXT-X-ENDLIST\n")
        assert refusal(tmp_path / "a.mp4") == "unreadable"
        server.settimeout(0.1)
        with pytest.raises(TimeoutError):
            server.accept()
