using System.Runtime.CompilerServices;

namespace Stig.Interop.Cuda;

/// <summary>
/// The values of a kernel's parameters, packed one after the other at their natural alignment. A plain value without references:
/// it is built without allocation, can be kept in a plan, and is launched any number of times.
/// </summary>
public unsafe struct KernelArguments
{
    /// <summary>Most arguments that fit.</summary>
    public const int MaxCount = 48;

    /// <summary>Most bytes that fit, gaps for alignment included.</summary>
    public const int MaxBytes = 512;

    private Storage storage;
    private Offsets offsets;
    private int used;

    /// <summary>Number of arguments.</summary>
    public int Count { get; private set; }

    /// <summary>Appends a value.</summary>
    /// <typeparam name="T">Its type: a device pointer is ulong, a 64-bit parameter long or ulong, an f32 float, and so on.</typeparam>
    /// <param name="value">The value.</param>
    /// <exception cref="InvalidOperationException">No more fits.</exception>
    public void Add<T>(T value)
        where T : unmanaged
    {
        int start = (used + (Alignment<T>() - 1)) & -Alignment<T>();
        if (Count == MaxCount || start + sizeof(T) > MaxBytes)
        {
            throw new InvalidOperationException($"A kernel takes at most {MaxCount} arguments of {MaxBytes} bytes in all.");
        }

        Unsafe.WriteUnaligned(ref storage[start], value);
        offsets[Count++] = (ushort)start;
        used = start + sizeof(T);
    }

    /// <summary>Offset of an argument in the packed bytes.</summary>
    internal readonly int OffsetOf(int index) => offsets[index];

    /// <summary>The packed bytes.</summary>
    [System.Diagnostics.CodeAnalysis.UnscopedRef]
    internal readonly ReadOnlySpan<byte> Bytes => ((ReadOnlySpan<byte>)storage)[..used];

    /// <summary>Writes the address of each value; this value must not move while the addresses are used.</summary>
    internal void FillPointers(void** pointers)
    {
        byte* first = (byte*)Unsafe.AsPointer(ref storage[0]);
        for (int i = 0; i < Count; i++)
        {
            pointers[i] = first + offsets[i];
        }
    }

    /// <summary>Largest power of two that divides the size, at most 16: a scalar's size, and a vector's or structure's alignment in PTX.</summary>
    private static int Alignment<T>()
        where T : unmanaged => Math.Min(16, sizeof(T) & -sizeof(T));

    [InlineArray(MaxBytes)]
    private struct Storage
    {
        private byte first;
    }

    [InlineArray(MaxCount)]
    private struct Offsets
    {
        private ushort first;
    }
}
