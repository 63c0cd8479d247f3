using System.Globalization;

namespace Stig.Model.Refinement;

/// <summary>
/// A folder of refined images that one run, or one run a shard, holds: outputs appear under their names whole or not at all.
/// </summary>
/// <remarks>
/// The run's own files: <c>manifest.jsonl</c> (<c>manifest-3-of-8.jsonl</c> of a shard), <c>.stig/</c> with locks, and while a file is
/// written <c>.stig-*.tmp</c> beside where it will be. Temporary files that a killed run left are removed by the next one.
/// </remarks>
internal sealed class OutputFolder : IDisposable
{
    private const string TemporaryPrefix = ".stig-", TemporarySuffix = ".tmp", StateFolder = ".stig";

    private readonly bool durable;
    private readonly Shard shard;
    private readonly string mark;
    private readonly FolderLock whole;
    private readonly FolderLock? part;
    private readonly Task sweep;
    private int number;

    private OutputFolder(string root, Shard shard, bool durable, FolderLock whole, FolderLock? part)
    {
        (Root, this.shard, this.durable, this.whole, this.part) = (root, shard, durable, whole, part);
        mark = Guid.NewGuid().ToString("N")[..8];
        bool killed = (part ?? whole).PreviousWasKilled;
        if (shard.Count == 1)
        {
            // Nobody else is here: notes of shards are those of killed ones.
            foreach (string note in Directory.EnumerateFiles(Path.Combine(root, StateFolder), "refine-*.holder"))
            {
                File.Delete(note);
                killed = true;
            }
        }

        sweep = killed ? Task.Run(Sweep) : Task.CompletedTask;
    }

    /// <summary>The folder.</summary>
    public string Root { get; }

    /// <summary>The manifest that this run adds to.</summary>
    public string ManifestPath => Path.Combine(Root, shard.Count == 1 ? "manifest.jsonl" : $"manifest-{shard.Name}.jsonl");

    /// <summary>All manifests of the folder, in order of their names.</summary>
    public static IEnumerable<string> Manifests(string folder) =>
        Directory.EnumerateFiles(folder, "manifest*.jsonl").Order(StringComparer.Ordinal);

    /// <summary>Makes the folder if need be and holds it.</summary>
    /// <param name="path">The folder.</param>
    /// <param name="shard">The part that is refined; runs of different parts share the folder.</param>
    /// <param name="durable">Whether outputs are to survive a loss of power once they are written.</param>
    /// <exception cref="IOException">It cannot be written, or another run holds it.</exception>
    public static OutputFolder Open(string path, Shard shard, bool durable)
    {
        string state = Path.Combine(path, StateFolder), what = $"The output folder {path}";
        try
        {
            Directory.CreateDirectory(state);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new IOException($"{what} cannot be written: {error.Message.TrimEnd('.')}. Choose another folder.", error);
        }

        string main = Path.Combine(state, "refine.lock");
        FolderLock whole = shard.Count == 1 ? FolderLock.Take(main, what) : FolderLock.Share(main, what);
        FolderLock? part = null;
        try
        {
            part = shard.Count == 1
                ? null
                : FolderLock.Take(Path.Combine(state, $"refine-{shard.Name}.lock"), $"{what}, shard {shard.Index}/{shard.Count},");
            return new OutputFolder(path, shard, durable, whole, part);
        }
        catch
        {
            part?.Dispose();
            whole.Dispose();
            throw;
        }
    }

    /// <summary>Writes a file under its name, making its folder if need be and replacing a file of that name.</summary>
    /// <exception cref="IOException">It cannot be written, or the folder is gone; nothing is left behind.</exception>
    public void Write(string name, ReadOnlySpan<byte> content)
    {
        (string temporary, FileStream stream) = Create(name);
        try
        {
            using (stream)
            {
                stream.Write(content);
            }

            Keep(temporary, name);
        }
        catch (Exception error) when (IsOfTheDisk(error))
        {
            throw Failure(name, error, temporary);
        }
    }

