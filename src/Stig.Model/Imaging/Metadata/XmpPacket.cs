using System.Text;
using System.Xml;
using System.Xml.Linq;

namespace Stig.Model.Imaging;

/// <summary>Changes XMP packets to fit changed pixels, and writes how an image was made into them.</summary>
/// <remarks>XMP (ISO 16684-1). Packets may be hostile: no document type is accepted, and no packet that is longer, deeper or wider than
/// any of sense.</remarks>
internal static class XmpPacket
{
    /// <summary>The most bytes that a packet may have.</summary>
    public const int MaxLength = 2 << 20;

    // Attributes of an element and of all around it: for each element a writer looks prefixes up in them.
    private const int MaxDepth = 64, MaxAttributes = 512;

    private static readonly XNamespace Meta = "adobe:ns:meta/";
    private static readonly XNamespace Rdf = "http://www.w3.org/1999/02/22-rdf-syntax-ns#";
    private static readonly XNamespace Basic = "http://ns.adobe.com/xap/1.0/";
    private static readonly XNamespace Media = "http://ns.adobe.com/xap/1.0/mm/";
    private static readonly XNamespace Event = "http://ns.adobe.com/xap/1.0/sType/ResourceEvent#";
    private static readonly XNamespace Note = "http://ns.adobe.com/xmp/note/";
    private static readonly XNamespace Tiff = "http://ns.adobe.com/tiff/1.0/";
    private static readonly XNamespace Exif = "http://ns.adobe.com/exif/1.0/";
    private static readonly XNamespace Terms = "http://purl.org/dc/terms/";

    // A link to a C2PA manifest that is kept elsewhere (C2PA 2.1, 11.5); a mark that more of the packet stands elsewhere in the file,
    // which is not carried over; the pictures of old pixels.
    private static readonly XName[] Removed = [Terms + "provenance", Note + "HasExtendedXMP", Basic + "Thumbnails"];

    /// <summary>Whether a packet links to a C2PA manifest.</summary>
    public static bool PointsToManifest(byte[] packet) =>
        packet.AsSpan().IndexOf("provenance"u8) >= 0 && Parse(packet) is { } document && Properties(document, Removed[0]).Any();

    /// <summary>The packet with orientation upright, sizes the image's, and without thumbnails, links to C2PA manifests and
    /// the mark of an extended packet.</summary>
    /// <returns>The packet as it was where it has none of these; null where it is not XMP.</returns>
    public static byte[]? Keep(byte[] packet, int width, int height)
    {
        if (Parse(packet) is not { } document)
        {
            return null;
        }

        XObject[] removed = [.. Removed.SelectMany(name => Properties(document, name))];
        bool changed = removed.Length > 0;
        foreach (XObject property in removed)
        {
            if (property is XElement element)
            {
                element.Remove();
            }
            else
            {
                ((XAttribute)property).Remove();
            }
        }

        (XName Name, int Value)[] values =
        [
            (Tiff + "Orientation", 1), (Tiff + "ImageWidth", width), (Tiff + "ImageLength", height), (Exif + "PixelXDimension", width),
            (Exif + "PixelYDimension", height),
        ];
        foreach ((XName name, int value) in values)
        {
            foreach (XObject property in Properties(document, name))
            {
                changed |= Set(property, value);
            }
        }

        // What has been removed may have held the description.
        return !changed ? packet : Description(document) is null ? null : Write(document);
    }

