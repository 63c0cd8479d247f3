using System.Text.Json;
using System.Text.Json.Serialization;
using Microsoft.Win32.SafeHandles;
using Stig.Model.Imaging;

namespace Stig.Model.Refinement;

/// <summary>A line of a manifest: what became of one input.</summary>
public sealed record ManifestEntry
{
    /// <summary>The input's name below what was named on the command line. First in its line, so that looking a name up is quick.</summary>
    [JsonPropertyOrder(-2)]
    public required string Input { get; init; }

    /// <summary>Whether the input is an image in a tar file, which has a line of its own; null where it is not. Second in its line.</summary>
    [JsonPropertyOrder(-1)]
    public bool? Member { get; init; }

    /// <summary>The output's name below the output folder.</summary>
    public required string Output { get; init; }

    /// <summary>Refined or failed; what was skipped has its line already.</summary>
    public required RefineStatus Status { get; init; }

    /// <summary>Why it failed.</summary>
    public RefineCause? Cause { get; init; }

    /// <summary>The failure in one line.</summary>
    public string? Error { get; init; }

    /// <summary>Bytes of the input.</summary>
    public long? InputBytes { get; init; }

    /// <summary>When the input was last changed, as its file system said before it was read (UTC).</summary>
    public DateTime? InputModified { get; init; }

    /// <summary>XXH3 of the input, hexadecimal.</summary>
    public string? InputHash { get; init; }

    /// <summary>Bytes of the output.</summary>
    public long? OutputBytes { get; init; }

    /// <summary>XXH3 of the output, hexadecimal.</summary>
    public string? OutputHash { get; init; }

    /// <summary>Width in pixels.</summary>
    public int? Width { get; init; }

    /// <summary>Height in pixels.</summary>
    public int? Height { get; init; }

    /// <summary>Identifies the model: 16 hexadecimal digits of the SHA-256 of its file.</summary>
    public required string Model { get; init; }

    /// <summary>The options that change outputs.</summary>
    public required string Options { get; init; }

    /// <summary>How it was computed: device, arithmetic, and the extents of the program.</summary>
    public string? Plan { get; init; }

    /// <summary>"f32" where it was computed again in float32, because the first result was not finite.</summary>
    public string? Fallback { get; init; }

    /// <summary>What of the input is missing in the output and why: opacity, content credentials, ...; null where nothing is.</summary>
    public IReadOnlyList<string>? Notes { get; init; }

    /// <summary>Of what kinds the notes are, for who follows a run; not in the manifest.</summary>
    [JsonIgnore]
    public IReadOnlyList<ImageNoteKind> NoteKinds { get; init; } = [];

    /// <summary>Images that failed inside a tar shard; null for images.</summary>
    public int? Failures { get; init; }

    /// <summary>Milliseconds for reading and decoding.</summary>
    public double? DecodeMs { get; init; }

    /// <summary>Milliseconds of its batch on the device.</summary>
    public double? DeviceMs { get; init; }

    /// <summary>Milliseconds for encoding and writing.</summary>
    public double? EncodeMs { get; init; }

    /// <summary>When it was done, or found to be done of an input that had got another time (UTC).</summary>
    public required DateTime Time { get; init; }
}

/// <summary>JSON of manifests.</summary>
[JsonSourceGenerationOptions(WriteIndented = false, PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower,
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull, RespectNullableAnnotations = true)]
[JsonSerializable(typeof(ManifestEntry))]
internal sealed partial class ManifestJson : JsonSerializerContext;

/// <summary>
/// Adds lines to a manifest. A line is one write to the end of the file, so that a process which is killed leaves at most one line cut
/// short; the next writer ends that line first, and readers pass over it.
/// </summary>
internal sealed class ManifestWriter : IDisposable
{
    private readonly FileStream file;

    /// <exception cref="IOException">The file cannot be written.</exception>
    public ManifestWriter(string path)
    {
        try
        {
            file = new FileStream(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.ReadWrite, bufferSize: 0);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new IOException($"The manifest {path} cannot be written: {error.Message.TrimEnd('.')}. Check its permissions, or choose another output folder.", error);
        }

        file.Seek(-Math.Min(1, file.Length), SeekOrigin.End);
        if (file.Length > 0 && file.ReadByte() != '\n')
        {
            file.WriteByte((byte)'\n');
        }
    }