    /// <summary>Opens a temporary file beside where a file of that name will be.</summary>
    /// <exception cref="IOException">It cannot be made, or the folder is gone.</exception>
    public (string Path, FileStream Stream) Create(string name)
    {
        string folder = Path.GetDirectoryName(Path.Combine(Root, name))!;
        string temporary = Path.Combine(folder, string.Create(CultureInfo.InvariantCulture,
            $"{TemporaryPrefix}{(shard.Count == 1 ? "all" : shard.Name)}-{mark}-{Interlocked.Increment(ref number)}{TemporarySuffix}"));
        try
        {
            try
            {
                return (temporary, new FileStream(temporary, FileMode.CreateNew, FileAccess.ReadWrite, FileShare.None, bufferSize: 0));
            }
            catch (IOException error) when ((error is DirectoryNotFoundException or FileNotFoundException) && Directory.Exists(Root))
            {
                // The second of these where another thread has made the folder in the meantime.
                Directory.CreateDirectory(folder);
                return (temporary, new FileStream(temporary, FileMode.CreateNew, FileAccess.ReadWrite, FileShare.None, bufferSize: 0));
            }
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw Failure(name, error, temporary);
        }
    }

    /// <summary>Gives a temporary file, which is closed, its name.</summary>
    /// <exception cref="IOException">The system refused.</exception>
    public void Keep(string temporary, string name)
    {
        string path = Path.Combine(Root, name);
        if (durable)
        {
            using var written = new FileStream(temporary, FileMode.Open, FileAccess.Write, FileShare.ReadWrite, bufferSize: 0);
            written.Flush(flushToDisk: true);
        }

        File.Move(temporary, path, overwrite: true);
        if (durable)
        {
            // Folders that were made on the way have entries in the folders above them.
            for (string folder = Path.GetDirectoryName(path)!; folder.Length >= Root.Length; folder = Path.GetDirectoryName(folder)!)
            {
                Posix.SyncFolder(folder);
            }
        }
    }

    /// <summary>Whether an error is one of writing; an argument out of range is what .NET makes of a file beyond a limit on files.</summary>
    public static bool IsOfTheDisk(Exception error) => error is IOException or UnauthorizedAccessException or ArgumentOutOfRangeException;

    /// <summary>The failure to tell the user of, after what is left of the attempt has been removed.</summary>
    public IOException Failure(string name, Exception error, string? temporary = null)
    {
        string rest = "";
        try
        {
            if (temporary is not null && File.Exists(temporary))
            {
                File.Delete(temporary);
            }
        }
        catch (Exception second) when (second is IOException or UnauthorizedAccessException)
        {
            rest = $" The unfinished file {temporary} could not be removed ({second.Message.TrimEnd('.')}).";
        }

        return new IOException(Directory.Exists(Root)
            ? $"{Path.Combine(Root, name)} cannot be written: {error.Message.TrimEnd('.')}. Check that the output folder may be written to and "
                + $"has room; the same command then goes on from here.{rest}"
            : $"The output folder {Root} is gone: it was removed or renamed while the run went on. Run the same command again.", error);
    }

    /// <summary>Gives the folder up, after temporary files of a killed run have been removed.</summary>
    public void Dispose()
    {
        try
        {
            sweep.GetAwaiter().GetResult();
        }
        finally
        {
            part?.Dispose();
            whole.Dispose();
        }
    }

    // Those of this shard, or of all when nobody else is here; never those of this run.
    private void Sweep()
    {
        string start = shard.Count == 1 ? TemporaryPrefix : $"{TemporaryPrefix}{shard.Name}-";
        var everywhere = new EnumerationOptions { RecurseSubdirectories = true, AttributesToSkip = FileAttributes.ReparsePoint };
        try
        {
            foreach (string path in Directory.EnumerateFiles(Root, $"{start}*{TemporarySuffix}", everywhere))
            {
                if (!Path.GetFileName(path).Contains($"-{mark}-", StringComparison.Ordinal))
                {
                    File.Delete(path);
                }
            }
        }
        catch (DirectoryNotFoundException)
        {
            // Removed while the run goes on, which writing notices: nothing is left to be swept.
        }
    }
}
