"""What `precision: auto` becomes, on machines that are faked."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import yaml

from data.errors import ConfigError
from training import run as run_module
from training.precision import has_fast_bf16, requested_precision
from training.run import Run
from training.stats import Stats

MakeRun = Callable[..., Run]


@pytest.fixture
def fake_cpu(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Sets what torch says of the processor, and the limits in the environment."""
    for name in ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA"):
        monkeypatch.delenv(name, raising=False)

    def fake(capability: str, **instructions: bool) -> None:
        monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: instructions)

    return fake


CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("capability", "instructions", "expected"),
    [
        ("AVX512", {"avx512_bf16": True, "amx_bf16": False}, True),
        ("AVX512", {"avx512_bf16": False, "amx_bf16": True}, True),
        ("AVX512", {"avx512_bf16": False, "amx_bf16": False}, False),
        ("AVX2", {"avx512_bf16": True}, False),  # ATEN_CPU_CAPABILITY=avx2 on a newer processor
        ("DEFAULT", {}, False),  # ARM, for one
    ],
)
def test_a_cpu_has_fast_bf16_if_it_has_the_instructions_and_torch_may_use_them(
    fake_cpu: Callable[..., None], capability: str, instructions: dict[str, bool], expected: bool
) -> None:
    fake_cpu(capability, **instructions)
    assert has_fast_bf16(CPU) is expected


@pytest.mark.parametrize(
    ("limit", "expected"),
    [("AVX2", False), ("avx512_core_vnni", False), ("AVX512_CORE_BF16", True), ("AVX512_CORE_AMX", True)],
)
@pytest.mark.parametrize("name", ["ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA"])
def test_a_limit_of_onednn_counts(
    fake_cpu: Callable[..., None], monkeypatch: pytest.MonkeyPatch, name: str, limit: str, expected: bool
) -> None:
    fake_cpu("AVX512", avx512_bf16=True)
    monkeypatch.setenv(name, limit)
    assert has_fast_bf16(CPU) is expected


def test_a_gpu_that_only_emulates_bf16_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: including_emulation)
    assert not has_fast_bf16(torch.device("cuda"))
    assert not has_fast_bf16(torch.device("mps"))


@pytest.mark.parametrize(
    ("config", "accelerate", "expected"),
    [
        ("auto", None, None),
        ("auto", "no", None),  # accelerate's default
        ("auto", "bf16", "bf16"),
        ("fp32", "bf16", "fp32"),
        ("bf16", "fp16", "bf16"),
    ],
)
def test_the_config_goes_before_accelerate_and_both_before_the_hardware(
    monkeypatch: pytest.MonkeyPatch, config: str, accelerate: str | None, expected: str | None
) -> None:
    monkeypatch.delenv("ACCELERATE_MIXED_PRECISION", raising=False)
    if accelerate:
        monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", accelerate)
    assert requested_precision(config) == expected  # type: ignore[arg-type]


@pytest.mark.parametrize(("is_fast", "expected"), [(True, "bf16"), (False, "fp32")])
def test_auto_is_printed_and_stored_as_what_it_became(
    make_run: MakeRun,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    is_fast: bool,
    expected: str,
) -> None:
    monkeypatch.delenv("ACCELERATE_MIXED_PRECISION", raising=False)
    monkeypatch.setattr(run_module, "has_fast_bf16", lambda device: is_fast)
    run = make_run()
    assert run.precision == expected
    assert f"precision {expected} (auto:" in capsys.readouterr().out
    assert yaml.safe_load((run.folder / "config.yaml").read_text())["precision"] == expected


@pytest.mark.parametrize("began", ["fp32", "bf16"])
def test_a_resume_on_another_machine_keeps_the_precision(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], began: str
) -> None:
    monkeypatch.delenv("ACCELERATE_MIXED_PRECISION", raising=False)
    monkeypatch.setattr(run_module, "has_fast_bf16", lambda device: began == "bf16")
    Stats(make_run()).write({"loss": 1.0}, 0)
    monkeypatch.setattr(run_module, "has_fast_bf16", lambda device: began != "bf16")
    assert make_run(resume=True).precision == began
    assert f"precision {began} (auto: as this run began" in capsys.readouterr().out
    other = "fp32" if began == "bf16" else "bf16"
    with pytest.raises(ConfigError, match=f"precision: '{began}' became '{other}'"):
        make_run(resume=True, precision=other)


def test_one_process_without_bf16_decides_for_all(make_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ACCELERATE_MIXED_PRECISION", raising=False)
    monkeypatch.setattr(run_module, "has_fast_bf16", lambda device: True)
    run = make_run(dry_run=True)
    assert run.precision == "bf16"
    run.num_processes = 2
    monkeypatch.setattr(run_module, "broadcast_object_list", lambda values: None)
    monkeypatch.setattr(run_module, "gather_object", lambda values: [*values, False])
    assert run._choose_precision() == "fp32"
