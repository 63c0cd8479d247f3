using System.Formats.Tar;
using System.Runtime.CompilerServices;
using Stig.Model.Imaging;

namespace Stig.Model.Refinement;

/// <summary>A place in a tar file that is being written.</summary>
/// <param name="Shard">The tar file.</param>
/// <param name="Member">Its entry; null: all entries have been read.</param>
internal sealed record TarSlot(TarShard Shard, TarMember? Member);

/// <summary>
/// Tar files of images, WebDataset's shards among them. An image keeps its place, its times and, up to the extension, its name, so that
/// samples stay together; everything else is copied as it is, and links lead to images by their new names. An image that fails is left
/// out. The whole file is done or not.
/// </summary>
internal sealed class TarShards(OutputFolder output, RefineCodec codec) : IDisposable
{
    private readonly HashSet<TarShard> open = [];
    private bool disposed;

    /// <summary>The members of a tar file as items, those that are copied as such without anything to read; the last one only says that
    /// there are no more.</summary>
    public async IAsyncEnumerable<RefineItem> MembersAsync(InputFile input, [EnumeratorCancellation] CancellationToken cancellation)
    {
        FileStream? source = null;
        Dictionary<string, string> names = [];
        RefineItemException? problem = null;
        try
        {
            source = Open(input.Path);
            names = await NamesAsync(source, cancellation).ConfigureAwait(false);
            source.Position = 0;
        }
        catch (Exception error)
        {
            source?.Dispose();
            if (!IsUnreadable(error))
            {
                throw;
            }

            problem = Unreadable(input, error);
        }

        if (problem is not null)
        {
            yield return new(input.Name, input.OutputName) { Status = RefineStatus.Failed, Cause = problem.Cause, Error = problem.Message };
            yield break;
        }

        if (Begin(input, source!) is not TarShard shard)
        {
            yield break;
        }

        using var reader = new TarReader(source!, leaveOpen: true);
        while (true)
        {
            TarMember? member = null;
            try
            {
                TarEntry? entry = await reader.GetNextEntryAsync(copyData: false, cancellation).ConfigureAwait(false);
                member = entry is null ? null : Member(entry, names);
            }
            catch (Exception error) when (IsUnreadable(error))
            {
                shard.Problem = Unreadable(input, error);
            }

            if (member is null)
            {
                break;
            }

            string name = member.Entry.Name;
            await shard.AddAsync(member, cancellation).ConfigureAwait(false);
            var item = new RefineItem($"{input.Name}/{name}", member.IsImage ? names[name] : name) { Tag = new TarSlot(shard, member) };
            string place = $"{input.Path}/{name}";
            yield return !member.IsImage ? item : item with { Place = place, Read = () => shard.Read(member, place, codec.MaxPixels) };
        }

        shard.End();
        yield return new RefineItem(input.Name, input.OutputName) { Tag = new TarSlot(shard, null) };
    }

    /// <summary>Takes a member's outcome.</summary>
    /// <param name="slot">Its place.</param>
    /// <param name="outcome">What became of it.</param>
    /// <param name="line">Its line.</param>
    /// <param name="withdrawn">Lines of images refined before that do not count any more, because the file broke off.</param>
    /// <returns>The line of an image that failed; when the tar file is done, those of the others, its own last.</returns>
    /// <exception cref="IOException">The output cannot be written.</exception>
    public IReadOnlyList<ManifestEntry> Finish(
        TarSlot slot, RefineOutcome outcome, ManifestEntry line, out IReadOnlyList<ManifestEntry> withdrawn)
    {
        (TarShard shard, TarMember? member) = slot;
        withdrawn = [];
        List<ManifestEntry> lines = [];
        try
        {
            if (member is not null)
            {
                if (member.IsImage)
                {
                    (outcome.Encoded is null ? lines : shard.Lines).Add(
                        line with { Output = $"{shard.Input.OutputName}/{outcome.Item.OutputName}" });
                    member.Entry.Name = outcome.Item.OutputName;
                }

                shard.Fill(member, outcome.Encoded);
            }

            shard.Flush();
            if (shard.IsComplete)
            {
                withdrawn = Complete(shard, line, lines);
            }

            return lines;
        }
        catch (Exception error) when (OutputFolder.IsOfTheDisk(error))
        {
            throw output.Failure(shard.Input.OutputName, error);
        }
    }

    /// <summary>Gives up what was begun and not finished.</summary>
    /// <returns>The lines of its refined images, which do not count any more.</returns>
    public IReadOnlyList<ManifestEntry> Withdraw()
    {
        lock (open)
        {
            return [.. open.SelectMany(shard => shard.Lines)];
        }
    }

    /// <summary>Removes what was begun and not finished.</summary>
    public void Dispose()
    {
        lock (open)
        {
            disposed = true;
            foreach (TarShard shard in open)
            {
                shard.Dispose();
            }
        }
    }

