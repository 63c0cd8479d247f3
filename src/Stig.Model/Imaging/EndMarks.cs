using System.Buffers.Binary;

namespace Stig.Model.Imaging;

/// <summary>Finds out whether encoded image data goes on to its end mark, and how much work it asks for on the way.</summary>
/// <remarks>A decoder is content once every pixel has some value. A progressive JPEG cut off after its first scan, or a PNG
/// without the checksums at its end, passes for whole there although data are missing.</remarks>
internal static class EndMarks
{
    /// <summary>Whether the data are all there, as far as that can be told without decoding them; of how many parts decoders keep something
    /// (segments of a JPEG, chunks of a WebP); and how many scans a JPEG has.</summary>
    public static (bool IsComplete, int Parts, int Scans) Survey(ReadOnlySpan<byte> encoded, ImageFormat format) => format switch
    {
        ImageFormat.Png => (PngHasEnd(encoded), 0, 0),
        ImageFormat.Jpeg => Jpeg(encoded),
        // WebP (RFC 9649), 2.4: the file's length without the first eight bytes stands in the second four.
        ImageFormat.Webp => (encoded.Length >= 8L + BinaryPrimitives.ReadUInt32LittleEndian(encoded[4..]), WebpChunks(encoded), 0),
        _ => (true, 0, 0),
    };

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

    private static (bool HasEnd, int Segments, int Scans) Jpeg(ReadOnlySpan<byte> encoded)
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

    private static int WebpChunks(ReadOnlySpan<byte> encoded)
    {
        int count = 0;
        foreach (RiffChunk _ in new RiffChunks(encoded))
        {
            count++;
        }

        return count;
    }
}
