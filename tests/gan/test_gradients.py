from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.commands import call, launch
from tests.synthetic import TinyWorld

pytestmark = pytest.mark.slow

WIDTHS = "[8,8,8,4,4]"
SHARES = ("--objective.judged-share", 0.5, "--objective.penalised-share", 0.25)
PROGRAM = Path(__file__).with_name("gradients_program.py")


def gradients(world: TinyWorld, folder: Path, num_processes: int, *keys: object) -> dict[str, torch.Tensor]:
    file = folder / f"{num_processes}{len(keys)}.safetensors"
    settings = ("--batch-size", 8, "--generator.widths", WIDTHS, "--discriminator.widths", WIDTHS, *SHARES, *keys)
    arguments = (PROGRAM, file, world.pack_root, *settings)
    result = call(*arguments) if num_processes == 1 else launch(*arguments, num_processes=num_processes)
    assert f"gradients of {num_processes} processes" in result.stdout, result.stderr
    return load_file(file)


def test_two_processes_and_micro_batches_give_the_gradients_of_one(tiny_world: TinyWorld, tmp_path: Path) -> None:
    """All terms are on: adversary with both penalties, mismatched pairs, identity, perceptual and pixel terms."""
    one = gradients(tiny_world, tmp_path, 1)
    two = gradients(tiny_world, tmp_path, 2)
    assert one.keys() == two.keys() and len(one) > 40
    for name, gradient in one.items():
        scale = gradient.abs().max().item()
        assert scale > 0, name
        assert (two[name] - gradient).abs().max().item() < 1e-4 * scale, name
    # The balancer weighs each micro-batch by norms that it has seen so far, so the generator's differ a little.
    parts = gradients(tiny_world, tmp_path, 1, "--micro-batch-size", 4)
    for name, gradient in one.items():
        if name.startswith("discriminator"):
            assert parts[name].numpy() == pytest.approx(gradient.numpy(), abs=1e-4 * gradient.abs().max().item()), name
