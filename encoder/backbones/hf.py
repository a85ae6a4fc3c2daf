"""Any audio encoder of the library transformers (WavLM, wav2vec 2.0, HuBERT ...), averaged over time."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from data.errors import ModelError
from encoder.backbones.base import Backbone


class HuggingFace(Backbone):
    """A transformers model of raw 16 kHz waveforms; the output is the mean of its last hidden states."""

    def __init__(self, name: str, config: dict[str, Any]) -> None:
        """Build the network, with random weights.

        Args:
            name: Hub id or folder, for `load_pretrained`.
            config: Configuration of the model from `read_config`; it rebuilds a trained model without access to the
                original.

        Raises:
            ModelError: If transformers is missing or does not know such a model.
        """
        super().__init__()
        transformers = _transformers()
        self._name = name
        try:
            settings = transformers.AutoConfig.for_model(**config)
            self.model = transformers.AutoModel.from_config(settings)
        except (ValueError, TypeError, KeyError) as error:
            raise ModelError(f"hf:{name}: transformers can't build it: {_first_line(error)}") from error
        if not hasattr(settings, "conv_stride"):
            raise ModelError(f"hf:{name}: a {settings.model_type} model does not take raw waveforms")
        self.hidden_size = int(settings.hidden_size)

    def forward(self, waveform: Tensor) -> Tensor:
        """Encode a batch of recordings.

        Args:
            waveform: [N, T] float32 in [-1, 1] at 16 kHz; normalised to zero mean and unit variance first, as these
                models' feature extractors do.

        Returns:
            [N, H].
        """
        centred = waveform - waveform.mean(dim=1, keepdim=True)
        scaled = centred / centred.square().mean(dim=1, keepdim=True).add(1e-7).sqrt()
        hidden_states: Tensor = self.model(input_values=scaled).last_hidden_state
        return hidden_states.mean(dim=1)

    def load_pretrained(self) -> None:
        """Read the published weights from the folder or the hub.

        Raises:
            ModelError: If they can't be found, reached or read.
        """
        transformers = _transformers()
        try:
            pretrained = transformers.AutoModel.from_pretrained(self._name, use_safetensors=True)
            self.model.load_state_dict(pretrained.state_dict(), strict=True)
        except (OSError, ValueError, RuntimeError) as error:
            raise ModelError(f"hf:{self._name}: can't read its weights: {_first_line(error)}") from error


def read_config(name: str) -> dict[str, Any]:
    """Read the configuration of a transformers model as a JSON-like dict.

    Args:
        name: Hub id or folder.

    Raises:
        ModelError: If transformers is not installed, or the model can't be found, reached or read.
    """
    transformers = _transformers()
    try:
        config: dict[str, Any] = transformers.AutoConfig.from_pretrained(name).to_diff_dict()
    except (OSError, ValueError) as error:
        raise ModelError(f"hf:{name}: can't read its configuration: {_first_line(error)}") from error
    return config


def _transformers() -> Any:
    try:
        import transformers
    except ImportError as error:
        raise ModelError("the hf backbone needs transformers: pip install 'wav2face[hf]'") from error
    return transformers


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
