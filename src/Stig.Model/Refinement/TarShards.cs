using System.Formats.Tar;
using System.Runtime.CompilerServices;
using Stig.Model.Imaging;

namespace Stig.Model.Refinement;

/// <summary>A place in a tar file that is being written.</summary>
/// <param name="Shard">The tar file.</param>
/// <param name="Index">Its entry; -1: all entries have been read.</param>
internal sealed record TarSlot(TarShard Shard, int Index);

/// <summary>What becomes of one entry of a tar file.</summary>
internal sealed class TarMember(TarEntry entry)
{
    public TarEntry Entry { get; } = entry;

    /// <summary>Whether it waits for its refined image.</summary>
    public bool IsPending { get; set; }

    /// <summary>Whether it is left out: an image that failed.</summary>
    public bool IsDropped { get; set; }
}

/// <summary>A tar file that is being refined: members in the order of the input, written as soon as all before them are done.</summary>
internal sealed class TarShard(InputFile input, DateTime modified, long bytes, string temporary, FileStream stream) : IDisposable
{
    private readonly TarWriter writer = new(stream, TarEntryFormat.Pax, leaveOpen: true);
    private readonly Queue<TarMember?> members = new();
    private int first;
    private int added;
    private bool ended;

    public InputFile Input => input;

    public DateTime Modified => modified;

    public long Bytes => bytes;

    public string Temporary => temporary;

    /// <summary>Lines of the images that are done with.</summary>
    public List<ManifestEntry> Lines { get; } = [];

    /// <summary>Whether it has been ended; the last image and the word that there are no more come in either order.</summary>
    public bool IsClosed { get; private set; }

    /// <summary>Why the file cannot be read to its end.</summary>
    public RefineItemException? Problem { get; set; }

    public bool IsComplete
    {
        get
        {
            lock (members)
            {
                return ended && members.Count == 0 && !IsClosed;
            }
        }
    }

    public int Add(TarMember member)
    {
        lock (members)
        {
            members.Enqueue(member);
            return added++;
        }
    }

    public void End()
    {
        lock (members)
        {
            ended = true;
        }
    }

    public void Fill(int index, Action<TarMember> change)
    {
        lock (members)
        {
            TarMember member = members.ElementAt(index - first)!;
            change(member);
            member.IsPending = false;
        }
    }

    /// <summary>Writes what is ready, from the first on. Not for several threads at a time.</summary>
    public void Flush()
    {
        while (true)
        {
            TarMember? member;
            lock (members)
            {
                if (!members.TryPeek(out member) || member!.IsPending)
                {
                    return;
                }

                members.Dequeue();
                first++;
            }

            if (!member.IsDropped && Problem is null)
            {
                writer.WriteEntry(member.Entry);
            }
        }
    }

    /// <summary>Ends the file.</summary>
    /// <returns>Its length in bytes.</returns>
    public long Close()
    {
        IsClosed = true;
        writer.Dispose();
        long length = stream.Length;
        stream.Dispose();
        return length;
    }

    public void Dispose()
    {
        stream.Dispose();
        if (File.Exists(temporary))
        {
            File.Delete(temporary);
        }
    }
}

/// <summary>
/// Tar files of images, WebDataset's shards among them. An image keeps its place, its times and, up to the extension, its name, so that
/// samples stay together; everything else is copied as it is. An image that fails is left out. The whole file is done or not.
/// </summary>
internal sealed class TarShards(OutputFolder output, RefineCodec codec) : IDisposable
{
    private readonly HashSet<TarShard> open = [];

    /// <summary>The images of a tar file as items; the last one only says that there are no more.</summary>
    public async IAsyncEnumerable<RefineItem> MembersAsync(InputFile input, [EnumeratorCancellation] CancellationToken cancellation)
    {
        RefineItem failed = new(input.Name, input.OutputName) { Status = RefineStatus.Failed };
        RefineItemException? problem = null;
        Dictionary<string, string>? names = null;
        try
        {
            names = await NamesAsync(input.Path, cancellation).ConfigureAwait(false);
        }
        catch (Exception error) when (IsUnreadable(error))
        {
            problem = Unreadable(input, error);
        }

        if (problem is not null)
        {
            yield return failed with { Cause = problem.Cause, Error = problem.Message };
            yield break;
        }

        var file = new FileInfo(input.Path);
        (string temporary, FileStream stream) = output.Create(input.OutputName);
        var shard = new TarShard(input, file.LastWriteTimeUtc, file.Length, temporary, stream);
        lock (open)
        {
            open.Add(shard);
        }

        using FileStream source = OpenFile(input.Path);
        using var reader = new TarReader(source);
        while (true)
        {
            TarEntry? entry = null;
            byte[]? content = null;
            try
            {
                entry = await reader.GetNextEntryAsync(copyData: true, cancellation).ConfigureAwait(false);
                content = entry is not null && names!.ContainsKey(entry.Name) && IsFile(entry) ? Content(entry) : null;
            }
            catch (Exception error) when (IsUnreadable(error))
            {
                shard.Problem = Unreadable(input, error);
            }

            if (entry is null || shard.Problem is not null)
            {
                break;
            }

            var member = new TarMember(entry) { IsPending = content is not null };
            int index = shard.Add(member);
            if (content is not null)
            {
                yield return new RefineItem($"{input.Name}/{entry.Name}", names![entry.Name])
                {
                    Place = $"{input.Path}/{entry.Name}",
                    Read = () => content,
                    Tag = new TarSlot(shard, index),
                };
            }
        }

        shard.End();
        yield return new RefineItem(input.Name, input.OutputName) { Tag = new TarSlot(shard, -1) };
    }

