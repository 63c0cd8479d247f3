using System.Globalization;
using System.Text;
using Stig.Model.Imaging;

namespace Stig.Model;

/// <summary>
/// Holds a folder for one process at a time: an advisory lock of the operating system on a file, which ends with the process however that
/// ends, and beside it a note of who holds it and since when.
/// </summary>
/// <remarks>A note without a lock is that of a process that was killed. On network file systems the lock is worth what the server's
/// locks are worth.</remarks>
internal sealed class FolderLock : IDisposable
{
    private readonly FileStream held;
    private readonly string? note;

    private FolderLock(FileStream held, string? note, bool previousWasKilled)
    {
        this.held = held;
        this.note = note;
        PreviousWasKilled = previousWasKilled;
    }

    /// <summary>Whether the last holder left its note behind, that is, did not end by itself.</summary>
    public bool PreviousWasKilled { get; }

    /// <summary>Takes a lock for this process alone. The folder must exist.</summary>
    /// <param name="path">The lock's file; the note is beside it, its name ending in <c>.holder</c>.</param>
    /// <param name="what">What is locked, as the message calls it: "The run folder X".</param>
    /// <exception cref="IOException">Another process holds it, or the file cannot be written; the message names owner and remedy.</exception>
    public static FolderLock Take(string path, string what)
    {
        FileStream held = Open(path, what, FileAccess.ReadWrite, FileShare.None);
        string note = NoteOf(path);
        try
        {
            bool killed = File.Exists(note);
            AtomicFile.Write(note, Encoding.UTF8.GetBytes(string.Create(CultureInfo.InvariantCulture,
                $"process {Environment.ProcessId} on {Environment.MachineName}, since {DateTime.UtcNow:yyyy-MM-dd HH:mm:ss} UTC")));
            return new FolderLock(held, note, killed);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            held.Dispose();
            throw Unwritable(what, error);
        }
    }

    /// <summary>Takes a lock that others may share, and that keeps <see cref="Take"/> out.</summary>
    /// <param name="path">As for <see cref="Take"/>.</param>
    /// <param name="what">As for <see cref="Take"/>.</param>
    /// <exception cref="IOException">As for <see cref="Take"/>.</exception>
    public static FolderLock Share(string path, string what) => new(Open(path, what, FileAccess.Read, FileShare.Read), null, false);

    /// <summary>Gives the lock up and removes the note.</summary>
    public void Dispose()
    {
        if (note is not null && Directory.Exists(Path.GetDirectoryName(note)))
        {
            File.Delete(note);
        }

        held.Dispose();
    }

    private static FileStream Open(string path, string what, FileAccess access, FileShare share)
    {
        try
        {
            return new FileStream(path, FileMode.OpenOrCreate, access, share, bufferSize: 0);
        }
        catch (UnauthorizedAccessException error)
        {
            throw Unwritable(what, error);
        }
        catch (IOException error)
        {
            // A lock that is held is the only reason for a file that exists not to be opened by its owner.
            throw File.Exists(path)
                ? new IOException($"{what} is in use by another run{Owner(path)}. Wait for it, or choose another folder.", error)
                : Unwritable(what, error);
        }
    }

    private static IOException Unwritable(string what, Exception error) =>
        new($"{what} cannot be written: {error.Message.TrimEnd('.')}. Choose another folder or free this one.", error);

    private static string NoteOf(string path) => Path.ChangeExtension(path, ".holder");

    // The holder's note; of a shared lock, that of any process which holds one in the same folder.
    private static string Owner(string path)
    {
        try
        {
            string own = NoteOf(path);
            string? found = File.Exists(own)
                ? own
                : Directory.EnumerateFiles(Path.GetDirectoryName(path)!, "*.holder").Order(StringComparer.Ordinal).FirstOrDefault();
            if (found is null)
            {
                return "";
            }

            return string.Create(CultureInfo.InvariantCulture,
                $": {File.ReadAllText(found)} ({Age(DateTime.UtcNow - File.GetLastWriteTimeUtc(found))} ago)");
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            // The holder has just ended and taken its note along; that there was one is all that can be said.
            return "";
        }
    }

    private static string Age(TimeSpan age) => age.TotalSeconds switch
    {
        < 120 => string.Create(CultureInfo.InvariantCulture, $"{Math.Max(0, age.TotalSeconds):F0} s"),
        < 7200 => string.Create(CultureInfo.InvariantCulture, $"{age.TotalMinutes:F0} min"),
        _ => string.Create(CultureInfo.InvariantCulture, $"{age.TotalHours:F0} h"),
    };
}
