"""Checks of personas' faces: rate of detection by dlib, and verification by T and by another face network."""

from __future__ import annotations

import numpy as np
from tqdm import tqdm

from data.faces.analyzer import embed_crops
from data.faces.protocol import FaceRecognizer
from data.faces.registry import load_analyzer
from data.personas.faces import render_faces
from data.store.dataset import ClipDataset
from encoder.faces.verification import Verification, verify
from eval.personas.voices import whole_population

DETECTION_SIZE = 128
"""Side in pixels at which faces are rendered for the detector, whatever size the data set stores."""


def detection_rate(dataset: ClipDataset, max_personas: int, images_each: int = 2) -> tuple[float, int]:
    """Share of pictures in which dlib's HOG detector finds a face.

    Args:
        dataset: A data set of personas; their pictures are rendered again at `DETECTION_SIZE`.
        max_personas: Number of personas at most, the first of the data set.
        images_each: Number of pictures of each.

    Returns:
        The rate in [0, 1], and the number of pictures.

    Raises:
        DatasetError: If the data set is not one of personas.
        ModelError: If dlib is not installed.
    """
    population, numbers = whole_population(dataset)
    detector = load_analyzer("dlib").detector
    assert detector is not None
    found = []
    for persona in tqdm(numbers[:max_personas], unit="persona", desc="detecting faces", disable=None):
        images = np.arange(images_each)
        pictures = render_faces(population, np.full_like(images, persona), images, DETECTION_SIZE)
        found += [bool(detector.detect(picture)) for picture in pictures]
    return float(np.mean(found)), len(found)


def verify_training_network(dataset: ClipDataset, max_personas: int) -> Verification:
    """Verification of the first personas of a data set by T's stored features."""
    features, owners = dataset.all_face_features()
    identities = dataset.identity_of[owners[:, 0]]
    chosen = identities < max_personas
    return verify(features[chosen], identities[chosen])


def verify_judge(dataset: ClipDataset, judge: FaceRecognizer, max_personas: int) -> Verification:
    """Verification of the same faces by another face network."""
    features, identities = [], []
    people = range(min(max_personas, len(dataset.identities)))
    for person in tqdm(people, unit="persona", desc="judging faces", disable=None):
        crops = np.stack([dataset.face(clip, face) for clip, face in dataset.faces_of(person)])
        features.append(embed_crops(judge, crops))
        identities += [person] * len(crops)
    return verify(np.concatenate(features), np.array(identities))
