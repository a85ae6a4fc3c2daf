"""Published speaker networks as ONNX files: where they are, their licences and their error rates."""

from __future__ import annotations

from dataclasses import dataclass

_WESPEAKER = "https://wespeaker-1256283475.cos.ap-shanghai.myqcloud.com/models/voxceleb"
_SHERPA = "https://github.com/k2-fsa/sherpa-onnx/releases/tag/speaker-recongition-models"


@dataclass(frozen=True)
class PublishedNetwork:
    """What is known of a published file.

    Attributes:
        title: Toolkit and network.
        front_end: Its front end, for `encoder.front_ends.build_front_end`.
        error_rate: Equal error rate in percent on VoxCeleb1-O, as its authors state it; WeSpeaker's without score
            normalisation.
        licence: Licence of the weights, as their publisher states it.
        source: Address of the file, or of the page that has it.
    """

    title: str
    front_end: str
    error_rate: float
    licence: str
    source: str


PUBLISHED = {
    "voxceleb_resnet34_LM.onnx": PublishedNetwork(
        "WeSpeaker ResNet34-LM", "wespeaker", 0.80, "CC BY 4.0", f"{_WESPEAKER}/voxceleb_resnet34_LM.onnx"
    ),
    "voxceleb_ECAPA1024_LM.onnx": PublishedNetwork(
        "WeSpeaker ECAPA-TDNN-1024-LM", "wespeaker", 0.80, "CC BY 4.0", f"{_WESPEAKER}/voxceleb_ECAPA1024_LM.onnx"
    ),
    "voxceleb_resnet221_LM.onnx": PublishedNetwork(
        "WeSpeaker ResNet221-LM", "wespeaker", 0.58, "CC BY 4.0", f"{_WESPEAKER}/voxceleb_resnet221_LM.onnx"
    ),
    "3dspeaker_speech_campplus_sv_en_voxceleb_16k.onnx": PublishedNetwork(
        "3D-Speaker CAM++", "3dspeaker", 0.65, "Apache-2.0", _SHERPA
    ),
    "3dspeaker_speech_eres2net_sv_en_voxceleb_16k.onnx": PublishedNetwork(
        "3D-Speaker ERes2Net-base", "3dspeaker", 0.84, "Apache-2.0", _SHERPA
    ),
    "nemo_en_titanet_large.onnx": PublishedNetwork("NeMo TitaNet-L", "nemo", 0.68, "CC BY 4.0", _SHERPA),
}
"""Usual files by their published names; docs/models.md has the same table."""