    /// <summary>Takes an image's outcome.</summary>
    /// <param name="slot">Its place.</param>
    /// <param name="outcome">What became of it.</param>
    /// <param name="line">Its line.</param>
    /// <returns>The lines of the tar file if it is done, its own last; otherwise none.</returns>
    /// <exception cref="IOException">The output cannot be written.</exception>
    public IReadOnlyList<ManifestEntry> Finish(TarSlot slot, RefineOutcome outcome, ManifestEntry line)
    {
        TarShard shard = slot.Shard;
        try
        {
            if (slot.Index >= 0)
            {
                shard.Lines.Add(line with { Output = $"{shard.Input.OutputName}/{outcome.Item.OutputName}" });
                shard.Fill(slot.Index, member =>
                {
                    member.IsDropped = outcome.Encoded is null;
                    if (outcome.Encoded is not null)
                    {
                        member.Entry.Name = outcome.Item.OutputName;
                        member.Entry.DataStream = new MemoryStream(outcome.Encoded);
                    }
                });
            }

            shard.Flush();
            return shard.IsComplete ? Complete(shard, line) : [];
        }
        catch (Exception error) when (OutputFolder.IsOfTheDisk(error))
        {
            throw output.Failure(shard.Input.OutputName, error);
        }
    }

    /// <summary>Removes what was begun and not finished.</summary>
    public void Dispose()
    {
        foreach (TarShard shard in open)
        {
            shard.Dispose();
        }
    }

    private IReadOnlyList<ManifestEntry> Complete(TarShard shard, ManifestEntry line)
    {
        long length = shard.Close();
        ManifestEntry own = new()
        {
            Input = shard.Input.Name,
            Output = shard.Input.OutputName,
            Status = RefineStatus.Refined,
            InputBytes = shard.Bytes,
            InputModified = shard.Modified,
            Model = line.Model,
            Options = line.Options,
            Failures = shard.Lines.Count(member => member.Status == RefineStatus.Failed),
            Time = DateTime.UtcNow,
        };
        lock (open)
        {
            open.Remove(shard);
        }

        if (shard.Problem is { } problem)
        {
            shard.Dispose();
            return [own with { Status = RefineStatus.Failed, Cause = problem.Cause, Error = problem.Message }];
        }

        output.Keep(shard.Temporary, shard.Input.OutputName);
        return [.. shard.Lines, own with { OutputBytes = length }];
    }

    // The rule for names of a folder, over the whole file; headers alone are read.
    private async Task<Dictionary<string, string>> NamesAsync(string path, CancellationToken cancellation)
    {
        List<string> names = [];
        using FileStream stream = OpenFile(path);
        using var reader = new TarReader(stream);
        while (await reader.GetNextEntryAsync(copyData: false, cancellation).ConfigureAwait(false) is TarEntry entry)
        {
            if (IsFile(entry) && ImageFiles.Extensions.Contains(Path.GetExtension(entry.Name), StringComparer.OrdinalIgnoreCase))
            {
                names.Add(entry.Name);
            }
        }

        string[] different = [.. names.Distinct()];
        return different.Zip(InputListing.OutputNames(different, codec)).ToDictionary(pair => pair.First, pair => pair.Second);
    }

    private static FileStream OpenFile(string path) => new(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite, 1 << 16);

    private static bool IsFile(TarEntry entry) => entry.EntryType is TarEntryType.RegularFile or TarEntryType.V7RegularFile;

    private static byte[] Content(TarEntry entry)
    {
        byte[] content = new byte[entry.Length];
        entry.DataStream?.ReadExactly(content);
        return content;
    }

    private static bool IsUnreadable(Exception error) =>
        error is IOException or UnauthorizedAccessException or InvalidDataException or FormatException or NotSupportedException;

    private static RefineItemException Unreadable(InputFile input, Exception error) => new(
        RefineCause.Unreadable,
        $"{input.Path}: cannot be read as a tar file: {error.Message.TrimEnd('.')}. Copy or make it again, or remove it.", error);
}
