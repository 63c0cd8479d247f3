using System.Buffers.Binary;
using System.Text;

namespace Stig.Model.Checkpoints;

/// <summary>
/// The files of PyTorch's <c>torch.save</c> since version 1.6: a zip archive, nothing in it compressed, with a pickle that describes the tensors
/// (<c>NAME/data.pkl</c>) and one file for each piece of memory (<c>NAME/data/0</c>, ...). What is read here is a state dict, so that it can be
/// offered as if it were the header of a safetensors file.
/// </summary>
internal static class TorchFormat
{
    /// <summary>Key in the metadata of what is read from such a file.</summary>
    internal const string MetadataKey = "format";

    /// <summary>Its value.</summary>
    internal const string MetadataValue = "pytorch";

    private const uint LocalSignature = 0x04034b50, EntrySignature = 0x02014b50, EndSignature = 0x06054b50;
    private const uint LongEndSignature = 0x06064b50, LocatorSignature = 0x07064b50;
    private const int LocalBytes = 30, EntryBytes = 46, EndBytes = 22, LongEndBytes = 56, LocatorBytes = 20;

    // A directory or a pickle is read as a whole; those of the reference's generator have about 50 KB.
    private const int MaxPartBytes = 64 << 20;

    private const string Remedy = "the file is damaged or not a checkpoint; copy it again or take another one";

    /// <summary>Reads bytes of the file at an offset; throws where they are not there.</summary>
    internal delegate void ReadAt(Span<byte> bytes, long offset);

    private readonly record struct Entry(long Begin, long Length);

    /// <summary>Whether a file that begins so is a zip archive or a pickle, and not safetensors, whose header would then have 67 MB or more.</summary>
    internal static bool IsTorch(ReadOnlySpan<byte> first) =>
        BinaryPrimitives.ReadUInt32LittleEndian(first) == LocalSignature || (first[0] == 0x80 && first[1] is >= 1 and <= 5 && first[7] != 0);

    /// <summary>The tensors of a state dict, in the order of their data. Two may share data.</summary>
    /// <param name="path">The file, for messages.</param>
    /// <param name="fileBytes">Its length.</param>
    /// <param name="read">Reads it.</param>
    /// <exception cref="CheckpointException">It is damaged, or no state dict.</exception>
    internal static SafeTensorsFormat.Header Parse(string path, long fileBytes, ReadAt read)
    {
        Dictionary<string, Entry> entries = ReadDirectory(path, fileBytes, read);
        const string pickleName = "/data.pkl";
        string[] pickles = [.. entries.Keys.Where(name => name.EndsWith(pickleName, StringComparison.Ordinal))];
        if (pickles.Length != 1)
        {
            throw Wrong(path, $"the archive holds {pickles.Length} files data.pkl, but a checkpoint has one");
        }

        string root = pickles[0][..^pickleName.Length];
        if (entries.TryGetValue(root + "/byteorder", out Entry order) && Encoding.ASCII.GetString(Read(path, order, read)) != "little")
        {
            throw new CheckpointException($"{path}: was saved on a big-endian processor; save it on another one");
        }

        List<StoredTensor> tensors = [];
        foreach ((string name, PickledTensor tensor) in PickleReader.ReadStateDict(path, Read(path, entries[pickles[0]], read)))
        {
            tensors.Add(entries.TryGetValue($"{root}/data/{tensor.Storage.Key}", out Entry data)
                ? Place(path, name, tensor, data)
                : throw Wrong(path, name, $"the archive has no data {SafeTensorsFormat.Quote(tensor.Storage.Key)} for it"));
        }

        return new(new Dictionary<string, string> { [MetadataKey] = MetadataValue }, [.. tensors.OrderBy(tensor => tensor.Begin)]);
    }

