"""XMP: what programs say of a picture, without what would be wrong of an output.

Knows XMP's names; opens no file.

    described_xmp    a packet with those properties that describe the picture

Kept are the namespaces of the table below: caption, keywords, author, rights, places, dates, camera, lens, rating.
Others tell of the file (its size, its thumbnail, its history), of edits in raw converters that the pixels have behind
them, of faces and depths at places in pixels, or of data that a camera puts behind the picture.
"""

import re
import xml.etree.ElementTree as ElementTree

_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_META = "adobe:ns:meta/"
_KEPT = {  # namespaces, by their usual prefixes
    "dc": "http://purl.org/dc/elements/1.1/",
    "xmp": "http://ns.adobe.com/xap/1.0/",
    "xmpRights": "http://ns.adobe.com/xap/1.0/rights/",
    "photoshop": "http://ns.adobe.com/photoshop/1.0/",
    "tiff": "http://ns.adobe.com/tiff/1.0/",
    "exif": "http://ns.adobe.com/exif/1.0/",
    "exifEX": "http://cipa.jp/exif/1.0/",
    "aux": "http://ns.adobe.com/exif/1.0/aux/",
    "Iptc4xmpCore": "http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/",
    "Iptc4xmpExt": "http://iptc.org/std/Iptc4xmpExt/2008-02-29/",
    "plus": "http://ns.useplus.org/ldf/xmp/1.0/",
    "cc": "http://creativecommons.org/ns#",
    "lr": "http://ns.adobe.com/lightroom/1.0/",
    "digiKam": "http://www.digikam.org/ns/1.0/",
    "MicrosoftPhoto": "http://ns.microsoft.com/photo/1.0/",
}
_ONLY = {  # names that are kept of a namespace that says other things, too
    "tiff": {"Make", "Model", "Artist", "Copyright", "ImageDescription", "Software", "DateTime"},
    "lr": {"hierarchicalSubject"},
}
_WRONG = {  # names that are not
    "dc": {"format"},
    "xmp": {"Thumbnails", "PageInfo"},
    "photoshop": {"ICCProfile", "ColorMode", "DocumentAncestors", "TextLayers", "SidecarForExtension", "History"}
    | {"LegacyIPTCDigest"},
    "exif": {"ColorSpace", "PixelXDimension", "PixelYDimension", "NativeDigest", "MakerNote", "SubjectArea"}
    | {"SubjectLocation", "FocalPlaneXResolution", "FocalPlaneYResolution", "FocalPlaneResolutionUnit", "CFAPattern"}
    | {"ComponentsConfiguration", "CompressedBitsPerPixel", "RelatedSoundFile"},
    "exifEX": {"Gamma", "InteroperabilityIndex"},
    "Iptc4xmpExt": {"ImageRegion"},
}
_PREFIXES = {uri: prefix for prefix, uri in _KEPT.items()}


def described_xmp(packet: bytes) -> bytes:
    """The packet with those properties that describe the picture; b"" if none is left.

    Raises:
        ValueError: It is no XMP.
    """
    text = packet.strip(b"\0 \r\n\t")
    if re.search(rb"<!(DOCTYPE|ENTITY)", text, re.IGNORECASE):
        raise ValueError("it declares entities")
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise ValueError(str(error)) from error
    groups = [group for rdf in root.iter(f"{{{_RDF}}}RDF") for group in rdf if group.tag == f"{{{_RDF}}}Description"]
    kept = [_described(group) for group in groups]
    if not any(len(group) or len(group.attrib) > 1 for group in kept):
        return b""
    for prefix, uri in (*_KEPT.items(), ("rdf", _RDF), ("x", _META)):
        ElementTree.register_namespace(prefix, uri)
    meta = ElementTree.Element(f"{{{_META}}}xmpmeta")
    ElementTree.SubElement(meta, f"{{{_RDF}}}RDF").extend(kept)
    try:
        packed = ElementTree.tostring(meta, encoding="utf-8", xml_declaration=False)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    return b'<?xpacket begin="\xef\xbb\xbf" id="W5M0MpCehiHzreSzNTczkc9d"?>' + packed + b'<?xpacket end="w"?>'


def _described(group: ElementTree.Element) -> ElementTree.Element:
    kept = ElementTree.Element(group.tag, {f"{{{_RDF}}}about": ""})
    for name, value in group.attrib.items():
        if _describes(name):
            kept.set(name, value)
    kept.extend(child for child in group if _describes(child.tag))
    return kept


def _describes(name: str) -> bool:
    uri, _, local = name.removeprefix("{").partition("}")
    prefix = _PREFIXES.get(uri, "")
    if not prefix or local in _WRONG.get(prefix, ()):
        return False
    return prefix not in _ONLY or local in _ONLY[prefix]
