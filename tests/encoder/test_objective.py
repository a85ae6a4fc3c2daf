from types import SimpleNamespace

import pytest
import torch

from data.errors import ConfigError
from data.faces.protocol import FaceEncoderInfo
from encoder.objective import LossConfig, Outputs, TrainedParts, gather_rows, loss_terms
from encoder.train import EncoderTrainingConfig
from encoder.voice_encoder import EncoderDesign, VoiceEncoder, VoiceEncoderConfig

ALL_ON = LossConfig(info_nce=1, am_softmax=1, speaker=1, cosine=1, feature_l1=1, normalised_l2=1, distillation=1)


def parts(losses: LossConfig, freeze_backbone: bool = True) -> TrainedParts:
    torch.manual_seed(0)
    face_encoder = FaceEncoderInfo("made up", "0", 6, "")
    encoder = VoiceEncoder(
        VoiceEncoderConfig(
            face_encoder=face_encoder,
            backbone="speech2face",
            backbone_options={"width": 2, "hidden_size": 5},
            embedding_size=4,
            voice_dropout=0.0,
        )
    )
    return TrainedParts(encoder, 8, losses, freeze_backbone)


def total(rows: Outputs, faces: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
    prototypes = torch.eye(8, 6) + 0.1
    return torch.stack(list(loss_terms(rows, faces, classes, prototypes, ALL_ON).values())).sum()


def test_shares_of_a_batch_have_gradients_that_sum_to_those_of_the_whole() -> None:
    hidden, faces, classes = torch.rand(8, 5), torch.randn(8, 6), torch.arange(8)
    whole = parts(ALL_ON)
    total(whole(hidden, faces), faces, classes).backward()

    shares = [parts(ALL_ON) for _ in range(2)]
    slices = [slice(0, 4), slice(4, 8)]
    rows = [share(hidden[part], faces[part]) for share, part in zip(shares, slices, strict=True)]
    for rank in range(2):
        gathered = []
        for name in vars(rows[0]):
            everyone = torch.cat([getattr(row, name).detach() for row in rows])
            run = SimpleNamespace(
                num_processes=2, rank=rank, accelerator=SimpleNamespace(gather=lambda _, all=everyone: all)
            )
            gathered.append(gather_rows(run, getattr(rows[rank], name)))  # type: ignore[arg-type]
        total(Outputs(*gathered), faces, classes).backward()
    compared = 0
    for expected, first, second in zip(*(module.parameters() for module in (whole, *shares)), strict=True):
        if expected.grad is not None:
            torch.testing.assert_close(first.grad + second.grad, expected.grad, rtol=1e-4, atol=1e-5)
            compared += 1
    assert compared == 8  # three heads with weights and biases, and the centres of classes and of speakers


def test_only_losses_with_a_weight_are_computed() -> None:
    rows = parts(LossConfig())(torch.rand(3, 5), torch.randn(3, 6))
    terms = loss_terms(rows, torch.randn(3, 6), torch.arange(3), torch.randn(8, 6), LossConfig(cosine=0))
    assert list(terms) == ["info_nce"]


@pytest.mark.parametrize(
    ("losses", "trained"),
    [
        (LossConfig(cosine=0), {"voice_head", "face_head"}),
        (LossConfig(info_nce=0), {"feature_head"}),
        (LossConfig(info_nce=0, cosine=0, am_softmax=1), {"voice_head", "face_head"}),
    ],
)
def test_parts_that_no_loss_trains_are_frozen(losses: LossConfig, trained: set[str]) -> None:
    module = parts(losses)
    assert {
        name.split(".")[1] for name, p in module.named_parameters() if p.requires_grad and "encoder" in name
    } == trained
    assert module.class_centres.requires_grad == (losses.am_softmax > 0)


def test_a_frozen_backbone_stays_in_eval_mode_and_a_trained_one_does_not() -> None:
    assert not parts(LossConfig()).train().encoder.backbone.training
    assert parts(LossConfig(), freeze_backbone=False).train().encoder.backbone.training


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"cosine": -1}, "losses.cosine"),
        ({"temperature": 0}, "temperature"),
        ({"info_nce": 0, "cosine": 0}, "nothing to train"),
    ],
)
def test_settings_out_of_range_are_refused(wrong: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        LossConfig(**wrong)


SPEAKERS_ALONE = LossConfig(speaker=1, info_nce=0, cosine=0, margin=0, scale=30)


def speakers(backbone: str) -> TrainedParts:
    torch.manual_seed(0)
    design = {"backbone": backbone, "backbone_options": {"width": 8, "hidden_size": 8}, "embedding_size": 4}
    config = VoiceEncoderConfig(face_encoder=FaceEncoderInfo("made up", "0", 6, ""), **design)
    return TrainedParts(VoiceEncoder(config), 4, SPEAKERS_ALONE, freeze_backbone=False)


def test_the_speaker_loss_falls_and_trains_the_backbone_through_a_classifier_that_no_model_keeps() -> None:
    module = speakers("conv1d").train()
    time = torch.arange(8_000) / 16_000
    pitch = torch.tensor([90.0, 130.0, 180.0, 250.0])
    voices = torch.stack([torch.sin(2 * torch.pi * k * pitch[:, None] * time) / k for k in range(1, 8)]).sum(dim=0)
    voices = 0.05 * voices.repeat(2, 1) + 0.002 * torch.randn(8, 8_000)
    classes, faces = torch.arange(4).repeat(2), torch.randn(8, 6)
    optimizer = torch.optim.Adam([p for p in module.parameters() if p.requires_grad], lr=0.01)
    losses = []
    for _ in range(30):
        terms = loss_terms(module(voices, faces), faces, classes, torch.randn(4, 6), SPEAKERS_ALONE)
        assert list(terms) == ["speaker"]
        optimizer.zero_grad()
        terms["speaker"].backward()
        optimizer.step()
        losses.append(float(terms["speaker"].detach()))
    assert losses[-1] < 0.2 * losses[0]
    first = next(module.encoder.backbone.parameters())
    assert first.grad is not None and first.grad.abs().max() > 0
    assert "speaker_centres" in module.state_dict() and not any("centres" in key for key in module.encoder.state_dict())


@pytest.mark.parametrize(
    ("backbone", "message"),
    [("ge2e", "losses.speaker are for a backbone that is trained"), ("conv1d", "conv1d has no")],
)
def test_a_frozen_backbone_can_not_learn_speakers(backbone: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as error:
        EncoderTrainingConfig(
            out="x", dataset="y", model=EncoderDesign(backbone=backbone), losses=SPEAKERS_ALONE, freeze_backbone=True
        )
    assert "\n" not in str(error.value)
