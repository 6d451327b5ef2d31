"""Names of pictures that cannot be computed from their files.

Whoever has a file can compute the digest of its content. A page that could ask for pictures by their digests, by
whatever side channel, would learn which pictures that it knows are in the library; it cannot ask for names of which it
knows none.
"""

from __future__ import annotations

import re
import secrets
from hashlib import blake2b

from zerotag.errors import ZerotagError
from zerotag.tagging.catalogue import Catalogue

KEY = "picture names"
KEY_BYTES, HALF_BYTES, ROUNDS = 32, 8, 4
NAME = re.compile(r"[0-9a-fA-F]{32}")


class Names:
    """Digests by other names: a permutation of all digests that a secret key chooses.

    It is the network of Luby and Rackoff over keyed BLAKE2b, which goes back as well as forth: no table has to be kept
    in step with the library, and a name of no picture takes the same way as any other.

    Args:
        key: Secret key; a new one when left out.
    """

    def __init__(self, key: bytes | None = None) -> None:
        self._key = key or secrets.token_bytes(KEY_BYTES)

    @classmethod
    def of(cls, catalogue: Catalogue) -> Names:
        """The names of a catalogue, which keeps their key; where it cannot be written, they last as long as this."""
        try:
            if catalogue.remembered(KEY) is None:
                catalogue.remember(KEY, secrets.token_hex(KEY_BYTES))
            return cls(bytes.fromhex(catalogue.remembered(KEY)))
        except (ZerotagError, TypeError, ValueError):
            return cls()

    def name(self, digest: bytes) -> str:
        """The name of a digest, in 32 hexadecimal digits."""
        left, right = digest[:HALF_BYTES], digest[HALF_BYTES:]
        for number in range(ROUNDS):
            left, right = right, self._mixed(number, right, left)
        return (left + right).hex()

    def digest(self, name: str) -> bytes:
        """The digest that a name stands for.

        Raises:
            ZerotagError: It is no name.
        """
        if NAME.fullmatch(name) is None:
            raise ZerotagError(f"a picture's name has 32 hexadecimal digits, unlike {name[:40]!r}")
        whole = bytes.fromhex(name)
        left, right = whole[:HALF_BYTES], whole[HALF_BYTES:]
        for number in reversed(range(ROUNDS)):
            left, right = self._mixed(number, left, right), left
        return left + right

    def _mixed(self, number: int, half: bytes, other: bytes) -> bytes:
        mask = blake2b(half, digest_size=HALF_BYTES, key=self._key, salt=bytes([number])).digest()
        return bytes(a ^ b for a, b in zip(mask, other, strict=True))
