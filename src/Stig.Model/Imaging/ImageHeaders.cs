using System.Buffers.Binary;

namespace Stig.Model.Imaging;

/// <summary>Tells formats apart by their first bytes and reads what headers declare, before any decoder sees the data.</summary>
/// <remarks>PNG (ISO/IEC 15948), 5.2 and 11.2.2; JPEG (ITU-T T.81), B.2.2; WebP (RFC 9649), 2.5 to 2.7; BMP: BITMAPCOREHEADER and
/// BITMAPINFOHEADER.</remarks>
internal static class ImageHeaders
{
    /// <summary>The format of the data; null where it is none that is read.</summary>
    public static ImageFormat? FormatOf(ReadOnlySpan<byte> data)
    {
        if (data.StartsWith(PngChunks.Signature))
        {
            return ImageFormat.Png;
        }

        if (data.StartsWith<byte>([0xFF, 0xD8, 0xFF]))
        {
            return ImageFormat.Jpeg;
        }

        if (data.Length >= 12 && data.StartsWith("RIFF"u8) && data[8..].StartsWith("WEBP"u8))
        {
            return ImageFormat.Webp;
        }

        return data.StartsWith("BM"u8) ? ImageFormat.Bmp : null;
    }

    /// <summary>The name of a format that is known but not read; null where the data are of none.</summary>
    public static string? ForeignName(ReadOnlySpan<byte> data)
    {
        if (data.Length >= 12 && data[4..].StartsWith("ftyp"u8))
        {
            return data[8..].StartsWith("avif"u8) || data[8..].StartsWith("avis"u8) ? "AVIF" : "HEIF";
        }

        return data switch
        {
            _ when data.StartsWith("GIF8"u8) => "GIF",
            _ when data.StartsWith("II*\0"u8) || data.StartsWith("MM\0*"u8) => "TIFF",
            _ when data.StartsWith("8BPS"u8) => "Photoshop",
            _ when data.StartsWith<byte>([0xFF, 0x0A]) || data.StartsWith("\0\0\0\x0CJXL "u8) => "JPEG XL",
            _ when data.StartsWith("\0\0\0\x0CjP  "u8) => "JPEG 2000",
            _ when data.StartsWith("v/1\x01"u8) => "OpenEXR",
            _ => null,
        };
    }

    /// <summary>What the header declares; null where it breaks off or contradicts the format.</summary>
    public static ImageHeader? Read(ReadOnlySpan<byte> data, ImageFormat format)
    {
        ImageHeader? header = format switch
        {
            ImageFormat.Png => Png(data),
            ImageFormat.Jpeg => Jpeg(data),
            ImageFormat.Webp => Webp(data),
            _ => Bmp(data),
        };
        return header is { Width: > 0, Height: > 0 } ? header : null;
    }

    private static ImageHeader? Png(ReadOnlySpan<byte> data)
    {
        if (data.Length < 33 || !data[12..].StartsWith("IHDR"u8))
        {
            return null;
        }

        SampleKind kind = data[25] switch { 0 or 4 => SampleKind.Grey, 3 => SampleKind.Palette, _ => SampleKind.Colour };
        return new ImageHeader(ImageFormat.Png, BinaryPrimitives.ReadInt32BigEndian(data[16..]),
                               BinaryPrimitives.ReadInt32BigEndian(data[20..]), kind, data[24]);
    }

    private static ImageHeader? Jpeg(ReadOnlySpan<byte> data)
    {
        foreach (JpegSegment segment in new JpegSegments(data))
        {
            // Frame headers are C0 to CF without the tables and extensions among them.
            if (segment.Marker is >= 0xC0 and <= 0xCF and not (0xC4 or 0xC8 or 0xCC))
            {
                ReadOnlySpan<byte> frame = segment.Content;
                return frame.Length < 6 ? null : new ImageHeader(
                    ImageFormat.Jpeg, BinaryPrimitives.ReadUInt16BigEndian(frame[3..]), BinaryPrimitives.ReadUInt16BigEndian(frame[1..]),
                    frame[5] == 1 ? SampleKind.Grey : SampleKind.Colour, frame[0]);
            }
        }

        return null;
    }

    private static ImageHeader? Webp(ReadOnlySpan<byte> data)
    {
        foreach (RiffChunk chunk in new RiffChunks(data))
        {
            ReadOnlySpan<byte> content = chunk.Content;
            (int Width, int Height)? size = chunk.Type switch
            {
                "VP8X" when content.Length >= 10 => (Read24(content[4..]) + 1, Read24(content[7..]) + 1),
                "VP8L" when content.Length >= 5 && content[0] == 0x2F => LosslessSize(BinaryPrimitives.ReadUInt32LittleEndian(content[1..])),
                "VP8 " when content.Length >= 10 && content[3..].StartsWith<byte>([0x9D, 0x01, 0x2A]) =>
                    (BinaryPrimitives.ReadUInt16LittleEndian(content[6..]) & 0x3FFF,
                     BinaryPrimitives.ReadUInt16LittleEndian(content[8..]) & 0x3FFF),
                _ => null,
            };

            // The first chunk is one of these three.
            return size is null ? null : new ImageHeader(ImageFormat.Webp, size.Value.Width, size.Value.Height, SampleKind.Colour, 8);
        }

        return null;
    }

    private static (int Width, int Height) LosslessSize(uint bits) => ((int)(bits & 0x3FFF) + 1, (int)((bits >> 14) & 0x3FFF) + 1);

    private static int Read24(ReadOnlySpan<byte> data) => data[0] | (data[1] << 8) | (data[2] << 16);

    private static ImageHeader? Bmp(ReadOnlySpan<byte> data)
    {
        if (data.Length < 26)
        {
            return null;
        }

        uint size = BinaryPrimitives.ReadUInt32LittleEndian(data[14..]);
        if (size == 12)
        {
            return Bmp(BinaryPrimitives.ReadUInt16LittleEndian(data[18..]), BinaryPrimitives.ReadUInt16LittleEndian(data[20..]), data[24]);
        }

        // A negative height says that the top row comes first.
        int height = BinaryPrimitives.ReadInt32LittleEndian(data[22..]);
        return data.Length < 30 || size < 16 || height == int.MinValue
            ? null
            : Bmp(BinaryPrimitives.ReadInt32LittleEndian(data[18..]), Math.Abs(height), data[28]);
    }

    private static ImageHeader Bmp(int width, int height, int bitsPerPixel) =>
        new(ImageFormat.Bmp, width, height, bitsPerPixel <= 8 ? SampleKind.Palette : SampleKind.Colour, Math.Min(bitsPerPixel, 8));
}
