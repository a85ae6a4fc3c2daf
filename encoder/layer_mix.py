"""Weights of a frozen network's layers, chosen by how well the mix predicts the faces of people left out."""

from __future__ import annotations

import torch
from torch import Tensor
from tqdm import tqdm

from data.media.audio import fit_duration
from data.store.dataset import ClipDataset
from encoder.backbones.hf import HuggingFace
from encoder.pairs import Pairs
from encoder.voice_encoder import VoiceEncoder
from training.run import Run

_MAX_PEOPLE = 500
_NUM_STEPS = 150
_LEARNING_RATE = 0.1


def fit_layer_mix(encoder: VoiceEncoder, clips: ClipDataset, run: Run) -> None:
    """Choose the mix of each transformers model in a frozen backbone; nothing to do without one.

    In a table of a frozen backbone's outputs the layers are mixed already, so the mix is chosen before: the mean over
    time and the mix are linear and can change places. A window of one voice of each of up to 500 people gives the
    means of all layers once.

    Args:
        encoder: Encoder with its published weights, changed in place.
        clips: Training split.
        run: Run; processes do the same work and share the mean of their results.
    """
    networks = [module for module in encoder.backbone.modules() if isinstance(module, HuggingFace)]
    networks = [network for network in networks if network.mix is not None]
    if not networks or not clips.has_media:
        return
    encoder.eval()
    pairs = Pairs(clips, encoder.config.window_samples)
    voices, faces = pairs.first_pairs()[0][:_MAX_PEOPLE], pairs.prototypes()[:_MAX_PEOPLE]
    for network in networks:
        means = []
        bar = tqdm(voices, desc="hearing all layers", disable=None if run.is_main else True, delay=2)
        for clip in bar:
            window = fit_duration(clips.waveform(clip), encoder.config.window_samples)
            with torch.no_grad():
                means.append(network.layer_means(torch.from_numpy(window)[None].to(run.device))[0].cpu())
        mix = choose_mix(torch.stack(means), faces).to(run.device)
        if run.num_processes > 1:
            mix = run.accelerator.reduce(mix, "mean")
        assert network.mix is not None
        network.mix.data.copy_(mix)
        shares = ", ".join(f"{share:.2f}" for share in mix.softmax(dim=0).tolist())
        run.log(f"layers are mixed by the weights {shares}")


def choose_mix(layers: Tensor, faces: Tensor) -> Tensor:
    """Weights by which a ridge regression from the mix predicts the faces of people left out best.

    The error for each person, predicted from all the others, has a closed form, (y - f) / (1 - h) with the fit f and
    the leverage h (Allen 1974's PRESS); weights and ridge follow its gradient.

    Args:
        layers: [N, L, H] means of each layer for N people.
        faces: [N, D] face feature of each.

    Returns:
        [L] float32 logits of the weights.
    """
    layers, faces = layers.double(), faces.double()
    layers, faces = layers - layers.mean(dim=0), faces - faces.mean(dim=0)
    logits = torch.zeros(layers.shape[1], dtype=torch.float64, requires_grad=True)
    log_ridge = torch.zeros((), dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.Adam([logits, log_ridge], _LEARNING_RATE)
    identity = torch.eye(len(layers), dtype=torch.float64)
    for _ in range(_NUM_STEPS):
        mixed = torch.einsum("l,nlh->nh", logits.softmax(dim=0), layers)
        kernel = mixed @ mixed.T
        kernel = kernel / kernel.diagonal().mean().clamp_min(1e-12)
        hat = torch.linalg.solve(kernel + log_ridge.exp() * identity, kernel)
        # Centring took one degree of freedom: 1 / N is the leverage of the mean.
        left_out = (faces - hat @ faces) / (1 - hat.diagonal() - 1 / len(layers))[:, None]
        optimizer.zero_grad()
        left_out.square().mean().backward()
        optimizer.step()
    return logits.detach().float()
