"""XMP files: what others wrote is kept, a second write changes nothing, and taking back restores byte for byte."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from zerotag.errors import ZerotagError
from zerotag.tagging import xmp
from zerotag.tagging.catalogue import Catalogue
from zerotag.tagging.sidecars import remove_sidecars, write_sidecars
from zerotag.tagging.tagger import Tag
from zerotag.tagging.words import Word, WordList

WORDS = WordList((Word(name="kitten", parent="cat"), Word(name="cat", parent="animal"), Word(name="sea")))
KITTEN, SEA = Tag("kitten", 1.0, False), Tag("sea", 0.5, True)
RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
FOREIGN = {
    "digikam": """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="XMP Core 4.4.0-Exiv2">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:digiKam="http://www.digikam.org/ns/1.0/"
    xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmp:Rating="4">
   <dc:subject><rdf:Bag><rdf:li>holiday</rdf:li><rdf:li>sea</rdf:li></rdf:Bag></dc:subject>
   <digiKam:TagsList><rdf:Seq><rdf:li>trips/holiday</rdf:li></rdf:Seq></digiKam:TagsList>
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>
<?xpacket end="w"?>""",
    "darktable": """<?xml version="1.0" encoding="UTF-8"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="XMP Core 4.4.0-Exiv2">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about="" xmlns:darktable="http://darktable.sf.net/" darktable:xmp_version="4"
   darktable:history_end="3">
   <darktable:history><rdf:Seq><rdf:li darktable:operation="exposure"/></rdf:Seq></darktable:history>
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>
""",
    "bare": f'<rdf:RDF xmlns:rdf="{RDF}"></rdf:RDF>',
    "lightroom": f"""<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="{RDF}">
<rdf:Description rdf:about="" xmlns:lr="http://ns.adobe.com/lightroom/1.0/" xmlns:dc="http://purl.org/dc/elements/1.1/">
<dc:title><rdf:Alt><rdf:li xml:lang="x-default">At the sea &amp; more</rdf:li></rdf:Alt></dc:title>
<lr:hierarchicalSubject><rdf:Bag><rdf:li>Orte|Meer</rdf:li></rdf:Bag></lr:hierarchicalSubject>
</rdf:Description></rdf:RDF></x:xmpmeta>""",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """200 pictures with XMP files of four programs, and one without."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for index in range(200):
        Image.new("RGB", (4, 4)).save(folder / f"{index:03}.jpg")
        text = list(FOREIGN.values())[index % 4]
        (folder / f"{index:03}.jpg.xmp").write_bytes(text.replace("more", f"more {index}").encode())
    Image.new("RGB", (4, 4)).save(folder / "new.jpg")
    return folder


def tagged(folder: Path, *tags: Tag) -> list[tuple[str, list[Tag]]]:
    return [(path.name, list(tags)) for path in sorted(folder.glob("*.jpg"))]


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_foreign_content_is_kept_and_comes_back(folder: Path, tmp_path: Path) -> None:
    before = contents(folder)
    with Catalogue(tmp_path / "c.zerotag", folder) as catalogue:
        first = write_sidecars(catalogue, tagged(folder, KITTEN, SEA), WORDS)
        assert (first.num_written, first.num_same, first.failures) == (201, 0, {})
        after = contents(folder)
        second = write_sidecars(catalogue, tagged(folder, KITTEN, SEA), WORDS)
        assert (second.num_written, second.num_same) == (0, 201) and contents(folder) == after
        assert {name: hashlib.sha256(c).digest() for name, c in after.items() if name.endswith(".jpg")} == {
            name: hashlib.sha256(c).digest() for name, c in before.items() if name.endswith(".jpg")
        }
        for name in ("000.jpg.xmp", "001.jpg.xmp", "003.jpg.xmp"):
            for kept in (b"holiday", b"trips/holiday", b'Rating="4"', b"exposure", b"Orte|Meer", b"x-default"):
                assert (kept in before[name]) <= (kept in after[name])
        assert xmp.keywords(after["000.jpg.xmp"]) == ["holiday", "sea", "kitten", "cat", "animal"]
        assert b"zerotag|animal|cat|kitten" in after["000.jpg.xmp"] and b"zerotag/sea" in after["000.jpg.xmp"]
        third = write_sidecars(catalogue, tagged(folder, SEA), WORDS)
        assert third.num_written == 201 and b"kitten" not in (folder / "000.jpg.xmp").read_bytes()
        undone = remove_sidecars(folder, catalogue)
        assert (undone.num_written, undone.num_removed) == (200, 1)
        assert contents(folder) == before and catalogue.sidecars() == {}
        assert remove_sidecars(folder, catalogue).num_written == 0


