using System.Buffers.Binary;
using System.Diagnostics.CodeAnalysis;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Stig.Model.Checkpoints;

/// <summary>
/// An open safetensors file, or a state dict that PyTorch has saved, which then looks like one. Opening reads and checks what describes the
/// tensors only; values are read, tensor by tensor, straight into the caller's memory. The file is read plainly, not mapped. Reading from
/// several threads is safe.
/// </summary>
public sealed class SafeTensorsFile : IDisposable
{
    private readonly SafeFileHandle handle;
    private readonly Dictionary<string, StoredTensor> byName;

    private SafeTensorsFile(string path, SafeFileHandle handle, SafeTensorsFormat.Header header)
    {
        Path = path;
        this.handle = handle;
        Metadata = header.Metadata;
        Tensors = header.Tensors;
        byName = header.Tensors.ToDictionary(tensor => tensor.Name);
    }

    /// <summary>The file's path, as it was given.</summary>
    public string Path { get; }

    /// <summary>The header's <c>__metadata__</c>; empty if there is none; <c>format</c> = <c>pytorch</c> for a file of PyTorch.</summary>
    public IReadOnlyDictionary<string, string> Metadata { get; }

    /// <summary>All tensors, in the order of their data.</summary>
    public IReadOnlyList<StoredTensor> Tensors { get; }

