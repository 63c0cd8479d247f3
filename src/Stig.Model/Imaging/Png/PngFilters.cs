using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace Stig.Model.Imaging;

/// <summary>PNG's row filters: each byte as its difference from a prediction.</summary>
/// <remarks>PNG (ISO/IEC 15948), chapter 9. Results do not depend on the width of the machine's vectors: the lanes of a vector are bytes
/// that do not touch each other, and the rest of a row takes the scalar form of the same formula.</remarks>
internal static class PngFilters
{
    /// <summary>The last filter's number.</summary>
    public const int Last = 4;

    /// <summary>Writes the differences of one row. It is held with a margin of at least <paramref name="unit"/> zeros before it, so that the
    /// first pixel's left neighbour needs no case of its own.</summary>
    /// <param name="filter">0 none, 1 left, 2 above, 3 mean, 4 Paeth.</param>
    /// <param name="row">The margin, then the row.</param>
    /// <param name="above">The margin, then the row above (zeros above the first).</param>
    /// <param name="margin">Length of the margin.</param>
    /// <param name="unit">Bytes a pixel.</param>
    /// <param name="differences">Receives as many bytes as the row has without its margin.</param>
    /// <returns>The sum of the absolute values of the differences, taken as signed.</returns>
    public static long Apply(int filter, ReadOnlySpan<byte> row, ReadOnlySpan<byte> above, int margin, int unit, Span<byte> differences) =>
        filter switch
        {
            0 => Apply<NoPrediction>(row, above, margin, unit, differences),
            1 => Apply<Left>(row, above, margin, unit, differences),
            2 => Apply<Above>(row, above, margin, unit, differences),
            3 => Apply<Mean>(row, above, margin, unit, differences),
            _ => Apply<Paeth>(row, above, margin, unit, differences),
        };

    private static long Apply<T>(ReadOnlySpan<byte> row, ReadOnlySpan<byte> above, int margin, int unit, Span<byte> differences)
        where T : struct, IPrediction
    {
        // Sums of 16 bits: a lane grows by at most 2 * 128 a vector, so that it is emptied in time.
        const int VectorsASum = 255;
        int length = differences.Length;
        row = row[..(margin + length)];
        above = above[..(margin + length)];
        ref byte at = ref Unsafe.Add(ref MemoryMarshal.GetReference(row), margin);
        ref byte left = ref Unsafe.Subtract(ref at, unit);
        ref byte up = ref Unsafe.Add(ref MemoryMarshal.GetReference(above), margin);
        ref byte upLeft = ref Unsafe.Subtract(ref up, unit);
        ref byte result = ref MemoryMarshal.GetReference(differences);
        long sum = 0;
        int i = 0;
        while (length - i >= Vector<byte>.Count)
        {
            var sums = Vector<ushort>.Zero;
            for (int vectors = 0; vectors < VectorsASum && length - i >= Vector<byte>.Count; vectors++, i += Vector<byte>.Count)
            {
                Vector<byte> difference = Vector.LoadUnsafe(ref at, (nuint)i) - T.Predict(
                    Vector.LoadUnsafe(ref left, (nuint)i), Vector.LoadUnsafe(ref up, (nuint)i), Vector.LoadUnsafe(ref upLeft, (nuint)i));
                difference.StoreUnsafe(ref result, (nuint)i);
                Vector.Widen(Vector.Min(difference, Vector<byte>.Zero - difference), out Vector<ushort> low, out Vector<ushort> high);
                sums += low + high;
            }

            Vector.Widen(sums, out Vector<uint> lowSums, out Vector<uint> highSums);
            sum += Vector.Sum(lowSums + highSums);
        }

        for (; i < length; i++)
        {
            byte difference = (byte)(row[margin + i] - T.Predict(row[margin + i - unit], above[margin + i], above[margin + i - unit]));
            differences[i] = difference;
            sum += Math.Abs((int)(sbyte)difference);
        }

        return sum;
    }

