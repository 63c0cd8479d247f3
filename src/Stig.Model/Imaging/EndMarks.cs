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

    private static bool PngHasEnd(ReadOnlySpan<byte> encoded)
    {
        foreach (PngChunk chunk in new PngChunks(encoded))
        {
            if (chunk.Type == "IEND")
            {
                return true;
            }
        }

        return false;
    }

    private static (bool HasEnd, int Scans) Jpeg(ReadOnlySpan<byte> encoded)
    {
        int scans = 0;
        foreach (JpegSegment segment in new JpegSegments(encoded))
        {
            if (segment.Marker == JpegSegments.EndOfImage)
            {
                return (true, scans);
            }

            scans += segment.Marker == JpegSegments.StartOfScan ? 1 : 0;
        }

        return (false, scans);
    }
}
