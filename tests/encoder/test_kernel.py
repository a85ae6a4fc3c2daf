import torch

from data.faces.protocol import FaceEncoderInfo
from encoder.kernel import KernelMap
from encoder.voice_encoder import VoiceEncoder, VoiceEncoderConfig


def test_components_of_the_landmarks_are_centred_scaled_and_reproduce_the_kernel() -> None:
    torch.manual_seed(0)
    landmarks = torch.nn.functional.normalize(torch.randn(40, 8), dim=1)
    kernel_map = KernelMap(8, 40)
    kernel_map.fit(landmarks)
    components = kernel_map(landmarks)
    torch.testing.assert_close(components.mean(dim=0), torch.zeros(40), atol=1e-4, rtol=0)
    assert abs(components.square().mean().item() - 1) < 1e-3
    kernel = torch.exp(-torch.cdist(landmarks, landmarks).square() / 0.4)
    centring = torch.eye(40) - 1 / 40
    expected = centring @ kernel @ centring
    inner = components @ components.T
    torch.testing.assert_close(inner / inner.trace(), expected / expected.trace(), atol=1e-4, rtol=1e-3)


def test_only_the_direction_of_a_feature_counts() -> None:
    kernel_map = KernelMap(8, 10)
    kernel_map.fit(torch.randn(10, 8))
    features = torch.randn(3, 8)
    torch.testing.assert_close(kernel_map(features), kernel_map(5 * features), atol=1e-4, rtol=1e-4)


def test_gradients_reach_the_face_feature_through_the_map() -> None:
    config = VoiceEncoderConfig(
        face_encoder=FaceEncoderInfo("made up", "0", 8, ""),
        backbone="speech2face",
        backbone_options={"width": 2, "hidden_size": 4},
        embedding_size=3,
        num_landmarks=10,
    )
    encoder = VoiceEncoder(config).eval()
    encoder.set_input_statistics(None, torch.randn(10, 8))
    feature = torch.randn(2, 8, requires_grad=True)
    embedding = encoder.face(feature)
    assert embedding.shape == (2, 3)
    embedding[:, 0].sum().backward()
    assert feature.grad is not None and feature.grad.abs().max() > 0
