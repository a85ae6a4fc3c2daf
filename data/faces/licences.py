"""Licences of face networks' weights, for the cards of models that were trained with them."""

from __future__ import annotations

from data.faces.protocol import FaceEncoderInfo

_BY_NAME = {
    "insightface": "non-commercial research only",
    "dlib": "CC0",
    "personas": "Apache-2.0; they know synthetic people only",
    "personas-judge": "Apache-2.0; they know synthetic people only",
    "faceres-feature": "not clear",
}


def weights_licence(network: FaceEncoderInfo) -> str:
    """Licence of a face network's weights in a few words, by the network's name; docs/models.md has the reasons."""
    kind = network.name.partition(":")[0].partition("/")[0]
    return _BY_NAME.get(kind, "not known to wav2face; whoever publishes the model states it")