    /// <summary>Appends an event to a packet's history: action "filtered", the software, and as parameters the rest.</summary>
    /// <param name="packet">The packet; null to begin one.</param>
    /// <param name="stamp">What to say.</param>
    public static byte[] AddEvent(byte[]? packet, ImageStamp stamp)
    {
        XDocument document = packet is null ? Empty() : Parse(packet) ?? Empty();
        XElement root = Description(document)!;
        XElement? history = root.Descendants(Media + "History").Elements(Rdf + "Seq").FirstOrDefault();
        if (history is null)
        {
            history = new XElement(Rdf + "Seq");
            root.Add(new XElement(Rdf + "Description", new XAttribute(Rdf + "about", ""),
                                  new XAttribute(XNamespace.Xmlns + "xmpMM", Media), new XAttribute(XNamespace.Xmlns + "stEvt", Event),
                                  new XElement(Media + "History", history)));
        }

        string parameters = string.Join("; ", new[] { stamp.Model is null ? null : $"model {stamp.Model}", stamp.Comment }.OfType<string>());
        history.Add(new XElement(Rdf + "li", new XAttribute(Rdf + "parseType", "Resource"),
                                 new XElement(Event + "action", "filtered"),
                                 stamp.Software is null ? null : new XElement(Event + "softwareAgent", stamp.Software),
                                 parameters.Length == 0 ? null : new XElement(Event + "parameters", parameters)));
        return Write(document);
    }

    private static XDocument Empty() => new(
        new XProcessingInstruction("xpacket", "begin=\"\uFEFF\" id=\"W5M0MpCehiHzreSzNTczkc9d\""),
        new XElement(Meta + "xmpmeta", new XAttribute(XNamespace.Xmlns + "x", Meta),
                     new XElement(Rdf + "RDF", new XAttribute(XNamespace.Xmlns + "rdf", Rdf))),
        new XProcessingInstruction("xpacket", "end=\"w\""));

    // Without one a document is not XMP.
    private static XElement? Description(XDocument document) => document.Descendants(Rdf + "RDF").FirstOrDefault();

    // A property is an element or, for short, an attribute.
    private static IEnumerable<XObject> Properties(XDocument document, XName name) =>
        [.. document.Descendants(name), .. document.Descendants().Attributes(name)];

    private static bool Set(XObject property, int value)
    {
        string text = XmlConvert.ToString(value);
        if (property is XElement element && (element.HasElements || element.Value != text))
        {
            element.Value = text;
            return true;
        }

        if (property is XAttribute attribute && attribute.Value != text)
        {
            attribute.Value = text;
            return true;
        }

        return false;
    }

    private static XDocument? Parse(byte[] packet)
    {
        if (packet.Length is 0 or > MaxLength)
        {
            return null;
        }

        // Some programs end a packet with a zero, which XML does not know.
        int length = packet.AsSpan().TrimEnd((byte)0).Length;
        var settings = new XmlReaderSettings { DtdProcessing = DtdProcessing.Prohibit, MaxCharactersInDocument = MaxLength };
        try
        {
            using (var probe = XmlReader.Create(new MemoryStream(packet, 0, length), settings))
            {
                Span<int> attributes = stackalloc int[MaxDepth + 2];
                while (probe.Read())
                {
                    if (probe.Depth > MaxDepth)
                    {
                        return null;
                    }

                    attributes[probe.Depth + 1] = attributes[probe.Depth] + (probe.NodeType == XmlNodeType.Element ? probe.AttributeCount : 0);
                    if (attributes[probe.Depth + 1] > MaxAttributes)
                    {
                        return null;
                    }
                }
            }

            using var reader = XmlReader.Create(new MemoryStream(packet, 0, length), settings);
            XDocument document = XDocument.Load(reader, LoadOptions.PreserveWhitespace);
            return Description(document) is null ? null : document;
        }
        catch (XmlException)
        {
            // Not XML: reported by the callers, who have the name of the image.
            return null;
        }
    }

    private static byte[] Write(XDocument document)
    {
        var settings = new XmlWriterSettings
        {
            OmitXmlDeclaration = true,
            Encoding = new UTF8Encoding(encoderShouldEmitUTF8Identifier: false),
            NewLineHandling = NewLineHandling.None,
        };
        var stream = new MemoryStream();
        using (var writer = XmlWriter.Create(stream, settings))
        {
            document.WriteTo(writer);
        }

        return stream.ToArray();
    }
}
