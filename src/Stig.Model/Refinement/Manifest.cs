using System.Text.Json;
using System.Text.Json.Serialization;
using Microsoft.Win32.SafeHandles;

namespace Stig.Model.Refinement;

/// <summary>A line of a manifest: what became of one input.</summary>
public sealed record ManifestEntry
{
    /// <summary>The input's name below what was named on the command line. First in its line, so that looking a name up is quick.</summary>
    [JsonPropertyOrder(-1)]
    public required string Input { get; init; }

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

    /// <summary>Images that failed inside a tar shard; null for images.</summary>
    public int? Failures { get; init; }

    /// <summary>Milliseconds for reading and decoding.</summary>
    public double? DecodeMs { get; init; }

    /// <summary>Milliseconds of its batch on the device.</summary>
    public double? DeviceMs { get; init; }

    /// <summary>Milliseconds for encoding and writing.</summary>
    public double? EncodeMs { get; init; }

    /// <summary>When it was done (UTC).</summary>
    public required DateTime Time { get; init; }
}

/// <summary>JSON of manifests.</summary>
[JsonSourceGenerationOptions(WriteIndented = false, PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower,
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
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
        file = new FileStream(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.ReadWrite, bufferSize: 0);
        file.Seek(-Math.Min(1, file.Length), SeekOrigin.End);
        if (file.Length > 0 && file.ReadByte() != '\n')
        {
            file.WriteByte((byte)'\n');
        }
    }

    public void Add(ManifestEntry entry)
    {
        byte[] json = JsonSerializer.SerializeToUtf8Bytes(entry, ManifestJson.Default.ManifestEntry);
        file.Write([.. json, (byte)'\n']);
    }

    /// <summary>Makes the lines survive a loss of power.</summary>
    public void Sync() => file.Flush(flushToDisk: true);

    public void Dispose() => file.Dispose();
}

/// <summary>
/// Finds the last line of an input in manifests. Holds a hash and a place for each line, about 30 bytes, never the lines; what cannot be
/// understood, as the line at which a process was killed, is passed over and counted.
/// </summary>
internal sealed class ManifestIndex : IDisposable
{
    private readonly List<(SafeFileHandle File, Dictionary<ulong, long> Lines)> manifests = [];

    /// <summary>Lines that could not be understood.</summary>
    public int Unreadable { get; private set; }

    /// <summary>Different inputs that have lines.</summary>
    public long Count => manifests.Sum(manifest => (long)manifest.Lines.Count);

    /// <summary>Whether there are lines of members of tar files.</summary>
    public bool HasMembers { get; private set; }

    /// <summary>Reads manifests.</summary>
    /// <exception cref="IOException">One cannot be read.</exception>
    public static ManifestIndex Of(IEnumerable<string> paths)
    {
        var index = new ManifestIndex();
        try
        {
            foreach (string path in paths)
            {
                SafeFileHandle file = File.OpenHandle(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite);
                Dictionary<ulong, long> lines = [];
                index.manifests.Add((file, lines));
                foreach ((long at, ReadOnlyMemory<byte> line) in Lines(file))
                {
                    if (NameOf(line.Span) is string name)
                    {
                        lines[StableHash.Of(name)] = at;
                        index.HasMembers |= name.Contains(".tar/", StringComparison.OrdinalIgnoreCase);
                    }
                    else
                    {
                        index.Unreadable++;
                    }
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
        using SafeFileHandle file = File.OpenHandle(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite);
        foreach ((_, ReadOnlyMemory<byte> line) in Lines(file))
        {
            if (Parse(line.Span) is ManifestEntry entry)
            {
                yield return entry;
            }
        }
    }

    /// <summary>The latest entry of an input over all manifests; null when there is none.</summary>
    public ManifestEntry? Find(string name)
    {
        ulong hash = StableHash.Of(name);
        ManifestEntry? latest = null;
        foreach ((SafeFileHandle file, Dictionary<ulong, long> lines) in manifests)
        {
            if (lines.TryGetValue(hash, out long at) && Parse(LineAt(file, at)) is ManifestEntry entry && entry.Input == name
                && (latest is null || entry.Time >= latest.Time))
            {
                latest = entry;
            }
        }

        return latest;
    }

    public void Dispose()
    {
        foreach ((SafeFileHandle file, _) in manifests)
        {
            file.Dispose();
        }
    }

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
    private static string? NameOf(ReadOnlySpan<byte> line)
    {
        if (line.IsEmpty || line[^1] != '}')
        {
            return null;
        }

        try
        {
            var reader = new Utf8JsonReader(line);
            return reader.Read() && reader.TokenType == JsonTokenType.StartObject
                && reader.Read() && reader.TokenType == JsonTokenType.PropertyName && reader.ValueTextEquals("input"u8) && reader.Read() && reader.TokenType == JsonTokenType.String
                ? reader.GetString()
                : null;
        }
        catch (JsonException)
        {
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
            if (end >= 0 || read == 0)
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
    // of line is given too.
    private static IEnumerable<(long At, ReadOnlyMemory<byte> Line)> Lines(SafeFileHandle file)
    {
        byte[] buffer = new byte[1 << 18];
        long start = 0;
        for (int have = 0; ;)
        {
            int read = RandomAccess.Read(file, buffer.AsSpan(have), start + have);
            have += read;
            int done = 0;
            while (buffer.AsSpan(done, have - done).IndexOf((byte)'\n') is int length and >= 0)
            {
                if (length > 0)
                {
                    yield return (start + done, buffer.AsMemory(done, length));
                }

                done += length + 1;
            }

            if (read == 0)
            {
                if (have > done)
                {
                    yield return (start + done, buffer.AsMemory(done, have - done));
                }

                yield break;
            }

            buffer.AsSpan(done, have - done).CopyTo(buffer);
            (start, have) = (start + done, have - done);
            if (have == buffer.Length)
            {
                Array.Resize(ref buffer, 2 * buffer.Length);
            }
        }
    }
}
