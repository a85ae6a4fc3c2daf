"""Any audio encoder of the library transformers (WavLM, wav2vec 2.0, HuBERT ...), averaged over time."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from data.errors import ConfigError, ModelError
from encoder.backbones.base import Backbone


class HuggingFace(Backbone):
    """A transformers model of raw 16 kHz waveforms; the output is the mean of its hidden states over time.

    Of the last layer, or a weighted sum of all layers with one learnt weight each, as in SUPERB (Yang et al. 2021):
    what tells voices apart is mostly in the middle, while the last layers turn to words.

    Attributes:
        mix: [L + 1] logits of the layers' weights, from what enters the first layer to the last one's output; None for
            the last layer alone. Trained with the backbone; for a frozen one `encoder.layer_mix` chooses them.
    """

    def __init__(self, name: str, config: dict[str, Any], layers: str = "last") -> None:
        """Build the network, with random weights.

        Args:
            name: Hub id or folder, for `load_pretrained`.
            config: Configuration of the model from `read_config`; it rebuilds a trained model without access to the
                original.
            layers: "last" or "mix".

        Raises:
            ConfigError: If layers is neither.
            ModelError: If transformers is missing or does not know such a model.
        """
        super().__init__()
        if layers not in ("last", "mix"):
            raise ConfigError(f'hf:{name}: layers "{layers}" is unknown: last or mix')
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
        self.mix = nn.Parameter(torch.zeros(int(settings.num_hidden_layers) + 1)) if layers == "mix" else None

    def forward(self, waveform: Tensor) -> Tensor:
        """Encode a batch of recordings.

        Args:
            waveform: [N, T] float32 in [-1, 1] at 16 kHz; normalised to zero mean and unit variance first, as these
                models' feature extractors do.

        Returns:
            [N, H].
        """
        if self.mix is not None:
            return torch.einsum("l,nlh->nh", self.mix.softmax(dim=0), self.layer_means(waveform))
        hidden_states: Tensor = self.model(input_values=_standardise(waveform)).last_hidden_state
        return hidden_states.mean(dim=1)

    def layer_means(self, waveform: Tensor) -> Tensor:
        """Means of each layer's hidden states over time, of which the output is a weighted sum.

        Args:
            waveform: As for `forward`.

        Returns:
            [N, L + 1, H].
        """
        states = self.model(input_values=_standardise(waveform), output_hidden_states=True).hidden_states
        return torch.stack([layer.mean(dim=1) for layer in states], dim=1)

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


def _standardise(waveform: Tensor) -> Tensor:
    centred = waveform - waveform.mean(dim=1, keepdim=True)
    return centred / centred.square().mean(dim=1, keepdim=True).add(1e-7).sqrt()


def _transformers() -> Any:
    try:
        import transformers
    except ImportError as error:
        raise ModelError("the hf backbone needs transformers: pip install 'wav2face[hf]'") from error
    return transformers


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
