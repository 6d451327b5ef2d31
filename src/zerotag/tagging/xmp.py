"""Tags in XMP, the format in which photo managers exchange them: put into a packet, and taken out again.

Written are ``dc:subject`` (flat), ``lr:hierarchicalSubject`` and ``digiKam:TagsList`` (below the root tag "zerotag");
all else in a packet stays. Needs lxml. Sources: Adobe, XMP specification part 1, 2012;
digiKam and Lightroom as they write.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from zerotag.errors import MissingPackageError, ZerotagError

ROOT_TAG = "zerotag"
RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
NAMESPACES = {
    "x": "adobe:ns:meta/",
    "rdf": RDF,
    "dc": "http://purl.org/dc/elements/1.1/",
    "lr": "http://ns.adobe.com/lightroom/1.0/",
    "digiKam": "http://www.digikam.org/ns/1.0/",
}
FLAT, ADOBE, DIGIKAM = ("dc", "subject", "Bag"), ("lr", "hierarchicalSubject", "Bag"), ("digiKam", "TagsList", "Seq")
EMPTY = (
    b'<?xml version="1.0" encoding="UTF-8"?>\n<x:xmpmeta xmlns:x="adobe:ns:meta/">\n'
    b' <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">\n  <rdf:Description rdf:about=""/>\n'
    b" </rdf:RDF>\n</x:xmpmeta>\n"
)


def with_labels(packet: bytes | None, labels: Sequence[Sequence[str]]) -> tuple[bytes, list[str]]:
    """A packet with labels put in, and those flat keywords that were not there before.

    Args:
        packet: what is there already, without labels of zerotag; None for a new one.
        labels: each one below what stands above it, such as ("animal", "cat", "kitten").

    Raises:
        MissingPackageError: lxml is not installed.
        ZerotagError: the packet is no XMP.
    """
    tree = _parsed(EMPTY if packet is None else packet)
    flat = list(dict.fromkeys(part for label in labels for part in reversed(label)))
    known = set(_texts(tree, FLAT))
    added = [keyword for keyword in flat if keyword not in known]
    _add(tree, FLAT, added)
    for form, mark in ((ADOBE, "|"), (DIGIKAM, "/")):
        parts = ([ROOT_TAG, *(part.replace(mark, " ") for part in label)] for label in labels)
        _add(tree, form, [mark.join(path) for path in parts])
    return _written(tree, EMPTY if packet is None else packet), added


def without_labels(packet: bytes, added: Sequence[str]) -> bytes:
    """A packet without the flat keywords ``added`` and without all that stands below the root tag.

    Raises:
        MissingPackageError: lxml is not installed.
        ZerotagError: the packet is no XMP.
    """
    tree = _parsed(packet)
    for form, mark in ((FLAT, None), (ADOBE, "|"), (DIGIKAM, "/")):
        for entry in _entries(tree, form):
            text = entry.text or ""
            if text in added if mark is None else text.split(mark)[0] == ROOT_TAG:
                entry.getparent().remove(entry)
    for prefix, name, kind in (FLAT, ADOBE, DIGIKAM):
        for found in tree.getroot().iter(f"{{{NAMESPACES[prefix]}}}{name}"):
            if not found.findall(f"{{{RDF}}}{kind}/{{{RDF}}}li"):
                found.getparent().remove(found)
    return _written(tree, packet)


def keywords(packet: bytes) -> list[str]:
    """Flat keywords of a packet.

    Raises:
        MissingPackageError: lxml is not installed.
        ZerotagError: the packet is no XMP.
    """
    return _texts(_parsed(packet), FLAT)


def _parsed(packet: bytes) -> Any:
    try:
        from lxml import etree
    except ImportError as error:
        raise MissingPackageError("lxml", "library", "XMP") from error
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    try:
        tree = etree.ElementTree(etree.fromstring(packet, parser))
    except etree.XMLSyntaxError as error:
        raise ZerotagError(f"it is no XMP ({error})") from error
    if tree.docinfo.doctype or (
        tree.getroot().find(f".//{{{RDF}}}RDF") is None and tree.getroot().tag != f"{{{RDF}}}RDF"
    ):
        raise ZerotagError("it is no XMP (no rdf:RDF in it, or a document type before it)")
    return tree


def _written(tree: Any, packet: bytes) -> bytes:
    from lxml import etree

    has_declaration = packet.lstrip(b"\xef\xbb\xbf").startswith(b"<?xml ")
    content: bytes = etree.tostring(tree, encoding="UTF-8", xml_declaration=has_declaration)
    return content + (b"\n" if packet.endswith(b"\n") and not content.endswith(b"\n") else b"")


def _entries(tree: Any, form: tuple[str, str, str]) -> list[Any]:
    prefix, name, _ = form
    return [
        entry
        for found in tree.getroot().iter(f"{{{NAMESPACES[prefix]}}}{name}")
        for entry in found.iter(f"{{{RDF}}}li")
    ]


def _texts(tree: Any, form: tuple[str, str, str]) -> list[str]:
    return [entry.text or "" for entry in _entries(tree, form)]


def _add(tree: Any, form: tuple[str, str, str], texts: Sequence[str]) -> None:
    """Append entries to the list of this name, which is made where there is none."""
    from lxml import etree

    prefix, name, kind = form
    if not texts:
        return
    tag = f"{{{NAMESPACES[prefix]}}}{name}"
    found = next(tree.getroot().iter(tag), None)
    if found is None:
        found = etree.SubElement(_description(tree), tag, nsmap={prefix: NAMESPACES[prefix]})
    lists = [child for child in found if child.tag in {f"{{{RDF}}}{one}" for one in ("Bag", "Seq", "Alt")}]
    listed = lists[0] if lists else etree.SubElement(found, f"{{{RDF}}}{kind}", nsmap={"rdf": RDF})
    for text in texts:
        etree.SubElement(listed, f"{{{RDF}}}li").text = text


def _description(tree: Any) -> Any:
    from lxml import etree

    root = tree.getroot()
    rdf = root if root.tag == f"{{{RDF}}}RDF" else root.find(f".//{{{RDF}}}RDF")
    description = rdf.find(f"{{{RDF}}}Description")
    return (
        etree.SubElement(rdf, f"{{{RDF}}}Description", {f"{{{RDF}}}about": ""}) if description is None else description
    )
