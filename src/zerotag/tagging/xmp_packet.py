"""An XMP packet: the lists of texts among a picture's own properties, read, extended and shortened; the rest is kept.

A property may be given as a list (``rdf:Bag``, ``rdf:Seq`` or ``rdf:Alt``), as a simple value, or as an attribute, in
any of the top-level descriptions; its items may have qualifiers. Properties of other resources in the packet (face
regions, ingredients, edit history) stand deeper and are not looked at. Needs lxml. Source: Adobe, XMP
specification part 1 (section 7, serialisation), 2012.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from zerotag.errors import MissingPackageError, ZerotagError

RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
XML_LANG = "{http://www.w3.org/XML/1998/namespace}lang"
DESCRIPTION, ABOUT, ID, NODE_ID, LIST_ITEM, VALUE = (
    f"{{{RDF}}}{name}" for name in ("Description", "about", "ID", "nodeID", "li", "value")
)
TOOLKIT = "{adobe:ns:meta/}xmptk"
LISTS = tuple(f"{{{RDF}}}{kind}" for kind in ("Bag", "Seq", "Alt"))
BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class Property:
    """A property that is a list of texts.

    Attributes:
        prefix: Prefix to declare where the namespace has none yet.
        name: Local name.
        namespaces: Namespaces it is found in; the first one is written.
        kind: Kind of the list where it is made, "Bag" or "Seq".
        separator: Character between the levels of a hierarchical tag; None for flat keywords.
    """

    prefix: str
    name: str
    namespaces: tuple[str, ...]
    kind: str = "Bag"
    separator: str | None = None

    @property
    def tags(self) -> tuple[str, ...]:
        """Qualified names as lxml writes them."""
        return tuple(f"{{{namespace}}}{self.name}" for namespace in self.namespaces)

    def refused(self, reason: str) -> ZerotagError:
        """The error for a form that cannot be changed safely."""
        return ZerotagError(f"{self.prefix}:{self.name} in it {reason}, so the file is left alone")


class Packet:
    """A parsed packet.

    Args:
        content: Content of an XMP file, in any encoding that XML knows.

    Raises:
        MissingPackageError: lxml is not installed.
        ZerotagError: the content is not XMP, or describes several resources.
    """

    def __init__(self, content: bytes) -> None:
        try:
            from lxml import etree
        except ImportError as error:
            raise MissingPackageError("lxml", "library", "XMP") from error
        self._etree, self._content = etree, content
        parser = etree.XMLParser(
            resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False, strip_cdata=False
        )
        try:
            self._tree = etree.ElementTree(etree.fromstring(content, parser))
        except (etree.XMLSyntaxError, LookupError) as error:  # LookupError: an unknown encoding
            raise ZerotagError(f"it is not XMP ({error})") from error
        if self._tree.docinfo.doctype:
            raise ZerotagError("it is not XMP (it has a document type)")
        found = list(self._tree.getroot().iter(f"{{{RDF}}}RDF"))
        if len(found) != 1:
            raise ZerotagError(f"it is not XMP (one rdf:RDF was expected in it, and there are {len(found)})")
        self._rdf = found[0]
        # one with a name of its own is about something else
        self.descriptions = [one for one in self._rdf.findall(DESCRIPTION) if not {ID, NODE_ID} & set(one.attrib)]
        subjects = {one.get(ABOUT) or one.get("about") or "" for one in self.descriptions} - {""}
        if len(subjects) > 1:
            raise ZerotagError(f"it describes several resources ({', '.join(sorted(subjects))}), so it is left alone")

    def to_bytes(self) -> bytes:
        """The packet in UTF-8, with an XML declaration, a byte order mark and a last line end where it had them."""
        declared = b"<?xml " in self._content[:128].replace(b"\0", b"")
        packet: bytes = self._etree.tostring(self._tree, encoding="UTF-8", xml_declaration=declared)
        packet = (BOM if self._content.startswith(BOM) else b"") + packet
        return packet + (b"\n" if self._content.endswith(b"\n") and not packet.endswith(b"\n") else b"")

    def is_empty(self) -> bool:
        """Whether nothing is in it but the elements that every packet has."""
        root = self._tree.getroot()
        wrappers = [element for element in root.iter() if element is not self._rdf and element not in self.descriptions]
        outside = [*root.itersiblings(), *root.itersiblings(preceding=True)]
        return (
            all(map(_is_empty, self.descriptions))
            and wrappers == ([] if root is self._rdf else [root])
            and not self._rdf.attrib
            and not set(root.attrib) - {TOOLKIT}
            and all(getattr(element, "target", None) == "xpacket" for element in outside)
        )

    def texts(self, prop: Property) -> list[str]:
        """Texts of a property, wherever and in whatever form they are given.

        Raises:
            ZerotagError: the property has a form that cannot be read for sure.
        """
        attributes = [one.get(tag) for one in self.descriptions for tag in prop.tags if one.get(tag)]
        simple = [element.text for element in self._elements(prop) if _list_in(element, prop) is None]
        return [*attributes, *(text for text in simple if text and text.strip()), *map(text_of, self.items(prop))]

    def items(self, prop: Property) -> list[Any]:
        """Items of a property's lists, to be read with :func:`text_of` or removed."""
        lists = (_list_in(element, prop) for element in self._elements(prop))
        return [item for one in lists if one is not None for item in one if isinstance(item.tag, str)]

    def append(self, prop: Property, texts: Sequence[str]) -> None:
        """Append items to a property; a simple value becomes a list of one first, which says the same.

        Raises:
            ZerotagError: the property has a form that cannot be changed safely.
            ValueError: a text has a character that XML cannot hold.
        """
        if not texts:
            return
        listed = self._list_for(prop)
        for text in texts:
            self._appended(listed, LIST_ITEM).text = text

    def remove(self, item: Any) -> None:
        """Remove an item, and its property and description where nothing else is in them."""
        listed = item.getparent()
        _remove(item)
        if not len(listed):
            self._remove_property(listed.getparent())

    def _remove_property(self, element: Any) -> None:
        description = element.getparent()
        _remove(element)
        if len(self.descriptions) > 1 and _is_empty(description):
            self.descriptions.remove(description)
            _remove(description)

    def forget_namespace(self, namespace: str) -> None:
        """Remove declarations of a namespace that nothing uses any more; others stay, used or not."""
        declared = {
            prefix for element in self._tree.iter() for prefix, uri in element.nsmap.items() if uri != namespace
        }
        self._etree.cleanup_namespaces(self._tree, keep_ns_prefixes=[prefix for prefix in declared if prefix])

    def set_value(self, prop: Property, value: str) -> None:
        """Make a simple property of a text."""
        self._appended(self._first_description(), prop.tags[0], {prop.prefix: prop.namespaces[0]}).text = value

    def drop(self, prop: Property) -> None:
        """Remove a property, in whatever form it is given."""
        for element in self._elements(prop):
            self._remove_property(element)
        for one in self.descriptions:
            for tag in prop.tags:
                one.attrib.pop(tag, None)

    def value(self, tag: str) -> str | None:
        """A simple property, from an attribute or an element."""
        found = [text for one in self.descriptions for text in (one.get(tag), one.findtext(tag)) if text]
        return found[0].strip() if found else None

    def has(self, tag: str) -> bool:
        """Whether the picture has a property, in any form."""
        return any(tag in one.attrib or one.find(tag) is not None for one in self.descriptions)

    def _elements(self, prop: Property) -> list[Any]:
        return [child for one in self.descriptions for child in one if child.tag in prop.tags]

    def _list_for(self, prop: Property) -> Any:
        """The list to append to."""
        elements = self._elements(prop)
        attributes = [(one, tag) for one in self.descriptions for tag in prop.tags if tag in one.attrib]
        lists = [one for one in (_list_in(element, prop) for element in elements) if one is not None]
        if len(elements) + len(attributes) > 1 and len(lists) < len(elements) + len(attributes):
            raise prop.refused("occurs several times, in different forms")
        if lists:
            return lists[0]
        if attributes:
            description, tag = attributes[0]
            element = self._appended(description, tag)
            element.text = description.attrib.pop(tag)
        elif elements:
            element = elements[0]
        else:
            element = self._appended(self._first_description(), prop.tags[0], {prop.prefix: prop.namespaces[0]})
        text, element.text = element.text, None
        listed = self._etree.SubElement(element, f"{{{RDF}}}{prop.kind}")
        if text and text.strip():
            item = self._etree.SubElement(listed, LIST_ITEM)
            item.text = text
            if XML_LANG in element.attrib:
                item.set(XML_LANG, element.attrib.pop(XML_LANG))
        return listed

    def _first_description(self) -> Any:
        if not self.descriptions:
            self.descriptions = [self._etree.SubElement(self._rdf, DESCRIPTION, {ABOUT: ""})]
        return self.descriptions[0]

    def _appended(self, parent: Any, tag: str, namespaces: dict[str, str] | None = None) -> Any:
        """A new last child, indented as those before it."""
        last = parent[-1] if len(parent) else None
        child = self._etree.SubElement(parent, tag, nsmap=namespaces)
        if last is not None:
            before = last.getprevious()
            child.tail, last.tail = last.tail, parent.text if before is None else before.tail
        return child


def _is_empty(description: Any) -> bool:
    about = description.get(ABOUT) or description.get("about")
    return not len(description) and not about and not set(description.attrib) - {ABOUT, "about"}


def _remove(element: Any) -> None:
    """Remove an element with the blanks before it, which were put there with it."""
    parent, before = element.getparent(), element.getprevious()
    if before is not None:
        before.tail = element.tail
    elif len(parent) == 1:
        parent.text = None if not (parent.text or "").strip() else parent.text
    parent.remove(element)


def text_of(item: Any) -> str:
    """The text of a list's item; of one with qualifiers its value."""
    for place in (item, *item.findall(DESCRIPTION)):
        if place.get(VALUE) is not None:
            return str(place.get(VALUE))
        if place.find(VALUE) is not None:
            return str(place.find(VALUE).xpath("string()"))
    return str(item.xpath("string()"))


def _list_in(element: Any, prop: Property) -> Any:
    """The list in a property's element; None where it has a simple value, or none."""
    children = [child for child in element if isinstance(child.tag, str)]
    others = set(element.attrib) - {XML_LANG, ID}
    if len(children) == 1 and children[0].tag in LISTS and not others:
        return children[0]
    if len(element) or others:
        raise prop.refused("has a form that cannot be changed safely")
    return None
