"""Computes the gradients of one adversarial step on a fixed batch and saves them; run by one process or two."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save_file

from data.faces.registry import load_recognizer
from gan.config import GanConfig
from gan.objective import load_frozen_networks
from gan.train import GanTraining
from tests.gan.batches import make_batch
from training.command import run_command
from training.config import parse_config
from training.run import Run
from training.stats import Stats


def main(argv: list[str]) -> None:
    gradients, pack_root, *keys = argv
    config = parse_config(GanConfig, ["--out", "nowhere", "--dry-run", "--precision", "fp32", *keys], "")
    run = Run(config)
    generator = torch.Generator().manual_seed(0)
    networks = load_frozen_networks(
        config.objective, load_recognizer("insightface:tiny", pack_root).info, None, run.device
    )
    training = GanTraining(config, run, torch.randn(16, 32, generator=generator), 64, networks)
    # Weights as after some training: at the start the last layer of every block is zero and hides the others.
    for module in (training.generator, training.discriminator):
        for parameter in module.parameters():
            parameter.data += 0.05 * torch.randn(parameter.shape, generator=generator)
    batch = make_batch(8, 32, config.generator.noise_size, 0.5, 0.25, mixed=(1, 6))
    share = 8 // run.num_processes
    own = batch[slice(run.rank * share, (run.rank + 1) * share)]
    stats = Stats(run, 0)
    training.gradients(own, 0, stats)
    if run.is_main:
        networks = {"generator": training.generator, "discriminator": training.discriminator}
        bare = {name: run.accelerator.unwrap_model(network) for name, network in networks.items()}
        save_file(
            {f"{name}.{key}": p.grad.contiguous() for name, net in bare.items() for key, p in net.named_parameters()},
            Path(gradients),
        )
    run.log(f"gradients of {run.num_processes} processes")
    run.finish()


if __name__ == "__main__":
    run_command(main)
