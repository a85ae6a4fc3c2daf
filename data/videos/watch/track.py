"""The speaker's face through a clip: found at the position that the list names, tracked, and its best views chosen."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from data.errors import MediaError, Reason
from data.faces.alignment import CROP_REGION, similarity_to_template
from data.faces.analyzer import DOMINANT_AREA_RATIO, FaceAnalyzer, fits_box
from data.faces.protocol import Box, DetectedFace
from data.videos.watch.decode import Frame
from data.videos.watch.quality import (
    MAX_SHADOWS,
    MAX_TURN,
    MIN_HIGHLIGHTS,
    MIN_SHARPNESS,
    STILL_CHANGE,
    STILL_PIXELS,
    Quality,
    change,
    grey_box,
    measure,
)

MAX_DISTANCE = 0.75
"""Largest distance of a face from the position that a list names, in longer sides of the face's box: the position lies
on the face or on its edge, so that nobody else is taken where the detector misses the speaker."""

MIN_LEAD = 0.25
"""Least difference to the distance of the next face, on the same scale: half the distance of two heads that touch."""

MAX_STEP = 0.6
"""Largest motion of a face from one sample to the next, in longer sides of its box; a face further away is another."""

MAX_GROWTH = 1.6
"""Largest factor by which a face grows or shrinks from one sample to the next."""

MIN_SHARE = 0.5
"""Least share of a clip's samples with the face; in the rest another person may speak."""

_SEARCH_SECONDS = 1.0  # within which the speaker must appear
_LOST_SECONDS = 1.6  # without the face: three samples at 2 a second
_MIN_RELATIVE_SCORE = 0.5  # against the best view of the clip
_MARGIN = 4  # px around a crop
_MIN_VIEWS = 3  # two changes are enough to recognise a slide


@dataclass(frozen=True)
class View:
    """The face in one sampled frame.

    Attributes:
        time: Second on the file's clock.
        image: Part of the frame around the face, [H, W, 3] uint8 RGB.
        to_template: [2, 3] similarity transform from `image` to the template.
        quality: Measurements of the face.
        first_box: [32, 32] grey levels of the frame within the face's box of the first view.
    """

    time: float
    image: NDArray[np.uint8]
    to_template: NDArray[np.float64]
    quality: Quality
    first_box: NDArray[np.float32]


@dataclass(frozen=True)
class Track:
    """One face through a clip.

    Attributes:
        views: Views that are good enough, in the order of time.
        position: Relative (x, y) of the centre of the face's box where the track begins.
        end: Second on the file's clock of the cut that ends it; None if none does.
        flags: Word `other-faces` if more people were in the picture where the track begins, `cut` if a cut ends it.
    """

    views: list[View]
    position: tuple[float, float]
    end: float | None
    flags: tuple[str, ...]


def follow_speaker(
    frames: Iterator[Frame],
    analyzer: FaceAnalyzer,
    position: tuple[float, float] | None,
    num_samples: int,
    min_face: int,
) -> Track:
    """Track one face, and refuse clips in which it can't be used.

    Args:
        frames: Samples of a clip; read only as far as the face is there.
        analyzer: Face analyzer.
        position: Relative (x, y) of the centre of the speaker's face in the first frame; None for the face that
            dominates it.
        num_samples: Number of samples of the whole clip.
        min_face: Smallest face that is accepted, in pixels of the longer side of its box.

    Raises:
        MediaError: `no-face`, `no-speaker-face` (faces, but none at the position), `ambiguous-face` (two as near, or
            none dominates), `small-face`, `lost-face` (tracked through too little of the clip), `still-face`,
            `dark-face`, `bright-face`, `blurred-face`, `side-face`; and what reading `frames` raises.
    """
    frame, face, num_others = _find_start(frames, analyzer, position)
    if face.side < min_face:
        raise MediaError("small-face", f"the face is {face.side:.0f} px, at least {min_face} needed")
    views, end = _follow(frames, analyzer, frame, face)
    if len(views) < max(_MIN_VIEWS, MIN_SHARE * num_samples):
        what = "then it is lost" if end is None else "a cut ends it"
        raise MediaError("lost-face", f"the face is there in {len(views)} of {num_samples} samples, {what}")
    usable = _usable(views, min_face)
    _refuse_still(views)
    flags = [*(["cut"] if end is not None else []), *(["other-faces"] if num_others else [])]
    height, width = frame.image.shape[:2]
    return Track(usable, (face.centre[0] / width, face.centre[1] / height), end, tuple(flags))


