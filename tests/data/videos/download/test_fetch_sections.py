"""Second t of a video lies where `SourceFile.origin` says, however it was fetched: pictures and tones tell the time."""

from __future__ import annotations

import itertools
from pathlib import Path

import av
import pytest

from data.errors import MediaError
from data.media.timeline import read_timeline
from data.media.waveform import SAMPLE_RATE
from data.personas.footage.server import Fault, VideoServer
from data.videos.download.config import FetchConfig
from data.videos.download.fetch import fetch
from data.videos.plan.requests import SourceFile, VideoRequest
from data.videos.watch.decode import VideoFile
from tests.clock_video import FPS, find_tones, read_frames, read_number, read_tones
from tests.data.videos.conftest import CLOCK_SECONDS

pytestmark = pytest.mark.slow  # yt-dlp starts ffmpeg

MARGIN = 1.0
EXACT = 0.0015  # Matroska counts milliseconds
ABOUT = 0.025  # what is known of the clock of a broadcast: its first packet


def row(video_id: str, start: float | None = None, end: float | None = None) -> VideoRequest:
    return VideoRequest(0, video_id, video_id, video_id, start, end)


def config(folder: Path, server: VideoServer, **changes: object) -> FetchConfig:
    settings = {"url_template": server.url_template, "margin": MARGIN, "socket_timeout": 20.0, "retries": 0}
    return FetchConfig(folder, **{**settings, **changes})


def assert_tells_the_time(source: SourceFile, start: float, end: float, tolerance: float = EXACT) -> None:
    """All frames and tones of [start, end] are there, and each is where it should be."""
    timeline = read_timeline(source.path)
    used = [index for index, stream in enumerate(timeline.streams) if stream.kind in ("video", "audio")]
    origin = timeline.begin(*used) if source.origin is None else source.origin
    frames = read_frames(source.path)
    assert max(abs(shown - (pts - origin)) for pts, shown in frames) <= tolerance
    shown = {round(second, 2) for _, second in frames}
    wanted = {number / 25 for number in range(round(CLOCK_SECONDS * 25)) if start <= number / 25 <= end}
    assert wanted <= shown
    tones = read_tones(source.path)
    assert max(abs(told - (pts - origin)) for pts, told in tones) <= tolerance + 0.002
    assert {half / 2 for half in range(1, 23) if start <= half / 2 - 0.2 and half / 2 + 0.2 <= end} <= {
        told for _, told in tones
    }


@pytest.mark.parametrize("start, end", [(0.0, 2.0), (4.3, 7.3), (5.0, 6.0), (9.96, 11.5), (10.5, 14.0)])
@pytest.mark.parametrize("name", ["fast.mp4", "slow.mp4", "fragmented.mp4", "plain.webm", "b-frames.mkv"])
def test_a_section_is_cut_exactly(
    name: str, start: float, end: float, clock_videos: dict[str, Path], tmp_path: Path
) -> None:
    with VideoServer({"id": clock_videos[name]}) as server:
        source = fetch(row("id", start, end), config(tmp_path, server))
    assert_tells_the_time(source, max(0.0, start - MARGIN), end + MARGIN)


@pytest.mark.parametrize("name", ["fast.mp4", "plain.webm", "pictures.mp4"])
def test_a_section_holds_no_more_than_its_keyframes_ask_for(
    name: str, clock_videos: dict[str, Path], tmp_path: Path
) -> None:
    with VideoServer({"id": clock_videos[name]}) as server:
        source = fetch(row("id", 5.5, 7.0), config(tmp_path, server))
    shown = [second for _, second in read_frames(source.path)]
    assert 4.0 <= shown[0] <= 4.5
    assert 8.0 <= shown[-1] <= 8.2


@pytest.mark.parametrize(
    "name", ["fast.mp4", "slow.mp4", "fragmented.mp4", "plain.webm", "b-frames.mkv", "broadcast.ts"]
)
def test_a_whole_video_keeps_its_clock(name: str, clock_videos: dict[str, Path], tmp_path: Path) -> None:
    with VideoServer({"id": clock_videos[name]}) as server:
        source = fetch(row("id", 5.0, 6.0), config(tmp_path, server, section=False))
    assert Path(source.path).read_bytes() == clock_videos[name].read_bytes()
    assert_tells_the_time(source, 0.0, CLOCK_SECONDS, ABOUT if name.endswith(".ts") else EXACT)


def test_a_broadcast_is_fetched_whole_where_a_section_is_asked_for(
    clock_videos: dict[str, Path], tmp_path: Path
) -> None:
    with VideoServer({"id": clock_videos["broadcast.ts"]}) as server:
        source = fetch(row("id", 5.0, 6.0), config(tmp_path, server))
    assert_tells_the_time(source, 0.0, CLOCK_SECONDS, ABOUT)


