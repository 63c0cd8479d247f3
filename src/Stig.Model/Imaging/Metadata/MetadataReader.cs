using System.Buffers.Binary;
using System.IO.Compression;

namespace Stig.Model.Imaging;

/// <summary>Finds metadata in image files.</summary>
/// <remarks>Files may be hostile: what breaks off is given as empty, what has too many bytes, unfolded or as it stands, as
/// <see cref="TooLong"/>, without being copied. Of several pieces of one kind the first counts.</remarks>
internal static class MetadataReader
{
    /// <summary>The most bytes that a profile or EXIF may have; of XMP <see cref="XmpPacket.MaxLength"/>.</summary>
    public const int MaxLength = 8 << 20;

    /// <summary>Stands for data that are too long: empty, and known by its identity.</summary>
    public static byte[] TooLong { get; } = (byte[])Array.Empty<byte>().Clone();

    // The type of a JUMBF box that holds a C2PA manifest store: "c2pa" and the rest of ISO's UUIDs (C2PA 2.1, 11.1.4.2).
    private static ReadOnlySpan<byte> ManifestType =>
        [0x63, 0x32, 0x70, 0x61, 0x00, 0x11, 0x00, 0x10, 0x80, 0x00, 0x00, 0xAA, 0x00, 0x38, 0x9B, 0x71];

    /// <summary>The metadata of a file.</summary>
    public static ImageMetadata Read(ReadOnlySpan<byte> encoded, ImageFormat format)
    {
        ImageMetadata metadata = format switch
        {
            ImageFormat.Png => Png(encoded),
            ImageFormat.Jpeg => Jpeg(encoded),
            ImageFormat.Webp => Webp(encoded),
            _ => ImageMetadata.Empty,
        };
        return metadata.Xmp is { } xmp && XmpPacket.PointsToManifest(xmp) ? metadata with { HasContentCredentials = true } : metadata;
    }

    // PNG (ISO/IEC 15948:2024), 11.3: iCCP, cICP, sRGB, gAMA, cHRM, eXIf, iTXt; caBX by C2PA, A.3.2.
    private static ImageMetadata Png(ReadOnlySpan<byte> encoded)
    {
        byte[]? profile = null, exif = null, xmp = null;
        bool credentials = false;
        List<(string Type, byte[] Content)> colour = [];
        foreach (PngChunk chunk in new PngChunks(encoded))
        {
            ReadOnlySpan<byte> content = chunk.Content;
            switch (chunk.Type)
            {
                case "iCCP":
                    int name = content.IndexOf((byte)0);
                    profile ??= name >= 0 && name + 2 < content.Length ? Inflate(content[(name + 2)..], MaxLength) : [];
                    break;
                case "sRGB" when content.Length == 1:
                case "gAMA" or "cICP" when content.Length == 4:
                case "cHRM" when content.Length == 32:
                    string type = chunk.Type;
                    if (!colour.Exists(entry => entry.Type == type))
                    {
                        colour.Add((type, content.ToArray()));
                    }

                    break;
                case "eXIf":
                    exif ??= Copy(content, MaxLength);
                    break;
                case "iTXt" when content.StartsWith(PngMetadata.XmpMark):
                    xmp ??= InternationalText(content[PngMetadata.XmpMark.Length..]);
                    break;
                case "caBX":
                    credentials = true;
                    break;
                default:
                    break;
            }
        }

        return new ImageMetadata
        {
            ColourProfile = profile,
            Exif = exif,
            Xmp = xmp,
            HasContentCredentials = credentials,
            PngColour = colour,
        };
    }

    // 11.3.3.4: compressed or not, method, language, translated keyword, text.
    private static byte[] InternationalText(ReadOnlySpan<byte> content)
    {
        if (content.Length < 2)
        {
            return [];
        }

        bool compressed = content[0] == 1;
        content = content[2..];
        for (int i = 0; i < 2; i++)
        {
            int end = content.IndexOf((byte)0);
            if (end < 0)
            {
                return [];
            }

            content = content[(end + 1)..];
        }

        return compressed ? Inflate(content, XmpPacket.MaxLength) : Copy(content, XmpPacket.MaxLength);
    }

