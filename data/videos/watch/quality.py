"""Quality of a view of a face: sharpness, light, turn, size; and the change between two views."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from data.faces.alignment import ARCFACE_REGION, ARCFACE_TEMPLATE, extract_region
from data.faces.protocol import Box

MIN_SHARPNESS = 0.2
"""Least sharpness of a usable view. Of 324 photographs and frames of seven sources all lie above 0.28; blurred by 2 %
of the face's side, 95 % of them lie below 0.26 and half below 0.17, by 3 % all below 0.17."""

MIN_HIGHLIGHTS = 60.0
"""Least 95th percentile of grey levels; of the same pictures, dark skin included, 99 % lie above 82."""

MAX_SHADOWS = 150.0
"""Largest 5th percentile of grey levels; of the same pictures 99 % lie below 95."""

MAX_TURN = 0.5
"""Largest turn; of the same pictures 99 % lie below 0.5, beyond which the far eye disappears."""

STILL_CHANGE = 0.06
"""Mean of `change` below which a face is a photograph. Means in 35 clips of people talking are 0.10 and more (0.07 with
dlib's points), of eight talking personas 0.085; in 14 videos of a still photograph 0.02 at most, where it moves and
grows 0.047."""

STILL_PIXELS = 2.0
"""Largest mean change in grey levels below which a picture is a slide. In the same clips it is 5.7 and more, in
personas' 14, in slides 0.7 at most."""

_PATCH_SIZE = 64  # px, of ArcFace's square
_CHANGE_SIZE = 32
_INSIDE = (slice(3, -3), slice(3, -3))  # of reduced patches: where a registered one has pixels
_NUM_STEPS = 3  # of the registration
# Between pixels of a patch and the square from -1 to 1; shifts of reduced patches are in their own pixels.
_HALF = (_PATCH_SIZE - 1) / 2
_TO_UNIT = np.array([[1 / _HALF, 0, -1], [0, 1 / _HALF, -1], [0, 0, 1]])
_FROM_UNIT = np.diag([_PATCH_SIZE / _CHANGE_SIZE, _PATCH_SIZE / _CHANGE_SIZE, 0.0])
_EYE_DISTANCE = float(ARCFACE_TEMPLATE[1, 0] - ARCFACE_TEMPLATE[0, 0])
_NOD = 0.5  # of a frontal face
_LARGE = 112.0  # px of a box; more pixels don't help face networks
_SHARP = 0.5  # median of the pictures above


@dataclass(frozen=True)
class Quality:
    """Measurements of one view.

    Attributes:
        side: Longer side of the face's box in pixels.
        sharpness: Standard deviation of the Laplacian over that of the grey levels (after Pech-Pacheco et al. 2000,
            "Diatom autofocusing in brightfield microscopy"), in the face brought to 64 px: so a face of too few
            pixels is not sharp either.
        highlights: 95th percentile of grey levels in [0, 255].
        shadows: 5th percentile of grey levels in [0, 255].
        turn: Distance of the tip of the nose from the middle line, in distances of the eyes; 0 is frontal.
        nod: Height of the tip of the nose between eyes (0) and mouth (1).
        patch: [64, 64] float32 grey levels of the face.
    """

    side: float
    sharpness: float
    highlights: float
    shadows: float
    turn: float
    nod: float
    patch: NDArray[np.float32]

    @property
    def score(self) -> float:
        """Score in [0, 1], high for sharp, large and frontal faces."""
        frontal = float(np.exp(-((self.turn / 0.3) ** 2) - ((self.nod - _NOD) / 0.3) ** 2))
        return min(1.0, self.sharpness / _SHARP) * min(1.0, self.side / _LARGE) * frontal


def measure(
    image: NDArray[np.uint8], landmarks: NDArray[np.float64], to_template: NDArray[np.float64], side: float
) -> Quality:
    """Measure one view of a face.

    Args:
        image: [H, W, 3] uint8 RGB of the face and little else.
        landmarks: [5, 2] in pixels.
        to_template: [2, 3] as from `similarity_to_template`.
        side: Longer side of the face's box in pixels.
    """
    grey = np.asarray(Image.fromarray(image).convert("L"))
    patch = extract_region(grey, to_template, ARCFACE_REGION, _PATCH_SIZE).astype(np.float32)
    shadows, highlights = np.percentile(patch, (5, 95))
    points = landmarks @ to_template[:, :2].T + to_template[:, 2]
    eyes, nose, mouth = points[:2].mean(0), points[2], points[3:].mean(0)
    return Quality(
        side=side,
        sharpness=_sharpness(patch),
        highlights=float(highlights),
        shadows=float(shadows),
        turn=float(abs(nose[0] - (eyes[0] + mouth[0]) / 2) / _EYE_DISTANCE),
        nod=float((nose[1] - eyes[1]) / max(1.0, mouth[1] - eyes[1])),
        patch=patch,
    )


def grey_box(image: NDArray[np.uint8], box: Box) -> NDArray[np.float32]:
    """[32, 32] grey levels within a box of a picture [H, W, 3] uint8 RGB."""
    height, width = image.shape[:2]
    left, top = (min(max(0, int(value)), limit - 1) for value, limit in zip(box[:2], (width, height), strict=True))
    right, bottom = max(left + 1, int(box[2])), max(top + 1, int(box[3]))
    return _reduced(Image.fromarray(image[top:bottom, left:right]).convert("L"))


def change(before: Quality, after: Quality) -> float:
    """Change of a face that an affine motion and a change of light don't explain.

    The later patch is registered to the earlier one by an affine motion (Lucas and Kanade 1981, "An iterative image
    registration technique") and a gain and offset of grey levels; the result is the standard deviation of the residual
    relative to that of the later patch: 0 between two frames of a slide, little where a camera moves over a photograph,
    more where a face talks.
    """
    if before.patch is after.patch:
        return 0.0
    x = np.linspace(-1, 1, _CHANGE_SIZE, dtype=np.float32)
    y = x[:, None]
    earlier = _reduced(Image.fromarray(before.patch))
    motion = np.eye(3)
    for _ in range(_NUM_STEPS):
        # Pillow takes where in the later patch a pixel of the result comes from.
        warped = Image.fromarray(after.patch).transform(
            after.patch.shape, Image.Transform.AFFINE, tuple(motion[:2].ravel()), Image.Resampling.BILINEAR
        )
        later = _reduced(warped)
        down, right = np.gradient(later)
        terms = [-right, -right * x, -right * y, -down, -down * x, -down * y, earlier, np.ones_like(earlier)]
        design = np.stack([term[_INSIDE].ravel() for term in terms], 1)
        wanted = later[_INSIDE].ravel()
        solution = np.linalg.lstsq(design, wanted, rcond=None)[0]
        step = np.vstack([solution[:6].reshape(2, 3)[:, [1, 2, 0]], (0, 0, 0)])
        motion = motion @ (np.eye(3) + _FROM_UNIT @ step @ _TO_UNIT)
    return float((wanted - design @ solution).std() / max(5.0, later.std()))


def _sharpness(patch: NDArray[np.float32]) -> float:
    inner = patch[8:-8, 8:-8]  # the face without hair and background
    middle = inner[1:-1, 1:-1]
    laplacian = 4 * middle - inner[:-2, 1:-1] - inner[2:, 1:-1] - inner[1:-1, :-2] - inner[1:-1, 2:]
    return float(laplacian.std() / max(1.0, inner.std()))


def _reduced(patch: Image.Image) -> NDArray[np.float32]:
    return np.asarray(patch.resize((_CHANGE_SIZE, _CHANGE_SIZE), Image.Resampling.BOX), np.float32)
