namespace Stig.Model.Checkpoints;

/// <summary>
/// Name, element type and shape of a tensor in a checkpoint file: what a reader finds in the header, and what a writer is
/// told before it gets the values. Elements are in row-major order.
/// </summary>
public sealed class StoredTensor
{
    /// <summary>Describes a tensor.</summary>
    /// <param name="name">Its name in the file, any text but <c>__metadata__</c>.</param>
    /// <param name="type">The type of its elements.</param>
    /// <param name="shape">Its extents, each 0 or more; none for a scalar.</param>
    /// <exception cref="ArgumentException">The name is reserved.</exception>
    /// <exception cref="ArgumentOutOfRangeException">An extent is negative, or the tensor has 2^63 bytes or more.</exception>
    public StoredTensor(string name, StoredType type, params ReadOnlySpan<long> shape)
    {
        ArgumentNullException.ThrowIfNull(name);
        if (name == SafeTensorsFormat.MetadataKey)
        {
            throw new ArgumentException($"a tensor cannot be named {SafeTensorsFormat.MetadataKey}", nameof(name));
        }

        if (!TryCount(shape, type.Size(), out long count))
        {
            throw new ArgumentOutOfRangeException(nameof(shape),

                    $"tensor '{name}' cannot have shape {Text(shape)}: extents are 0 or more, and all bytes together less than 2^63");
        }

        Name = name;
        Type = type;
        Shape = Array.AsReadOnly(shape.ToArray());
        Count = count;
    }

    /// <summary>The name in the file.</summary>
    public string Name { get; }

    /// <summary>The type of the elements.</summary>
    public StoredType Type { get; }

    /// <summary>The extents, outermost first, each 0 or more; none for a scalar.</summary>
    public IReadOnlyList<long> Shape { get; }

    /// <summary>The number of elements: the product of the extents, 1 for a scalar.</summary>
    public long Count { get; }

    /// <summary>The number of bytes that the elements take in the file.</summary>
    public long ByteLength => Count * Type.Size();

    /// <summary>
    /// The first byte of the elements, counted from the start of the file; 0 for a tensor that is not in a file yet.
    /// </summary>
    public long Begin { get; internal init; }

    /// <summary>Type and shape, for example <c>F32 [64, 3, 3, 3]</c>.</summary>
    /// <returns>Type and shape.</returns>
    public override string ToString() => $"{Type} {Text([.. Shape])}";

    internal static string Text(ReadOnlySpan<long> shape) => $"[{string.Join(", ", shape.ToArray())}]";

    /// <summary>False where an extent is negative or a size passes 2^63 - 1, even if another extent is 0.</summary>
    internal static bool TryCount(ReadOnlySpan<long> shape, int elementSize, out long count)
    {
        count = 1;
        Int128 bytes = elementSize;
        foreach (long extent in shape)
        {
            bytes *= Math.Max(extent, 1);
            if (extent < 0 || bytes > long.MaxValue)
            {
                return false;
            }

            count *= extent;
        }

        return true;
    }
}
