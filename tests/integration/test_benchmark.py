from __future__ import annotations

import re

from tests.commands import run_script

WIDTHS = "[8,8,8,4,4]"


def test_it_prints_the_cost_of_a_step_in_both_precisions_also_without_a_data_set() -> None:
    keys = ("--batch-size", 4, "--generator.widths", WIDTHS, "--discriminator.widths", WIDTHS, "--dataset", "nowhere")
    result = run_script("benchmark", "train", "--steps", 2, "--objective.penalty-interval", 2, *keys)
    assert result.returncode == 0, result.stderr
    costs = dict(re.findall(r"^(fp32|bf16): +([\d.]+) ms an image", result.stdout, re.MULTILINE))
    assert costs.keys() == {"fp32", "bf16"} and all(float(cost) > 0 for cost in costs.values())
    assert "adversarial and pixel terms alone" in result.stdout


def test_too_few_steps_for_a_penalty_are_refused() -> None:
    result = run_script("benchmark", "train", "--steps", 1)
    assert result.returncode == 2 and "--steps 1" in result.stderr