    private static StoredTensor Place(string path, string name, PickledTensor tensor, Entry data)
    {
        PickledStorage storage = tensor.Storage;
        int size = storage.Type.Size();
        if (name == SafeTensorsFormat.MetadataKey || storage.Count < 0 || storage.Count > data.Length / size || storage.Count * size != data.Length)
        {
            throw Wrong(path, name, $"its data is said to have {storage.Count} elements of {storage.Type}, but has {data.Length} bytes");
        }

        if (tensor.Shape.Length != tensor.Strides.Length || !StoredTensor.TryCount(tensor.Shape, size, out long count)
            || tensor.Offset < 0 || tensor.Offset > storage.Count || count > storage.Count - tensor.Offset)
        {
            throw Wrong(path, name, $"shape {StoredTensor.Text(tensor.Shape)} from element {tensor.Offset} passes its data of {storage.Count} elements");
        }

        long expected = 1;
        for (int axis = tensor.Shape.Length - 1; axis >= 0 && count > 0; axis--)
        {
            if (tensor.Shape[axis] > 1 && tensor.Strides[axis] != expected)
            {
                throw new CheckpointException($"{path}: tensor {SafeTensorsFormat.Quote(name)}: shape {StoredTensor.Text(tensor.Shape)} with strides "
                    + $"{StoredTensor.Text(tensor.Strides)} is not in row-major order; save it after .contiguous()");
            }

            expected *= tensor.Shape[axis];
        }

        return new StoredTensor(name, storage.Type, tensor.Shape) { Begin = data.Begin + (tensor.Offset * size) };
    }

    // PKWARE's application note, sections 4.3 and 4.5.3. PyTorch writes the long form of the end always.
    private static Dictionary<string, Entry> ReadDirectory(string path, long fileBytes, ReadAt read)
    {
        byte[] tail = new byte[(int)Math.Min(fileBytes, EndBytes + ushort.MaxValue)];
        read(tail, fileBytes - tail.Length);
        int end = tail.Length - EndBytes;
        while (end >= 0 && !(U32(tail, end) == EndSignature && end + EndBytes + U16(tail, end + 20) == tail.Length))
        {
            end--;
        }

        if (end < 0)
        {
            throw new CheckpointException(tail.Length > 0 && fileBytes > 0 && FirstByte(read) == 0x80
                ? $"{path}: is in the format of PyTorch before 1.6; load it and save it again with torch.save of a later version"
                : $"{path}: has no end of a zip archive; {Remedy}");
        }

        long endAt = fileBytes - tail.Length + end;
        ulong count = U16(tail, end + 10), size = U32(tail, end + 12), begin = U32(tail, end + 16);
        if (end >= LocatorBytes && U32(tail, end - LocatorBytes) == LocatorSignature)
        {
            ulong longEnd = U64(tail, end - LocatorBytes + 8);
            byte[] record = new byte[LongEndBytes];
            if (longEnd > (ulong)endAt || endAt - (long)longEnd < LongEndBytes)
            {
                throw Wrong(path, "the end of the archive points beyond it");
            }

            read(record, (long)longEnd);
            if (U32(record, 0) != LongEndSignature)
            {
                throw Wrong(path, "the end of the archive is not where it is said to be");
            }

            (count, size, begin) = (U64(record, 32), U64(record, 40), U64(record, 48));
        }

        if (size > MaxPartBytes || begin > (ulong)endAt || size > (ulong)endAt - begin || count > size / EntryBytes)
        {
            throw Wrong(path, $"the archive's directory is said to have {count} entries in {size} bytes at {begin}");
        }

        byte[] directory = new byte[size];
        read(directory, (long)begin);
        Dictionary<string, Entry> entries = [];
        int at = 0;
        for (ulong i = 0; i < count; i++)
        {
            (string name, Entry entry) = ReadEntry(path, directory, ref at, (long)begin, read);
            if (!entries.TryAdd(name, entry))
            {
                throw Wrong(path, $"the archive has {SafeTensorsFormat.Quote(name)} twice");
            }
        }

        CheckOverlap(path, entries);
        return entries;
    }

