from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.media.waveform import Span
from data.videos.watch.segments import Segment, choose_segments

CLIP, MAX_CLIPS, MIN_SPEECH = 6.0, 10, 1.0


def choose(speech: list[Span], duration: float) -> list[Segment]:
    return choose_segments(speech, duration, CLIP, MAX_CLIPS, MIN_SPEECH)


@st.composite
def talks(draw: st.DrawFn) -> tuple[list[Span], float]:
    """Speech and pauses in turn, down to a hundredth of a second and up to a long monologue."""
    lengths = draw(st.lists(st.floats(0.01, 40.0), max_size=60))
    edges = list(itertools.accumulate(lengths, initial=draw(st.floats(0, 30))))
    spans = list(zip(edges[::2], edges[1::2], strict=False))
    return spans, edges[-1] + draw(st.floats(0, 30))


def heard(spans: list[Span], start: float, end: float) -> float:
    return sum(max(0.0, min(end, b) - max(start, a)) for a, b in spans)


@given(talks())
def test_clips_lie_within_the_video_in_order_without_overlap_and_tell_their_speech(
    talk: tuple[list[Span], float],
) -> None:
    spans, duration = talk
    segments = choose(spans, duration)
    assert len(segments) <= MAX_CLIPS
    for segment in segments:
        assert 0 <= segment.start < segment.end <= duration
        assert segment.speech == pytest.approx(heard(spans, segment.start, segment.end), abs=1e-4)
        assert segment.speech >= MIN_SPEECH
        assert duration < 2 * CLIP or segment.end - segment.start == pytest.approx(CLIP)
    assert all(one.end <= other.start + 1e-9 for one, other in itertools.pairwise(segments))
    if len(segments) > 1:
        assert all(segment.speech >= CLIP / 2 for segment in segments)


@given(talks())
def test_a_video_with_a_window_of_enough_speech_gives_a_clip(talk: tuple[list[Span], float]) -> None:
    spans, duration = talk
    most = max((heard(spans, a, min(a + CLIP, duration)) for a, _ in spans), default=0.0)
    if most > MIN_SPEECH + 1e-3:
        assert choose(spans, duration)


@given(talks(), st.floats(0, 1))
def test_no_window_of_the_video_holds_more_speech_than_a_single_chosen_one(
    talk: tuple[list[Span], float], where: float
) -> None:
    spans, duration = talk
    segments = choose(spans, duration)
    if len(segments) == 1 and duration >= 2 * CLIP:
        start = where * (duration - CLIP)
        other = heard(spans, start, start + CLIP)
        # One of several parts that alone was mostly speech may hold less than a window across parts.
        assert other <= max(segments[0].speech, CLIP / 2) + 1e-4 or heard(spans, 0, duration) >= 2 * CLIP


def test_a_short_video_is_one_clip_as_it_is() -> None:
    assert choose([(1.0, 4.0), (5.0, 9.0)], 11.0) == [Segment(0.0, 11.0, 7.0)]


def test_clips_of_a_long_talk_are_spread_over_the_whole_of_it() -> None:
    segments = choose([(0.0, 3600.0)], 3600.0)
    assert [segment.start for segment in segments] == pytest.approx([360.0 * i for i in range(10)])


def test_clips_come_from_where_somebody_speaks() -> None:
    minute = [(1800.0 + 6 * i, 1805.5 + 6 * i) for i in range(10)]
    segments = choose(minute, 3600.0)
    assert len(segments) == 9  # 55 seconds of speech
    assert all(segment.start >= 1794.0 and segment.end <= 1866.0 for segment in segments)
    assert all(segment.speech >= 5.0 for segment in segments)


def test_a_video_of_scattered_words_gives_its_window_with_most_of_them() -> None:
    words = [(10.0 * i, 10.0 * i + 1.2) for i in range(6)] + [(73.0, 74.0), (76.0, 77.0)]
    (segment,) = choose(words, 90.0)
    assert segment.speech == pytest.approx(2.0) and segment.start <= 73.0 and segment.end >= 77.0


@pytest.mark.parametrize("speech", [[], [(3.0, 3.5)]])
@pytest.mark.parametrize("duration", [0.0, 5.0, 500.0])
def test_a_video_in_which_nobody_speaks_for_long_gives_nothing(speech: list[Span], duration: float) -> None:
    assert choose(speech, duration) == []


def test_speech_beyond_the_end_of_the_video_does_not_count() -> None:
    assert choose([(4.5, 60.0)], 5.0) == []