def test_what_others_change_in_between_is_kept(folder: Path, tmp_path: Path) -> None:
    file = folder / "000.jpg.xmp"
    with Catalogue(tmp_path / "c.zerotag", folder) as catalogue:
        write_sidecars(catalogue, [("000.jpg", [KITTEN])], WORDS)
        file.write_bytes(file.read_bytes().replace(b'Rating="4"', b'Rating="5"').replace(b"holiday<", b"vacation<"))
        write_sidecars(catalogue, [("000.jpg", [SEA])], WORDS)
        assert xmp.keywords(file.read_bytes()) == ["vacation", "sea"]
        file.write_bytes(file.read_bytes().replace(b'Rating="5"', b'Rating="1"'))
        remove_sidecars(folder, catalogue)
    left = file.read_bytes()
    assert b'Rating="1"' in left and xmp.keywords(left) == ["vacation", "sea"] and b"zerotag" not in left


def test_a_picture_that_loses_its_tags_loses_its_file(folder: Path, tmp_path: Path) -> None:
    with Catalogue(tmp_path / "c.zerotag", folder) as catalogue:
        write_sidecars(catalogue, [("new.jpg", [KITTEN])], WORDS)
        assert (folder / "new.jpg.xmp").exists()
        done = write_sidecars(catalogue, [("new.jpg", [])], WORDS)
        assert done.num_removed == 1 and not (folder / "new.jpg.xmp").exists()
        assert write_sidecars(catalogue, [("new.jpg", [])], WORDS).num_removed == 0


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"no xml", "it is not XMP"),
        (b"<a/>", "one rdf:RDF"),
        (
            b'<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/x">]><x xmlns:rdf="%b"><rdf:RDF>&a;</rdf:RDF></x>',
            "XMP",
        ),
        (b"", "it is not XMP"),
    ],
)
def test_what_is_no_xmp_is_left_alone(content: bytes, reason: str, folder: Path, tmp_path: Path) -> None:
    file = folder / "000.jpg.xmp"
    file.write_bytes(content.replace(b"%b", RDF.encode()))
    before = file.read_bytes()
    with Catalogue(tmp_path / "c.zerotag", folder) as catalogue:
        done = write_sidecars(catalogue, tagged(folder, SEA), WORDS)
    assert list(done.failures) == ["000.jpg"] and reason in done.failures["000.jpg"]
    assert file.read_bytes() == before and done.num_written == 200


def test_links_are_left_alone(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text("mine")
    (folder / "new.jpg.xmp").symlink_to(tmp_path / "elsewhere")
    with Catalogue(tmp_path / "c.zerotag", folder) as catalogue:
        done = write_sidecars(catalogue, [("new.jpg", [SEA])], WORDS)
    assert "it is a link" in done.failures["new.jpg"] and (tmp_path / "elsewhere").read_text() == "mine"


labels = st.lists(st.text(st.characters(min_codepoint=32, exclude_categories=["Cs", "Cn"]), min_size=1), max_size=5)


@given(labels, st.sampled_from(list(FOREIGN)))
def test_any_words_go_in_and_out(words: list[str], program: str) -> None:
    packet = FOREIGN[program].encode()
    with_words, added = xmp.with_labels(packet, [[word] for word in words])
    assert set(words) <= set(xmp.keywords(with_words))
    without = xmp.without_labels(with_words, added)
    assert without is not None and xmp.keywords(without) == xmp.keywords(packet) and b"zerotag" not in without


def test_a_packet_that_is_no_xmp_is_an_error() -> None:
    with pytest.raises(ZerotagError, match="it is not XMP"):
        xmp.keywords(np.random.default_rng(0).bytes(50))


def test_a_word_that_xml_cannot_hold_is_a_failure_of_its_picture(folder: Path, tmp_path: Path) -> None:
    with Catalogue(tmp_path / "c.zerotag", folder) as catalogue:
        done = write_sidecars(catalogue, [("new.jpg", [Tag("bell\x07", 1.0, False)]), ("000.jpg", [SEA])], WORDS)
    assert list(done.failures) == ["new.jpg"] and done.num_written == 1
