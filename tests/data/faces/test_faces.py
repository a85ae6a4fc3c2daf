import multiprocessing
import shutil
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray

from data.errors import ConfigError, MediaError, ModelError
from data.faces import dlib as dlib_networks
from data.faces.alignment import ARCFACE_TEMPLATE, CROP_REGION
from data.faces.analyzer import FaceAnalyzer, embed_crops
from data.faces.protocol import DetectedFace, FaceEncoderInfo, FaceRecognizer
from data.faces.registry import cached_analyzer, cached_recognizer, load_analyzer, load_recognizer
from data.media.images import read_image
from data.personas.footage.videos import draw_frames
from tests.synthetic import TINY_FEATURE_SIZE, TinyWorld, draw_face, photograph_persona


class Found:
    """A detector that finds what it is told."""

    def __init__(self, *sides: float, landmarks: np.ndarray = ARCFACE_TEMPLATE) -> None:
        self.faces = [DetectedFace((0, 0, side, side), landmarks * side / 112, 0.9) for side in sides]

    def detect(self, image: np.ndarray) -> list[DetectedFace]:
        return self.faces

    def detect_near(self, image: np.ndarray, box: tuple[float, ...]) -> list[DetectedFace]:
        return self.faces


@pytest.fixture(scope="module")
def tiny(tiny_world: TinyWorld) -> FaceRecognizer:
    return load_recognizer("insightface:tiny", tiny_world.pack_root)


@pytest.fixture(scope="module")
def dlib_recognizer() -> FaceRecognizer:
    pytest.importorskip("dlib")
    return load_recognizer("dlib")


@pytest.fixture(scope="module")
def small(real_insightface_root: Path) -> FaceRecognizer:
    return load_recognizer("insightface:small", real_insightface_root)


@pytest.fixture(params=["tiny", "dlib_recognizer", "small"])
def recognizer(request: pytest.FixtureRequest) -> FaceRecognizer:
    return request.getfixturevalue(request.param)


def test_features_of_a_batch_are_those_of_its_faces_one_by_one(recognizer: FaceRecognizer) -> None:
    crops = np.stack([draw_face(person) for person in range(3)])
    together = embed_crops(recognizer, crops)
    apart = np.concatenate([embed_crops(recognizer, crop[None]) for crop in crops])
    assert together.shape == (3, recognizer.info.feature_size) and together.dtype == np.float32
    np.testing.assert_allclose(together, apart, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)
    assert np.abs(together[0] - together[1]).max() > 0.01


def test_no_faces_give_no_features(recognizer: FaceRecognizer) -> None:
    features = embed_crops(recognizer, np.zeros((0, 64, 64, 3), np.uint8))
    assert features.shape == (0, recognizer.info.feature_size)


def test_swapped_colours_change_the_features(recognizer: FaceRecognizer) -> None:
    crops = np.stack([draw_face(person) for person in range(3)])
    assert np.abs(embed_crops(recognizer, crops) - embed_crops(recognizer, crops[..., ::-1])).max() > 0.01


def test_insightface_features_are_those_of_its_network_run_by_hand(tiny_world: TinyWorld) -> None:
    import onnxruntime

    session = onnxruntime.InferenceSession(
        str(tiny_world.pack_root / "models/tiny/tiny.onnx"), providers=["CPUExecutionProvider"]
    )
    inputs = np.random.default_rng(0).integers(0, 256, (3, 112, 112, 3), dtype=np.uint8)
    # RGB, (x - 127.5) / 127.5, channels first.
    (by_hand,) = session.run(None, {"input": (inputs.transpose(0, 3, 1, 2).astype(np.float32) - 127.5) / 127.5})
    by_hand /= np.linalg.norm(by_hand, axis=1, keepdims=True)
    features = load_recognizer("insightface:tiny/tiny", tiny_world.pack_root).embed(inputs)
    np.testing.assert_allclose(features, by_hand, atol=1e-5)


def compare_with_face_chips(dlib_recognizer: FaceRecognizer, images: list[NDArray[np.uint8]]) -> NDArray[np.floating]:
    """The cosine of each of our features with each of those that dlib makes by itself: [N, N], N faces found."""
    import dlib

    path = Path(dlib_recognizer.info.path)
    analyzer = load_analyzer("dlib")
    predictor = dlib.shape_predictor(str(path.with_name("shape_predictor_5_face_landmarks.dat")))
    network = dlib.face_recognition_model_v1(str(path))
    features, references = [], []
    for image in images:
        boxes = dlib.get_frontal_face_detector()(image, 1)
        if len(boxes) != 1:
            continue
        chip = dlib.get_face_chip(image, predictor(image, boxes[0]), 150)
        reference = np.array(network.compute_face_descriptor(chip))
        references.append(reference / np.linalg.norm(reference))
        features.append(analyzer.analyze(image, 64).feature)
    return np.stack(features) @ np.stack(references).T


