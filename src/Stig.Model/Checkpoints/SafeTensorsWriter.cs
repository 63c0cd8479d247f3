using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Stig.Model.Checkpoints;

/// <summary>
/// Writes a safetensors file. All tensors are declared first; their values follow in any order and in as many parts as the
/// caller likes, straight from the caller's memory. Everything goes to <c>PATH.tmp</c> beside the target, with its space
/// reserved at the start; <see cref="Commit"/> flushes it to the disk and renames it over the target. Until then, and
/// whatever goes wrong, the previous file stays as it is; disposing without <see cref="Commit"/> removes the temporary file.
/// The same content gives the same bytes. Not thread-safe.
/// </summary>
public sealed class SafeTensorsWriter : IDisposable
{
    private readonly string path;
    private readonly string temporary;
    private readonly Dictionary<string, Progress> tensors;
    private SafeFileHandle? handle;

    /// <summary>Reserves the file's space and writes the header.</summary>
    /// <param name="path">The target; an existing file is replaced by <see cref="Commit"/>.</param>
    /// <param name="metadata">The header's <c>__metadata__</c>; written sorted by key, left out when empty.</param>
    /// <param name="tensors">The tensors, in the order in which the header lists them.</param>
    /// <exception cref="ArgumentException">Two tensors have one name, or the header passes 100 MB.</exception>
    /// <exception cref="CheckpointException">
    /// The folder cannot be written, another writer is at it, or the disk is full.
    /// </exception>
    public SafeTensorsWriter(string path, IReadOnlyDictionary<string, string> metadata, IReadOnlyList<StoredTensor> tensors)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        ArgumentNullException.ThrowIfNull(metadata);
        ArgumentNullException.ThrowIfNull(tensors);
        SafeTensorsFile.RequireLittleEndian();
        (byte[] prefix, StoredTensor[] placed) = SafeTensorsFormat.Compose(metadata, tensors);
        this.path = path;
        this.tensors = placed.ToDictionary(tensor => tensor.Name, tensor => new Progress(tensor));
        temporary = path + ".tmp";
        long fileBytes = checked(prefix.Length + placed.Sum(tensor => tensor.ByteLength));
        Guard(() =>
        {
            // FileShare.None locks the file, and a file that is locked by another writer is left alone.
            handle = File.OpenHandle(temporary, FileMode.Create, FileAccess.Write, FileShare.None, preallocationSize: fileBytes);
            RandomAccess.Write(handle, prefix, 0);
        });
    }

    /// <summary>Writes the next values of a tensor declared as F32.</summary>
    /// <param name="name">The tensor's name.</param>
    /// <param name="values">All its elements, or the next part of them.</param>
    /// <exception cref="ArgumentException">The tensor was not declared, has another type, or has fewer elements.</exception>
    /// <exception cref="CheckpointException">The file cannot be written, for instance because the disk is full.</exception>
    public void Write(string name, ReadOnlySpan<float> values) => Append(name, StoredType.F32, values);

    /// <summary>Writes the next values of a tensor declared as I64.</summary>
    /// <param name="name">The tensor's name.</param>
    /// <param name="values">All its elements, or the next part of them.</param>
    /// <exception cref="ArgumentException">The tensor was not declared, has another type, or has fewer elements.</exception>
    /// <exception cref="CheckpointException">The file cannot be written, for instance because the disk is full.</exception>
    public void Write(string name, ReadOnlySpan<long> values) => Append(name, StoredType.I64, values);

    /// <summary>Writes the next values of a tensor of any type, given as the bytes that stand in the file.</summary>
    /// <param name="name">The tensor's name.</param>
    /// <param name="bytes">Little-endian elements, all of them or the next part.</param>
    /// <exception cref="ArgumentException">The tensor was not declared or has fewer bytes.</exception>
    /// <exception cref="CheckpointException">The file cannot be written, for instance because the disk is full.</exception>
    public void WriteBytes(string name, ReadOnlySpan<byte> bytes) => Append(name, null, bytes);

    /// <summary>Flushes the file to the disk and puts it in the target's place.</summary>
    /// <exception cref="InvalidOperationException">A tensor has not got all its values.</exception>
    /// <exception cref="CheckpointException">The file cannot be flushed or renamed; the temporary file is removed.</exception>
    public void Commit()
    {
        ObjectDisposedException.ThrowIf(handle is null, this);
        foreach (Progress progress in tensors.Values)
        {
            if (progress.Written != progress.Tensor.ByteLength)
            {
                throw new InvalidOperationException(
                    $"tensor '{progress.Tensor.Name}' has got {progress.Written} of its {progress.Tensor.ByteLength} bytes");
            }
        }

        Guard(() =>
        {
            RandomAccess.FlushToDisk(handle);
            handle.Dispose();
            File.Move(temporary, path, overwrite: true);
            handle = null;
        });
    }

    /// <summary>Removes the temporary file, unless <see cref="Commit"/> has made it the target.</summary>
    public void Dispose()
    {
        if (handle is not null)
        {
            handle.Dispose();
            handle = null;
            File.Delete(temporary);
        }
    }

    private void Append<T>(string name, StoredType? type, ReadOnlySpan<T> values)
        where T : unmanaged
    {
        ObjectDisposedException.ThrowIf(handle is null, this);
        if (!tensors.TryGetValue(name, out Progress? progress) || (type ?? progress.Tensor.Type) != progress.Tensor.Type)
        {
            throw new ArgumentException(
                $"tensor '{name}' was not declared{(progress is null ? "" : $" as {type}, but as {progress.Tensor.Type}")}", nameof(name));
        }

        const int piece = 1 << 24;
        for (int done = 0; done < values.Length; done += piece)
        {
            ReadOnlySpan<byte> bytes = MemoryMarshal.AsBytes(values[done..Math.Min(values.Length, done + piece)]);
            if (bytes.Length > progress.Tensor.ByteLength - progress.Written)
            {
                throw new ArgumentException(
                    $"tensor '{name}', {progress.Tensor}, has got more values than it holds", nameof(values));
            }

            try
            {
                RandomAccess.Write(handle, bytes, progress.Tensor.Begin + progress.Written);
            }
            catch (Exception error) when (IsFileTrouble(error))
            {
                throw Fail(error);
            }

            progress.Written += bytes.Length;
        }
    }

    private void Guard(Action action)
    {
        try
        {
            action();
        }
        catch (Exception error) when (IsFileTrouble(error))
        {
            throw Fail(error);
        }
    }

    // A file beyond what the file system or a limit on files allows is, to .NET, an argument out of range.
    private static bool IsFileTrouble(Exception error) =>
        error is IOException or UnauthorizedAccessException or NotSupportedException or ArgumentOutOfRangeException;

    private CheckpointException Fail(Exception error)
    {
        Dispose();
        return new CheckpointException(
            $"{path}: cannot be written: {error.Message} Free space or take another folder; "
            + "a previous file is unchanged", error)
        { IsWriteFailure = true };
    }

    private sealed class Progress(StoredTensor tensor)
    {
        internal StoredTensor Tensor { get; } = tensor;

        internal long Written { get; set; }
    }
}