    /// <summary>Turns the differences of one row back into its bytes, in place.</summary>
    /// <param name="filter">0 none, 1 left, 2 above, 3 mean, 4 Paeth.</param>
    /// <param name="row">The differences; receives the row.</param>
    /// <param name="above">The row above, as long (zeros above the first).</param>
    /// <param name="unit">Bytes a pixel.</param>
    public static void Undo(int filter, Span<byte> row, ReadOnlySpan<byte> above, int unit)
    {
        switch (filter)
        {
            case 0:
                break;
            case 1:
                Undo<Left>(row, above, unit);
                break;
            case 2:
                UndoAbove(row, above);
                break;
            case 3:
                Undo<Mean>(row, above, unit);
                break;
            case Last:
                Undo<Paeth>(row, above, unit);
                break;
            default:
                throw new ArgumentOutOfRangeException(nameof(filter), filter, $"Filters are 0 to {Last}.");
        }
    }

    private static void UndoAbove(Span<byte> row, ReadOnlySpan<byte> above)
    {
        int i = 0;
        for (; i <= row.Length - Vector<byte>.Count; i += Vector<byte>.Count)
        {
            (new Vector<byte>(row[i..]) + new Vector<byte>(above[i..])).CopyTo(row[i..]);
        }

        for (; i < row.Length; i++)
        {
            row[i] += above[i];
        }
    }

    // A pixel needs its left neighbour first, so that only the channels of one pixel can be computed together: in lanes of 16 bits, of
    // which a pixel of three bytes leaves the fourth to chance.
    private static void Undo<T>(Span<byte> row, ReadOnlySpan<byte> above, int unit)
        where T : struct, ISerialPrediction
    {
        above = above[..row.Length];
        int i = 0;
        if (unit is 3 or 4)
        {
            ref byte at = ref MemoryMarshal.GetReference(row);
            ref byte up = ref MemoryMarshal.GetReference(above);
            Vector128<short> left = default, aboveLeft = default;
            for (; i <= row.Length - sizeof(uint); i += unit)
            {
                Vector128<short> aboveIt = LoadPixel(ref Unsafe.Add(ref up, i));
                left = (LoadPixel(ref Unsafe.Add(ref at, i)) + T.Predict(left, aboveIt, aboveLeft)) & Vector128.Create((short)0xFF);
                aboveLeft = aboveIt;
                uint pixel = Vector128.Narrow(left.AsUInt16(), left.AsUInt16()).AsUInt32().ToScalar();
                if (unit == 4)
                {
                    Unsafe.WriteUnaligned(ref Unsafe.Add(ref at, i), pixel);
                }
                else
                {
                    Unsafe.WriteUnaligned(ref Unsafe.Add(ref at, i), (ushort)pixel);
                    Unsafe.Add(ref at, i + 2) = (byte)(pixel >> 16);
                }
            }
        }

        for (; i < row.Length; i++)
        {
            bool first = i < unit;
            row[i] += (byte)T.Predict(first ? 0 : row[i - unit], above[i], first ? 0 : above[i - unit]);
        }
    }

    private static Vector128<short> LoadPixel(ref byte at) =>
        Vector128.WidenLower(Vector128.CreateScalarUnsafe(Unsafe.ReadUnaligned<uint>(ref at)).AsByte()).AsInt16();

    private interface IPrediction
    {
        static abstract Vector<byte> Predict(Vector<byte> left, Vector<byte> above, Vector<byte> aboveLeft);

        static abstract int Predict(int left, int above, int aboveLeft);
    }

    // One that looks to the left, which undoing has to do before it can go on; the same for bytes in lanes of 16 bits.
    private interface ISerialPrediction : IPrediction
    {
        static abstract Vector128<short> Predict(Vector128<short> left, Vector128<short> above, Vector128<short> aboveLeft);
    }

    private readonly struct NoPrediction : IPrediction
    {
        public static Vector<byte> Predict(Vector<byte> left, Vector<byte> above, Vector<byte> aboveLeft) => Vector<byte>.Zero;

        public static int Predict(int left, int above, int aboveLeft) => 0;
    }

