namespace Stig.Model.Imaging;

/// <summary>Writes files that are there whole or not at all: a temporary file in the same folder, flushed to the disk, then
/// renamed.</summary>
internal static class AtomicFile
{
    /// <summary>Writes <paramref name="content"/> to <paramref name="path"/>, making the folder if need be and replacing a file
    /// of that name.</summary>
    /// <exception cref="IOException">The folder or file cannot be written; nothing is left behind. The message names folder and
    /// remedy.</exception>
    public static void Write(string path, ReadOnlySpan<byte> content)
    {
        string full = Path.GetFullPath(path);
        string folder = Path.GetDirectoryName(full) ?? throw new IOException($"{path} is not a file name; name a file in a folder.");
        string temporary = Path.Combine(folder, $".{Path.GetFileName(full)}.{Guid.NewGuid():N}.tmp");
        try
        {
            Directory.CreateDirectory(folder);
            using (var stream = new FileStream(temporary, FileMode.CreateNew, FileAccess.Write, FileShare.None, bufferSize: 0))
            {
                stream.Write(content);
                stream.Flush(flushToDisk: true);
            }

            File.Move(temporary, full, overwrite: true);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException or ArgumentOutOfRangeException)
        {
            // An argument out of range is what .NET makes of a file beyond what the file system or a limit on files allows.
            throw new IOException($"{full} cannot be written: {error.Message.TrimEnd('.')}. Check that the folder {folder} may be " +
                                  $"written to and has room, or choose another folder.{Discard(temporary)}", error);
        }
    }

    /// <summary>Makes a folder if need be and tries whether files can be written there, so that a long run finds out before
    /// it starts.</summary>
    /// <exception cref="IOException">They cannot. The message names folder and remedy.</exception>
    public static void EnsureWritable(string folder)
    {
        string probe = Path.Combine(Path.GetFullPath(folder), $".{Guid.NewGuid():N}.tmp");
        Write(probe, [0]);
        File.Delete(probe);
    }

    // Returns what to add to the message of the failure at hand: nothing, or that the temporary file is still there.
    private static string Discard(string temporary)
    {
        try
        {
            File.Delete(temporary);
            return "";
        }
        catch (DirectoryNotFoundException)
        {
            return "";
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            return $" The unfinished file {temporary} could not be removed ({error.Message.TrimEnd('.')}).";
        }
    }
}
