"""What decoding the largest pictures takes, by format: seconds, and memory of the worker that does it.

Run: python benchmarks/large_pictures.py [megapixels]

Pictures of 45 and 200 megapixels are written in each kind of encoding, and read as for tagging, one after the other.
Memory is the most that a worker of :class:`zerotag.tagging.readers.Readers` had in use. Needs 2 GB of memory and of
disk; some minutes.
"""

from __future__ import annotations

import re
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from multiprocessing import active_children
from pathlib import Path
from typing import Any

from PIL import Image

from zerotag.tagging.readers import Readers, Refusal, decoded

SIDE_PX = 288
SIZES = {45: (8192, 5464), 200: (16_383, 12_200)}  # WebP has sides of 16,383 at most


def texture(size: tuple[int, int]) -> Image.Image:
    """Colours that change as smoothly as those of a photo that is a little out of focus."""
    small = (size[0] // 24, size[1] // 24)
    return Image.merge("RGB", [Image.effect_noise(small, 60).resize(size, Image.Resampling.BILINEAR) for _ in "RGB"])


def turned() -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif


KINDS: dict[str, tuple[str, Callable[[Image.Image], Image.Image], dict[str, Any]]] = {
    "JPEG": ("JPEG", Image.Image.copy, {}),
    "JPEG, progressive, 4:4:4": ("JPEG", Image.Image.copy, {"progressive": True, "subsampling": 0, "quality": 95}),
    "JPEG, progressive, CMYK": ("JPEG", lambda p: p.convert("CMYK"), {"progressive": True, "quality": 90}),
    "PNG": ("PNG", Image.Image.copy, {"compress_level": 1}),
    "PNG with alpha": ("PNG", lambda p: p.convert("RGBA"), {"compress_level": 1}),
    "PNG, gray of 16 bits": ("PNG", lambda p: p.convert("L").convert("I;16"), {"compress_level": 1}),
    "PNG, palette": ("PNG", lambda p: p.quantize(64, Image.Quantize.FASTOCTREE), {"compress_level": 1}),
    "TIFF": ("TIFF", Image.Image.copy, {}),
    "TIFF, LZW, turned": ("TIFF", Image.Image.copy, {"compression": "tiff_lzw", "exif": turned()}),
    "TIFF, LZW, one strip": ("TIFF", Image.Image.copy, {"compression": "tiff_lzw", "strip_size": 2**31 - 1}),
    "TIFF, deflate, CMYK": ("TIFF", lambda p: p.convert("CMYK"), {"compression": "tiff_adobe_deflate"}),
    "TIFF, floats": ("TIFF", lambda p: p.convert("F"), {}),
    "TIFF of a JPEG": ("TIFF", Image.Image.copy, {"compression": "jpeg"}),
    "BMP": ("BMP", Image.Image.copy, {}),
    "GIF": ("GIF", lambda p: p.quantize(64, Image.Quantize.FASTOCTREE), {}),
    "WebP": ("WEBP", Image.Image.copy, {"quality": 20, "method": 0}),
    "WebP without loss": ("WEBP", Image.Image.copy, {"lossless": True, "quality": 0, "method": 0}),
    "AVIF": ("AVIF", Image.Image.copy, {"speed": 10}),
    "HEIF, tiles": (
        "HEIF",
        Image.Image.copy,
        {"quality": 30, "tile_size": 1024, "enc_params": {"preset": "ultrafast"}},
    ),
}


def most_in_use() -> float:
    """Megabytes, of the worker that had most."""
    most = 0
    for worker in active_children():
        found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{worker.pid}/status").read_text())
        most = max(most, int(found[1]) if found else 0)
    return most / 1024


def measured(path: Path) -> str:
    with Readers(num_workers=1) as readers:
        readers.one(open_nothing, path)
        began = time.perf_counter()
        outcome = readers.one(partial(decoded, side_px=SIDE_PX, resampling=Image.Resampling.BICUBIC), path)
        seconds = time.perf_counter() - began
        return outcome.reason if isinstance(outcome, Refusal) else f"{seconds:.1f} | {most_in_use():.0f}"


def open_nothing(path: Path) -> str:
    return path.name


def main() -> None:
    with suppress(ImportError):
        from pillow_heif import register_heif_opener

        register_heif_opener()
    sizes = [int(size) for size in sys.argv[1:]] or list(SIZES)
    print("| encoding | " + " | ".join(f"{size} MP, s | MB" for size in sizes) + " |")
    print("|---|" + "---:|---:|" * len(sizes))
    with tempfile.TemporaryDirectory() as folder:
        for name, (form, prepared, options) in KINDS.items():
            cells = []
            for size in sizes:
                path = Path(folder) / "picture"
                try:
                    picture = prepared(texture(SIZES[size]))
                    picture.save(path, form, **options)
                except Exception as error:
                    cells.append(f"not written ({error})")
                    continue
                del picture
                cells.append(measured(path))
            print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