def find_speaker(
    faces: Sequence[DetectedFace], size: tuple[int, int], position: tuple[float, float] | None
) -> DetectedFace | None:
    """The speaker's face in a frame; None if it is not there.

    Args:
        faces: Faces that were found.
        size: Width and height of the frame in pixels.
        position: As in `follow_speaker`.

    Raises:
        MediaError: `ambiguous-face`.
    """
    if not faces:
        return None
    if position is None:
        by_area = sorted(faces, key=lambda face: -face.area)
        if len(faces) > 1 and by_area[0].area < DOMINANT_AREA_RATIO * by_area[1].area:
            raise MediaError("ambiguous-face", f"{len(faces)} faces and none of them dominates")
        return by_area[0]
    point = position[0] * size[0], position[1] * size[1]
    distances = [math.dist(face.centre, point) / face.side for face in faces]
    nearest, *further = sorted(range(len(faces)), key=lambda i: distances[i])
    if distances[nearest] > MAX_DISTANCE:
        return None
    if further and distances[further[0]] < min(MAX_DISTANCE, distances[nearest] + MIN_LEAD):
        raise MediaError("ambiguous-face", "two faces are as near to where the list says that the speaker's is")
    return faces[nearest]


def choose_views(views: Sequence[View], num_views: int) -> list[View]:
    """The best views, spread in time.

    Args:
        views: In the order of time.
        num_views: Largest number of views that are chosen, at least 1.

    Returns:
        Views in the order of time. The best is chosen first, then again and again the view with the highest product of
        its score and its distance in time from the nearest chosen one (up to an even spread). No picture is chosen
        twice, and none that is far worse than the best.
    """
    spread = (views[-1].time - views[0].time) / num_views
    lowest = _MIN_RELATIVE_SCORE * max(view.quality.score for view in views)
    chosen: list[View] = []

    def worth(view: View) -> float:
        distance = min((abs(view.time - other.time) for other in chosen), default=math.inf)
        return view.quality.score * min(1.0, distance / max(spread, 1e-6))

    remaining = [
        view
        for i, view in enumerate(views)
        if view.quality.score >= lowest and all(view.image is not other.image for other in views[:i])
    ]
    while remaining and len(chosen) < num_views:
        best = max(range(len(remaining)), key=lambda i: worth(remaining[i]))
        chosen.append(remaining.pop(best))
    return sorted(chosen, key=lambda view: view.time)


def outside_share(view: View) -> float:
    """The share of a view's crop that lies outside the picture, where the picture's edge is repeated; in [0, 1]."""
    left, top, right, bottom = _extent(view.to_template)
    height, width = view.image.shape[:2]
    inside = (min(width, right) - max(0, left)) * (min(height, bottom) - max(0, top))
    return 1 - max(0, inside) / max(1, (right - left) * (bottom - top))


def _find_start(
    frames: Iterator[Frame], analyzer: FaceAnalyzer, position: tuple[float, float] | None
) -> tuple[Frame, DetectedFace, int]:
    """The first frame with the speaker's face, the face, and the number of other faces."""
    begin, num_faces = math.inf, 0
    for frame in frames:
        begin = min(begin, frame.time)
        faces = [face for face, _ in analyzer.find_faces(frame.image)]
        height, width = frame.image.shape[:2]
        face = find_speaker(faces, (width, height), position)
        if face is not None:
            return frame, face, len(faces) - 1
        num_faces += len(faces)
        if frame.time - begin >= _SEARCH_SECONDS:
            break
    if num_faces:
        raise MediaError("no-speaker-face", "no face is where the list says that the speaker's is")
    raise MediaError("no-face", f"no face was found in the first {_SEARCH_SECONDS:g} s")


