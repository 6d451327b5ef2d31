"""Annotations of which nearly all are unknown: only the others are kept."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Int8
from scipy.sparse import csr_array


class SparseAnnotations:
    """What an array of annotations [N, C] gives, from 5 bytes for each that is known.

    Rows, or rows and columns, are asked for as from an array with :func:`numpy.ix_` and come as one; so a batch or a
    test set is dense, and the whole never is.

    Args:
        rows: of the known entries.
        columns: of the same.
        values: 1 or −1.
        shape: N and C.
    """

    def __init__(self, rows: np.ndarray, columns: np.ndarray, values: np.ndarray, shape: tuple[int, int]) -> None:
        self.matrix = csr_array((values.astype(np.int8), (rows, columns)), shape)
        self.shape = shape

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> Int8[np.ndarray, ...]:
        if isinstance(key, tuple):
            rows, columns = (part.ravel() if isinstance(part, np.ndarray) else part for part in key)
            return self.matrix[rows].tocsc()[:, columns].toarray()
        if isinstance(key, int | np.integer):
            return self.matrix[[int(key)]].toarray()[0]
        return self.matrix[key].toarray()
