namespace Stig.Model.Imaging;

/// <summary>Takes long chunks out of PNG data that Skia is to decode.</summary>
/// <remarks>Skia hands data to libpng in small pieces. Of every chunk but IDAT libpng then holds what there is so far, and copies it at each
/// piece, so that its time grows with the square of the chunk's length: 20 MB of EXIF take seconds, 500 MB an hour.</remarks>
internal static class PngLongChunks
{
    private const int MaxLength = 1 << 16;

    /// <summary>The data without long chunks; the data themselves where there are none. No chunk but IDAT that tells of pixels may be as
    /// long.</summary>
    public static ReadOnlySpan<byte> Remove(ReadOnlySpan<byte> png)
    {
        long removed = 0;
        foreach (PngChunk chunk in new PngChunks(png))
        {
            removed += IsLong(chunk) ? chunk.Whole.Length : 0;
        }

        if (removed == 0)
        {
            return png;
        }

        var kept = new MemoryStream(png.Length - (int)removed);
        kept.Write(PngChunks.Signature);
        foreach (PngChunk chunk in new PngChunks(png))
        {
            if (!IsLong(chunk))
            {
                kept.Write(chunk.Whole);
            }
        }

        return kept.GetBuffer().AsSpan(0, (int)kept.Length);
    }

    private static bool IsLong(PngChunk chunk) => chunk.Content.Length > MaxLength && chunk.Type != "IDAT";
}