def _follow(
    frames: Iterator[Frame], analyzer: FaceAnalyzer, frame: Frame, face: DetectedFace
) -> tuple[list[View], float | None]:
    """Views of a face from the first one to where it is lost, and the second of the cut that ends them, if one does."""
    views: list[View] = []
    shot, image, seen = frame.shot, frame.image, frame.time
    first = face.box
    _add_view(views, frame, face, first)
    for frame in frames:
        if frame.shot != shot:
            # Of several cuts since the last sample only the latest is known.
            return views, frame.shot_begin if frame.shot == shot + 1 else seen
        if frame.image is image:  # the same picture is shown again
            if views:
                views.append(replace(views[-1], time=frame.time))
            continue
        found = _same_face(_faces_near(analyzer, frame.image, face), face)
        if found is None:
            if frame.time - seen > _LOST_SECONDS:
                break
            continue
        face, image, seen = found, frame.image, frame.time
        _add_view(views, frame, face, first)
    return views, None


def _faces_near(analyzer: FaceAnalyzer, image: NDArray[np.uint8], last: DetectedFace) -> list[DetectedFace]:
    if analyzer.detector is None:
        return [face for face, _ in analyzer.find_faces(image)]
    return analyzer.detector.detect_near(image, last.box)


def _same_face(faces: Sequence[DetectedFace], last: DetectedFace) -> DetectedFace | None:
    """The only face near the last one; None if there are two."""
    possible = [
        face
        for face in faces
        if math.dist(face.centre, last.centre) <= MAX_STEP * last.side
        and 1 / MAX_GROWTH <= face.side / last.side <= MAX_GROWTH
    ]
    return possible[0] if len(possible) == 1 else None


def _add_view(views: list[View], frame: Frame, face: DetectedFace, first_box: Box) -> None:
    """Add a view of a face with the part of its frame that a crop needs; a face with absurd landmarks is left out."""
    try:
        to_template = similarity_to_template(face.landmarks)
    except ValueError:
        return
    if not fits_box(face, to_template):
        return
    left, top, right, bottom = _extent(to_template)
    height, width = frame.image.shape[:2]
    left, top = min(max(0, left), width - 1), min(max(0, top), height - 1)
    window = frame.image[top : max(top + 1, bottom), left : max(left + 1, right)].copy()
    shifted = to_template.copy()
    shifted[:, 2] += to_template[:, :2] @ (left, top)
    quality = measure(window, face.landmarks - (left, top), shifted, face.side)
    views.append(View(frame.time, window, shifted, quality, grey_box(frame.image, first_box)))


def _extent(to_template: NDArray[np.float64]) -> tuple[int, int, int, int]:
    """Left, top, right and bottom in pixels of the area of a crop, with a margin for its resampling."""
    region = CROP_REGION
    x = np.array([0, 1, 0, 1]) * region.side + region.left
    y = np.array([0, 0, 1, 1]) * region.side + region.top
    corners = np.linalg.solve(to_template[:, :2], np.stack([x, y]) - to_template[:, 2:])
    (left, top), (right, bottom) = corners.min(1) - _MARGIN, corners.max(1) + _MARGIN
    return math.floor(left), math.floor(top), math.ceil(right), math.ceil(bottom)


def _refuse_still(views: Sequence[View]) -> None:
    """Refuse slides, whose pixels don't change, and photographs that a camera moves over."""
    pairs = list(itertools.pairwise(views))
    pixels = max(float(np.abs(after.first_box - before.first_box).mean()) for before, after in pairs)
    if pixels < STILL_PIXELS:
        raise MediaError("still-face", f"the picture does not move (by {pixels:.1f} grey levels at most): a slide")
    moved = statistics.mean(change(before.quality, after.quality) for before, after in pairs)
    if moved < STILL_CHANGE:
        raise MediaError("still-face", f"the face does not move by itself (change {moved:.3f}): a photograph")


def _usable(views: Sequence[View], min_face: int) -> list[View]:
    """Views that are good enough; if there are none, the first check that no view passes gives the reason."""
    checks: list[tuple[Reason, Callable[[Quality], bool]]] = [
        ("small-face", lambda quality: quality.side >= min_face),
        ("dark-face", lambda quality: quality.highlights >= MIN_HIGHLIGHTS),
        ("bright-face", lambda quality: quality.shadows <= MAX_SHADOWS),
        ("blurred-face", lambda quality: quality.sharpness >= MIN_SHARPNESS),
        ("side-face", lambda quality: quality.turn <= MAX_TURN),
    ]
    remaining = list(views)
    for reason, is_good in checks:
        remaining = [view for view in remaining if is_good(view.quality)]
        if not remaining:
            raise MediaError(reason, f"none of {len(views)} views of the face is good enough ({reason})")
    return remaining
