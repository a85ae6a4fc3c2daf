"""Where files begin and end, and where in them pictures and tones lie, whatever their container and its clock."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data.errors import MediaError
from data.media.audio import read_waveform
from data.media.timeline import read_timeline
from data.media.waveform import SAMPLE_RATE
from data.videos.watch.decode import VideoFile
from tests.time_cases import CHOICES, SOUND_ALONE, TOLERANCE, Case, run_case, simplified, write_case

NUM_CASES = 60


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("clocks")


@settings(max_examples=NUM_CASES, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(case=st.builds(Case, **{name: st.sampled_from(values) for name, values in CHOICES.items()}))
def test_all_that_is_published_lies_where_it_lies_in_its_source(folder: Path, case: Case) -> None:
    case = simplified(case)
    result = run_case(case, folder)
    if result.reason:
        assert result.reason == "clock-jumps" and (case.joined or case.gap == "late"), result
    else:
        assert result.error <= TOLERANCE and result.num_checked > 0, result


def refusal(path: Path) -> str:
    with pytest.raises(MediaError) as caught, VideoFile(path) as video:
        video.waveform(video.begin, None)
    assert str(path) in str(caught.value)
    return caught.value.reason


@pytest.mark.parametrize("container", ["ts", "ps", "flv", "mkv", "fragmented mp4"])
def test_two_recordings_joined_in_one_file_are_refused(folder: Path, container: str) -> None:
    path = write_case(Case(container, joined=True), folder)
    assert refusal(path) == "clock-jumps"
    with pytest.raises(MediaError) as caught:
        read_waveform(path)
    assert caught.value.reason == "clock-jumps"


def test_recordings_joined_with_a_leap_or_with_other_streams_are_refused(folder: Path) -> None:
    early = write_case(Case("ts"), folder).read_bytes()
    late = write_case(Case("ts", offset=100.0), folder).read_bytes()
    path = folder / "joined.ts"
    for content in (early + late, late + early):
        path.write_bytes(content)
        assert refusal(path) == "clock-jumps"
    other = folder / "other.ts"
    with (
        av.open(str(write_case(Case("ts"), folder))) as reader,
        av.open(str(other), "w", format="mpegts", options={"mpegts_start_pid": "512"}) as writer,
    ):
        copies = {stream.index: writer.add_stream_from_template(stream) for stream in reader.streams}
        for packet in reader.demux():
            if packet.dts is not None:
                packet.stream = copies[packet.stream.index]
                writer.mux(packet)
    path.write_bytes(early + other.read_bytes())
    assert refusal(path) == "clock-jumps"


def test_a_clock_that_wraps_goes_on(folder: Path) -> None:
    path = write_case(Case("ts", offset=95440.0), folder)
    with VideoFile(path) as video:
        assert 4.9 < video.end - video.begin < 5.2
        assert abs(video.waveform(video.begin, None).size / SAMPLE_RATE - 5) < 0.2


@pytest.mark.parametrize("container", ["mp4", "mkv", "ts", "flv", "ps"])
@pytest.mark.parametrize("offset", [0.667, 5000.0])
def test_a_video_begins_at_its_first_time_stamp(folder: Path, container: str, offset: float) -> None:
    path = write_case(Case(container, offset=offset), folder)
    with VideoFile(path) as video:
        assert 4.9 < video.waveform(video.begin, None).size / SAMPLE_RATE < 5.2
        assert next(video.frames(video.begin, video.begin + 1, 2)).time == pytest.approx(video.begin, abs=TOLERANCE)


def test_of_streams_that_begin_and_end_apart_the_part_counts_where_both_exist(folder: Path) -> None:
    for delay, shorter, wanted in ((1.0, "none", (1.0, 5.0)), (-1.0, "none", (1.0, 5.0)), (0.0, "sound", (0.0, 3.5))):
        with VideoFile(write_case(Case("mp4", delay=delay, shorter=shorter), folder)) as video:
            start, end = video.part(None, None)
            assert end is not None
            assert (start - video.begin, end - video.begin) == pytest.approx(wanted, abs=0.05)
            with pytest.raises(MediaError):
                video.part(video.begin + 5.7, video.begin + 8)


@pytest.mark.parametrize("container", ["ts", "ps", "flv"])
def test_sound_that_ends_before_the_pictures_is_read_alone(folder: Path, container: str) -> None:
    waveform = read_waveform(write_case(Case(container, shorter="sound"), folder))
    assert waveform.size / SAMPLE_RATE == pytest.approx(3.5, abs=0.1)


def test_what_an_index_promises_is_missed(folder: Path) -> None:
    for container in ("mp4", "mkv"):
        path = write_case(Case(container), folder)
        content = path.read_bytes()
        path.write_bytes(content[: len(content) // 2])
        assert refusal(path) in ("truncated", "unreadable")


@pytest.mark.parametrize("container", SOUND_ALONE)
def test_lengths_come_from_packets_not_from_guesses(folder: Path, container: str) -> None:
    path = write_case(Case(container), folder)
    timeline = read_timeline(path)
    seconds = timeline.end(0) - timeline.begin(0)
    assert seconds == pytest.approx(5.0, abs=0.1)
    assert read_waveform(path).size / SAMPLE_RATE == pytest.approx(seconds, abs=0.06)


@pytest.mark.parametrize("container", ["m4a", "ogg", "mkv", "mp4", "webm"])
def test_a_pause_in_which_nothing_was_sent_is_silence(folder: Path, container: str) -> None:
    waveform = read_waveform(write_case(Case(container, gap="sound"), folder))
    assert waveform.size / SAMPLE_RATE == pytest.approx(5.0, abs=0.1)
    assert np.abs(waveform[round(2.2 * SAMPLE_RATE) : round(2.8 * SAMPLE_RATE)]).max() == 0
    assert np.abs(waveform[round(3.48 * SAMPLE_RATE) : round(3.6 * SAMPLE_RATE)]).max() > 0.2
