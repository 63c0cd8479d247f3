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
    private readonly Action<string>? warn;
    private readonly Task sweep;
    private int number;

    private OutputFolder(string root, Shard shard, bool durable, FolderLock whole, FolderLock? part, Action<string>? warn)
    {
        (Root, this.shard, this.durable, this.whole, this.part, this.warn) = (root, shard, durable, whole, part, warn);
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

    /// <summary>The folder's whole path, without a separator at its end.</summary>
    public string Root { get; }

    /// <summary>The manifest that this run adds to.</summary>
    public string ManifestPath => ManifestOf(Root, shard);

    /// <summary>The manifest that a run of a part adds to.</summary>
    public static string ManifestOf(string folder, Shard shard) =>
        Path.Combine(folder, shard.Count == 1 ? "manifest.jsonl" : $"manifest-{shard.Name}.jsonl");

    /// <summary>All manifests of the folder, in order of their names.</summary>
    public static IEnumerable<string> Manifests(string folder) =>
        Directory.EnumerateFiles(folder, "manifest*.jsonl").Order(StringComparer.Ordinal);

    /// <summary>Whether an output's name is that of one of the run's own files, or lies in a folder that has such a name.</summary>
    public static bool IsReserved(string name)
    {
        ReadOnlySpan<char> first = name.AsSpan(0, name.IndexOf('/', StringComparison.Ordinal) is int slash and >= 0 ? slash : name.Length);
        return first.SequenceEqual(StateFolder)
            || (first.StartsWith("manifest", StringComparison.Ordinal) && first.EndsWith(".jsonl", StringComparison.Ordinal));
    }

    /// <summary>Whether there is something in a folder that no run has held: what lies there may be of worth to somebody.</summary>
    public static bool IsForeign(string folder) =>
        Directory.Exists(folder) && !Directory.Exists(Path.Combine(folder, StateFolder)) && !Manifests(folder).Any()
        && Directory.EnumerateFileSystemEntries(folder).Any();

    /// <summary>Makes the folder if need be and holds it.</summary>
    /// <param name="path">The folder.</param>
    /// <param name="shard">The part that is refined; runs of different parts share the folder.</param>
    /// <param name="durable">Whether outputs are to survive a loss of power once they are written.</param>
    /// <param name="warn">Told in one line what of a killed run cannot be removed.</param>
    /// <exception cref="IOException">It cannot be written, or another run holds it.</exception>
    public static OutputFolder Open(string path, Shard shard, bool durable, Action<string>? warn = null)
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
            return new OutputFolder(Path.TrimEndingDirectorySeparator(Path.GetFullPath(path)), shard, durable, whole, part, warn);
        }
        catch
        {
            part?.Dispose();
            whole.Dispose();
            throw;
        }
    }

    /// <summary>
    /// What keeps outputs of a folder from being made: a file or a link where the folder, or one above it, would be. Outputs lie in no link, so
    /// that they are where their names say, and replace nothing elsewhere.
    /// </summary>
    /// <param name="root">The output folder.</param>
    /// <param name="name">A name below it; what follows the last '/' is not looked at.</param>
    /// <returns>What is in the way, and what to do; null when nothing is.</returns>
    public static string? Obstacle(string root, string name)
    {
        for (int end = name.IndexOf('/', StringComparison.Ordinal); end >= 0; end = name.IndexOf('/', end + 1))
        {
            var folder = new FileInfo(Path.Combine(root, name[..end]));
            if ((int)folder.Attributes == -1)
            {
                return null;
            }

            if (folder.LinkTarget is not null || !folder.Attributes.HasFlag(FileAttributes.Directory))
            {
                return $"its output needs the folder {folder}, which is a {(folder.LinkTarget is null ? "file" : "link")}. "
                    + "Remove that, or choose another output folder.";
            }
        }

        return null;
    }

    /// <summary>Writes an input's output, making its folder if need be and replacing a file of that name.</summary>
    /// <exception cref="RefineItemException">Its name cannot be had there, which is not known before where another input has taken it in the
    /// meantime.</exception>
    /// <exception cref="IOException">It cannot be written, or the folder is gone; nothing is left behind.</exception>
    public void Write(InputFile input, ReadOnlySpan<byte> content)
    {
        string temporary = TemporaryOf(input.OutputName);
        try
        {
            using (FileStream stream = Open(temporary))
            {
                stream.Write(content);
            }

            Keep(temporary, input.OutputName);
        }
        catch (Exception error) when (IsOfTheDisk(error))
        {
            IOException failure = Failure(input.OutputName, error, temporary);
            string? problem = error is PathTooLongException
                ? $"the path of its output {input.OutputName} is too long. Rename it, or choose another output folder."
                : Obstacle(Root, input.OutputName) ?? FolderOf(Path.Combine(Root, input.OutputName));
            throw problem is null ? failure : new RefineItemException(RefineCause.Name, $"{input.Path}: {problem}", failure);
        }
    }

    /// <summary>What is in the way where an output is a folder; null where it is not.</summary>
    /// <param name="output">Its path.</param>
    public static string? FolderOf(string output) =>
        Directory.Exists(output) ? $"there is a folder {output}, where its output would be. Remove that, or choose another output folder." : null;

    /// <summary>Opens a temporary file beside where a file of that name will be.</summary>
    /// <exception cref="IOException">It cannot be made, or the folder is gone.</exception>
    public (string Path, FileStream Stream) Create(string name)
    {
        string temporary = TemporaryOf(name);
        try
        {
            return (temporary, Open(temporary));
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
            foreach (string folder in FoldersOf(Root, name))
            {
                Posix.SyncFolder(folder);
            }
        }
    }

    /// <summary>The folders whose entries lead to a file of that name, up to the output folder: one that was made on the way has its entry in
    /// the folder above it.</summary>
    /// <param name="root">The output folder's whole path, without a separator at its end.</param>
    /// <param name="name">A name below it.</param>
    internal static IEnumerable<string> FoldersOf(string root, string name)
    {
        for (string? folder = Path.GetDirectoryName(Path.Combine(root, name)); folder?.Length >= root.Length; folder = Path.GetDirectoryName(folder))
        {
            yield return folder;
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

    private string TemporaryOf(string name) => Path.Combine(Path.GetDirectoryName(Path.Combine(Root, name))!, string.Create(
        CultureInfo.InvariantCulture,
        $"{TemporaryPrefix}{(shard.Count == 1 ? "all" : shard.Name)}-{mark}-{Interlocked.Increment(ref number)}{TemporarySuffix}"));

    private FileStream Open(string temporary)
    {
        FileStream New() => new(temporary, FileMode.CreateNew, FileAccess.ReadWrite, FileShare.None, bufferSize: 0);
        try
        {
            return New();
        }
        catch (IOException error) when ((error is DirectoryNotFoundException or FileNotFoundException) && Directory.Exists(Root))
        {
            // The second of these where another thread has made the folder in the meantime.
            Directory.CreateDirectory(Path.GetDirectoryName(temporary)!);
            return New();
        }
    }

    // Those of this shard, or of all when nobody else is here; never those of this run.
    private void Sweep()
    {
        string pattern = (shard.Count == 1 ? TemporaryPrefix : $"{TemporaryPrefix}{shard.Name}-") + "*" + TemporarySuffix;
        var everywhere = new EnumerationOptions { RecurseSubdirectories = true, AttributesToSkip = FileAttributes.ReparsePoint };
        Exception? failure = null;
        try
        {
            foreach (string path in Directory.EnumerateFiles(Root, pattern, everywhere))
            {
                try
                {
                    if (!Path.GetFileName(path).Contains($"-{mark}-", StringComparison.Ordinal))
                    {
                        File.Delete(path);
                    }
                }
                catch (Exception error) when (error is IOException or UnauthorizedAccessException)
                {
                    failure = error;
                }
            }
        }
        catch (DirectoryNotFoundException)
        {
            // Removed while the run goes on, which writing notices: nothing is left to be swept.
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            failure = error;
        }

        if (failure is not null)
        {
            warn?.Invoke($"temporary files of a killed run in {Root} could not all be removed: {failure.Message.TrimEnd('.')}. "
                + $"Remove {pattern} there and below while no run goes on.");
        }
    }
}
