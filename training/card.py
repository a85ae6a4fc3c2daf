"""Cards of models: a README.md in the hub's format, which says what a model is for, learnt from and holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from huggingface_hub import ModelCardData

from data.faces.licences import weights_licence
from data.faces.protocol import FaceEncoderInfo
from training.pretrained import TrainingData

SECTIONS = ("Intended use", "Limits", "Training data", "Licence", "What it holds of people", "Groups", "Results")
"""Headings of every card, in their order; `Groups` and `Results` are filled from a report."""

NO_LICENCE = "not-stated"
"""Name of the licence in the header of a card as long as nobody has chosen one."""

NOT_MEASURED = "Not measured yet: `scripts/publish.py --report` fills this in from a report."

_INTENDED = """\
To see, to teach and to study what a voice suggests of a face, and to compare methods. Do not use it to identify anyone,
to look for a person, or to judge one: a voice does not tell who someone is."""

_LIMITS = """\
A voice carries some information on sex, age, build and accent, and nothing more: drawings are plausible faces,
**not** portraits of the speaker. Two people with alike voices get alike faces. What is missing or too frequent in the
training data is so in the results, too."""


@dataclass(frozen=True)
class CardFacts:
    """What a card says about one model.

    Attributes:
        title: Heading.
        introduction: Markdown under it: what the model does.
        facts: Name and value of each line of its list.
        tags: Tags on the hub.
        face_network: T.
        training_data: Data sets.
        templates: What the model holds of its training people; empty if nothing.
        example: Python that uses it.
    """

    title: str
    introduction: str
    facts: Sequence[tuple[str, str]]
    tags: Sequence[str]
    face_network: FaceEncoderInfo
    training_data: Sequence[TrainingData]
    templates: str
    example: str


def write_card(card: CardFacts) -> str:
    """The text of a README.md, YAML header included."""
    network = card.face_network
    header = ModelCardData(
        library_name="wav2face", license="other", license_name=NO_LICENCE, tags=["wav2face", *card.tags]
    )
    lines = [f"- {name}: {value}" for name, value in card.facts]
    lines.append(f"- T, the face network: `{network.name}` (sha256 `{network.sha256}`)")
    terms = (
        f"Weights of T, `{network.name}`, which made the face features and the identity loss: "
        f"{weights_licence(network)}.\nThe licence of this model is in the header; it has to respect theirs, and what "
        "the people in the data agreed to."
    )
    contents = (_INTENDED, _LIMITS, _describe_data(card.training_data), terms, _holds(card), NOT_MEASURED, NOT_MEASURED)
    sections = "\n".join(f"## {name}\n\n{content}\n" for name, content in zip(SECTIONS, contents, strict=True))
    return (
        f"---\n{header.to_yaml()}\n---\n# {card.title}\n\n{card.introduction}\n\n"
        + "\n".join(lines)
        + f"\n\n```python\n{card.example}\n```\n\n{sections}"
    )


def _holds(card: CardFacts) -> str:
    return card.templates or "Means, covariances and weights: no voice, no picture and no face feature of a person."


def _describe_data(training_data: Sequence[TrainingData]) -> str:
    if not training_data:
        return "Not recorded: the model was made before models kept a record of their data sets."
    lines = []
    for data in training_data:
        people = "synthetic people (personas)" if data.is_synthetic else "people"
        private = "; **private**: not to be published" if data.is_private else ""
        lines.append(
            f"- `{data.name}`: {data.num_identities} {people}, {data.num_voices} clips of speech, "
            f"{data.num_faces} face crops in the training split{private}"
        )
    return "\n".join(lines)