@pytest.mark.slow
def test_dlib_features_are_those_of_its_own_face_chip(dlib_recognizer: FaceRecognizer, real_recordings: Path) -> None:
    photographs = sorted((real_recordings / "pairs").glob("avs_*/faces/*.jpg"))[:5]
    cosines = compare_with_face_chips(dlib_recognizer, [np.ascontiguousarray(read_image(path)) for path in photographs])
    # Different people are at about .8 in this space; the same picture cut a little otherwise must be far closer.
    assert len(cosines) >= 3 and np.median(np.diag(cosines)) > 0.97


def test_dlib_features_of_personas_are_those_of_its_own_face_chip(dlib_recognizer: FaceRecognizer) -> None:
    cosines = compare_with_face_chips(dlib_recognizer, [photograph_persona(persona) for persona in range(4)])
    assert len(cosines) >= 3 and np.median(np.diag(cosines)) > 0.97
    assert (cosines.argmax(axis=1) == np.arange(len(cosines))).all()


def test_the_recognizer_says_who_it_is(tiny: FaceRecognizer, tiny_world: TinyWorld) -> None:
    path = tiny_world.pack_root / "models/tiny/tiny.onnx"
    assert tiny.info.name == "insightface:tiny/tiny" and tiny.info.feature_size == TINY_FEATURE_SIZE
    assert tiny.info.path == str(path.resolve()) and len(tiny.info.sha256) == 64
    assert load_recognizer(tiny.info.name, tiny_world.pack_root).info == tiny.info
    assert isinstance(tiny.info, FaceEncoderInfo)


def test_an_aligned_picture_is_the_crop(tiny_world: TinyWorld) -> None:
    analyzer = load_analyzer("aligned:insightface:tiny", tiny_world.pack_root)
    ((face, to_template),) = analyzer.find_faces(draw_face(0))
    assert face.score == 1
    np.testing.assert_allclose(face.landmarks @ to_template[:, :2].T + to_template[:, 2], ARCFACE_TEMPLATE)
    np.testing.assert_array_equal(analyzer.analyze(draw_face(0), 64).crop, draw_face(0))
    with pytest.raises(MediaError) as caught:
        analyzer.analyze(np.zeros((64, 32, 3), np.uint8), 64)
    assert caught.value.reason == "not-square"


@pytest.mark.parametrize(
    "detector, reason",
    [
        (Found(), "no-face"),
        (Found(60, 60, 55, 50, 50), "many-faces"),
        (Found(60, 43), "many-faces"),
        (Found(12), "small-face"),
        (Found(60, landmarks=np.full((5, 2), 3.0)), "bad-landmarks"),
        (Found(60, landmarks=ARCFACE_TEMPLATE * 0.01), "bad-landmarks"),
        (Found(60, landmarks=np.full((5, 2), np.nan)), "bad-landmarks"),
    ],
)
def test_a_photograph_must_show_one_person(tiny: FaceRecognizer, detector: Found, reason: str) -> None:
    with pytest.raises(MediaError) as caught:
        FaceAnalyzer(detector, tiny).analyze(np.zeros((100, 100, 3), np.uint8), 64)
    assert caught.value.reason == reason


@pytest.mark.parametrize("face_size, smallest", [(64, 20), (128, 40), (256, 80)])
def test_larger_crops_need_larger_faces(tiny: FaceRecognizer, face_size: int, smallest: int) -> None:
    photograph = np.zeros((100, 100, 3), np.uint8)
    assert FaceAnalyzer(Found(smallest), tiny).analyze(photograph, face_size).crop.shape[0] == face_size
    with pytest.raises(MediaError, match=f"at least {smallest} needed for crops of {face_size} px"):
        FaceAnalyzer(Found(smallest - 1), tiny).analyze(photograph, face_size)


def test_a_dominant_face_counts_before_bystanders(tiny: FaceRecognizer) -> None:
    analyzed = FaceAnalyzer(Found(20, 60, 25), tiny).analyze(np.zeros((100, 100, 3), np.uint8), 64)
    assert analyzed.crop.shape == (64, 64, 3) and analyzed.feature.shape == (TINY_FEATURE_SIZE,)


@pytest.mark.slow
def test_dlib_divides_faces_among_processes(dlib_recognizer: FaceRecognizer, monkeypatch: pytest.MonkeyPatch) -> None:
    chips = np.random.default_rng(0).integers(0, 256, (5, 150, 150, 3), np.uint8)
    monkeypatch.setattr(dlib_networks, "_MIN_PART", 2)
    divided = dlib_networks.DlibRecognizer(num_processes=2)
    others = set(multiprocessing.active_children())
    assert np.array_equal(divided.embed(chips), dlib_recognizer.embed(chips))
    processes = set(multiprocessing.active_children()) - others
    assert len(processes) == 2
    for process in processes:
        process.kill()
    with pytest.raises(ModelError, match="is there memory left"):
        divided.embed(chips)
    assert divided.embed(chips).shape == (5, 128)


