"""The place of a backbone in an encoder that was trained on imported voice vectors instead of recordings."""

from __future__ import annotations

from torch import Tensor

from data.errors import ModelError
from encoder.backbones.base import Backbone


class Imported(Backbone):
    """A network that somebody else ran: its outputs lie in the data set, and it can't hear a recording here."""

    def __init__(self, hidden_size: int) -> None:
        """Take its place.

        Args:
            hidden_size: Length of the imported voice vectors.
        """
        super().__init__()
        self.hidden_size = hidden_size

    def forward(self, waveform: Tensor) -> Tensor:
        """Refuse a recording.

        Raises:
            ModelError: Always.
        """
        raise ModelError(
            "this encoder was trained on imported voice vectors and can't hear recordings: give it a data set of "
            "scripts/import_features.py"
        )
