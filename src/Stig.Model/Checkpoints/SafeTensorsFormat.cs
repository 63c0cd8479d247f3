using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Unicode;

namespace Stig.Model.Checkpoints;

/// <summary>
/// The header of a safetensors file: 8 bytes with the header's length (unsigned, little-endian), then a JSON object that maps
/// each tensor's name to dtype, shape and data_offsets (counted from the header's end), then the data without a gap.
/// </summary>
internal static class SafeTensorsFormat
{
    internal const string MetadataKey = "__metadata__";

    internal const int LengthBytes = 8;

    /// <summary>The same bound as the format's reference implementation: a header is read as a whole.</summary>
    internal const int MaxHeaderBytes = 100_000_000;

    private const string Damaged = "the file is damaged or not a checkpoint; copy it again or take another one";

    internal sealed record Header(IReadOnlyDictionary<string, string> Metadata, IReadOnlyList<StoredTensor> Tensors);

    /// <summary>The length of the header, checked against the file's length.</summary>
    internal static int CheckHeaderLength(string path, ulong headerBytes, long fileBytes)
    {
        if (headerBytes > MaxHeaderBytes)
        {
            throw new CheckpointException(
                $"{path}: the header is said to have {headerBytes} bytes, more than the {MaxHeaderBytes} allowed; {Damaged}");
        }

        return (long)headerBytes <= fileBytes - LengthBytes
            ? (int)headerBytes
            : throw new CheckpointException(
                $"{path}: the header is said to have {headerBytes} bytes, but only {fileBytes - LengthBytes} follow; "
                + $"{Damaged}");
    }

    /// <summary>
    /// Reads a header and proves that its tensors fill the data exactly: no overlap, no gap, nothing beyond the end.
    /// </summary>
    /// <param name="path">The file, for messages.</param>
    /// <param name="json">The header.</param>
    /// <param name="dataBytes">The bytes that follow the header in the file.</param>
    /// <returns>Metadata, and tensors in the order of their data.</returns>
    /// <exception cref="CheckpointException">The header breaks a rule of the format.</exception>
    internal static Header Parse(string path, ReadOnlySpan<byte> json, long dataBytes)
    {
        if (json.IsEmpty || json[0] != (byte)'{' || !Utf8.IsValid(json))
        {
            throw new CheckpointException($"{path}: the header is not a JSON object; {Damaged}");
        }

        Dictionary<string, string>? metadata = null;
        Dictionary<string, StoredTensor> tensors = [];
        try
        {
            // A header nests three deep: the object, a tensor, its shape.
            Utf8JsonReader reader = new(json, new JsonReaderOptions { MaxDepth = 3 });
            reader.Read();
            while (ReadName(path, ref reader) is string name)
            {
                if (name == MetadataKey)
                {
                    metadata = metadata is null ? ReadMetadata(path, ref reader) : throw Twice(path,
                        $"the entry {MetadataKey}");
                }
                else if (!tensors.TryAdd(name, ReadTensor(path, name, ref reader, json.Length + LengthBytes, dataBytes)))
                {
                    throw Twice(path, $"tensor {Quote(name)}");
                }
            }

            // What may follow is white space only; anything else is the reader's exception.
            reader.Read();
        }
        catch (JsonException error)
        {
            throw new CheckpointException(
                $"{path}: the header is not valid JSON ({OneLine(error.Message.TrimEnd('.'))}); {Damaged}", error);
        }

        StoredTensor[] inOrder = [.. tensors.Values.OrderBy(t => t.Begin).ThenBy(t => t.ByteLength)];
        CheckCoverage(path, inOrder, json.Length + LengthBytes, dataBytes);
        return new Header(metadata ?? [], inOrder);
    }

