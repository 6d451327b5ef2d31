"""Tags in XMP, the format in which photo managers exchange them: added to a packet, and removed again.

Written are ``dc:subject`` (flat), ``lr:hierarchicalSubject`` and ``digiKam:TagsList`` (below the root tag "zerotag"),
``zerotag:Wrote`` ("keywords", or "file" where zerotag made the file), and ``zerotag:AddedSubjects``, the flat keywords
that were not there before: so a packet shows what is to be removed.
All else in a packet is kept. Source of the properties: packets of digiKam, darktable and Lightroom.

digiKam and Immich read the first of these lists that is there and pass over the others: ``digiKam:TagsList``, those of
other programs, ``lr:hierarchicalSubject``, ``dc:subject``. So a list is made only where it hides no keyword of others.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from zerotag.tagging.xmp_packet import Packet, Property, text_of

ROOT_TAG = "zerotag"
FLAT = Property("dc", "subject", ("http://purl.org/dc/elements/1.1/", "http://purl.org/dc/1.1/"))
ADOBE = Property(
    "lr",
    "hierarchicalSubject",
    ("http://ns.adobe.com/lightroom/1.0/", "http://ns.adobe.com/lightroom/1.0"),
    separator="|",
)
DIGIKAM = Property(
    "digiKam", "TagsList", ("http://www.digikam.org/ns/1.0/", "http://www.digikam.org/ns/1.0"), "Seq", separator="/"
)
OF_OTHERS = (
    "{http://ns.microsoft.com/photo/1.0/}LastKeywordXMP",
    "{http://ns.microsoft.com/photo/1.0}LastKeywordXMP",  # as exiftool writes it
    "{http://ns.iview-multimedia.com/mediapro/1.0/}CatalogSets",
    "{http://ns.acdsee.com/iptc/1.0/}categories",
)
WROTE = Property("zerotag", "Wrote", ("urn:zerotag:xmp/1.0/",))
ADDED = Property("zerotag", "AddedSubjects", ("urn:zerotag:xmp/1.0/",))  # exiv2 appends a slash where there is none
FILE, KEYWORDS = "file", "keywords"
EXTENSION = "{http://ns.adobe.com/photoshop/1.0/}SidecarForExtension"
EMPTY = (
    b'<?xml version="1.0" encoding="UTF-8"?>\n<x:xmpmeta xmlns:x="adobe:ns:meta/">\n'
    b' <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">\n  <rdf:Description rdf:about=""/>\n'
    b" </rdf:RDF>\n</x:xmpmeta>\n"
)


def with_labels(content: bytes | None, labels: Sequence[Sequence[str]]) -> tuple[bytes, list[str]]:
    """A packet with labels added, and the flat keywords among them that were not there before.

    A keyword that differs from a present one in case or Unicode form alone counts as present.

    Args:
        content: Packet without labels of zerotag; None for a new one.
        labels: Each label below its parents, such as ("animal", "cat", "kitten").

    Raises:
        MissingPackageError: lxml is not installed.
        ZerotagError: the packet is not XMP, or has a property in a form that cannot be changed safely.
        ValueError: a label has a character that XML cannot hold.
    """
    packet = Packet(EMPTY if content is None else content)
    known = {_folded(text) for text in packet.texts(FLAT)}
    added = []
    for keyword in (part for label in labels for part in reversed(label)):
        if _folded(keyword) not in known:
            known.add(_folded(keyword))
            added.append(keyword)
    forms = _shown_with_theirs(packet)
    packet.append(FLAT, added)
    for form in forms:
        mark = form.separator or ""
        packet.append(form, [mark.join([ROOT_TAG, *(part.replace(mark, " ") for part in label)]) for label in labels])
    packet.set_value(WROTE, FILE if content is None else KEYWORDS)
    packet.append(ADDED, added)
    return packet.to_bytes(), added


def without_labels(content: bytes, added: Sequence[str] = ()) -> bytes | None:
    """A packet without what zerotag added; None where zerotag made the file and nothing else is in it.

    Args:
        content: Packet that zerotag wrote, whatever other programs changed in it since.
        added: Flat keywords to remove where another program dropped what the packet itself said of them.

    Raises:
        MissingPackageError: lxml is not installed.
        ZerotagError: the packet is not XMP, or has a property in a form that cannot be changed safely.
    """
    packet = Packet(content)
    wrote = packet.value(WROTE.tags[0])
    flat = {*(added if wrote is None else packet.texts(ADDED)), ROOT_TAG}
    for item in packet.items(FLAT):
        if (text := text_of(item)) in flat:
            flat.remove(text)  # another one of the same text is somebody else's
            packet.remove(item)
    for form in (ADOBE, DIGIKAM):
        for item in packet.items(form):
            if text_of(item).split(form.separator)[0] == ROOT_TAG:
                packet.remove(item)
    packet.drop(ADDED)
    packet.drop(WROTE)
    packet.forget_namespace(ADDED.namespaces[0])
    return None if wrote == FILE and packet.is_empty() else packet.to_bytes()


def is_marked(content: bytes) -> bool:
    """Whether zerotag wrote into a packet, as far as its content shows.

    Raises:
        MissingPackageError: lxml is not installed.
        ZerotagError: zerotag is named in it, and it is not XMP.
    """
    if ROOT_TAG.encode() not in content.replace(b"\0", b""):
        return False
    packet = Packet(content)
    roots = [text.split(form.separator)[0] for form in (ADOBE, DIGIKAM) for text in packet.texts(form)]
    return ROOT_TAG in roots or packet.has(WROTE.tags[0])


def keywords(content: bytes) -> list[str]:
    """Flat keywords of a packet.

    Raises:
        MissingPackageError: lxml is not installed.
        ZerotagError: the packet is not XMP, or has the keywords in a form that cannot be read for sure.
    """
    return Packet(content).texts(FLAT)


def extension_of(content: bytes) -> str | None:
    """The extension of the file that a sidecar says it belongs to (``photoshop:SidecarForExtension``), if it says so.

    Raises:
        MissingPackageError: lxml is not installed.
        ZerotagError: the packet is not XMP.
    """
    return Packet(content).value(EXTENSION)


def _shown_with_theirs(packet: Packet) -> list[Property]:
    """The hierarchical lists that hide none of the keywords that are there."""
    has_adobe, has_digikam = bool(packet.texts(ADOBE)), bool(packet.texts(DIGIKAM))
    has_others = bool(packet.texts(FLAT)) or any(packet.has(tag) for tag in OF_OTHERS)
    adobe = [ADOBE] if has_adobe or has_digikam or not has_others else []
    digikam = [DIGIKAM] if has_digikam or not (has_adobe or has_others) else []
    return adobe + digikam


def _folded(text: str) -> str:
    return unicodedata.normalize("NFC", text.strip().casefold())