    /// <summary>Opens a file and checks everything that can be checked without reading values.</summary>
    /// <param name="path">The file.</param>
    /// <returns>The open file.</returns>
    /// <exception cref="CheckpointException">
    /// The file cannot be opened, or it is cut short, or its header is invalid JSON, is too long or too deep, names a tensor
    /// twice, has an unknown dtype, negative or overflowing extents, or byte ranges that do not fit the shapes, overlap,
    /// leave a gap or pass the end; or it is a file of PyTorch with anything but a state dict of tensors in row-major order.
    /// </exception>
    public static SafeTensorsFile Open(string path)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        RequireLittleEndian();
        SafeFileHandle? handle = null;
        try
        {
            // Deleting is shared so that a writer may put a new file in this one's place; this handle keeps the old content.
            handle = File.OpenHandle(path, share: FileShare.Read | FileShare.Delete);
            long fileBytes = RandomAccess.GetLength(handle);
            if (fileBytes < SafeTensorsFormat.LengthBytes)
            {
                throw new CheckpointException(
                    $"{path}: has {fileBytes} bytes, too few for a checkpoint; the file is cut short, take another one");
            }

            Span<byte> length = stackalloc byte[SafeTensorsFormat.LengthBytes];
            ReadFully(path, handle, length, 0);
            if (TorchFormat.IsTorch(length))
            {
                SafeFileHandle opened = handle;
                SafeTensorsFile torch = new(
                    path, handle, TorchFormat.Parse(path, fileBytes, (bytes, offset) => ReadFully(path, opened, bytes, offset)));
                handle = null;
                return torch;
            }

            ulong headerBytes = BinaryPrimitives.ReadUInt64LittleEndian(length);
            byte[] json = new byte[SafeTensorsFormat.CheckHeaderLength(path, headerBytes, fileBytes)];
            ReadFully(path, handle, json, SafeTensorsFormat.LengthBytes);
            long dataBytes = fileBytes - SafeTensorsFormat.LengthBytes - json.Length;
            SafeTensorsFile file = new(path, handle, SafeTensorsFormat.Parse(path, json, dataBytes));
            handle = null;
            return file;
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException or NotSupportedException)
        {
            throw new CheckpointException($"{path}: cannot be read: {error.Message} Check the path and the permissions", error);
        }
        finally
        {
            handle?.Dispose();
        }
    }

    /// <summary>Looks a tensor up.</summary>
    /// <param name="name">Its name.</param>
    /// <param name="tensor">The tensor, if the file has it.</param>
    /// <returns>Whether the file has it.</returns>
    public bool TryFind(string name, [NotNullWhen(true)] out StoredTensor? tensor) => byName.TryGetValue(name, out tensor);

    /// <summary>Looks a tensor up that must be there.</summary>
    /// <param name="name">Its name.</param>
    /// <returns>The tensor.</returns>
    /// <exception cref="CheckpointException">The file does not have it.</exception>
    public StoredTensor Find(string name) => TryFind(name, out StoredTensor? tensor)
        ? tensor
        : throw new CheckpointException(
            $"{Path}: has no tensor {SafeTensorsFormat.Quote(name)}; take a checkpoint of this architecture");

    /// <summary>Looks a tensor up that must be there in a given shape.</summary>
    /// <param name="name">Its name.</param>
    /// <param name="shape">The extents that the caller needs.</param>
    /// <returns>The tensor.</returns>
    /// <exception cref="CheckpointException">
    /// The file does not have it, or in another shape; the message has both shapes.
    /// </exception>
    public StoredTensor Find(string name, params ReadOnlySpan<long> shape)
    {
        StoredTensor tensor = Find(name);
        return shape.SequenceEqual([.. tensor.Shape])
            ? tensor
            : throw Wrong(tensor,
                $"has shape {StoredTensor.Text([.. tensor.Shape])}, but {StoredTensor.Text(shape)} is needed; "
                + "take a checkpoint of this architecture");
    }

    /// <summary>Reads a tensor of F32, F16, BF16 or F64; a value of F64 is rounded to the nearest float.</summary>
    /// <param name="name">The tensor's name.</param>
    /// <param name="values">Receives the elements; its length is the tensor's number of elements.</param>
    /// <exception cref="CheckpointException">
    /// No such tensor, another type or number of elements, or the file cannot be read.
    /// </exception>
    public void Read(string name, Span<float> values)
    {
        StoredTensor tensor = FindSized(name, values.Length);
        switch (tensor.Type)
        {
            case StoredType.F32:
                ReadElements(tensor, values);
                break;
            case StoredType.F16:
                Read<Half, float>(tensor, values, value => (float)value);
                break;
            case StoredType.BF16:
                Read<ushort, float>(tensor, values, value => BitConverter.UInt32BitsToSingle((uint)value << 16));
                break;
            case StoredType.F64:
                Read<double, float>(tensor, values, value => (float)value);
                break;
            default:
                throw Wrong(tensor,
                    $"has type {tensor.Type}, but floating point is needed; take a checkpoint of this architecture");
        }
    }

    /// <summary>Reads a tensor of any integer type or BOOL.</summary>
    /// <param name="name">The tensor's name.</param>
    /// <param name="values">Receives the elements; its length is the tensor's number of elements.</param>
    /// <exception cref="CheckpointException">
    /// No such tensor, another type or number of elements, a U64 of 2^63 or more, or the file cannot be read.
    /// </exception>
    public void Read(string name, Span<long> values)
    {
        StoredTensor tensor = FindSized(name, values.Length);
        switch (tensor.Type)
        {
            case StoredType.I64:
                ReadElements(tensor, values);
                break;
            case StoredType.U64:
                Read<ulong, long>(tensor, values, value => value <= long.MaxValue
                    ? (long)value
                    : throw Wrong(tensor, $"holds {value}, more than a signed integer of 64 bits takes; store it as I64"));
                break;
            case StoredType.I32:
                Read<int, long>(tensor, values, value => value);
                break;
            case StoredType.U32:
                Read<uint, long>(tensor, values, value => value);
                break;
            case StoredType.I16:
                Read<short, long>(tensor, values, value => value);
                break;
            case StoredType.U16:
                Read<ushort, long>(tensor, values, value => value);
                break;
            case StoredType.I8:
                Read<sbyte, long>(tensor, values, value => value);
                break;
            case StoredType.U8 or StoredType.BOOL:
                Read<byte, long>(tensor, values, value => value);
                break;
            default:
                throw Wrong(tensor, $"has type {tensor.Type}, but integers are needed; take a checkpoint of this architecture");
        }
    }

    /// <summary>Reads as <see cref="Read(string, Span{float})"/> does, and demands that every value is finite.</summary>
    /// <param name="name">The tensor's name.</param>
    /// <param name="values">Receives the elements; its length is the tensor's number of elements.</param>
    /// <exception cref="CheckpointException">
    /// As for Read, or a value is infinite or not a number, also after rounding to float.
    /// </exception>
    public void ReadFinite(string name, Span<float> values)
    {
        Read(name, values);
        for (int i = 0; i < values.Length; i++)
        {
            if (!float.IsFinite(values[i]))
            {
                throw Wrong(Find(name),
                    $"element {i} is {values[i]}; the file is damaged or its training diverged, take an earlier checkpoint");
            }
        }
    }

    /// <summary>Closes the file.</summary>
    public void Dispose() => handle.Dispose();

    internal static void RequireLittleEndian()
    {
        if (!BitConverter.IsLittleEndian)
        {
            throw new PlatformNotSupportedException("checkpoints are read and written on little-endian processors only");
        }
    }

    private static void ReadFully(string path, SafeFileHandle handle, Span<byte> bytes, long offset)
    {
        while (!bytes.IsEmpty)
        {
            int read = RandomAccess.Read(handle, bytes, offset);
            if (read == 0)
            {
                throw new CheckpointException(
                    $"{path}: ends at byte {offset}, before {bytes.Length} more that belong to it; "
                    + "another program has cut it short, read it again");
            }

            bytes = bytes[read..];
            offset += read;
        }
    }

    private CheckpointException Wrong(StoredTensor tensor, string what) => new(
        $"{Path}: tensor {SafeTensorsFormat.Quote(tensor.Name)}: {what}");

    /// <summary>The tensor, if it has this many elements.</summary>
    private StoredTensor FindSized(string name, int count)
    {
        StoredTensor tensor = Find(name);
        return tensor.Count == count
            ? tensor
            : throw Wrong(tensor,
                $"{tensor} has {tensor.Count} elements, but {count} are needed; take a checkpoint of this architecture");
    }

    /// <summary>Reads elements that are stored as they are wanted, in pieces whose bytes a span can count.</summary>
    private void ReadElements<T>(StoredTensor tensor, Span<T> values, long first = 0)
        where T : unmanaged
    {
        const int piece = 1 << 24;
        for (int done = 0; done < values.Length; done += piece)
        {
            Span<T> part = values[done..Math.Min(values.Length, done + piece)];
            try
            {
                ReadFully(Path, handle, MemoryMarshal.AsBytes(part), tensor.Begin + ((first + done) * tensor.Type.Size()));
            }
            catch (IOException error)
            {
                throw new CheckpointException(
                    $"{Path}: tensor {SafeTensorsFormat.Quote(tensor.Name)}: cannot be read: {error.Message} Check the disk", error);
            }
        }
    }

    private void Read<TStored, T>(StoredTensor tensor, Span<T> values, Func<TStored, T> convert)
        where TStored : unmanaged
    {
        TStored[] stored = new TStored[Math.Min(values.Length, 1 << 16)];
        for (int done = 0; done < values.Length; done += stored.Length)
        {
            Span<TStored> part = stored.AsSpan(0, Math.Min(stored.Length, values.Length - done));
            ReadElements(tensor, part, done);
            for (int i = 0; i < part.Length; i++)
            {
                values[done + i] = convert(part[i]);
            }
        }
    }
}
