using System.Buffers.Binary;

namespace Stig.Model.Imaging;

/// <summary>Finds out whether encoded image data goes on to its end mark, and how much work it asks for on the way.</summary>
/// <remarks>A decoder is content once every pixel has some value. A progressive JPEG cut off after its first scan, or a PNG
/// without the checksums at its end, passes for whole there although data are missing.</remarks>
internal static class EndMarks
{
    /// <summary>Whether the data, which decode, are all there.</summary>
    public static bool IsComplete(ReadOnlySpan<byte> encoded, ImageFormat format) => format switch
    {
        ImageFormat.Png => PngHasEnd(encoded),
        ImageFormat.Jpeg => Jpeg(encoded).HasEnd,
        // WebP (RFC 9649), 2.4: the file's length without the first eight bytes stands in the second four.
        ImageFormat.Webp => encoded.Length >= 8L + BinaryPrimitives.ReadUInt32LittleEndian(encoded[4..]),
        _ => true,
    };

    /// <summary>How many scans JPEG data have up to their end.</summary>
    public static int JpegScans(ReadOnlySpan<byte> encoded) => Jpeg(encoded).Scans;

    // PNG (ISO/IEC 15948), 5.3: chunks of length, type, content, checksum; the last is IEND.
    private static bool PngHasEnd(ReadOnlySpan<byte> encoded)
    {
        for (ReadOnlySpan<byte> rest = encoded[8..]; rest.Length >= 12;)
        {
            if (rest.Slice(4, 4).SequenceEqual("IEND"u8))
            {
                return true;
            }

            long size = 12L + BinaryPrimitives.ReadUInt32BigEndian(rest);
            rest = size <= rest.Length ? rest[(int)size..] : [];
        }

        return false;
    }

    // JPEG (ITU-T T.81), annex B: markers FF xx with a length, but for restart marks (D0..D7), the start (D8), TEM (01) and the
    // end (D9). In entropy-coded data FF is followed by 00 or by a marker; FF FF is fill.
    private static (bool HasEnd, int Scans) Jpeg(ReadOnlySpan<byte> encoded)
    {
        int at = 0, scans = 0;
        while (encoded[at..].IndexOf((byte)0xFF) is int skip and >= 0 && at + skip + 1 < encoded.Length)
        {
            at += skip + 1;
            byte marker = encoded[at];
            if (marker == 0xD9)
            {
                return (true, scans);
            }

            scans += marker == 0xDA ? 1 : 0;
            bool standsAlone = marker is 0x00 or 0x01 or 0xFF or (>= 0xD0 and <= 0xD8);
            if (marker != 0xFF)
            {
                at++;
            }

            if (!standsAlone)
            {
                if (at + 2 > encoded.Length)
                {
                    return (false, scans);
                }

                at = Math.Min(encoded.Length, at + BinaryPrimitives.ReadUInt16BigEndian(encoded[at..]));
            }
        }

        return (false, scans);
    }
}
