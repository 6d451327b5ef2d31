"""The emoji behind the pocket data sets: three drawings each, tagged by people with words."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from typing import Any

from PIL import Image

from zerotag.datasets.archives import Archive, read_json
from zerotag.errors import MissingPackageError

STYLES = {
    "noto": Archive("@iconify-json/noto", "1.2.9", "3e918d88fc945c0bb3d468dbace6f88caef67f01c9f0e7bcae0915a042e8f1ad"),
    "twemoji": Archive(
        "@iconify-json/twemoji", "1.2.5", "19046dff7d8707ce96212ec86468b36ac5f8e60409629dd13f809265c6d0ebb7"
    ),
    "openmoji": Archive(
        "@iconify-json/openmoji", "1.2.29", "03181e2c156cab35cf4a62f1f7886bd971d59212e75ac3f189d5a4cae3930fc5"
    ),
}
EMOJIBASE = Archive("emojibase-data", "17.0.0", "d01d0e2ca4e22cb402679532155342c71e2e871f25c32223c013b8b166ebdf5a")
OPENMOJI = Archive("openmoji", "17.0.0", "55ee7d13485dec86e9f38c1f3a645a13382d33ff97c0cd845ee824b0aef45e68")
COMPONENT_GROUP, FLAG_GROUP = 2, 9


@dataclass(frozen=True)
class Emoji:
    """One emoji: its code, its name, the words people tagged it with, and an SVG for each style."""

    code: str
    name: str
    words: tuple[str, ...]
    drawings: dict[str, str]


def load_emoji() -> list[Emoji]:
    """All emoji save flags, components and regional indicators, in the order of their codes."""
    icons = {style: (read_json(a, "icons.json"), read_json(a, "chars.json")) for style, a in STYLES.items()}
    more_tags = {entry["hexcode"]: entry for entry in read_json(OPENMOJI, "data/openmoji.json")}
    found = []
    for entry in read_json(EMOJIBASE, "en/data.json"):
        if entry.get("group") in (None, COMPONENT_GROUP, FLAG_GROUP):
            continue
        code = entry["hexcode"]
        found.append(
            Emoji(
                code=code,
                name=entry["label"],
                words=_words(entry.get("tags", []), more_tags.get(code, {})),
                drawings={style: _svg(code, *sources) for style, sources in icons.items()},
            )
        )
    return sorted(found, key=lambda emoji: emoji.code)


def _words(tags: list[str], openmoji: dict[str, Any]) -> tuple[str, ...]:
    """Single lower-case words of three letters or more."""
    listed = ",".join([*tags, openmoji.get("tags", ""), openmoji.get("openmoji_tags", "")])
    candidates = {word.strip().lower() for word in listed.split(",")}
    return tuple(sorted(word for word in candidates if re.fullmatch(r"[a-z]{3,}", word)))


def _svg(code: str, icons: dict[str, Any], names: dict[str, str]) -> str:
    key = code.lower()
    icon = icons["icons"][names[key] if key in names else names[key.replace("-fe0f", "")]]
    width, height = (icon.get(side, icons[side]) for side in ("width", "height"))
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'viewBox="0 0 {width} {height}">{icon["body"]}</svg>'
    )


def render_png(svg: str, size_px: int) -> bytes:
    """A square RGBA picture of the drawing as PNG; the same bytes on every call."""
    try:
        import resvg_py
    except ImportError:
        raise MissingPackageError("resvg-py", "pocket", "Drawing the pocket pictures") from None
    return bytes(resvg_py.svg_to_bytes(svg_string=svg, width=size_px, height=size_px, skip_system_fonts=True))


def render(svg: str, size_px: int) -> Image.Image:
    """As :func:`render_png`, decoded."""
    return Image.open(io.BytesIO(render_png(svg, size_px))).convert("RGBA")
