"""What ready-made models share: there is nothing to train."""

from __future__ import annotations

from jaxtyping import Bool, Float
from torch import Tensor

from zerotag.errors import ZerotagError
from zerotag.models import TaggingModel


class UntrainedModel(TaggingModel):
    """A model whose weights come as they are."""

    def loss(
        self, output: Float[Tensor, "b ..."], W: Float[Tensor, "c d"], positives: Bool[Tensor, "b c"]
    ) -> Float[Tensor, ""]:
        """Refuse to be trained.

        Raises:
            ZerotagError: always.
        """
        raise ZerotagError(f"{type(self).__name__} comes with its weights and is not trained; train another model")
