using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Stig.Model.Imaging;

/// <summary>PNG's row filters: each byte as its difference from a prediction.</summary>
/// <remarks>PNG (ISO/IEC 15948), chapter 9. Rows are held with a margin of at least <c>unit</c> zeros before them, so that the first
/// pixel's left neighbour needs no case of its own. Results do not depend on the width of the machine's vectors: the lanes of a
/// vector are bytes that do not touch each other, and the rest of a row takes the scalar form of the same formula.</remarks>
internal static class PngFilters
{
    /// <summary>Writes the differences of one row.</summary>
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

    private interface IPrediction
    {
        static abstract Vector<byte> Predict(Vector<byte> left, Vector<byte> above, Vector<byte> aboveLeft);

        static abstract int Predict(int left, int above, int aboveLeft);
    }

    private readonly struct NoPrediction : IPrediction
    {
        public static Vector<byte> Predict(Vector<byte> left, Vector<byte> above, Vector<byte> aboveLeft) => Vector<byte>.Zero;

        public static int Predict(int left, int above, int aboveLeft) => 0;
    }

    private readonly struct Left : IPrediction
    {
        public static Vector<byte> Predict(Vector<byte> left, Vector<byte> above, Vector<byte> aboveLeft) => left;

        public static int Predict(int left, int above, int aboveLeft) => left;
    }

    private readonly struct Above : IPrediction
    {
        public static Vector<byte> Predict(Vector<byte> left, Vector<byte> above, Vector<byte> aboveLeft) => above;

        public static int Predict(int left, int above, int aboveLeft) => above;
    }

    private readonly struct Mean : IPrediction
    {
        // floor((a + b) / 2) = (a and b) + (a xor b) / 2, in which nothing overflows; with the lowest bits gone first, the halves of
        // eight bytes can be taken in one shift.
        public static Vector<byte> Predict(Vector<byte> left, Vector<byte> above, Vector<byte> aboveLeft)
        {
            Vector<byte> differing = (left ^ above) & new Vector<byte>(0xFE);
            return (left & above) + Vector.AsVectorByte(Vector.ShiftRightLogical(Vector.AsVectorUInt64(differing), 1));
        }

        public static int Predict(int left, int above, int aboveLeft) => (left + above) / 2;
    }

    private readonly struct Paeth : IPrediction
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
