"""What `precision: auto` means on this machine, the same in all processes of a run."""

from __future__ import annotations

import os
from typing import Literal, cast

import torch

from data.errors import ConfigError

Precision = Literal["fp32", "bf16"]

# Limits of oneDNN, which computes convolutions and matrix products, below its bf16 instructions.
_ONEDNN_WITHOUT_BF16 = frozenset(
    {"SSE41", "AVX", "AVX2", "AVX2_VNNI", "AVX2_VNNI_2", "AVX512_CORE", "AVX512_CORE_VNNI"}
)


def requested_precision(precision: Literal["auto", "fp32", "bf16"]) -> Precision | None:
    """The precision that the config or, for `auto`, `accelerate launch --mixed_precision` asks for.

    Args:
        precision: Value of the config.

    Returns:
        None if neither asks for one; accelerate's `no` is its default and asks for nothing.

    Raises:
        ConfigError: If accelerate was asked for fp16 or fp8.
    """
    if precision != "auto":
        return precision
    asked = os.environ.get("ACCELERATE_MIXED_PRECISION", "no").lower()
    if asked == "no":
        return None
    if asked not in ("fp32", "bf16"):
        raise ConfigError(
            f"precision {asked} is not offered, because a gradient penalty and a shared loss scale "
            "don't agree: use fp32 or bf16 (--precision, or accelerate launch --mixed_precision no or bf16)"
        )
    return cast(Precision, asked)


def has_fast_bf16(device: torch.device) -> bool:
    """Whether a device has bf16 instructions that torch may use; without them bf16 is slower than fp32.

    On a CPU: AVX512-BF16 or AMX, unless the environment limits torch or oneDNN to less (`ATEN_CPU_CAPABILITY`,
    `ONEDNN_MAX_CPU_ISA`). On a GPU: native support, not emulation.

    Args:
        device: Device of the training.
    """
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type != "cpu":
        return False
    limit = os.environ.get("ONEDNN_MAX_CPU_ISA", os.environ.get("DNNL_MAX_CPU_ISA", "")).upper()
    if limit in _ONEDNN_WITHOUT_BF16 or not torch.backends.cpu.get_cpu_capability().startswith("AVX512"):
        return False
    instructions = torch.cpu.get_capabilities()
    return bool(instructions.get("avx512_bf16") or instructions.get("amx_bf16"))
