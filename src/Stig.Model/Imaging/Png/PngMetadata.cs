using System.IO.Compression;

namespace Stig.Model.Imaging;

/// <summary>The PNG chunks of metadata, in the order in which files have them.</summary>
/// <remarks>PNG (ISO/IEC 15948:2024), 11.3; the XMP keyword by XMP part 3, 1.1.5.</remarks>
internal static class PngMetadata
{
    /// <summary>What XMP's iTXt chunk begins with.</summary>
    public static ReadOnlySpan<byte> XmpMark => "XML:com.adobe.xmp\0"u8;

    /// <summary>The chunks.</summary>
    /// <param name="metadata">The metadata.</param>
    /// <param name="texts">Keywords and texts, as <see cref="PngText"/> takes them.</param>
    public static IReadOnlyList<(string Type, byte[] Content)> Chunks(
        ImageMetadata metadata, IReadOnlyList<KeyValuePair<string, string>> texts)
    {
        List<(string, byte[])> chunks = [.. texts.Select(text => ("tEXt", PngText.Content(text.Key, text.Value)))];
        chunks.AddRange(metadata.PngColour);
        if (metadata.ColourProfile is { } profile)
        {
            // A name, the method of compression.
            chunks.Add(("iCCP", [.. "ICC profile\0\0"u8, .. Compress(profile)]));
        }

        if (metadata.Exif is { } exif)
        {
            chunks.Add(("eXIf", exif));
        }

        if (metadata.Xmp is { } xmp)
        {
            // Not compressed, no language, no translated keyword.
            chunks.Add(("iTXt", [.. XmpMark, 0, 0, 0, 0, .. xmp]));
        }

        return chunks;
    }

    private static byte[] Compress(byte[] data)
    {
        var compressed = new MemoryStream();
        using (var zlib = new ZLibStream(compressed, CompressionLevel.Optimal, leaveOpen: true))
        {
            zlib.Write(data);
        }

        return compressed.ToArray();
    }
}