@pytest.mark.parametrize("name", ["insightface:small", "dlib"])
def test_a_detector_finds_the_person_in_a_photograph_and_nobody_in_noise(
    name: str, real_recordings: Path, real_insightface_root: Path
) -> None:
    photograph = read_image(sorted((real_recordings / "pairs").glob("avs_*/faces/*.jpg"))[1])
    assert_finds_one_person(load_analyzer(name, real_insightface_root), photograph)


def test_a_detector_finds_a_persona_and_nobody_in_noise() -> None:
    pytest.importorskip("dlib")
    assert_finds_one_person(load_analyzer("dlib"), photograph_persona(0))


def assert_finds_one_person(analyzer: FaceAnalyzer, photograph: NDArray[np.uint8]) -> None:
    ((face, _),) = analyzer.find_faces(photograph)
    left_eye, right_eye, nose, left_mouth, right_mouth = face.landmarks
    assert left_eye[0] < right_eye[0] and left_mouth[0] < right_mouth[0]
    assert max(left_eye[1], right_eye[1]) < nose[1] < min(left_mouth[1], right_mouth[1])
    noise = np.random.default_rng(0).integers(0, 256, photograph.shape, dtype=np.uint8)
    with pytest.raises(MediaError) as caught:
        analyzer.analyze(noise, 64)
    assert caught.value.reason == "no-face"
    five = np.concatenate([photograph] * 5, axis=1)
    with pytest.raises(MediaError) as caught:
        analyzer.analyze(five, 64)
    assert caught.value.reason == "many-faces"


def test_both_detectors_align_a_photograph_alike(real_recordings: Path, real_insightface_root: Path) -> None:
    photographs = sorted((real_recordings / "pairs").glob("avs_*/faces/*.jpg"))[:4]
    analyzers = [load_analyzer("dlib"), load_analyzer("insightface:small", real_insightface_root)]
    corners = CROP_REGION.left + CROP_REGION.side * np.array([[0.2, 0.2], [0.8, 0.8]])
    shifts = []
    for photograph in photographs:
        first, second = (np.vstack([a.find_face(read_image(photograph), 64), (0, 0, 1)]) for a in analyzers)
        points = np.column_stack([corners, np.ones(2)]) @ np.linalg.inv(first).T @ second.T
        shifts.append(np.abs(points[:, :2] - corners).max())
    assert np.median(shifts) < 8  # template units


def test_a_missing_pack_is_explained_and_never_downloaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ModelError, match=r"models/nowhere does not exist.*unpack"):
        load_recognizer("insightface:nowhere", tmp_path)
    (tmp_path / "models" / "hollow").mkdir(parents=True)
    with pytest.raises(ModelError, match="holds no .onnx"):  # noqa: RUF043
        load_analyzer("insightface:hollow", tmp_path)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["hollow", "models"]


def test_hidden_files_beside_those_of_a_pack_are_no_networks(tiny_world: TinyWorld, tmp_path: Path) -> None:
    pack = tmp_path / "models" / "tiny"
    shutil.copytree(tiny_world.pack_root / "models" / "tiny", pack)
    for path in sorted(pack.iterdir()):
        path.with_name(f"._{path.name}").write_bytes(b"\0\x05\x16\x07\0\x02\0\0Mac OS X" + b"\0" * 4000)
    assert load_recognizer("insightface:tiny", tmp_path).info.name == "insightface:tiny/tiny"
    assert load_recognizer("insightface:tiny/tiny", tmp_path).info.name == "insightface:tiny/tiny"


def test_a_pack_without_detector_serves_aligned_crops_only(tiny_world: TinyWorld) -> None:
    with pytest.raises(ModelError, match="aligned:insightface:tiny"):
        load_analyzer("insightface:tiny", tiny_world.pack_root)
    with pytest.raises(ModelError, match=r"huge\.onnx"):
        load_recognizer("insightface:tiny/huge", tiny_world.pack_root)


def test_a_damaged_network_is_an_error_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "models" / "broken" / "net.onnx"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"rubbish")
    with pytest.raises(ModelError, match=r"net\.onnx: onnxruntime can't load it") as caught:
        load_recognizer("insightface:broken", tmp_path)
    assert "\n" not in str(caught.value)


