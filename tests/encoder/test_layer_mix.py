import torch

from encoder.layer_mix import choose_mix


def world(useful: int, num_people: int = 60, noise: float = 0.1) -> tuple[torch.Tensor, torch.Tensor]:
    """Layers of noise, of which one holds what faces depend on; that one is quieter than the others."""
    generator = torch.Generator().manual_seed(useful)
    layers = torch.randn(num_people, 4, 10, generator=generator)
    faces = layers[:, useful] @ torch.randn(10, 5, generator=generator)
    layers[:, useful] *= 0.5
    return layers, faces + noise * torch.randn(num_people, 5, generator=generator)


def test_the_layer_that_tells_of_faces_gets_most_of_the_weight() -> None:
    for useful in range(4):
        shares = choose_mix(*world(useful)).softmax(dim=0)
        assert shares.argmax() == useful and shares[useful] > 0.8


def test_a_layer_is_no_better_for_a_constant_in_it() -> None:
    layers, faces = world(1)
    shifted = layers + torch.tensor([100.0, 0.0, 0.0, 0.0])[None, :, None]
    torch.testing.assert_close(choose_mix(shifted, faces), choose_mix(layers, faces), rtol=1e-3, atol=1e-3)


def test_layers_that_all_tell_the_same_share_the_weight() -> None:
    layers, faces = world(2)
    alike = layers[:, 2:3].expand(-1, 4, -1)
    torch.testing.assert_close(choose_mix(alike, faces).softmax(dim=0), torch.full((4,), 0.25))