def test_a_video_in_fragments_is_fetched_whole(clock_videos: dict[str, Path], tmp_path: Path) -> None:
    with VideoServer(clock_videos) as server:
        server.files["id"] = tmp_path / "list.m3u8"
        server.files["id"].write_text(
            f"#EXTM3U\n#EXT-X-TARGETDURATION:12\n#EXTINF:12,\n{server.url('broadcast.ts')}\n#EXT-X-ENDLIST\n"
        )
        source = fetch(row("id", 5.0, 6.0), config(tmp_path / "sources", server))
    assert_tells_the_time(source, 0.0, CLOCK_SECONDS, ABOUT)


@pytest.mark.parametrize("kind", ["no-ranges", "no-length"])
def test_a_server_without_byte_ranges_gives_the_whole_video(
    kind: str, clock_videos: dict[str, Path], tmp_path: Path
) -> None:
    with VideoServer({"id": clock_videos["fast.mp4"]}, {"id": Fault(kind)}) as server:
        source = fetch(row("id", 5.0, 6.0), config(tmp_path, server))
    assert_tells_the_time(source, 0.0, CLOCK_SECONDS)


def write_manifest(path: Path, server: VideoServer, pictures: dict[int, str], sound: str, kind: str = "static") -> Path:
    """Pictures, by height, and sound in files of their own, as YouTube has them."""
    sizes = "".join(
        f"""<Representation id="{height}" codecs="avc1.64000a" bandwidth="9999" width="{2 * height}" height="{height}">
<BaseURL>{server.url(name)}</BaseURL></Representation>"""
        for height, name in pictures.items()
    )
    sound_type, codec = ("webm", "opus") if sound.endswith("webm") else ("mp4", "mp4a.40.2")
    path.write_text(
        f"""<?xml version="1.0"?>
<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="{kind}" mediaPresentationDuration="PT{CLOCK_SECONDS}S"><Period>
<AdaptationSet mimeType="video/mp4">{sizes}</AdaptationSet><AdaptationSet mimeType="audio/{sound_type}">
<Representation id="a" codecs="{codec}" bandwidth="999" audioSamplingRate="48000"><BaseURL>{server.url(sound)}</BaseURL>
</Representation></AdaptationSet></Period></MPD>"""
    )
    return path


@pytest.mark.parametrize("sound", ["sound.m4a", "sound.webm"])
@pytest.mark.parametrize("is_section", [True, False])
def test_separate_pictures_and_sound_come_together_again(
    is_section: bool, sound: str, clock_videos: dict[str, Path], tmp_path: Path
) -> None:
    with VideoServer(clock_videos) as server:
        server.files["id"] = write_manifest(tmp_path / "a.mpd", server, {360: "pictures.mp4"}, sound)
        source = fetch(row("id", 4.3, 7.3), config(tmp_path / "sources", server, section=is_section))
    start, end = (4.3 - MARGIN, 7.3 + MARGIN) if is_section else (0.0, CLOCK_SECONDS)
    assert_tells_the_time(source, start, end)


def test_the_pictures_chosen_are_the_greatest_that_are_not_too_large(
    clock_videos: dict[str, Path], tmp_path: Path
) -> None:
    with VideoServer(clock_videos) as server:
        names = {height: f"p{height}" for height in (240, 480, 1080)}
        server.files |= {name: clock_videos["pictures.mp4"] for name in names.values()}
        server.files["id"] = write_manifest(tmp_path / "a.mpd", server, names, "sound.m4a")
        for height, chosen in ((480, "p480"), (720, "p480"), (100, "p240")):
            server.requests.clear()
            fetch(row("id", 4.3, 7.3), config(tmp_path / "sources", server, height=height))
            asked = {request.video_id for request in server.requests}
            assert asked == {"id", chosen, "sound.m4a"}


def test_a_live_stream_is_refused(clock_videos: dict[str, Path], tmp_path: Path) -> None:
    with VideoServer(clock_videos) as server:
        server.files["id"] = write_manifest(tmp_path / "a.mpd", server, {360: "pictures.mp4"}, "sound.m4a", "dynamic")
        with pytest.raises(MediaError) as caught:
            fetch(row("id", 4.3, 7.3), config(tmp_path / "sources", server))
    assert caught.value.reason == "live"


def test_a_section_behind_the_end_is_refused(clock_videos: dict[str, Path], tmp_path: Path) -> None:
    for name in ("fast.mp4", "plain.webm", "b-frames.mkv"):
        with VideoServer({name: clock_videos[name]}) as server, pytest.raises(MediaError) as caught:
            fetch(row(name, 20.0, 22.0), config(tmp_path, server))
        assert caught.value.reason == "out-of-range"
        assert "12" in str(caught.value) and server.url(name) in str(caught.value)