    public void Add(ManifestEntry entry) => file.Write(LineOf(entry));

    /// <summary>An entry as its line, with the end.</summary>
    public static byte[] LineOf(ManifestEntry entry) =>
        [.. JsonSerializer.SerializeToUtf8Bytes(entry, ManifestJson.Default.ManifestEntry), (byte)'\n'];

    /// <summary>Makes the lines survive a loss of power.</summary>
    public void Sync() => file.Flush(flushToDisk: true);

    public void Dispose() => file.Dispose();
}

/// <summary>
/// Finds the last line of an input in manifests. Holds a hash and a place for each line, about 30 bytes, never the lines; those of images in
/// tar files are left out, since tar files are done as a whole. What cannot be understood, as the line at which a process was killed, is
/// passed over and counted.
/// </summary>
internal sealed class ManifestIndex : IDisposable
{
    // A line of this program has some hundred bytes and names; what is longer than this is none.
    private const int MaxLine = 1 << 20;

    private readonly List<(SafeFileHandle File, Dictionary<ulong, long> Lines)> manifests = [];
    private readonly List<(string Path, int Lines)> unreadable = [];

    /// <summary>Manifests with lines that could not be understood, and how many.</summary>
    public IReadOnlyList<(string Path, int Lines)> Unreadable => unreadable;

    /// <summary>Inputs that have lines; one with lines in several manifests counts in each.</summary>
    public long Count => manifests.Sum(manifest => (long)manifest.Lines.Count);

    /// <summary>Reads manifests.</summary>
    /// <param name="paths">The manifests.</param>
    /// <param name="shard">The part whose inputs are to be found.</param>
    /// <exception cref="IOException">One cannot be read.</exception>
    public static ManifestIndex Of(IEnumerable<string> paths, Shard shard)
    {
        var index = new ManifestIndex();
        try
        {
            foreach (string path in paths)
            {
                SafeFileHandle file = Open(path);
                Dictionary<ulong, long> lines = [];
                index.manifests.Add((file, lines));
                int wrong = 0;
                foreach ((long at, ReadOnlyMemory<byte> line) in Lines(file))
                {
                    if (NameOf(line.Span, out bool isMember) is not string name)
                    {
                        wrong++;
                    }
                    else if (!isMember && shard.Holds(name))
                    {
                        lines[StableHash.Of(name)] = at;
                    }
                }

                if (wrong > 0)
                {
                    index.unreadable.Add((path, wrong));
                }
            }

            return index;
        }
        catch
        {
            index.Dispose();
            throw;
        }
    }

    /// <summary>Every entry of a manifest, in order; what cannot be understood is passed over.</summary>
    public static IEnumerable<ManifestEntry> Read(string path)
    {
        using SafeFileHandle file = Open(path);
        foreach ((_, ReadOnlyMemory<byte> line) in Lines(file))
        {
            if (Parse(line.Span) is ManifestEntry entry)
            {
                yield return entry;
            }
        }
    }

    /// <summary>The latest entry of an input over all manifests; null when there is none.</summary>
    /// <param name="name">The input.</param>
    /// <param name="forget">Whether it is not to be found again, nor among what is left.</param>
    public ManifestEntry? Find(string name, bool forget = false)
    {
        ulong hash = StableHash.Of(name);
        ManifestEntry? latest = null;
        foreach ((SafeFileHandle file, Dictionary<ulong, long> lines) in manifests)
        {
            if (lines.TryGetValue(hash, out long at) && Parse(LineAt(file, at)) is ManifestEntry entry && entry.Input == name)
            {
                latest = latest is null || When(entry) >= When(latest) ? entry : latest;
                _ = forget && lines.Remove(hash);
            }
        }

        return latest;
    }

    /// <summary>The entries that have not been forgotten, the last of each input in each manifest.</summary>
    public IEnumerable<ManifestEntry> Left() =>
        from manifest in manifests
        from at in manifest.Lines.Values.Order()
        let entry = Parse(LineAt(manifest.File, at))
        where entry is not null
        select entry;

