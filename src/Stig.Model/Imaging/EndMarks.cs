using System.Buffers.Binary;

namespace Stig.Model.Imaging;

/// <summary>Finds out whether encoded image data goes on to its end mark, and how much work it asks for on the way.</summary>
/// <remarks>A decoder is content once every pixel has some value. A progressive JPEG cut off after its first scan, or a PNG
/// without the checksums at its end, passes for whole there although data are missing.</remarks>
internal static class EndMarks
{
    /// <summary>Whether the data are all there, as far as that can be told without decoding them.</summary>
    public static bool IsComplete(ReadOnlySpan<byte> encoded, ImageFormat format) => format switch
    {
        ImageFormat.Png => PngHasEnd(encoded),
        ImageFormat.Jpeg => JpegParts(encoded).HasEnd,
        // WebP (RFC 9649), 2.4: the file's length without the first eight bytes stands in the second four.
        ImageFormat.Webp => encoded.Length >= 8L + BinaryPrimitives.ReadUInt32LittleEndian(encoded[4..]),
        _ => true,
    };

    /// <summary>Whether JPEG data have an end, and up to it how many segments, scans among them.</summary>
    public static (bool HasEnd, int Segments, int Scans) JpegParts(ReadOnlySpan<byte> encoded)
    {
        int segments = 0, scans = 0;
        foreach (JpegSegment segment in new JpegSegments(encoded))
        {
            if (segment.Marker == JpegSegments.EndOfImage)
            {
                return (true, segments, scans);
            }

            segments++;
            scans += segment.Marker == JpegSegments.StartOfScan ? 1 : 0;
        }

        return (false, segments, scans);
    }

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
}
