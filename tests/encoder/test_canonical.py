import pytest
import torch

from data.errors import ConfigError
from data.faces.protocol import FaceEncoderInfo
from encoder.canonical import CanonicalConfig, canonical_directions, covariance, ridge_regression, start_heads
from encoder.voice_encoder import VoiceEncoder, VoiceEncoderConfig


def shared_cause(num_rows: int = 4000) -> tuple[torch.Tensor, torch.Tensor]:
    """x and y have one cause in common: along x's first and y's second axis."""
    generator = torch.Generator().manual_seed(0)
    x, y = (torch.randn(num_rows, size, generator=generator, dtype=torch.float64) for size in (4, 3))
    y[:, 1] = 0.8 * x[:, 0] + 0.6 * y[:, 1]
    return x - x.mean(0), y - y.mean(0)


def test_canonical_directions_find_the_common_cause() -> None:
    x, y = shared_cause()
    of_x, of_y = canonical_directions(x, y, covariance(y), 1, 1e-6, 1e-6)
    assert of_x[:, 0].abs().argmax() == 0 and of_y[:, 0].abs().argmax() == 1
    correlation = torch.corrcoef(torch.stack([x @ of_x[:, 0], y @ of_y[:, 0]]))[0, 1]
    assert correlation.item() == pytest.approx(0.8, abs=0.03)
    # On whitened data the inner product of projections is the correlation's share: s^1/2 on either side.
    assert (of_x[0, 0] * of_y[1, 0]).item() == pytest.approx(0.8, abs=0.05)


def test_directions_beyond_the_rank_of_the_data_are_zero() -> None:
    x, y = shared_cause(50)
    of_x, of_y = canonical_directions(x, y, covariance(y), 5, 1.0, 1.0)
    assert of_x.shape == (4, 5) and of_y.shape == (3, 5)
    assert not of_x[:, 3:].any() and not of_y[:, 3:].any()


def test_ridge_regression_shrinks_a_known_slope() -> None:
    x = torch.tensor([[-1.0], [1.0]], dtype=torch.float64)
    torch.testing.assert_close(ridge_regression(x, 3 * x, 0.5), torch.tensor([[2.0]], dtype=torch.float64))


def test_closed_form_heads_retrieve_their_training_people_and_predict_their_features() -> None:
    torch.manual_seed(0)
    face_encoder = FaceEncoderInfo("made up", "0", 16, "")
    encoder = VoiceEncoder(VoiceEncoderConfig(face_encoder=face_encoder, embedding_size=8)).eval()
    voices = torch.rand(60, 256)
    faces = voices[:, :16] - 0.5
    faces = faces / faces.norm(dim=1, keepdim=True)
    encoder.set_input_statistics(voices, faces)
    config = CanonicalConfig(voice_ridge=0.01, face_ridge=0.01, feature_ridge=0.01)
    start_heads(encoder, voices, faces, faces, config)
    with torch.no_grad():
        encoding, embedded = encoder.head(voices), encoder.face(faces)
    assert (encoding.embedding @ embedded.T).argmax(dim=1).tolist() == list(range(60))
    assert torch.nn.functional.cosine_similarity(encoding.feature, faces).mean() > 0.9


def test_a_ridge_must_be_positive() -> None:
    with pytest.raises(ConfigError, match="greater than 0"):
        CanonicalConfig(face_ridge=0)