    public void Dispose()
    {
        foreach ((SafeFileHandle file, _) in manifests)
        {
            file.Dispose();
        }
    }

    private static SafeFileHandle Open(string path)
    {
        try
        {
            return File.OpenHandle(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new IOException($"The manifest {path} cannot be read: {error.Message.TrimEnd('.')}. Check its permissions, or remove it: what only it tells of is refined again.", error);
        }
    }

    // A clock that was wrong is not to be right for ever.
    private static DateTime When(ManifestEntry entry) => entry.Time > DateTime.UtcNow.AddDays(1) ? DateTime.MinValue : entry.Time;

    private static ManifestEntry? Parse(ReadOnlySpan<byte> line)
    {
        try
        {
            return JsonSerializer.Deserialize(line, ManifestJson.Default.ManifestEntry);
        }
        catch (JsonException)
        {
            // Cut short, or not ours.
            return null;
        }
    }

    // Without reading the rest of the line, but sure that it is whole: only a whole line ends so.
    private static string? NameOf(ReadOnlySpan<byte> line, out bool isMember)
    {
        isMember = false;
        if (line.IsEmpty || line[^1] != '}')
        {
            return null;
        }

        try
        {
            var reader = new Utf8JsonReader(line);
            if (!reader.Read() || reader.TokenType != JsonTokenType.StartObject
                || !reader.Read() || reader.TokenType != JsonTokenType.PropertyName || !reader.ValueTextEquals("input"u8)
                || !reader.Read() || reader.TokenType != JsonTokenType.String)
            {
                return null;
            }

            string? name = reader.GetString();
            isMember = reader.Read() && reader.TokenType == JsonTokenType.PropertyName && reader.ValueTextEquals("member"u8)
                && reader.Read() && reader.TokenType == JsonTokenType.True;
            return name;
        }
        catch (Exception error) when (error is JsonException or InvalidOperationException)
        {
            // The second for a text that is not UTF-8.
            return null;
        }
    }

    private static byte[] LineAt(SafeFileHandle file, long at)
    {
        byte[] buffer = new byte[1024];
        for (int have = 0; ;)
        {
            int read = RandomAccess.Read(file, buffer.AsSpan(have), at + have);
            int end = buffer.AsSpan(have, read).IndexOf((byte)'\n');
            if (end >= 0 || read == 0 || have >= MaxLine)
            {
                return buffer[..(have + Math.Max(end, 0))];
            }

            have += read;
            if (have == buffer.Length)
            {
                Array.Resize(ref buffer, 2 * buffer.Length);
            }
        }
    }

    // Lines without their ends and the places where they begin. A line is valid until the next one is asked for. What follows the last end
    // of line is given too. Of a line that is too long its beginning is given, and the rest is passed over.
    private static IEnumerable<(long At, ReadOnlyMemory<byte> Line)> Lines(SafeFileHandle file)
    {
        byte[] buffer = new byte[1 << 18];
        long start = 0;
        bool passing = false;
        for (int have = 0; ;)
        {
            int read = RandomAccess.Read(file, buffer.AsSpan(have), start + have);
            have += read;
            int done = 0;
            while (buffer.AsSpan(done, have - done).IndexOf((byte)'\n') is int length and >= 0)
            {
                if (length > 0 && !passing)
                {
                    yield return (start + done, buffer.AsMemory(done, length));
                }

                passing = false;
                done += length + 1;
            }

            bool tooLong = have - done >= MaxLine;
            if ((read == 0 && have > done && !passing) || (tooLong && !passing))
            {
                yield return (start + done, buffer.AsMemory(done, have - done));
            }

            if (read == 0)
            {
                yield break;
            }

            (passing, done) = tooLong || (passing && done == 0) ? (true, have) : (passing, done);
            buffer.AsSpan(done, have - done).CopyTo(buffer);
            (start, have) = (start + done, have - done);
            if (have == buffer.Length)
            {
                Array.Resize(ref buffer, 2 * buffer.Length);
            }
        }
    }
}
