"""Shape and type checks on every annotated function of zerotag, switched on for the tests alone."""

import os

from jaxtyping import install_import_hook

os.environ.setdefault("HF_HUB_OFFLINE", "1")
install_import_hook("zerotag", "beartype.beartype")
