using System.Buffers.Binary;
using System.Text;

namespace Stig.Model.Imaging;

/// <summary>Puts metadata into JPEG data.</summary>
/// <remarks>JPEG (ITU-T T.81), B.2.4; EXIF 2.32, 4.7.2; XMP part 3, 1.1.3; ICC.1, B.4.</remarks>
internal static class JpegFile
{
    // A segment's length, which counts itself, has 16 bits.
    private const int MaxContent = ushort.MaxValue - 2;

    /// <summary>The most bytes of EXIF.</summary>
    public static int MaxExif => MaxContent - ExifMark.Length;

    /// <summary>The most bytes of XMP in one segment; what is longer is not written.</summary>
    public static int MaxXmp => MaxContent - XmpMark.Length;

    /// <summary>What EXIF begins with.</summary>
    public static ReadOnlySpan<byte> ExifMark => "Exif\0\0"u8;

    /// <summary>What XMP begins with.</summary>
    public static ReadOnlySpan<byte> XmpMark => "http://ns.adobe.com/xap/1.0/\0"u8;

    /// <summary>What a piece of a profile begins with; then come its number, from 1, and how many there are.</summary>
    public static ReadOnlySpan<byte> ProfileMark => "ICC_PROFILE\0"u8;

    /// <summary>The data with segments for metadata and a comment right after the JFIF header.</summary>
    /// <param name="jpeg">JPEG data without metadata.</param>
    /// <param name="metadata">Within the limits above.</param>
    /// <param name="comment">The comment, in Latin-1, or null.</param>
    /// <exception cref="ArgumentException">The comment has more than 65533 characters.</exception>
    public static byte[] Add(byte[] jpeg, ImageMetadata metadata, string? comment)
    {
        var file = new MemoryStream(jpeg.Length + 4096);
        bool hasHeader = jpeg[2] == 0xFF && jpeg[3] == 0xE0;
        int insertAt = 2 + (hasHeader ? 2 + BinaryPrimitives.ReadUInt16BigEndian(jpeg.AsSpan(4)) : 0);
        file.Write(jpeg.AsSpan(0, insertAt));
        if (metadata.Exif is { } exif)
        {
            WriteSegment(file, 0xE1, ExifMark, exif);
        }

        if (metadata.Xmp is { } xmp)
        {
            WriteSegment(file, 0xE1, XmpMark, xmp);
        }

        if (metadata.ColourProfile is { } profile)
        {
            int most = MaxContent - ProfileMark.Length - 2, pieces = (profile.Length + most - 1) / most;
            for (int piece = 0; piece < pieces; piece++)
            {
                WriteSegment(file, 0xE2, [.. ProfileMark, (byte)(piece + 1), (byte)pieces],
                             profile.AsSpan(piece * most, Math.Min(most, profile.Length - (piece * most))));
            }
        }

        if (comment is not null)
        {
            if (comment.Length > MaxContent)
            {
                throw new ArgumentException($"A JPEG comment of {comment.Length} characters is too long.", nameof(comment));
            }

            WriteSegment(file, 0xFE, Encoding.Latin1.GetBytes(comment), []);
        }

        file.Write(jpeg.AsSpan(insertAt));
        return file.ToArray();
    }

    private static void WriteSegment(MemoryStream file, byte marker, ReadOnlySpan<byte> mark, ReadOnlySpan<byte> content)
    {
        Span<byte> head = [0xFF, marker, 0, 0];
        BinaryPrimitives.WriteUInt16BigEndian(head[2..], checked((ushort)(2 + mark.Length + content.Length)));
        file.Write(head);
        file.Write(mark);
        file.Write(content);
    }
}
