"""One batch of portraits, from parameters to pixels: shape, albedo, light, layers, camera."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from data.personas.rendering.body import Layer, body_window, chin_shadow, paint_clothes, paint_ears, paint_neck
from data.personas.rendering.camera import (
    aim,
    develop,
    landmarks_on_plane,
    low_heights,
    paint_background,
    photograph,
)
from data.personas.rendering.canvas import canvas_of
from data.personas.rendering.draws import PrivateDraws
from data.personas.rendering.eyes import paint_brows, paint_eyes
from data.personas.rendering.geometry import head_heights, head_outline
from data.personas.rendering.glasses import paint_glasses
from data.personas.rendering.hair import paint_hair
from data.personas.rendering.hairstyles import Hair, draw_hair
from data.personas.rendering.light import light_on_head, light_skin, measure_surface
from data.personas.rendering.mouth import paint_mouth, shape_mouth
from data.personas.rendering.parameters import (
    Features,
    Skin,
    Skull,
    Traits,
    draw_features,
    draw_skin,
    draw_skull,
)
from data.personas.rendering.photo import Photo
from data.personas.rendering.skin import paint_beard, paint_skin

# Sides of canvas and raster by side of the picture: larger, for antialiasing.
_CANVAS = {64: 112, 128: 172, 256: 320}
_RASTER = {64: 96, 128: 160, 256: 304}


@dataclass(frozen=True)
class Person:
    """Appearance of a persona that all its pictures share."""

    skull: Skull
    features: Features
    skin: Skin
    hair: Hair


def draw_person(traits: Traits, draws: PrivateDraws) -> Person:
    """Sample the appearance of each persona. Skin tone comes first, because hair and eyes depend on it."""
    low, high = draws.uniform(), draws.uniform()
    tone = np.clip(0.62 * low + 0.55 * low * high, 0, 1)
    return Person(
        draw_skull(traits, draws),
        draw_features(traits, draws),
        draw_skin(traits, tone, draws),
        draw_hair(traits, tone, draws),
    )


@torch.no_grad()
def render(person: Person, photo: Photo, size: int) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """Render a batch of pictures.

    Args:
        person: Appearance of B personas.
        photo: Settings of B pictures.
        size: Side of the pictures: 64, 128 or 256 pixels.

    Returns:
        [B, S, S, 3] uint8 RGB and [B, 5, 2] the true landmarks in pixels of these pictures.
    """
    skull, features, skin, hair = person.skull, person.features, person.skin, person.hair
    canvas = canvas_of(_CANVAS[size])
    light = light_on_head(photo)

    outline = head_outline(canvas, skull, photo)
    mouth = shape_mouth(canvas, features, photo)
    heights = head_heights(canvas, outline, skull, features, photo)
    heights[:, mouth.window.rows, mouth.window.columns] += mouth.heights
    surface = measure_surface(canvas, heights, outline, light)

    albedo = paint_skin(canvas, outline, skull, features, skin, photo)
    beard_window, bearded = paint_beard(albedo, canvas, outline, features, hair, skin, mouth)
    paint_mouth(albedo, mouth, skin)
    shine = skin.shine.expand(-1, canvas.size, canvas.size).clone()
    shine[:, beard_window.rows, beard_window.columns] *= 1 - 0.85 * bearded
    shine[:, mouth.window.rows, mouth.window.columns] += 1.1 * mouth.lower
    paint_brows(albedo, shine, canvas, features, hair, photo)
    head = light_skin(albedo, surface, shine, light, photo)
    paint_eyes(head, canvas, skull, features, skin, photo, light)

    painted_hair = paint_hair(canvas, outline, skull, hair, skin, photo, light)
    head *= (1 - painted_hair.shade)[:, None]
    window = body_window(canvas)
    shadow = chin_shadow(canvas, window, outline, light)
    neck = paint_neck(canvas, window, outline, skull, skin, photo, light, shadow)
    clothes = paint_clothes(canvas, window, skull, skin, photo, light, shadow)

    image, cover = painted_hair.back_colour.clone(), painted_hair.back.clone()
    for layer in (neck, clothes):
        _lay_over(image[:, :, window.rows], cover[:, window.rows], layer)
    covered = hair.falls * (hair.cover > -0.004)
    for rows, columns, ear in paint_ears(canvas, outline, skull, skin, photo, light, covered):
        _lay_over(image[:, :, rows, columns], cover[:, rows, columns], ear)
    _lay_over(image, cover, Layer(head, outline.mask))
    paint_glasses(image, canvas, outline, features, skin, photo)
    _lay_over(image, cover, Layer(painted_hair.colour, painted_hair.front))

    low = low_heights(heights, painted_hair.front)
    fine = _RASTER[size]
    camera = aim(landmarks_on_plane(low, features, photo), photo.jitter.numpy(), size, fine)
    seen = photograph(torch.cat([image * cover[:, None], cover[:, None]], 1), low, camera, photo)
    background = paint_background(photo, fine)
    return develop(seen[:, :3] + background * (1 - seen[:, 3:]), photo, skin.tone, size), camera.landmarks


def _lay_over(image: Tensor, cover: Tensor, layer: Layer) -> None:
    """Composite a layer over an image, in place."""
    image += (layer.colour - image) * layer.mask[:, None]
    torch.maximum(cover, layer.mask, out=cover)