    // Null where everything has been given up already: the listing's thread may come late.
    private TarShard? Begin(InputFile input, FileStream source)
    {
        lock (open)
        {
            if (disposed)
            {
                source.Dispose();
                return null;
            }

            (string temporary, FileStream target) = output.Create(input.OutputName);
            var shard = new TarShard(input, source, temporary, target);
            open.Add(shard);
            return shard;
        }
    }

    // Adds the lines of a file that is done; gives those that are withdrawn if it failed.
    private List<ManifestEntry> Complete(TarShard shard, ManifestEntry line, List<ManifestEntry> lines)
    {
        long length = shard.Close();
        ManifestEntry own = new()
        {
            Input = shard.Input.Name,
            Output = shard.Input.OutputName,
            Status = RefineStatus.Refined,
            InputBytes = shard.Bytes,
            InputModified = shard.Modified,
            InputHash = shard.Hash,
            Model = line.Model,
            Options = line.Options,
            Failures = shard.Failures,
            Time = DateTime.UtcNow,
        };
        if (shard.Problem is { } problem)
        {
            Remove(shard);
            shard.Dispose();
            lines.Add(own with { Status = RefineStatus.Failed, Cause = problem.Cause, Error = problem.Message });
            return shard.Lines;
        }

        output.Keep(shard.Temporary, shard.Input.OutputName);
        Remove(shard);
        lines.AddRange([.. shard.Lines, own with { OutputBytes = length }]);
        return [];
    }

    private void Remove(TarShard shard)
    {
        lock (open)
        {
            open.Remove(shard);
        }
    }

    // The rule for names of a folder, over the whole file; headers alone are read.
    private async Task<Dictionary<string, string>> NamesAsync(FileStream source, CancellationToken cancellation)
    {
        HashSet<string> names = [];
        using var reader = new TarReader(source, leaveOpen: true);
        while (await reader.GetNextEntryAsync(copyData: false, cancellation).ConfigureAwait(false) is TarEntry entry)
        {
            if (IsFile(entry) && ImageFiles.Extensions.Contains(Path.GetExtension(entry.Name), StringComparer.OrdinalIgnoreCase))
            {
                names.Add(entry.Name);
            }
        }

        string[] different = [.. names];
        return different.Zip(InputListing.OutputNames(different, codec)).ToDictionary(pair => pair.First, pair => pair.Second);
    }

    // Entries are written in one format, whatever they were read in: names may grow beyond what older ones hold.
    private static TarMember Member(TarEntry entry, Dictionary<string, string> names)
    {
        if (entry is PaxGlobalExtendedAttributesTarEntry)
        {
            return new TarMember(entry, 0, 0, isImage: false);
        }

        if ((entry.Name + entry.LinkName).Contains('\uFFFD', StringComparison.Ordinal))
        {
            throw new InvalidDataException($"its entry {ImageFiles.Printable(entry.Name)} has a name that is not UTF-8, which would be lost");
        }

        (long offset, long length) = (entry.DataOffset, entry.Length);
        if (IsFile(entry))
        {
            // Otherwise to give it other data, on another thread, would move the reader.
            entry.DataStream = null;
        }

        var written = new PaxTarEntry(entry);
        if (Target(entry, names) is string target)
        {
            written.LinkName = target;
        }

        return new TarMember(written, offset, length, IsFile(entry) && names.ContainsKey(entry.Name));
    }

    // Where a link to a refined image leads in the output; null for others.
    private static string? Target(TarEntry entry, Dictionary<string, string> names)
    {
        switch (entry.EntryType)
        {
            case TarEntryType.HardLink:
                return names.GetValueOrDefault(entry.LinkName);
            case TarEntryType.SymbolicLink:
                string from = Path.GetDirectoryName($"/{entry.Name}") ?? "/";
                string image = Path.GetFullPath(Path.Combine(from, entry.LinkName))[1..];
                return names.GetValueOrDefault(image) is string refined
                    ? string.Concat(entry.LinkName.AsSpan(0, entry.LinkName.Length - Path.GetFileName(entry.LinkName).Length), Path.GetFileName(refined))
                    : null;
            default:
                return null;
        }
    }

    // To open a pipe would wait for ever; it has no length.
    private static FileStream Open(string path) => ImageFiles.Followed(path) is { Exists: true, Length: > 0 }
        ? new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite, 1 << 16)
        : throw new IOException("it is empty, gone, or no plain file");

    private static bool IsFile(TarEntry entry) => entry.EntryType is TarEntryType.RegularFile or TarEntryType.V7RegularFile;

    // Whatever the class library makes of a damaged file: numbers out of range among it.
    private static bool IsUnreadable(Exception error) => error is not (OperationCanceledException or OutOfMemoryException);

    private static RefineItemException Unreadable(InputFile input, Exception error) => new(
        RefineCause.Unreadable,
        $"{input.Path}: cannot be read as a tar file: {error.Message.ReplaceLineEndings(" ").TrimEnd('.')}. Copy or make it again, or remove it.", error);
}