    private static byte[] Copy(ReadOnlySpan<byte> content, int most) => content.Length > most ? TooLong : content.ToArray();

    private static byte[] Inflate(ReadOnlySpan<byte> compressed, int most)
    {
        // What is longer compressed than it may be unfolded does not become shorter.
        if (compressed.Length > most)
        {
            return TooLong;
        }

        using var zlib = new ZLibStream(new MemoryStream(compressed.ToArray()), CompressionMode.Decompress);
        var result = new MemoryStream();
        byte[] piece = new byte[1 << 14];
        try
        {
            for (int read; (read = zlib.Read(piece)) > 0;)
            {
                if (result.Length + read > most)
                {
                    return TooLong;
                }

                result.Write(piece, 0, read);
            }
        }
        catch (Exception error) when (error is InvalidDataException or IOException)
        {
            // Damaged metadata cost nothing but themselves.
            return [];
        }

        return result.ToArray();
    }

    // EXIF 2.32, 4.7.2; XMP part 3, 1.1.3; ICC.1, B.4; C2PA, A.3.1.
    private static ImageMetadata Jpeg(ReadOnlySpan<byte> encoded)
    {
        byte[]? exif = null, xmp = null;
        bool credentials = false;
        SortedDictionary<byte, byte[]> profile = [];
        int pieces = 0;
        foreach (JpegSegment segment in new JpegSegments(encoded))
        {
            if (segment.Marker == JpegSegments.StartOfScan)
            {
                break;
            }

            ReadOnlySpan<byte> content = segment.Content;
            switch (segment.Marker)
            {
                case 0xE1 when content.StartsWith(JpegFile.ExifMark):
                    exif ??= content[JpegFile.ExifMark.Length..].ToArray();
                    break;
                case 0xE1 when content.StartsWith(JpegFile.XmpMark):
                    xmp ??= content[JpegFile.XmpMark.Length..].ToArray();
                    break;
                case 0xE2 when content.StartsWith(JpegFile.ProfileMark) && content.Length > JpegFile.ProfileMark.Length + 2:
                    pieces = content[JpegFile.ProfileMark.Length + 1];
                    profile.TryAdd(content[JpegFile.ProfileMark.Length], content[(JpegFile.ProfileMark.Length + 2)..].ToArray());
                    break;
                case 0xEB when content.IndexOf(ManifestType) >= 0:
                    credentials = true;
                    break;
                default:
                    break;
            }
        }

        bool whole = pieces > 0 && profile.Count == pieces && profile.ContainsKey(1) && profile.ContainsKey((byte)pieces);
        return new ImageMetadata
        {
            ColourProfile = pieces == 0 ? null : !whole ? [] : profile.Values.Sum(piece => piece.Length) > MaxLength ? TooLong
                : [.. profile.Values.SelectMany(piece => piece)],
            Exif = exif,
            Xmp = xmp,
            HasContentCredentials = credentials,
        };
    }

    // WebP (RFC 9649), 2.7.1.4 and 2.7.1.5; C2PA, A.3.5.
    private static ImageMetadata Webp(ReadOnlySpan<byte> encoded)
    {
        byte[]? profile = null, exif = null, xmp = null;
        bool credentials = false;
        foreach (RiffChunk chunk in new RiffChunks(encoded))
        {
            switch (chunk.Type)
            {
                case "ICCP":
                    profile ??= Copy(chunk.Content, MaxLength);
                    break;
                case "EXIF":
                    // Some programs put JPEG's marker before it.
                    exif ??= Copy(chunk.Content.StartsWith(JpegFile.ExifMark) ? chunk.Content[JpegFile.ExifMark.Length..] : chunk.Content, MaxLength);
                    break;
                case "XMP ":
                    xmp ??= Copy(chunk.Content, XmpPacket.MaxLength);
                    break;
                case "C2PA":
                    credentials = true;
                    break;
                default:
                    break;
            }
        }

        return new ImageMetadata { ColourProfile = profile, Exif = exif, Xmp = xmp, HasContentCredentials = credentials };
    }
}
