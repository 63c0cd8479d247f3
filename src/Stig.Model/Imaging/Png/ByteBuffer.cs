using System.Buffers;

namespace Stig.Model.Imaging;

/// <summary>Bytes that become more, in memory that is used again.</summary>
internal sealed class ByteBuffer : IDisposable
{
    private byte[] bytes = [];

    /// <summary>How many there are.</summary>
    public int Length { get; private set; }

    /// <summary>What there is.</summary>
    public Span<byte> Written => bytes.AsSpan(0, Length);

    /// <summary>What there is, until more is added.</summary>
    public ReadOnlyMemory<byte> Memory => bytes.AsMemory(0, Length);

    /// <summary>Memory beyond what there is, of at least the length asked for. It stays valid until the next call.</summary>
    public Span<byte> Free(int count)
    {
        if (bytes.Length - Length < count)
        {
            byte[] larger = ArrayPool<byte>.Shared.Rent((int)Math.Min(Array.MaxLength, Math.Max(2L * bytes.Length, (long)Length + count)));
            Written.CopyTo(larger);
            ArrayPool<byte>.Shared.Return(bytes);
            bytes = larger;
        }

        return bytes.AsSpan(Length);
    }

    /// <summary>Counts memory that <see cref="Free"/> gave, and that has been written, as being there.</summary>
    public void Advance(int count) => Length += count;

    /// <summary>Appends bytes.</summary>
    public void Add(ReadOnlySpan<byte> added)
    {
        added.CopyTo(Free(added.Length));
        Advance(added.Length);
    }

    /// <inheritdoc/>
    public void Dispose() => ArrayPool<byte>.Shared.Return(bytes);
}