    /// <summary>
    /// Writes the length and the header for these tensors, in their order, padded with blanks to a multiple of 8 bytes. In
    /// the data, larger elements come first, so that every tensor is aligned to its element size without a gap.
    /// </summary>
    /// <param name="metadata">Written first, sorted by key, so that the same content gives the same bytes.</param>
    /// <param name="tensors">The tensors.</param>
    /// <returns>The first bytes of the file, and the tensors with their places.</returns>
    internal static (byte[] Prefix, StoredTensor[] Placed) Compose(
        IReadOnlyDictionary<string, string> metadata, IReadOnlyList<StoredTensor> tensors)
    {
        long[] begins = new long[tensors.Count];
        long end = 0;
        foreach (int i in Enumerable.Range(0, tensors.Count).OrderByDescending(i => tensors[i].Type.Size()))
        {
            begins[i] = end;
            end = checked(end + tensors[i].ByteLength);
        }

        using MemoryStream stream = new();
        stream.Write(new byte[LengthBytes]);
        JsonWriterOptions options = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };
        using (Utf8JsonWriter writer = new(stream, options))
        {
            writer.WriteStartObject();
            if (metadata.Count > 0)
            {
                writer.WriteStartObject(MetadataKey);
                foreach ((string key, string value) in metadata.OrderBy(pair => pair.Key, StringComparer.Ordinal))
                {
                    writer.WriteString(key, value);
                }

                writer.WriteEndObject();
            }

            for (int i = 0; i < tensors.Count; i++)
            {
                writer.WriteStartObject(tensors[i].Name);
                writer.WriteString("dtype", tensors[i].Type.ToString());
                WriteNumbers(writer, "shape", tensors[i].Shape);
                WriteNumbers(writer, "data_offsets", [begins[i], begins[i] + tensors[i].ByteLength]);
                writer.WriteEndObject();
            }

            writer.WriteEndObject();
        }

        while (stream.Length % 8 != 0)
        {
            stream.WriteByte((byte)' ');
        }

        byte[] prefix = stream.ToArray();
        if (prefix.Length - LengthBytes > MaxHeaderBytes)
        {
            throw new ArgumentException(
                $"the header has {prefix.Length - LengthBytes} bytes, more than the {MaxHeaderBytes} a reader takes", nameof(tensors));
        }