def test_a_section_keeps_the_turn_of_the_pictures(clock_videos: dict[str, Path], tmp_path: Path) -> None:
    turned = tmp_path / "turned.mp4"
    with av.open(str(clock_videos["fast.mp4"])) as source, av.open(str(turned), "w") as target:
        copies = {stream: target.add_stream_from_template(stream) for stream in source.streams}
        target.start_encoding()
        for packet in source.demux():
            if packet.dts is not None:
                packet.stream = copies[packet.stream]
                target.mux(packet)
    # The matrix of the picture's track header, for a quarter turn.
    content = bytearray(turned.read_bytes())
    place = content.index(b"tkhd") + 4 + 40
    quarter = [0, 1 << 16, 0, -(1 << 16), 0, 0, 32 << 16, 0, 1 << 30]
    content[place : place + 36] = b"".join(value.to_bytes(4, "big", signed=True) for value in quarter)
    turned.write_bytes(content)
    with av.open(str(turned)) as video:
        rotation = next(video.decode(video=0)).rotation
    assert abs(rotation) == 90
    with VideoServer({"id": turned}) as server:
        section = fetch(row("id", 4.3, 7.3), config(tmp_path / "sources", server))
    with av.open(section.path) as video:
        assert next(video.decode(video=0)).rotation == rotation


def muxed_anew(source: Path, target: Path, offset: float) -> Path:
    """The same packets, `offset` seconds later."""
    with av.open(str(source)) as reader, av.open(str(target), "w") as writer:
        copies = {stream.index: writer.add_stream_from_template(stream) for stream in reader.streams}
        writer.start_encoding()
        for packet in reader.demux():
            if packet.dts is not None and packet.pts is not None:
                packet.pts += round(offset / packet.time_base)
                packet.dts += round(offset / packet.time_base)
                packet.stream = copies[packet.stream.index]
                writer.mux(packet)
    return target


@pytest.mark.parametrize("offset", [0.0, 1.4, 4.4])
@pytest.mark.parametrize(
    "suffix, way", [(".ts", "playlist"), *itertools.product([".ts", ".mp4", ".mkv"], ["section", "whole"])]
)
def test_the_start_of_a_clock_is_counted_once(
    suffix: str, way: str, offset: float, clock_videos: dict[str, Path], tmp_path: Path
) -> None:
    video = muxed_anew(clock_videos["fast.mp4"], tmp_path / f"video{suffix}", offset)
    with VideoServer({"id": video, "video": video}) as server:
        if way == "playlist":
            server.files["id"] = tmp_path / "list.m3u8"
            server.files["id"].write_text(
                f"#EXTM3U\n#EXT-X-TARGETDURATION:12\n#EXTINF:12,\n{server.url('video')}\n#EXT-X-ENDLIST\n"
            )
        source = fetch(row("id", 5.0, 6.0), config(tmp_path / "sources", server, section=way != "whole"))
        assert_tells_the_time(source, 5.0 - MARGIN, 6.0 + MARGIN, ABOUT)
        again = fetch(row("id", 5.0, 6.0), config(tmp_path / "sources", server, section=way != "whole"))
    assert again == source
    with VideoFile(source.path) as opened:
        origin = opened.begin if source.origin is None else source.origin
        start, end = opened.part(origin + 5.0, origin + 6.0)
        tones = find_tones(opened.waveform(start - 0.2, end), SAMPLE_RATE)
        (frame, *_) = opened.frames(start, end, FPS)
    assert tones[0] == (pytest.approx(0.2, abs=ABOUT), 5.0)
    assert frame.time - origin == pytest.approx(read_number(frame.image.mean(-1)) / FPS, abs=ABOUT)


def test_a_playlist_of_two_recordings_is_refused(clock_videos: dict[str, Path], tmp_path: Path) -> None:
    with VideoServer(clock_videos) as server:
        server.files["id"] = tmp_path / "list.m3u8"
        part = f"#EXTINF:12,\n{server.url('broadcast.ts')}\n"
        server.files["id"].write_text(
            f"#EXTM3U\n#EXT-X-TARGETDURATION:12\n{part}#EXT-X-DISCONTINUITY\n{part}#EXT-X-ENDLIST\n"
        )
        source = fetch(row("id", 5.0, 6.0), config(tmp_path / "sources", server))
    with pytest.raises(MediaError) as caught:
        VideoFile(source.path)
    assert caught.value.reason == "clock-jumps"
