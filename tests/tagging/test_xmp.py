"""XMP packets of all forms: other programs read ours and what was there before, and removing leaves what was there."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from lxml.etree import canonicalize
from xmp_packets import OF_THE_SPECIFICATION, PACKETS, UNREAD_BY_OTHERS, described, listed, packet

from zerotag.errors import ZerotagError
from zerotag.tagging import xmp

by_others = pytest.mark.skipif(
    not (shutil.which("exiv2") and shutil.which("exiftool")), reason="exiv2 and exiftool are not installed"
)
LABELS = [["animal", "cat", "kitten"], ["sea"]]
FLAT = ["kitten", "cat", "animal", "sea"]
ADOBE, DIGIKAM = ["zerotag|animal|cat|kitten", "zerotag|sea"], ["zerotag/animal/cat/kitten", "zerotag/sea"]


def exiftool(folder: Path) -> dict[str, dict[str, Any]]:
    """All that exiftool reads, by file, then by property; lists as such, structures whole."""
    command = ["exiftool", "-j", "-G1", "-struct", "-XMP:all", "-ext", "xmp", str(folder)]
    found = subprocess.run(command, capture_output=True, check=True).stdout
    return {Path(one.pop("SourceFile")).name: one for one in json.loads(found)}


def exiv2(folder: Path) -> dict[str, Counter[tuple[str, str]]]:
    """Properties and values that exiv2 reads, by file; of lists it prints the items in one line."""
    found = {}
    for file in sorted(folder.glob("*.xmp")):
        done = subprocess.run(["exiv2", "-q", "-PXkv", str(file)], capture_output=True, check=False)
        rows = (line.split(maxsplit=1) for line in done.stdout.decode().splitlines() if line.strip())
        found[file.name] = Counter((row[0], row[1] if len(row) == 2 else "") for row in rows)
    return found


def as_list(value: Any) -> list[str]:
    return [str(one) for one in value] if isinstance(value, list) else [] if value in (None, "") else [str(value)]


def first_read(found: dict[str, Any]) -> list[str]:
    """Tags that digiKam and Immich see: those of the first list that there is, and of no other."""
    order = ("digiKam:TagsList", "MicrosoftPhoto:LastKeywordXMP", "lr:HierarchicalSubject", "dc:Subject")
    return next((tags for name in order if (tags := as_list(found.get(f"XMP-{name}")))), [])


def keeps_all(before: dict[str, Any], after: dict[str, Any]) -> None:
    """Every property that exiftool read before, it reads after; lists of tags may have grown."""
    for name, value in before.items():
        if name in ("XMP-dc:Subject", "XMP-lr:HierarchicalSubject", "XMP-digiKam:TagsList"):
            assert not Counter(as_list(value)) - Counter(as_list(after[name])), name
        else:
            assert after[name] == value, name


def written(folder: Path, packets: dict[str, bytes]) -> Path:
    folder.mkdir()
    for name, content in packets.items():
        (folder / f"{name}.xmp").write_bytes(content)
    return folder


def judged_by_others(where: Path, packets: dict[str, bytes]) -> None:
    """Write labels into packets, remove them again, and let exiftool and exiv2 read each state."""
    tagged = {name: xmp.with_labels(content, LABELS) for name, content in packets.items()}
    left = {name: xmp.without_labels(content, added) for name, (content, added) in tagged.items()}
    for name, content in left.items():
        assert content is not None or b"<dc:subject" not in packets[name]
    before = written(where / "before", packets)
    after = written(where / "after", {name: content for name, (content, _) in tagged.items()})
    undone = written(where / "undone", {name: content for name, content in left.items() if content is not None})
    read_before, read_after, read_undone = exiftool(before), exiftool(after), exiftool(undone)
    for name in packets:
        was, now = read_before[f"{name}.xmp"], read_after[f"{name}.xmp"]
        keeps_all(was, now)
        flat = [text.casefold() for text in as_list(now["XMP-dc:Subject"])]
        assert all(flat.count(label) == 1 for label in FLAT), flat
        for tag, wanted in (("lr:HierarchicalSubject", ADOBE), ("digiKam:TagsList", DIGIKAM)):
            found = [one for one in as_list(now.get(f"XMP-{tag}")) if one.startswith("zerotag")]
            assert found in (wanted, []) and bool(found) >= (f"XMP-{tag}" in was)
        assert set(first_read(was)) <= set(first_read(now)), name
        assert first_read(was) or first_read(now) == DIGIKAM
        again = read_undone.get(f"{name}.xmp", {})
        for tag in was.keys() | again.keys():  # an empty list and none at all say the same
            assert as_list(was.get(tag)) == as_list(again.get(tag)), (name, tag)
    exiv2_before, exiv2_after, exiv2_undone = exiv2(before), exiv2(after), exiv2(undone)
    grown = {"Xmp.dc.subject", "Xmp.lr.hierarchicalSubject", "Xmp.digiKam.TagsList"}
    for name in packets:
        was, now = exiv2_before[f"{name}.xmp"], exiv2_after[f"{name}.xmp"]
        assert not [row for row in was - now if row[0] not in grown], name
        flat_before = " ".join(value for tag, value in was if tag == "Xmp.dc.subject")
        flat_after = next(value for tag, value in now if tag == "Xmp.dc.subject")
        assert flat_after.startswith(flat_before), name
        again = exiv2_undone.get(f"{name}.xmp", Counter())
        assert {row for row in was if row[1]} == {row for row in again if row[1]}, name


@by_others
def test_other_programs_read_all_that_was_there_and_ours(tmp_path: Path) -> None:
    judged_by_others(tmp_path, {name: text.encode() for name, text in PACKETS.items()})


texts = st.text(st.characters(categories=["L", "N", "P", "S"], max_codepoint=0x2FFF), min_size=1, max_size=8)
texts = texts.filter(lambda text: xmp.ROOT_TAG not in text)  # the root tag is zerotag's own
escaped = texts.map(lambda text: text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;"))
lists = st.builds(
    lambda name, kind, items: listed(name, kind, *items),
    st.sampled_from(["dc:subject", "lr:hierarchicalSubject", "digiKam:TagsList"]),
    st.sampled_from(["Bag", "Seq", "Alt"]),
    st.lists(escaped, min_size=1, max_size=3, unique=True),
)
others = st.sampled_from(
    [
        '<dc:title><rdf:Alt><rdf:li xml:lang="x-default">A</rdf:li><rdf:li xml:lang="de">B</rdf:li></rdf:Alt>'
        "</dc:title>",
        '<xmp:Thumbnails><rdf:Alt><rdf:li rdf:parseType="Resource"><xmp:Label>x</xmp:Label></rdf:li></rdf:Alt>'
        "</xmp:Thumbnails>",
        "<xmp:Label>Red</xmp:Label>",
        "<!-- a comment -->",
        "<dc:creator><rdf:Seq><rdf:li>Ann</rdf:li></rdf:Seq></dc:creator>",
    ]
)


@st.composite
def packets(draw: st.DrawFn) -> str:
    """Properties spread over some descriptions, each of them once."""
    found = draw(st.lists(st.one_of(lists, others), max_size=8, unique_by=lambda text: text.split(">")[0]))
    parts = draw(st.integers(1, 3))
    return packet(*(described("".join(found[part::parts])) for part in range(parts)), described("", 'xmp:Rating="3"'))


@by_others
@settings(max_examples=3, deadline=None, phases=[Phase.generate])  # 36 packets
@given(st.lists(packets(), min_size=12, max_size=12))
def test_generated_packets_are_kept(tmp_path_factory: pytest.TempPathFactory, generated: list[str]) -> None:
    named = {f"{number}": text.encode() for number, text in enumerate(generated)}
    judged_by_others(tmp_path_factory.mktemp("generated"), named)


@pytest.mark.parametrize("name", OF_THE_SPECIFICATION | UNREAD_BY_OTHERS)
def test_keywords_are_read_in_every_form(name: str) -> None:
    text = (OF_THE_SPECIFICATION | UNREAD_BY_OTHERS)[name]
    found = xmp.keywords(text.encode())
    assert "portrait session" not in found and "layer" not in found
    if "holiday" in text and "trips/holiday" not in text:
        assert found[0] == "holiday"
    again, added = xmp.with_labels(text.encode(), LABELS)
    assert xmp.keywords(again) == [*found, *added] and xmp.is_marked(again)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "latin-1"])
def test_packets_in_other_encodings_are_read(encoding: str) -> None:
    declared = {
        "latin-1": '<?xml version="1.0" encoding="ISO-8859-1"?>',
        "utf-16-le": '<?xml version="1.0" encoding="UTF-16LE"?>',
    }
    text = declared.get(encoding, "") + packet(described(listed("dc:subject", "Bag", "Müll")))
    tagged, added = xmp.with_labels(text.encode(encoding), LABELS)
    assert xmp.keywords(tagged) == ["Müll", *FLAT] and xmp.is_marked(tagged)
    left = xmp.without_labels(tagged, added)
    assert left is not None and xmp.keywords(left) == ["Müll"]


UNSAFE = {
    "a resource": described('<dc:subject rdf:resource="http://example.org"/>'),
    "a structure": described('<dc:subject rdf:parseType="Resource"><xmp:Label>x</xmp:Label></dc:subject>'),
    "two lists": described("<dc:subject><rdf:Bag><rdf:li>a</rdf:li></rdf:Bag><rdf:Bag/></dc:subject>"),
    "in two forms": described(listed("dc:subject", "Bag", "a"), 'dc:subject="b"'),
    "twice as values": described("<dc:subject>a</dc:subject><dc:subject>b</dc:subject>"),
    "two resources": described("", "", "uuid:1") + described("", "", "uuid:2"),
    "a value in a list": described(
        "<lr:hierarchicalSubject><rdf:Description>a</rdf:Description></lr:hierarchicalSubject>"
    ),
}


@pytest.mark.parametrize("form", UNSAFE)
def test_what_cannot_be_changed_safely_is_refused(form: str) -> None:
    with pytest.raises(ZerotagError, match="left alone"):
        xmp.with_labels(packet(UNSAFE[form]).encode(), LABELS)


def test_a_packet_shows_by_itself_what_is_to_be_removed() -> None:
    first, _ = xmp.with_labels(None, LABELS)
    assert xmp.is_marked(first) and xmp.without_labels(first) is None
    theirs = PACKETS["darktable"].encode()
    tagged, _ = xmp.with_labels(theirs, LABELS)
    left = xmp.without_labels(tagged)
    assert left is not None and canonicalize(left.decode()) == canonicalize(theirs.decode()) and not xmp.is_marked(left)


@pytest.mark.parametrize(
    "theirs",
    [
        packet("<!-- mine -->"),
        packet().replace("</x:xmpmeta>", '<my:notes xmlns:my="urn:my">Anna</my:notes></x:xmpmeta>'),
        packet(described("", "", "uuid:12345")),
        packet('<my:Image xmlns:my="urn:my" rdf:about=""/>'),
        packet(described("")),
    ],
)
def test_a_file_of_somebody_else_stays_however_little_is_in_it(theirs: str) -> None:
    tagged, _ = xmp.with_labels(theirs.encode(), LABELS)
    left = xmp.without_labels(tagged)
    assert left is not None and xmp.keywords(left) == [] and not xmp.is_marked(left)
    created, _ = xmp.with_labels(None, LABELS)
    added_to = created.replace(b"</x:xmpmeta>", b"<!-- mine --></x:xmpmeta>")
    assert xmp.without_labels(created) is None and xmp.without_labels(added_to) is not None


@by_others
def test_a_list_that_exiftool_made_for_windows_is_not_hidden(tmp_path: Path) -> None:
    file = tmp_path / "a.xmp"
    subprocess.run(["exiftool", "-q", "-XMP-microsoft:LastKeywordXMP=Anna", str(file)], check=True)
    tagged, _ = xmp.with_labels(file.read_bytes(), LABELS)
    assert b"TagsList" not in tagged and b"hierarchicalSubject" not in tagged


def test_what_is_about_another_resource_is_left_alone() -> None:
    other = '<rdf:Description rdf:nodeID="a" xmlns:dc="http://purl.org/dc/elements/1.1/">'
    other += f"{listed('dc:subject', 'Bag', 'theirs')}</rdf:Description>"
    tagged, _ = xmp.with_labels(packet(described(""), other).encode(), LABELS)
    assert xmp.keywords(tagged) == FLAT and b"theirs" in tagged


def test_a_keyword_that_somebody_added_too_stays() -> None:
    tagged, _ = xmp.with_labels(None, LABELS)
    by_both = tagged.replace(
        b"<rdf:li>sea</rdf:li>", b"<rdf:li>sea</rdf:li><rdf:li>sea</rdf:li><rdf:li>beach</rdf:li>", 1
    )
    left = xmp.without_labels(by_both)
    assert left is not None and xmp.keywords(left) == ["sea", "beach"]


@by_others
@pytest.mark.parametrize("program", ["exiftool", "exiv2"])
@pytest.mark.parametrize("name", ["digiKam", "darktable", "Lightroom", "seq", "attribute", "faces"])
def test_tags_are_removed_after_another_program_wrote_the_file(program: str, name: str, tmp_path: Path) -> None:
    theirs = PACKETS[name].encode()
    file = tmp_path / "a.xmp"
    file.write_bytes(xmp.with_labels(theirs, LABELS)[0])
    commands = {
        "exiftool": ["exiftool", "-q", "-overwrite_original", "-XMP-dc:Subject+=boat", "-XMP:Label=new", str(file)],
        "exiv2": ["exiv2", "-M", "set Xmp.xmp.Label new", str(file)],
    }
    subprocess.run(commands[program], check=True, capture_output=True)
    left = xmp.without_labels(file.read_bytes())
    assert left is not None and b"zerotag" not in left and b"new" in left
    assert set(xmp.keywords(left)) - {"boat"} == set(xmp.keywords(theirs))
    assert ("boat" in xmp.keywords(left)) == (program == "exiftool")
