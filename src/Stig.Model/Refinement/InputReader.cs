using Stig.Model.Imaging;

namespace Stig.Model.Refinement;

/// <summary>Reads input files, and makes sure that they stay the same meanwhile.</summary>
internal static class InputReader
{
    /// <summary>Reads a whole file.</summary>
    /// <param name="path">The file.</param>
    /// <param name="maxPixels">As for <see cref="ImageCodec.ReadFile"/>.</param>
    /// <returns>The content, and when the file was last changed before it was read.</returns>
    /// <exception cref="RefineItemException">It cannot be read, is no plain file, is too long, or changes while it is read.</exception>
    public static (byte[] Content, DateTime Modified) Read(string path, long maxPixels)
    {
        const int attempts = 2;
        for (int attempt = 1; ; attempt++)
        {
            try
            {
                DateTime modified = File.GetLastWriteTimeUtc(path);
                byte[] content = ImageCodec.ReadFile(path, maxPixels);
                var after = new FileInfo(path);
                if (after.Exists && after.Length == content.Length && after.LastWriteTimeUtc == modified)
                {
                    return (content, modified);
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
}
