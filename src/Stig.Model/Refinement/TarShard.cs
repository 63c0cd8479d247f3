using System.Formats.Tar;
using System.Text;
using Microsoft.Win32.SafeHandles;
using Stig.Model.Imaging;

namespace Stig.Model.Refinement;

/// <summary>An entry of a tar file on its way to the output.</summary>
/// <param name="entry">The entry as it is to be written, without its data.</param>
/// <param name="offset">Where its data begin in the input.</param>
/// <param name="length">Their length in bytes.</param>
/// <param name="isImage">Whether it is to be refined; everything else is copied.</param>
internal sealed class TarMember(TarEntry entry, long offset, long length, bool isImage)
{
    public TarEntry Entry => entry;

    public long Offset => offset;

    public long Length => length;

    public bool IsImage => isImage;

    /// <summary>Whether its outcome is still to come.</summary>
    public bool IsPending { get; set; } = true;

    /// <summary>The refined image; null where it failed, and of what is copied.</summary>
    public byte[]? Refined { get; set; }
}

/// <summary>A tar file that is being refined: members in the order of the input, written as soon as all before them are done. What is copied
/// lies in the input until then; refined images that wait are held in memory, to a bound at which reading pauses.</summary>
internal sealed class TarShard : IDisposable
{
    private const int MaxMembers = 4096;
    private const long MaxBytes = 64 << 20;

    private readonly FileStream source;

    // Asked for once: the stream throws its buffer away whenever it is, also while another thread reads.
    private readonly SafeFileHandle file;

    private readonly FileStream target;
    private readonly SafeFileHandle written;
    private readonly TarWriter writer;
    private readonly Queue<TarMember> members = new();
    private readonly HashSet<string> dropped = [];
    private TaskCompletionSource? room;
    private long heldBytes;
    private bool ended;

    /// <param name="input">The tar file.</param>
    /// <param name="source">It, opened; the shard's own from now on.</param>
    /// <param name="temporary">Where the output is written.</param>
    /// <param name="target">That, opened; the shard's own from now on.</param>
    public TarShard(InputFile input, FileStream source, string temporary, FileStream target)
    {
        (Input, this.source, Temporary, this.target) = (input, source, temporary, target);
        (file, written) = (source.SafeFileHandle, target.SafeFileHandle);
        (Bytes, Modified) = (RandomAccess.GetLength(file), File.GetLastWriteTimeUtc(file));
        writer = new TarWriter(target, TarEntryFormat.Pax, leaveOpen: true);
    }

    public InputFile Input { get; }

    /// <summary>When the input was last changed, as it was opened.</summary>
    public DateTime Modified { get; }

    /// <summary>The input's length in bytes, as it was opened.</summary>
    public long Bytes { get; }

    public string Temporary { get; }

    /// <summary>Lines of the images that are refined; they hold once the file is done.</summary>
    public List<ManifestEntry> Lines { get; } = [];

    /// <summary>The hash of the input, once it is closed.</summary>
    public string? Hash { get; private set; }

    /// <summary>Images that failed.</summary>
    public int Failures { get; private set; }

    /// <summary>Whether it has been ended; the last image and the word that there are no more come in either order.</summary>
    public bool IsClosed { get; private set; }

    /// <summary>Why the output cannot be what the input is.</summary>
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

    // Under the lock.
    private bool IsFull => members.Count >= MaxMembers || heldBytes >= MaxBytes;

    /// <summary>Adds the next member, once there is room. It never waits for that member itself, so what it waits for goes on.</summary>
    public async Task AddAsync(TarMember member, CancellationToken cancellation)
    {
        while (true)
        {
            Task wait;
            lock (members)
            {
                if (!IsFull)
                {
                    members.Enqueue(member);
                    return;
                }

                room ??= new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
                wait = room.Task;
            }

            await wait.WaitAsync(cancellation).ConfigureAwait(false);
        }
    }

    /// <summary>There are no more members.</summary>
    public void End()
    {
        lock (members)
        {
            ended = true;
        }
    }

    /// <summary>The member's outcome is there.</summary>
    /// <param name="member">The member.</param>
    /// <param name="refined">The refined image; null where it failed, and of what is copied.</param>
    public void Fill(TarMember member, byte[]? refined)
    {
        lock (members)
        {
            (member.Refined, member.IsPending) = (refined, false);
            heldBytes += refined?.Length ?? 0;
        }
    }

