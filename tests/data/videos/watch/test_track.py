"""Following one face through drawn scenes, where it is known who is where."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from data.errors import MediaError
from data.faces.alignment import ARCFACE_TEMPLATE
from data.faces.analyzer import FaceAnalyzer
from data.faces.protocol import DetectedFace
from data.personas.footage.videos import draw_frames
from data.videos.watch.decode import Frame
from data.videos.watch.quality import change
from data.videos.watch.track import Track, View, choose_views, find_speaker, follow_speaker

SIZE = (320, 240)
FACE_SIZE = 160
LEFT, RIGHT = (0.27, 0.5), (0.73, 0.5)
OPENINGS = np.array([0.0, 0.6, 0.2, 1.0, 0.4, 0.8])


class Scripted:
    """Finds what it was told to find in a picture, whole or near a box."""

    def __init__(self) -> None:
        self.faces: dict[int, list[DetectedFace]] = {}
        self.num_whole = 0

    def detect(self, image: np.ndarray) -> list[DetectedFace]:
        self.num_whole += 1
        return self.faces[id(image)]

    def detect_near(self, image: np.ndarray, box: tuple) -> list[DetectedFace]:
        x, y, side = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2, max(box[2] - box[0], box[3] - box[1])
        return [
            face for face in self.faces[id(image)] if max(abs(face.centre[0] - x), abs(face.centre[1] - y)) < 1.5 * side
        ]


def face_at(position: tuple[float, float], scale: float = 0.62, turn: float = 0.0) -> DetectedFace:
    """A face whose tip of the nose is at a relative place, `scale` pixels a template unit."""
    landmarks = (ARCFACE_TEMPLATE - ARCFACE_TEMPLATE[2]) * scale + np.multiply(position, SIZE)
    landmarks[2, 0] += turn * 35 * scale
    x, y = landmarks[:2].mean(0) + np.array([0, 20 * scale])
    half = 55 * scale
    return DetectedFace((x - 0.8 * half, y - half, x + 0.8 * half, y + half), landmarks, 1.0)


class Scene:
    """Frames, the detector that knows them, and what became of them."""

    def __init__(self) -> None:
        self.detector = Scripted()
        self.frames: list[Frame] = []

    def add(
        self, people: list, openings: np.ndarray = OPENINGS, shot: int = 0, seen: list | None = None, **options: float
    ) -> "Scene":
        for image in draw_frames(people, openings, SIZE, FACE_SIZE, **options):
            image = image.copy()
            faces = [face_at(place) for _, place in people] if seen is None else seen
            self.detector.faces[id(image)] = faces
            begin = len(self.frames) / 2
            if not shot:
                begin = -np.inf
            elif self.frames[-1].shot == shot:
                begin = self.frames[-1].shot_begin
            self.frames.append(Frame(image, len(self.frames) / 2, shot, begin))
        return self

    def follow(self, position: tuple[float, float] | None = None, min_face: int = 48) -> Track:
        return follow_speaker(self.read(), FaceAnalyzer(self.detector, None), position, len(self.frames), min_face)  # type: ignore[arg-type]

    def read(self) -> Iterator[Frame]:
        yield from self.frames

    def refusal(self, position: tuple[float, float] | None = None, min_face: int = 48) -> str:
        with pytest.raises(MediaError) as caught:
            self.follow(position, min_face)
        return caught.value.reason


def test_one_face_is_followed_with_one_search_of_a_whole_picture() -> None:
    scene = Scene().add([(0, (0.5, 0.5))])
    track = scene.follow((0.5, 0.5))
    assert [view.time for view in track.views] == [0, 0.5, 1, 1.5, 2, 2.5]
    assert track.flags == () and track.end is None
    assert scene.detector.num_whole == 1
    assert np.allclose(track.position, (0.5, 0.5), atol=0.05)


@pytest.mark.parametrize("position, side", [(LEFT, 0), (RIGHT, 1)])
def test_of_two_faces_the_one_at_the_place_is_followed(position: tuple[float, float], side: int) -> None:
    people = [(0, LEFT), (1, RIGHT)]
    speaker, listener = people[side], people[1 - side]
    track = Scene().add([speaker, listener]).follow(position)
    assert track.flags == ("other-faces",)
    assert abs(track.position[0] - position[0]) < 0.05
    # The pixels around it are that person's.
    shown, own, other = (
        scene.follow(place).views[0].quality
        for scene, place in (
            (Scene().add([speaker, listener]), position),
            (Scene().add([speaker]), position),
            (Scene().add([(listener[0], position)]), position),
        )
    )
    assert change(own, shown) < 0.2 * change(other, shown)


def test_a_place_between_two_faces_is_ambiguous_and_a_place_far_from_all_is_nobodys() -> None:
    assert Scene().add([(0, LEFT), (1, RIGHT)]).refusal((0.5, 0.55)) == "no-speaker-face"
    near = [face_at((0.4, 0.5)), face_at((0.6, 0.5))]
    assert Scene().add([(0, LEFT)], seen=near).refusal((0.5, 0.55)) == "ambiguous-face"
    assert Scene().add([(0, LEFT)]).refusal((0.9, 0.5)) == "no-speaker-face"


def test_without_a_place_one_face_must_dominate() -> None:
    large, small = face_at(LEFT), face_at(RIGHT, 0.3)
    assert find_speaker([small, large], SIZE, None) is large
    assert Scene().add([(0, LEFT), (1, RIGHT)]).refusal() == "ambiguous-face"


def test_an_empty_picture_has_no_face_but_a_face_may_appear_within_a_second() -> None:
    assert Scene().add([], OPENINGS).refusal((0.5, 0.5)) == "no-face"
    track = Scene().add([], OPENINGS[:1]).add([(0, (0.5, 0.5))]).follow((0.5, 0.5))
    assert track.views[0].time == 0.5


def test_small_faces_are_refused() -> None:
    assert Scene().add([(0, (0.5, 0.5))]).refusal(min_face=90) == "small-face"


def test_a_cut_ends_the_track_even_if_another_face_is_in_the_same_place() -> None:
    scene = Scene().add([(0, (0.5, 0.5))], OPENINGS).add([(1, (0.5, 0.5))], OPENINGS[:3], shot=1)
    track = scene.follow((0.5, 0.5))
    assert track.views[-1].time == 2.5
    assert track.flags == ("cut",) and track.end == 3.0
    early = Scene().add([(0, (0.5, 0.5))], OPENINGS[:2]).add([(1, (0.5, 0.5))], OPENINGS, shot=1)
    assert early.refusal((0.5, 0.5)) == "lost-face"


def test_a_face_may_be_missed_for_a_moment_but_nobody_else_takes_its_place() -> None:
    person = [(0, LEFT)]
    scene = Scene().add(person, OPENINGS[:3])
    scene.add(person, OPENINGS[:1], seen=[]).add(person, OPENINGS[:1], seen=[face_at(RIGHT)]).add(person, OPENINGS[:2])
    assert [view.time for view in scene.follow(LEFT).views] == [0, 0.5, 1, 2.5, 3]
    gone = Scene().add(person, OPENINGS[:3]).add([(1, RIGHT)], np.tile(OPENINGS, 2))
    assert gone.refusal(LEFT) == "lost-face"


def test_two_faces_where_one_was_are_nobodys() -> None:
    scene = Scene().add([(0, LEFT)], OPENINGS[:4])
    near = [face_at((0.22, 0.5)), face_at((0.33, 0.5))]
    scene.add([(0, LEFT)], OPENINGS[:2], seen=near)
    assert [view.time for view in scene.follow(LEFT).views] == [0, 0.5, 1, 1.5]


def test_a_face_that_suddenly_grows_is_another() -> None:
    scene = Scene().add([(0, LEFT)], OPENINGS[:4]).add([(0, LEFT)], OPENINGS[:2], seen=[face_at(LEFT, 1.3)])
    assert scene.follow(LEFT).views[-1].time == 1.5


def test_a_slide_is_refused_whether_it_is_one_picture_or_many() -> None:
    assert Scene().add([(0, (0.5, 0.5))], still=True).refusal() == "still-face"
    shaky = Scene()
    for i in range(6):  # a detector that gives other points each time
        seen = [face_at((0.5, 0.5), 0.62 + 0.02 * (i % 2), turn=0.1 * (i % 3))]
        shaky.add([(0, (0.5, 0.5))], OPENINGS[:1], seen=seen, still=True)
    assert shaky.refusal() == "still-face"
    held = Scene().add([(0, (0.5, 0.5))], OPENINGS[:1])
    held.frames = [replace(held.frames[0], time=i / 2) for i in range(6)]
    assert held.refusal() == "still-face"


def test_a_camera_that_moves_over_a_photograph_makes_no_talking_face() -> None:
    (photograph,) = draw_frames([(0, (0.5, 0.5))], OPENINGS[:1], SIZE, FACE_SIZE)
    scene = Scene()
    for i in range(6):
        zoom, shift = 1 + 0.02 * i, 3 * i
        box = (shift, 0.5 * shift, shift + 280 / zoom, 0.5 * shift + 210 / zoom)
        image = np.asarray(Image.fromarray(photograph).resize(SIZE, Image.Resampling.BICUBIC, box=box)).copy()
        scale = SIZE[0] * zoom / 280
        face = face_at((0.5, 0.5))
        jitter = np.random.default_rng(i).normal(0, 0.5, (5, 2))  # of a detector
        landmarks = (face.landmarks - box[:2]) * scale + jitter
        moved = face.to_picture(0, 0, scale)
        x, y = moved.box[0] - box[0] * scale, moved.box[1] - box[1] * scale
        width, height = moved.box[2] - moved.box[0], moved.box[3] - moved.box[1]
        scene.detector.faces[id(image)] = [DetectedFace((x, y, x + width, y + height), landmarks, 1.0)]
        scene.frames.append(Frame(image, i / 2, 0))
    assert scene.refusal() == "still-face"


@pytest.mark.parametrize(
    "options, reason",
    [({"brightness": 0.12}, "dark-face"), ({"brightness": 6.0}, "bright-face"), ({"blur": 4.0}, "blurred-face")],
)
def test_views_that_show_little_are_refused(options: dict[str, float], reason: str) -> None:
    assert Scene().add([(0, (0.5, 0.5))], **options).refusal() == reason


def test_profiles_are_refused_only_if_there_is_nothing_else() -> None:
    person = [(0, (0.5, 0.5))]
    turned = [face_at((0.5, 0.5), turn=0.7)]
    assert Scene().add(person, seen=turned).refusal() == "side-face"
    track = Scene().add(person, OPENINGS[:4], seen=turned).add(person, OPENINGS[:2]).follow()
    assert [view.time for view in track.views] == [2.0, 2.5]


def view(time: float, turn: float = 0.0, sharpness: float = 1.0) -> View:
    (found,) = Scene().add([(0, (0.5, 0.5))], OPENINGS[:1]).frames
    quality = replace(QUALITY, turn=turn, sharpness=sharpness)
    return View(time, found.image, np.eye(2, 3), quality, np.zeros((32, 32), np.float32))


QUALITY = Scene().add([(0, (0.5, 0.5))]).follow().views[0].quality
QUALITY = replace(QUALITY, side=120.0, nod=0.5)


def test_the_best_views_are_chosen_spread_in_time() -> None:
    views = [view(i / 2) for i in range(12)]
    times = [chosen.time for chosen in choose_views(views, 4)]
    assert len(times) == 4 and min(np.diff(times)) >= 1.0
    views[6] = view(3.0, turn=0.0, sharpness=0.4)
    assert 3.0 not in [chosen.time for chosen in choose_views(views, 4)]


def test_far_worse_views_and_the_same_picture_are_not_chosen() -> None:
    views = [view(0.0), view(0.5, turn=0.4), view(1.0, sharpness=0.2), view(1.5)]
    assert [chosen.time for chosen in choose_views(views, 4)] == [0.0, 1.5]
    held = [replace(views[0], time=i / 2) for i in range(4)]
    assert [chosen.time for chosen in choose_views(held, 4)] == [0.0]


def test_scores_prefer_sharp_frontal_and_large_faces() -> None:
    best = QUALITY.score
    worse: list[Callable[[], float]] = [
        lambda: replace(QUALITY, turn=0.3).score,
        lambda: replace(QUALITY, nod=0.2).score,
        lambda: replace(QUALITY, side=60.0).score,
        lambda: replace(QUALITY, sharpness=0.25).score,
    ]
    assert 0 < best <= 1
    assert all(score() < 0.75 * best for score in worse)


def test_talking_changes_a_face_and_light_or_motion_do_not() -> None:
    scene = Scene().add([(0, (0.5, 0.5))], np.array([0.0, 1.0, 0.5]))
    shut, opened, _ = (view.quality for view in scene.follow().views)
    brighter = replace(shut, patch=1.2 * shut.patch + 10)
    moved = replace(shut, patch=np.roll(shut.patch, (2, -2), axis=(0, 1)))
    grown = Image.fromarray(shut.patch).resize((64, 64), Image.Resampling.BICUBIC, box=(3, 3, 61, 61))
    assert change(shut, opened) > 0.12
    assert change(shut, brighter) < 0.001
    assert change(shut, moved) < 0.05
    assert change(shut, replace(shut, patch=np.asarray(grown))) < 0.05
