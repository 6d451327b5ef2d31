"""Packets in the forms that programs write, and such as only the specification knows, for the tests of XMP files."""

from __future__ import annotations

RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
SPACES = (
    'xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:lr="http://ns.adobe.com/lightroom/1.0/" '
    'xmlns:digiKam="http://www.digikam.org/ns/1.0/" xmlns:xmp="http://ns.adobe.com/xap/1.0/"'
)


def packet(*descriptions: str) -> str:
    return (
        f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="{RDF}">{"".join(descriptions)}</rdf:RDF></x:xmpmeta>'
    )


def described(inside: str, attributes: str = "", about: str = "") -> str:
    return f'<rdf:Description rdf:about="{about}" {SPACES} {attributes}>{inside}</rdf:Description>'


def listed(name: str, kind: str, *texts: str) -> str:
    items = "".join(f"<rdf:li>{text}</rdf:li>" for text in texts)
    return f"<{name}><rdf:{kind}>{items}</rdf:{kind}></{name}>"


OF_PROGRAMS = {
    "digiKam": """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="XMP Core 4.4.0-Exiv2">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:digiKam="http://www.digikam.org/ns/1.0/"
    xmlns:lr="http://ns.adobe.com/lightroom/1.0/" xmlns:acdsee="http://ns.acdsee.com/iptc/1.0/"
    xmlns:MicrosoftPhoto="http://ns.microsoft.com/photo/1.0/" xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmp:Rating="4"
   acdsee:categories="&lt;Category Assigned=&quot;1&quot;&gt;holiday&lt;/Category&gt;">
   <dc:subject><rdf:Bag><rdf:li>holiday</rdf:li><rdf:li>sea</rdf:li></rdf:Bag></dc:subject>
   <digiKam:TagsList><rdf:Seq><rdf:li>trips/holiday</rdf:li></rdf:Seq></digiKam:TagsList>
   <MicrosoftPhoto:LastKeywordXMP><rdf:Bag><rdf:li>trips/holiday</rdf:li></rdf:Bag></MicrosoftPhoto:LastKeywordXMP>
   <lr:hierarchicalSubject><rdf:Bag><rdf:li>trips|holiday</rdf:li></rdf:Bag></lr:hierarchicalSubject>
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>
<?xpacket end="w"?>""",
    "darktable": """<?xml version="1.0" encoding="UTF-8"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="XMP Core 4.4.0-Exiv2">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about="" xmlns:darktable="http://darktable.sf.net/" xmlns:dc="http://purl.org/dc/elements/1.1/"
   xmlns:lr="http://ns.adobe.com/lightroom/1.0/" darktable:xmp_version="4" darktable:history_end="3">
   <darktable:history>
    <rdf:Seq><rdf:li darktable:operation="exposure" darktable:enabled="1"/></rdf:Seq>
   </darktable:history>
   <dc:subject>
    <rdf:Seq>
     <rdf:li>darktable</rdf:li>
     <rdf:li>nef</rdf:li>
    </rdf:Seq>
   </dc:subject>
   <lr:hierarchicalSubject>
    <rdf:Seq>
     <rdf:li>darktable|format|nef</rdf:li>
    </rdf:Seq>
   </lr:hierarchicalSubject>
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>
""",
    "Lightroom": f"""<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="Adobe XMP Core 7.0-c000">
 <rdf:RDF xmlns:rdf="{RDF}">
  <rdf:Description rdf:about="" {SPACES} xmlns:crs="http://ns.adobe.com/camera-raw-settings/1.0/"
    xmlns:xmpMM="http://ns.adobe.com/xap/1.0/mm/" xmlns:stEvt="http://ns.adobe.com/xap/1.0/sType/ResourceEvent#"
    xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/"
   xmp:Rating="3" crs:Exposure2012="+0.50" photoshop:SidecarForExtension="JPG">
   <dc:title><rdf:Alt><rdf:li xml:lang="x-default">At the sea &amp; more</rdf:li></rdf:Alt></dc:title>
   <lr:hierarchicalSubject><rdf:Bag><rdf:li>Orte|Meer</rdf:li></rdf:Bag></lr:hierarchicalSubject>
   <xmpMM:History><rdf:Seq><rdf:li stEvt:action="saved" stEvt:changed="/metadata"/></rdf:Seq></xmpMM:History>
   <crs:ToneCurvePV2012><rdf:Seq><rdf:li>0, 0</rdf:li><rdf:li>255, 255</rdf:li></rdf:Seq></crs:ToneCurvePV2012>
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>""",
    "Capture One": packet(
        described(
            listed("dc:subject", "Bag", "Wedding") + listed("lr:hierarchicalSubject", "Bag", "Job|Wedding"),
            'xmp:Label="Red" xmp:Rating="5"',
        )
    ),
    "Apple Photos": packet(
        described(
            listed("dc:subject", "Bag", "Ferien") + '<dc:description><rdf:Alt><rdf:li xml:lang="x-default"/></rdf:Alt>'
            "</dc:description>",
            'xmlns:exif="http://ns.adobe.com/exif/1.0/" exif:GPSLatitude="52,31.2N"',
        )
    ),
    "Windows": "\ufeff"
    + packet(
        '<rdf:Description rdf:about="uuid:faf5bdd5-ba3d-11da-ad31-d33d75182f1b" '
        'xmlns:MicrosoftPhoto="http://ns.microsoft.com/photo/1.0/"><MicrosoftPhoto:Rating>75</MicrosoftPhoto:Rating>'
        f"{listed('MicrosoftPhoto:LastKeywordXMP', 'Bag', 'Sommer')}</rdf:Description>",
        '<rdf:Description rdf:about="uuid:faf5bdd5-ba3d-11da-ad31-d33d75182f1b" '
        f'xmlns:dc="http://purl.org/dc/elements/1.1/">{listed("dc:subject", "Bag", "Sommer")}</rdf:Description>',
    ),
    "exiftool": """<?xpacket begin='\ufeff' id='W5M0MpCehiHzreSzNTczkc9d'?>
<x:xmpmeta xmlns:x='adobe:ns:meta/' x:xmptk='Image::ExifTool 12.57'>
<rdf:RDF xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#'>

 <rdf:Description rdf:about=''
  xmlns:dc='http://purl.org/dc/elements/1.1/'>
  <dc:subject>
   <rdf:Bag>
    <rdf:li>boat</rdf:li>
   </rdf:Bag>
  </dc:subject>
 </rdf:Description>

 <rdf:Description rdf:about=''
  xmlns:xmp='http://ns.adobe.com/xap/1.0/'>
  <xmp:Rating>2</xmp:Rating>
 </rdf:Description>
</rdf:RDF>
</x:xmpmeta>
<?xpacket end='w'?>""",
}
FACES = (
    '<mwg-rs:Regions xmlns:mwg-rs="http://www.metadataworkinggroup.com/schemas/regions/" '
    'xmlns:stArea="http://ns.adobe.com/xmp/sType/Area#" rdf:parseType="Resource"><mwg-rs:RegionList><rdf:Bag><rdf:li>'
    '<rdf:Description mwg-rs:Name="Person A" mwg-rs:Type="Face">'
    '<mwg-rs:Area stArea:x="0.5" stArea:y="0.5" stArea:w="0.1" stArea:h="0.1" stArea:unit="normalized"/>'
    '<mwg-rs:Extensions rdf:parseType="Resource"><dc:subject><rdf:Bag><rdf:li>portrait session</rdf:li></rdf:Bag>'
    "</dc:subject></mwg-rs:Extensions></rdf:Description></rdf:li></rdf:Bag></mwg-rs:RegionList></mwg-rs:Regions>"
)
PANTRY = (
    '<xmpMM:Pantry xmlns:xmpMM="http://ns.adobe.com/xap/1.0/mm/"><rdf:Bag><rdf:li><rdf:Description>'
    "<xmpMM:InstanceID>uuid:1</xmpMM:InstanceID><dc:subject><rdf:Bag><rdf:li>layer</rdf:li></rdf:Bag></dc:subject>"
    "</rdf:Description></rdf:li></rdf:Bag></xmpMM:Pantry>"
)
OF_THE_SPECIFICATION = {
    "seq": packet(described(listed("dc:subject", "Seq", "holiday"))),
    "alt": packet(described(listed("dc:subject", "Alt", "holiday"))),
    "digiKam bag": packet(described(listed("digiKam:TagsList", "Bag", "trips/holiday"))),
    "attribute": packet(described("", 'dc:subject="holiday"')),
    "simple value": packet(described("<dc:subject>holiday</dc:subject>")),
    "simple value with a language": packet(described('<dc:subject xml:lang="en">holiday</dc:subject>')),
    "empty property": packet(described("<dc:subject/>", 'xmp:Rating="1"')),
    "empty list": packet(described("<dc:subject><rdf:Bag/></dc:subject>", 'xmp:Rating="1"')),
    "two descriptions": packet(described("", 'xmp:Rating="1"'), described(listed("dc:subject", "Bag", "holiday"))),
    "no description": packet(),
    "qualified items": packet(
        described(
            '<dc:subject><rdf:Bag><rdf:li rdf:parseType="Resource"><rdf:value>holiday</rdf:value>'
            "<xmp:Label>private</xmp:Label></rdf:li><rdf:li>sea</rdf:li></rdf:Bag></dc:subject>"
        )
    ),
    "comment in the list": packet(
        described("<dc:subject><rdf:Bag><!-- mine --><rdf:li>holiday</rdf:li></rdf:Bag></dc:subject>")
    ),
    "faces": packet(described(FACES + listed("dc:subject", "Bag", "holiday"))),
    "faces before no keywords": packet(described(FACES)),
    "pantry": packet(described(PANTRY)),
    "cdata": packet(described("<dc:subject><rdf:Bag><rdf:li><![CDATA[R&B]]></rdf:li></rdf:Bag></dc:subject>")),
    "other case": packet(described(listed("dc:subject", "Bag", "KITTEN", "Sea"))),
}
PACKETS = OF_PROGRAMS | OF_THE_SPECIFICATION
# forms that the specification allows and exiftool or exiv2 does not read
UNREAD_BY_OTHERS = {
    "other prefixes": f'<r:RDF xmlns:r="{RDF}"><r:Description r:about="" xmlns:a="http://purl.org/dc/elements/1.1/">'
    "<a:subject><r:Bag><r:li>holiday</r:li></r:Bag></a:subject></r:Description></r:RDF>",
    "without a wrapper": f'<rdf:RDF xmlns:rdf="{RDF}">{described(listed("dc:subject", "Bag", "holiday"))}</rdf:RDF>',
}
