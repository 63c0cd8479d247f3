using Microsoft.Win32.SafeHandles;
using Stig.Model.Imaging;

namespace Stig.Model.Refinement;

/// <summary>Reads input files, whatever is behind their names.</summary>
internal static class InputReader
{
    // No image that is accepted is larger: 16-bit red, green, blue, opacity without compression, and generous metadata.
    private const int BytesPerPixel = 8, Extra = 64 << 20;

    /// <summary>Reads a whole file.</summary>
    /// <param name="path">The file.</param>
    /// <param name="maxPixels">Bounds the size together with the format's bytes a pixel.</param>
    /// <returns>The content, and when the file was last changed before it was read.</returns>
    /// <exception cref="RefineItemException">It cannot be read, is no regular file, is too large, or changes while it is read.</exception>
    public static (byte[] Content, DateTime Modified) Read(string path, long maxPixels)
    {
        const int attempts = 2;
        for (int attempt = 1; ; attempt++)
        {
            try
            {
                using SafeFileHandle file = Posix.OpenForReading(path);
                if (Directory.Exists(path))
                {
                    throw Unreadable(path, "it is a folder");
                }

                using var stream = new FileStream(file, FileAccess.Read, bufferSize: 0);
                if (!stream.CanSeek)
                {
                    throw Unreadable(path, "it is no regular file");
                }

                (long length, DateTime modified) = (stream.Length, File.GetLastWriteTimeUtc(file));
                if (length > Math.Min((maxPixels * BytesPerPixel) + Extra, Array.MaxLength))
                {
                    throw new RefineItemException(RefineCause.Image, $"{path}: has {length} bytes, more than any image that is read. Remove it.");
                }

                byte[] content = new byte[length];
                int read = stream.ReadAtLeast(content, content.Length, throwOnEndOfStream: false);
                if (read == length && stream.Length == length && File.GetLastWriteTimeUtc(file) == modified)
                {
                    return (content, modified);
                }

                if (attempt == attempts)
                {
                    throw new RefineItemException(RefineCause.Changed, $"{path}: changed while it was read. Run again when it is complete.");
                }
            }
            catch (Exception error) when (error is IOException or UnauthorizedAccessException or NotSupportedException)
            {
                throw Unreadable(path, error.Message.TrimEnd('.'), error);
            }
        }
    }

    private static RefineItemException Unreadable(string path, string why, Exception? error = null) => new(
        RefineCause.Unreadable,
        path.Contains('\uFFFD', StringComparison.Ordinal)
            ? $"{path}: cannot be read: its name is not UTF-8. Rename it."
            : $"{path}: cannot be read: {why}. Check its name and permissions.", error);
}