def test_a_device_that_would_not_be_used_is_an_error(tiny_world: TinyWorld) -> None:
    with pytest.raises(ConfigError, match="--device cuda: dlib runs on the CPU"):
        cached_analyzer("dlib", None, "cuda")
    with pytest.raises(ConfigError, match="dlib runs on the CPU"):
        cached_analyzer("aligned:dlib", None, "cuda")
    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        with pytest.raises(ModelError, match="onnxruntime has no CUDAExecutionProvider here"):
            cached_recognizer("insightface:tiny", str(tiny_world.pack_root), "cuda")


def test_a_provider_that_is_not_there_is_an_error_not_a_fallback(tiny_world: TinyWorld) -> None:
    with pytest.raises(ModelError, match="TensorrtExecutionProvider"):
        load_recognizer("insightface:tiny", tiny_world.pack_root, providers=["TensorrtExecutionProvider"])


@pytest.mark.parametrize("name", ["", "facenet", "insightface:", "dlib:hog:x", "aligned:"])
def test_an_unknown_name_is_refused_with_the_known_ones(name: str) -> None:
    with pytest.raises(ConfigError, match="insightface:<pack>"):
        load_analyzer(name)


@pytest.mark.parametrize(
    "name, package, extra", [("dlib", "dlib", "dlib"), ("insightface:tiny", "insightface", "faces")]
)
def test_a_missing_package_names_its_extra(
    name: str, package: str, extra: str, tiny_world: TinyWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ModelError, match=rf"pip install 'wav2face\[{extra}\]'"):
        load_recognizer(name, tiny_world.pack_root)


class Watched:
    """dlib's detector, and the sizes of the pictures that it was given."""

    def __init__(self, find: object) -> None:
        self.find = find
        self.num_pixels: list[int] = []

    def run(self, picture: np.ndarray, *settings: float) -> object:
        self.num_pixels.append(picture.shape[0] * picture.shape[1])
        return self.find.run(picture, *settings)  # type: ignore[attr-defined]

    def __call__(self, picture: np.ndarray, upsample: int) -> list[object]:
        self.num_pixels.append(picture.shape[0] * picture.shape[1])
        return []


def test_a_large_picture_is_reduced_for_the_detector_and_its_face_is_cut_at_full_resolution(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("dlib")
    picture = next(iter(draw_frames([(0, (0.5, 0.5))], np.zeros(1), (1280, 960), 420)))
    detector = dlib_networks.DlibDetector("hog")
    detector._find = Watched(detector._find)
    (whole,) = detector.detect(picture)
    monkeypatch.setitem(dlib_networks._MAX_PIXELS, "hog", 300_000)
    (reduced,) = detector.detect(picture)
    assert detector._find.num_pixels[0] == 1280 * 960 and max(detector._find.num_pixels[1:]) <= 300_000
    assert np.abs(reduced.landmarks - whole.landmarks).mean() < 0.02 * whole.side
    assert np.abs(np.subtract(reduced.box, whole.box)).max() < 0.2 * whole.side  # sizes are a fifth apart


@pytest.mark.parametrize("size", [(4032, 3024), (1, 5_000_000), (2_500_000, 20), (30, 30)])
def test_what_the_cnn_sees_is_bounded_for_any_picture(size: tuple[int, int]) -> None:
    pytest.importorskip("dlib")
    detector = dlib_networks.DlibDetector("cnn")
    detector._find = Watched(None)
    assert detector.detect(np.zeros((size[1], size[0], 3), np.uint8)) == []
    assert len(detector._find.num_pixels) == 2 and max(detector._find.num_pixels) <= 1_510_000


@pytest.mark.parametrize("name", ["dlib", "insightface:small"])
@pytest.mark.parametrize("face_size", [100, 160, 420])
def test_a_face_is_found_again_near_where_it_was(name: str, face_size: int, request: pytest.FixtureRequest) -> None:
    if name == "dlib":
        pytest.importorskip("dlib")
        detector = load_analyzer(name).detector
    else:
        detector = load_analyzer(name, request.getfixturevalue("real_insightface_root")).detector
    assert detector is not None

    def picture(x: float) -> np.ndarray:
        return next(iter(draw_frames([(0, (x, 0.5)), (1, (0.1, 0.15))], np.zeros(1), (640, 480), face_size)))

    def nearest(faces: list[DetectedFace], x: float) -> DetectedFace:
        return min(faces, key=lambda face: np.hypot(face.centre[0] - 640 * x, face.centre[1] - 240))

    before, now = nearest(detector.detect(picture(0.5)), 0.5), nearest(detector.detect(picture(0.53)), 0.53)
    found = nearest(detector.detect_near(picture(0.53), before.box), 0.53)
    assert np.abs(found.landmarks - now.landmarks).mean() < 0.06 * now.side
    assert detector.detect_near(np.zeros((480, 640, 3), np.uint8), before.box) == []