        BitConverter.TryWriteBytes(prefix, (ulong)(prefix.Length - LengthBytes));
        StoredTensor Place(StoredTensor tensor, int i) =>
            new(tensor.Name, tensor.Type, [.. tensor.Shape]) { Begin = prefix.Length + begins[i] };
        return (prefix, [.. tensors.Select(Place)]);
    }

    private static void WriteNumbers(Utf8JsonWriter writer, string name, IEnumerable<long> numbers)
    {
        writer.WriteStartArray(name);
        foreach (long number in numbers)
        {
            writer.WriteNumberValue(number);
        }

        writer.WriteEndArray();
    }

    /// <summary>A name from a file, fit for a message of one line.</summary>
    internal static string Quote(string name)
    {
        const int longest = 100;
        return $"'{OneLine(name.Length > longest ? name[..longest] + "..." : name)}'";
    }

    private static string OneLine(string text) => string.Concat(text.Select(c => char.IsControl(c) ? '?' : c));

    private static CheckpointException Twice(string path, string what) => new(
        $"{path}: {what} stands twice in the header; {Damaged}");

    private static CheckpointException Wrong(string path, string name, string what) => new(
        $"{path}: tensor {Quote(name)}: {what}; {Damaged}");

    /// <summary>The next member's name, or null at the end of the object.</summary>
    private static string? ReadName(string path, ref Utf8JsonReader reader)
    {
        reader.Read();
        return reader.TokenType == JsonTokenType.PropertyName ? ReadText(path, ref reader) : null;
    }

    private static string ReadText(string path, ref Utf8JsonReader reader)
    {
        try
        {
            return reader.GetString()!;
        }
        catch (InvalidOperationException error)
        {
            // Half of a surrogate pair, written as an escape, is valid JSON but no text.
            throw new CheckpointException($"{path}: the header holds text that is not Unicode; {Damaged}", error);
        }
    }

    private static Dictionary<string, string> ReadMetadata(string path, ref Utf8JsonReader reader)
    {
        Dictionary<string, string> metadata = [];
        reader.Read();
        if (reader.TokenType != JsonTokenType.StartObject)
        {
            throw new CheckpointException($"{path}: {MetadataKey} is not an object; {Damaged}");
        }

        while (ReadName(path, ref reader) is string key)
        {
            reader.Read();
            if (reader.TokenType != JsonTokenType.String)
            {
                throw new CheckpointException($"{path}: the metadata {Quote(key)} is not a string; {Damaged}");
            }

            if (!metadata.TryAdd(key, ReadText(path, ref reader)))
            {
                throw Twice(path, $"the metadata {Quote(key)}");
            }
        }

        return metadata;
    }

    private static StoredTensor ReadTensor(string path, string name, ref Utf8JsonReader reader, long dataBegin, long dataBytes)
    {
        string? dtype = null;
        long[]? shape = null;
        long[]? offsets = null;
        reader.Read();
        if (reader.TokenType != JsonTokenType.StartObject)
        {
            throw Wrong(path, name, "its entry is not an object");
        }

        while (ReadName(path, ref reader) is string field)
        {
            reader.Read();
            bool first = field switch
            {
                "dtype" => dtype is null,
                "shape" => shape is null,
                "data_offsets" => offsets is null,
                _ => throw Wrong(path, name, $"its entry has an unknown field {Quote(field)}"),
            };
            if (!first)
            {
                throw Wrong(path, name, $"its {field} stands twice");
            }

            if (field == "dtype")
            {
                dtype = reader.TokenType == JsonTokenType.String
                    ? ReadText(path, ref reader)
                    : throw Wrong(path, name, "its dtype is not a string");
            }
            else
            {
                long[] numbers = ReadNumbers(path, name, field, ref reader);
                (shape, offsets) = field == "shape" ? (numbers, offsets) : (shape, numbers);
            }
        }

        if (dtype is null || shape is null || offsets is null)
        {
            throw Wrong(path, name, $"its {(dtype is null ? "dtype" : shape is null ? "shape" : "data_offsets")} is missing");
        }

        if (!StoredTypes.TryParse(dtype, out StoredType type))
        {
            throw new CheckpointException(
                $"{path}: tensor {Quote(name)}: the dtype {Quote(dtype)} is not known; store it as F32");
        }

        if (!StoredTensor.TryCount(shape, type.Size(), out long count))
        {
            throw Wrong(path, name, $"the shape {StoredTensor.Text(shape)} has a negative extent or 2^63 bytes or more");
        }

        if (offsets is not [>= 0 and long begin, long end] || end < begin)
        {
            throw Wrong(path, name, $"data_offsets {StoredTensor.Text(offsets)} are not a range of bytes");
        }

        long bytes = count * type.Size();
        string what = $"{type} {StoredTensor.Text(shape)}";
        if (end - begin != bytes)
        {
            throw Wrong(path, name,
                $"{what} needs {bytes} bytes, but data_offsets {StoredTensor.Text(offsets)} give {end - begin}");
        }

        return end <= dataBytes
            ? new StoredTensor(name, type, shape) { Begin = dataBegin + begin }
            : throw Wrong(path, name, $"{what} ends at byte {end} of the data, but the file has only {dataBytes}");
    }

    private static long[] ReadNumbers(string path, string name, string field, ref Utf8JsonReader reader)
    {
        if (reader.TokenType != JsonTokenType.StartArray)
        {
            throw Wrong(path, name, $"its {field} is not a list");
        }

        List<long> numbers = [];
        while (reader.Read() && reader.TokenType != JsonTokenType.EndArray)
        {
            numbers.Add(reader.TokenType == JsonTokenType.Number && reader.TryGetInt64(out long number)
                ? number
                : throw Wrong(path, name, $"its {field} holds something that is not a whole number below 2^63"));
        }

        return [.. numbers];
    }

    private static void CheckCoverage(string path, StoredTensor[] inOrder, long dataBegin, long dataBytes)
    {
        long end = dataBegin;
        string previous = "the header";
        foreach (StoredTensor tensor in inOrder)
        {
            if (tensor.Begin < end)
            {
                throw Wrong(path, tensor.Name, $"it begins {end - tensor.Begin} bytes before the end of {previous}");
            }

            if (tensor.Begin > end)
            {
                throw Wrong(path, tensor.Name, $"{tensor.Begin - end} bytes between it and {previous} belong to no tensor");
            }

            end = tensor.Begin + tensor.ByteLength;
            previous = $"tensor {Quote(tensor.Name)}";
        }

        if (end != dataBegin + dataBytes)
        {
            throw new CheckpointException(
                $"{path}: {dataBegin + dataBytes - end} bytes after {previous} belong to no tensor; {Damaged}");
        }
    }
}