    private static (string Name, Entry Entry) ReadEntry(string path, byte[] directory, ref int at, long limit, ReadAt read)
    {
        if (directory.Length - at < EntryBytes || U32(directory, at) != EntrySignature)
        {
            throw Wrong(path, "the archive's directory is not whole");
        }

        int nameLength = U16(directory, at + 28), extraLength = U16(directory, at + 30);
        int next = at + EntryBytes + nameLength + extraLength + U16(directory, at + 32);
        if (next > directory.Length)
        {
            throw Wrong(path, "the archive's directory is not whole");
        }

        string name = Encoding.UTF8.GetString(directory, at + EntryBytes, nameLength);
        ulong packed = U32(directory, at + 20), length = U32(directory, at + 24), local = U32(directory, at + 42);
        ReadOnlySpan<byte> extra = directory.AsSpan(at + EntryBytes + nameLength, extraLength);
        while (extra.Length >= 4)
        {
            int fieldLength = Math.Min(U16(extra, 2), extra.Length - 4);
            ReadOnlySpan<byte> field = extra.Slice(4, fieldLength);
            if (U16(extra, 0) == 1)
            {
                length = Long(length, ref field);
                packed = Long(packed, ref field);
                local = Long(local, ref field);
            }

            extra = extra[(4 + fieldLength)..];
        }

        // Neither compression nor encryption: PyTorch uses none, and so nothing can be larger than the file.
        if (U16(directory, at + 10) != 0 || packed != length || (U16(directory, at + 8) & 1) != 0)
        {
            throw new CheckpointException($"{path}: {SafeTensorsFormat.Quote(name)} in the archive is compressed or encrypted, which PyTorch never does; "
                + "save the checkpoint again with torch.save");
        }

        at = next;
        byte[] header = new byte[LocalBytes];
        if (local > (ulong)limit || limit - (long)local < LocalBytes)
        {
            throw Wrong(path, $"{SafeTensorsFormat.Quote(name)} is said to lie at byte {local}, beyond the data");
        }

        read(header, (long)local);
        long begin = (long)local + LocalBytes + U16(header, 26) + U16(header, 28);
        return U32(header, 0) == LocalSignature && begin <= limit && length <= (ulong)(limit - begin)
            ? (name, new Entry(begin, (long)length))
            : throw Wrong(path, $"{SafeTensorsFormat.Quote(name)} is said to have {length} bytes at byte {local}, which are not there");
    }

    private static void CheckOverlap(string path, Dictionary<string, Entry> entries)
    {
        long end = 0;
        foreach ((string name, Entry entry) in entries.OrderBy(pair => pair.Value.Begin).ThenBy(pair => pair.Value.Length))
        {
            if (entry.Begin < end)
            {
                throw Wrong(path, $"{SafeTensorsFormat.Quote(name)} overlaps another file of the archive");
            }

            end = entry.Begin + entry.Length;
        }
    }

    private static byte[] Read(string path, Entry entry, ReadAt read)
    {
        if (entry.Length > MaxPartBytes)
        {
            throw Wrong(path, $"the description of its tensors has {entry.Length} bytes");
        }

        byte[] bytes = new byte[entry.Length];
        read(bytes, entry.Begin);
        return bytes;
    }

    private static byte FirstByte(ReadAt read)
    {
        Span<byte> first = stackalloc byte[1];
        read(first, 0);
        return first[0];
    }

    // A number of 32 bits that has all of them set stands in the extra field instead.
    private static ulong Long(ulong value, ref ReadOnlySpan<byte> field)
    {
        if (value != uint.MaxValue || field.Length < sizeof(ulong))
        {
            return value;
        }

        ulong result = BinaryPrimitives.ReadUInt64LittleEndian(field);
        field = field[sizeof(ulong)..];
        return result;
    }

    private static ushort U16(ReadOnlySpan<byte> bytes, int at) => BinaryPrimitives.ReadUInt16LittleEndian(bytes[at..]);

    private static uint U32(ReadOnlySpan<byte> bytes, int at) => BinaryPrimitives.ReadUInt32LittleEndian(bytes[at..]);

    private static ulong U64(ReadOnlySpan<byte> bytes, int at) => BinaryPrimitives.ReadUInt64LittleEndian(bytes[at..]);

    private static CheckpointException Wrong(string path, string what) => new($"{path}: {what}; {Remedy}");

    private static CheckpointException Wrong(string path, string name, string what) =>
        new($"{path}: tensor {SafeTensorsFormat.Quote(name)}: {what}; {Remedy}");
}
