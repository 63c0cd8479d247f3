using Microsoft.Win32.SafeHandles;
using Stig.Model.Imaging;

namespace Stig.Model.Refinement;

/// <summary>Reads input files, and makes sure that they stay the same meanwhile.</summary>
internal static class InputReader
{
    // Memory of a thread is kept for its next file unless it is larger.
    private const int KeptLength = 1 << 20;

    [ThreadStatic]
    private static byte[]? memory;

    /// <summary>Reads a whole file.</summary>
    /// <param name="path">The file.</param>
    /// <param name="maxPixels">As for <see cref="ImageCodec.ReadFile(string, long)"/>.</param>
    /// <returns>The content, valid until the same thread reads another file, and when the file was last changed before it was read.</returns>
    /// <exception cref="RefineItemException">It cannot be read, is no plain file, is too long, or changes while it is read.</exception>
    public static (ReadOnlyMemory<byte> Content, DateTime Modified) Read(string path, long maxPixels)
    {
        const int attempts = 2;
        for (int attempt = 1; ; attempt++)
        {
            try
            {
                (ReadOnlyMemory<byte> Content, DateTime Modified)? result = ImageCodec.ReadFile(path, maxPixels, ReadUnchanged);
                if (result is not null)
                {
                    return result.Value;
                }

                if (attempt == attempts)
                {
                    throw new RefineItemException(RefineCause.Changed, $"{path}: changed while it was read. Run again when it is complete.");
                }
            }
            catch (ImageFormatException error)
            {
                throw path.Contains('\uFFFD', StringComparison.Ordinal)
                    ? new RefineItemException(RefineCause.Unreadable, $"{path}: cannot be read: its name is not UTF-8. Rename it.", error)
                    : new RefineItemException(error.InnerException is null ? RefineCause.Image : RefineCause.Unreadable, error.Message, error);
            }
        }
    }

    /// <summary>Reads a part of an open file, an image of its own.</summary>
    /// <param name="file">The file.</param>
    /// <param name="offset">Where the part begins.</param>
    /// <param name="length">Its length in bytes.</param>
    /// <param name="place">What messages call the part.</param>
    /// <param name="maxPixels">As for <see cref="ImageCodec.ReadFile(string, long)"/>.</param>
    /// <returns>The content, valid until the same thread reads another.</returns>
    /// <exception cref="RefineItemException">It cannot be read, is too long for an image, or the file ends before it does.</exception>
    public static ReadOnlyMemory<byte> Read(SafeFileHandle file, long offset, long length, string place, long maxPixels)
    {
        try
        {
            ImageCodec.CheckLength(length, ImageFiles.Printable(place), maxPixels);
        }
        catch (ImageFormatException error)
        {
            throw new RefineItemException(RefineCause.Image, error.Message, error);
        }

        Memory<byte> content = Memory((int)length).AsMemory(0, (int)length);
        using var part = new FileRange(file, offset, length, place);
        part.ReadExactly(content.Span);
        return content;
    }

    // Null if it changed. Times and lengths are those of the open file: one that takes its name meanwhile is another.
    private static (ReadOnlyMemory<byte> Content, DateTime Modified)? ReadUnchanged(SafeFileHandle file, int length)
    {
        DateTime modified = File.GetLastWriteTimeUtc(file);
        byte[] bytes = Memory(length);
        int read = ImageCodec.Fill(file, bytes.AsSpan(0, length));
        return read == length && RandomAccess.GetLength(file) == length && File.GetLastWriteTimeUtc(file) == modified
            ? (bytes.AsMemory(0, length), modified)
            : null;
    }

    private static byte[] Memory(int length)
    {
        byte[] bytes = memory?.Length >= length ? memory : new byte[length];
        memory = length <= KeptLength ? bytes : memory;
        return bytes;
    }
}
