import email.utils
import errno
import time
from types import SimpleNamespace

import pytest
from yt_dlp.networking.exceptions import HTTPError, IncompleteRead, TransportError
from yt_dlp.utils import DownloadError, ExtractorError, GeoRestrictedError, UnsupportedError, UserNotLive

from data.errors import FetchStopped, MediaError, OutputError
from data.videos.download.refusals import explain

URL = "https://www.youtube.com/watch?v=-1nRm4tQL0A"


def reported(error: Exception) -> DownloadError:
    """As yt-dlp hands it on."""
    return DownloadError(f"\x1b[0;31mERROR:\x1b[0m {error}", (type(error), error, None))


def youtube_says(message: str) -> DownloadError:
    return reported(ExtractorError(f"[youtube] -1nRm4tQL0A: {message}", expected=True))


def http_error(status: int, **headers: str) -> HTTPError:
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    return HTTPError(SimpleNamespace(status=status, reason="Because", headers=headers, close=lambda: None))


# What YouTube said to users of yt-dlp, as its issues and its own source quote it.
@pytest.mark.parametrize(
    "reason, message",
    [
        ("gone", "Video unavailable"),
        ("gone", "This video is unavailable"),
        ("gone", "Video unavailable. This video has been removed by the uploader"),
        ("gone", "This video has been removed for violating YouTube's policy on hate speech."),
        (
            "gone",
            "Video unavailable. This video is no longer available because the YouTube account associated with this "
            "video has been terminated.",
        ),
        ("gone", "Video unavailable. This video is no longer available because the uploader has closed their account"),
        ("gone", "This video does not exist"),
        ("gone", "Incomplete YouTube ID abc. URL https://www.youtube.com/watch?v=abc looks truncated."),
        (
            "private",
            "Private video. Sign in if you've been granted access to this video. Use --cookies-from-browser or "
            "--cookies for the authentication. See  https://github.com/yt-dlp/yt-dlp/wiki/FAQ  for how to do so",
        ),
        ("private", "Video unavailable. This video is private"),
        ("private", "Join this channel to get access to members-only content like this video, and other perks."),
        (
            "private",
            "This video is available to this channel's members on level: MemberShrimp! (or any higher level). Join "
            "this channel to get access to members-only content and other exclusive perks.",
        ),
        ("private", "This video is only available to Music Premium members"),
        ("private", "This video requires payment to watch."),
        ("age-restricted", "Sign in to confirm your age. This video may be inappropriate for some users."),
        ("blocked", "The uploader has not made this video available in your country"),
        ("blocked", "Video unavailable. The uploader has not made this video available in your country"),
        (
            "blocked",
            "Video unavailable. This video contains content from SME, who has blocked it in your country on copyright "
            "grounds",
        ),
        ("live", "This live event will begin in 3 days."),
        ("live", "Premieres in 5 hours"),
        ("live", "This live event has ended."),
        ("no-format", "Requested format is not available. Use --list-formats for a list of available formats"),
        ("no-format", "No video formats found!; please report this issue on  https://github.com/yt-dlp/yt-dlp/issues"),
        ("no-format", "This video is DRM protected"),
        ("fetch-failed", "Something that nobody has ever seen"),
    ],
)
def test_what_youtube_says_has_a_name(reason: str, message: str) -> None:
    refusal = explain(youtube_says(message), URL)
    assert refusal.error.reason == reason
    assert refusal.wait is None
    assert str(refusal.error).startswith(f"{URL}: {message[:20]}")
    assert "\n" not in str(refusal.error) and "--cookies" not in str(refusal.error)
    assert "report this issue" not in str(refusal.error)


@pytest.mark.parametrize(
    "message",
    [
        "Sign in to confirm you\u2019re not a bot. This helps protect our community. Learn more",
        "Sign in to confirm you're not a bot. Use --cookies-from-browser or --cookies for the authentication.",
        "Video unavailable. This content isn't available, try again later. The current session has been rate-limited "
        "by YouTube for up to an hour.",
        "This content isn\u2019t available, try again later.",
    ],
)
def test_a_check_for_robots_stops_everything(message: str) -> None:
    with pytest.raises(FetchStopped, match=r"--max-per-hour.*--cookies.*same command again") as caught:
        explain(youtube_says(message), URL)
    assert "\n" not in str(caught.value)