    private readonly struct Left : ISerialPrediction
    {
        public static Vector<byte> Predict(Vector<byte> left, Vector<byte> above, Vector<byte> aboveLeft) => left;

        public static Vector128<short> Predict(Vector128<short> left, Vector128<short> above, Vector128<short> aboveLeft) => left;

        public static int Predict(int left, int above, int aboveLeft) => left;
    }

    private readonly struct Above : IPrediction
    {
        public static Vector<byte> Predict(Vector<byte> left, Vector<byte> above, Vector<byte> aboveLeft) => above;

        public static int Predict(int left, int above, int aboveLeft) => above;
    }

    private readonly struct Mean : ISerialPrediction
    {
        // floor((a + b) / 2) = (a and b) + (a xor b) / 2, in which nothing overflows; with the lowest bits gone first, the halves of
        // eight bytes can be taken in one shift.
        public static Vector<byte> Predict(Vector<byte> left, Vector<byte> above, Vector<byte> aboveLeft)
        {
            Vector<byte> differing = (left ^ above) & new Vector<byte>(0xFE);
            return (left & above) + Vector.AsVectorByte(Vector.ShiftRightLogical(Vector.AsVectorUInt64(differing), 1));
        }

        public static Vector128<short> Predict(Vector128<short> left, Vector128<short> above, Vector128<short> aboveLeft) =>
            Vector128.ShiftRightLogical(left + above, 1);

        public static int Predict(int left, int above, int aboveLeft) => (left + above) / 2;
    }

    private readonly struct Paeth : ISerialPrediction
    {
        // With p = a + b - c the distances are |p - a| = |b - c|, |p - b| = |a - c| and |p - c| = |(a - c) + (b - c)|. Where the two
        // differences have one sign, the third distance is their sum and never the smallest; otherwise it is the difference of
        // the first two. All of them then fit in bytes.
        public static Vector<byte> Predict(Vector<byte> left, Vector<byte> above, Vector<byte> aboveLeft)
        {
            Vector<byte> toLeft = Vector.Max(above, aboveLeft) - Vector.Min(above, aboveLeft);
            Vector<byte> toAbove = Vector.Max(left, aboveLeft) - Vector.Min(left, aboveLeft);
            Vector<byte> sameSign = Vector.Equals(Vector.GreaterThanOrEqual(left, aboveLeft), Vector.GreaterThanOrEqual(above, aboveLeft));
            Vector<byte> toAboveLeft = (Vector.Max(toLeft, toAbove) - Vector.Min(toLeft, toAbove)) | sameSign;
            Vector<byte> least = Vector.Min(toLeft, Vector.Min(toAbove, toAboveLeft));
            return Vector.ConditionalSelect(Vector.Equals(least, toLeft), left,
                                            Vector.ConditionalSelect(Vector.Equals(least, toAbove), above, aboveLeft));
        }

        public static Vector128<short> Predict(Vector128<short> left, Vector128<short> above, Vector128<short> aboveLeft)
        {
            Vector128<short> toLeft = above - aboveLeft, toAbove = left - aboveLeft, toAboveLeft = Vector128.Abs(toLeft + toAbove);
            (toLeft, toAbove) = (Vector128.Abs(toLeft), Vector128.Abs(toAbove));
            Vector128<short> least = Vector128.Min(toAboveLeft, Vector128.Min(toLeft, toAbove));
            return Vector128.ConditionalSelect(Vector128.Equals(least, toLeft), left,
                                               Vector128.ConditionalSelect(Vector128.Equals(least, toAbove), above, aboveLeft));
        }

        public static int Predict(int left, int above, int aboveLeft)
        {
            int toLeft = Math.Abs(above - aboveLeft), toAbove = Math.Abs(left - aboveLeft);
            int toAboveLeft = Math.Abs(left + above - (2 * aboveLeft));
            if (toLeft <= toAbove && toLeft <= toAboveLeft)
            {
                return left;
            }

            return toAbove <= toAboveLeft ? above : aboveLeft;
        }
    }
}