    /// <summary>The content of an image, valid until the same thread reads another.</summary>
    /// <exception cref="RefineItemException">It is too long for an image, or cannot be read.</exception>
    public ReadOnlyMemory<byte> Read(TarMember member, string place, long maxPixels) =>
        InputReader.Read(file, member.Offset, member.Length, place, maxPixels);

    /// <summary>Writes what is ready, from the first on. Not for several threads at a time.</summary>
    /// <exception cref="IOException">The output cannot be written.</exception>
    public void Flush()
    {
        while (true)
        {
            TarMember? member;
            lock (members)
            {
                if (!members.TryPeek(out member) || member.IsPending)
                {
                    return;
                }

                members.Dequeue();
                heldBytes -= member.Refined?.Length ?? 0;
                if (room is not null && !IsFull)
                {
                    room.SetResult();
                    room = null;
                }
            }

            if (Problem is null)
            {
                Write(member);
            }
        }
    }

    /// <summary>Ends the file, and makes sure that the input has stayed as it was.</summary>
    /// <returns>The output's length in bytes.</returns>
    /// <exception cref="IOException">The output cannot be written.</exception>
    public long Close()
    {
        IsClosed = true;
        Hash = ContentHash.Of(new FileRange(file, 0, Bytes, Input.Path));
        if (Problem is null && (RandomAccess.GetLength(file) != Bytes || File.GetLastWriteTimeUtc(file) != Modified))
        {
            Problem = new RefineItemException(
                RefineCause.Changed, $"{Input.Path}: changed while it was read. Run again when it is complete.");
        }

        writer.Dispose();
        long length = target.Length;
        target.Dispose();
        source.Dispose();
        return length;
    }

    /// <summary>Closes the files and removes the output.</summary>
    public void Dispose()
    {
        target.Dispose();
        source.Dispose();
        if (File.Exists(Temporary))
        {
            File.Delete(Temporary);
        }
    }

    // Every entry begins with a header for its attributes. The class library puts the number of the process into its name, with which every
    // run would give other bytes; readers do not look at it.
    private void NameAttributes(long at)
    {
        const int NameLength = 100, Checksum = 148, ChecksumLength = 8, Prefix = 345, PrefixLength = 155;
        Span<byte> header = stackalloc byte[512];
        using var part = new FileRange(written, at, header.Length, Temporary);
        part.ReadExactly(header);
        header[..NameLength].Clear();
        header.Slice(Prefix, PrefixLength).Clear();
        "././@PaxHeader"u8.CopyTo(header);
        Span<byte> checksum = header.Slice(Checksum, ChecksumLength);
        checksum.Fill((byte)' ');
        int sum = 0;
        foreach (byte value in header)
        {
            sum += value;
        }

        // POSIX: six octal digits, a zero and a blank.
        Encoding.ASCII.GetBytes($"{Convert.ToString(sum, 8).PadLeft(6, '0')}\0 ", checksum);
        RandomAccess.Write(written, header, at);
    }

    private void Write(TarMember member)
    {
        TarEntry entry = member.Entry;
        if (member.IsImage && member.Refined is null)
        {
            dropped.Add(entry.Name);
            Failures++;
            return;
        }

        if (entry.EntryType == TarEntryType.HardLink && dropped.Contains(entry.LinkName))
        {
            return;
        }

        try
        {
            if (member.Refined is not null)
            {
                entry.DataStream = new MemoryStream(member.Refined);
            }
            else if (member.Length > 0)
            {
                entry.DataStream = new FileRange(file, member.Offset, member.Length, Input.Path);
            }

            long header = target.Position;
            writer.WriteEntry(entry);
            NameAttributes(header);
        }
        catch (RefineItemException problem)
        {
            Problem = problem;
        }
        catch (Exception error) when (!OutputFolder.IsOfTheDisk(error) && error is not OutOfMemoryException)
        {
            Problem = new RefineItemException(RefineCause.Encoding,
                $"{Input.Path}: its entry {ImageFiles.Printable(entry.Name)} cannot be written to a tar file: {error.Message.ReplaceLineEndings(" ").TrimEnd('.')}. Leave it out.", error);
        }
    }
}