def test_a_check_for_robots_counts_before_the_status_it_comes_with() -> None:
    error = ExtractorError("Sign in to confirm you\u2019re not a bot", cause=http_error(429))
    with pytest.raises(FetchStopped):
        explain(reported(error), URL)


@pytest.mark.parametrize(
    "status, reason",
    [(401, "private"), (403, "blocked"), (404, "gone"), (410, "gone"), (418, "blocked"), (451, "blocked")],
)
def test_a_status_decides_whatever_the_message_says(status: int, reason: str) -> None:
    refusal = explain(reported(ExtractorError("Unable to download webpage", cause=http_error(status))), URL)
    assert (refusal.error.reason, refusal.wait) == (reason, None)


def test_a_failing_server_is_asked_again() -> None:
    refusal = explain(reported(ExtractorError("Unable to download webpage", cause=http_error(500))), URL)
    assert (refusal.error.reason, refusal.wait, refusal.is_busy) == ("network", 0.0, False)


@pytest.mark.parametrize("status, reason", [(429, "blocked"), (503, "network")])
def test_a_busy_server_says_how_long_to_wait(status: int, reason: str) -> None:
    refusal = explain(reported(http_error(status, Retry_After="7")), URL)
    assert (refusal.error.reason, refusal.wait, refusal.is_busy) == (reason, 7.0, True)
    date = email.utils.formatdate(time.time() + 30, usegmt=True)
    assert 25 < explain(http_error(status, Retry_After=date), URL).wait <= 31
    for odd in ("soon", "", "-3"):
        assert explain(http_error(status, Retry_After=odd), URL).wait == 0.0
    assert explain(http_error(status), URL).wait == 0.0


@pytest.mark.parametrize(
    "error, is_tried_again",
    [
        (TransportError("Connection reset by peer"), True),
        (IncompleteRead(10, 20), True),
        (ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused"), True),
        (TransportError("Failed to resolve 'www.youtube.com' ([Errno -2] Name or service not known)"), True),
        (TransportError("Read timed out."), False),
        (TransportError(cause=TimeoutError("timed out")), False),
    ],
)
def test_the_network_is_to_blame_and_silence_is_not_waited_for_twice(error: Exception, is_tried_again: bool) -> None:
    for wrapped in (error, reported(ExtractorError("Unable to download webpage", cause=error)), reported(error)):
        refusal = explain(wrapped, URL)
        assert refusal.error.reason == "network"
        assert (refusal.wait is not None) == is_tried_again


def test_messages_name_the_network_where_yt_dlp_has_no_exception_left() -> None:
    for message in ("content too short (expected 9 bytes and served 4)", "[download] Got error: 4 bytes read"):
        assert explain(DownloadError(f"ERROR: {message}", (None, None, None)), URL).error.reason == "network"


def test_other_exceptions_of_yt_dlp_have_names() -> None:
    assert explain(reported(GeoRestrictedError("Not here")), URL).error.reason == "blocked"
    assert explain(reported(UserNotLive()), URL).error.reason == "live"
    assert explain(reported(UnsupportedError(URL)), URL).error.reason == "not-a-video"


def test_reasons_that_were_given_stay() -> None:
    refusal = explain(reported(MediaError("too-large", "9 GiB")), URL)
    assert (refusal.error.reason, str(refusal.error)) == ("too-large", f"{URL}: 9 GiB")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EFBIG, errno.EDQUOT])
def test_a_full_disk_is_no_failure_of_the_video(number: int) -> None:
    error = OSError(number, "it does not fit")
    for wrapped in (error, reported(error)):
        with pytest.raises(OutputError, match="free some space"):
            explain(wrapped, URL)


def test_a_full_disk_is_seen_in_what_yt_dlp_and_ffmpeg_say() -> None:
    with pytest.raises(OutputError):
        explain(DownloadError("ERROR: unable to write data: [Errno 28] No space left on device"), URL)
    with pytest.raises(OutputError):
        explain(DownloadError("ERROR: Conversion failed!"), URL, ["av_interleaved_write_frame(): File too large"])
