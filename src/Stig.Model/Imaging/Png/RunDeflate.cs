using System.Buffers.Binary;
using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace Stig.Model.Imaging;

/// <summary>Deflate with codes made for each block, and of all repetitions only those of a single byte.</summary>
/// <remarks>RFC 1950 and 1951. In filtered photographs longer repetitions are rare, and looking for them is what takes a general
/// compressor its time; flat areas have become zeros, which runs cover. The same data give the same bytes everywhere.</remarks>
internal sealed class RunDeflate
{
    private const int EndOfBlock = 256, LengthSymbols = 257, Symbols = 286, MaxRun = 258;

    // Four literals of at most 12 bits and what is left of a byte fit in a register.
    private const int MaxCodeBits = 12;

    // A run shorter than this is hardly cheaper than its literals, which have the shortest code of the block.
    private const int MinRun = 6;

    // RFC 1951, 3.2.5: symbol, number of extra bits and first length; by length.
    private static readonly (ushort Symbol, byte ExtraBits, ushort First)[] LengthCodes = MakeLengthCodes();

    private readonly ByteBuffer output;
    private readonly List<(int Start, int Length)> runs = [];
    private readonly uint[] codes = new uint[Symbols];
    private ulong bits;
    private int bitCount;
    private uint adlerLow = 1, adlerHigh;

    /// <summary>Starts a zlib stream.</summary>
    /// <param name="output">Where it is appended.</param>
    public RunDeflate(ByteBuffer output)
    {
        this.output = output;
        // Deflate with a window of 32 KiB, the fastest level; as a number a multiple of 31.
        output.Add([0x78, 0x01]);
    }

    /// <summary>Appends data as one block.</summary>
    /// <param name="data">At least one byte; all of them share one set of codes.</param>
    /// <param name="last">Whether no more follows; the stream is then whole.</param>
    public void Append(ReadOnlySpan<byte> data, bool last)
    {
        FindRuns(data);
        Span<uint> frequencies = stackalloc uint[Symbols];
        Count(data, frequencies);
        Span<byte> lengths = stackalloc byte[Symbols];
        HuffmanCode.Lengths(frequencies, MaxCodeBits, lengths);

        // A byte takes at most 12 bits, tables at most 300 codes of 14 bits; registers are written whole.
        output.Free(checked((2 * data.Length) + 1024));
        Put(last ? 1u : 0u, 1);
        Put(2, 2);
        WriteTables(lengths);
        WriteData(data, lengths);
        AddToChecksum(data);
        if (last)
        {
            Finish();
        }
    }

    // A run is a stretch of bytes equal to the byte before it. 32 comparisons at a time: bit i of the mask says that byte i equals the
    // one before; six ones in a row begin a run. Ones at the end of the mask may go on in the next, so those are looked at again.
    private void FindRuns(ReadOnlySpan<byte> data)
    {
        runs.Clear();
        ref byte first = ref MemoryMarshal.GetReference(data);
        int i = 1;
        while (data.Length - i >= Vector256<byte>.Count)
        {
            uint mask = Vector256.Equals(Vector256.LoadUnsafe(ref first, (nuint)i), Vector256.LoadUnsafe(ref first, (nuint)(i - 1)))
                .ExtractMostSignificantBits();
            uint two = mask & (mask >> 1), six = two & (two >> 2) & (two >> 4);
            if (six == 0)
            {
                i += Vector256<byte>.Count - BitOperations.LeadingZeroCount(~mask);
                continue;
            }

            i = AddRun(data, i + BitOperations.TrailingZeroCount(six));
        }

        while (i < data.Length)
        {
            i = data[i] == data[i - 1] ? AddRun(data, i) : i + 1;
        }
    }

    private int AddRun(ReadOnlySpan<byte> data, int start)
    {
        int end = data[start..].IndexOfAnyExcept(data[start - 1]);
        int length = end < 0 ? data.Length - start : end;
        if (length >= MinRun)
        {
            runs.Add((start, length));
        }

        return start + length;
    }

    private void Count(ReadOnlySpan<byte> data, Span<uint> frequencies)
    {
        frequencies.Clear();
        // Four tables, so that equal bytes one after the other do not wait for each other.
        Span<uint> tables = stackalloc uint[4 * 256];
        tables.Clear();
        int at = 0;
        foreach ((int start, int length) in runs)
        {
            CountLiterals(data[at..start], tables);
            for (int rest = length; rest > 0;)
            {
                int run = NextRun(rest);
                frequencies[LengthCodes[run].Symbol]++;
                rest -= run;
            }

            at = start + length;
        }

        CountLiterals(data[at..], tables);
        for (int value = 0; value < 256; value++)
        {
            frequencies[value] = tables[value] + tables[256 + value] + tables[512 + value] + tables[768 + value];
        }

        frequencies[EndOfBlock] = 1;
    }

    private static void CountLiterals(ReadOnlySpan<byte> literals, Span<uint> tables)
    {
        ref uint table = ref MemoryMarshal.GetReference(tables);
        for (; literals.Length >= 8; literals = literals[8..])
        {
            ulong word = BinaryPrimitives.ReadUInt64LittleEndian(literals);
            Unsafe.Add(ref table, (nint)(word & 0xFF))++;
            Unsafe.Add(ref table, 256 + (nint)((word >> 8) & 0xFF))++;
            Unsafe.Add(ref table, 512 + (nint)((word >> 16) & 0xFF))++;
            Unsafe.Add(ref table, 768 + (nint)((word >> 24) & 0xFF))++;
            Unsafe.Add(ref table, (nint)((word >> 32) & 0xFF))++;
            Unsafe.Add(ref table, 256 + (nint)((word >> 40) & 0xFF))++;
            Unsafe.Add(ref table, 512 + (nint)((word >> 48) & 0xFF))++;
            Unsafe.Add(ref table, 768 + (nint)(word >> 56))++;
        }

        foreach (byte literal in literals)
        {
            tables[literal]++;
        }
    }

    // The longest piece of a run that leaves no rest which is too short for a piece of its own (3 is the least of all).
    private static int NextRun(int rest) => rest <= MaxRun ? rest : Math.Min(MaxRun, rest - 3);

    // RFC 1951, 3.2.7. Two distances are given a code, the first of which is used: a single one is legal but not understood by all.
    private void WriteTables(ReadOnlySpan<byte> lengths)
    {
        const int LengthLimit = 7, Distances = 2;
        ReadOnlySpan<byte> order = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];
        int literals = Symbols;
        while (lengths[literals - 1] == 0)
        {
            literals--;
        }

        Span<byte> all = stackalloc byte[Symbols + Distances];
        lengths[..literals].CopyTo(all);
        all.Slice(literals, Distances).Fill(1);
        all = all[..(literals + Distances)];

        // Symbol, and extra bits above it: 16 repeats the length before 3 to 6 times, 17 and 18 are 3 to 10 and 11 to 138 zeros.
        Span<ushort> coded = stackalloc ushort[all.Length];
        Span<uint> frequencies = stackalloc uint[order.Length];
        frequencies.Clear();
        int count = 0;
        for (int i = 0; i < all.Length;)
        {
            int end = all[i..].IndexOfAnyExcept(all[i]);
            int run = end < 0 ? all.Length - i : end;
            int symbol = all[i], extra = 0, used = 1;
            if (symbol == 0 && run >= 3)
            {
                used = Math.Min(run, 138);
                (symbol, extra) = used <= 10 ? (17, used - 3) : (18, used - 11);
            }
            else if (i > 0 && symbol == all[i - 1] && run >= 3)
            {
                used = Math.Min(run, 6);
                (symbol, extra) = (16, used - 3);
            }

            coded[count++] = (ushort)(symbol | (extra << 8));
            frequencies[symbol]++;
            i += used;
        }

        Span<byte> codeLengths = stackalloc byte[order.Length];
        Span<ushort> lengthCodes = stackalloc ushort[order.Length];
        HuffmanCode.Lengths(frequencies, LengthLimit, codeLengths);
        HuffmanCode.Codes(codeLengths, lengthCodes);
        int written = order.Length;
        while (written > 4 && codeLengths[order[written - 1]] == 0)
        {
            written--;
        }

        Put((uint)(literals - 257), 5);
        Put(Distances - 1, 5);
        Put((uint)(written - 4), 4);
        foreach (byte symbol in order[..written])
        {
            Put(codeLengths[symbol], 3);
        }

        foreach (ushort entry in coded[..count])
        {
            int symbol = entry & 0xFF;
            Put(lengthCodes[symbol], codeLengths[symbol]);
            Put((uint)(entry >> 8), symbol switch { 16 => 2, 17 => 3, 18 => 7, _ => 0 });
        }
    }

    private void WriteData(ReadOnlySpan<byte> data, ReadOnlySpan<byte> lengths)
    {
        Span<ushort> plain = stackalloc ushort[Symbols];
        HuffmanCode.Codes(lengths, plain);
        for (int symbol = 0; symbol < Symbols; symbol++)
        {
            codes[symbol] = plain[symbol] | ((uint)lengths[symbol] << 16);
        }

        int at = 0;
        foreach ((int start, int length) in runs)
        {
            WriteLiterals(data[at..start]);
            for (int rest = length; rest > 0;)
            {
                int run = NextRun(rest);
                (ushort symbol, byte extraBits, ushort first) = LengthCodes[run];
                Put(codes[symbol] & 0xFFFF, (int)(codes[symbol] >> 16));
                Put((uint)(run - first), extraBits);
                // Distance 1 is symbol 0, one bit, zero.
                Put(0, 1);
                rest -= run;
            }

            at = start + length;
        }

        WriteLiterals(data[at..]);
        Put(codes[EndOfBlock] & 0xFFFF, (int)(codes[EndOfBlock] >> 16));
    }

    private void WriteLiterals(ReadOnlySpan<byte> literals)
    {
        ref uint code = ref MemoryMarshal.GetArrayDataReference(codes);
        ref byte target = ref MemoryMarshal.GetReference(output.Free(0));
        (ulong pending, int count, int at) = (bits, bitCount, 0);
        int i = 0;
        for (; i + 4 <= literals.Length; i += 4)
        {
            uint word = BinaryPrimitives.ReadUInt32LittleEndian(literals[i..]);
            uint a = Unsafe.Add(ref code, (nint)(word & 0xFF)), b = Unsafe.Add(ref code, (nint)((word >> 8) & 0xFF));
            uint c = Unsafe.Add(ref code, (nint)((word >> 16) & 0xFF)), d = Unsafe.Add(ref code, (nint)(word >> 24));
            int lengthA = (int)(a >> 16), lengthC = (int)(c >> 16);
            ulong ab = (a & 0xFFFF) | ((ulong)(b & 0xFFFF) << lengthA), cd = (c & 0xFFFF) | ((ulong)(d & 0xFFFF) << lengthC);
            int lengthAb = lengthA + (int)(b >> 16);
            pending |= (ab | (cd << lengthAb)) << count;
            count += lengthAb + lengthC + (int)(d >> 16);
            Unsafe.WriteUnaligned(ref Unsafe.Add(ref target, at),
                                  BitConverter.IsLittleEndian ? pending : BinaryPrimitives.ReverseEndianness(pending));
            at += count >> 3;
            pending >>= count & ~7;
            count &= 7;
        }

        (bits, bitCount) = (pending, count);
        output.Advance(at);
        foreach (byte literal in literals[i..])
        {
            Put(codes[literal] & 0xFFFF, (int)(codes[literal] >> 16));
        }
    }

    private void Put(uint value, int count)
    {
        bits |= (ulong)value << bitCount;
        bitCount += count;
        BinaryPrimitives.WriteUInt64LittleEndian(output.Free(sizeof(ulong)), bits);
        output.Advance(bitCount >> 3);
        bits >>= bitCount & ~7;
        bitCount &= 7;
    }

    // Adler-32 (RFC 1950, 9): low is 1 plus the sum of the bytes, high the sum of all values of low, both modulo 65521. Over a vector
    // of n bytes high grows by n times low and by the bytes weighted n, n - 1, ..., 1.
    private void AddToChecksum(ReadOnlySpan<byte> data)
    {
        // The most bytes after which no sum of 32 bits has overflowed.
        const int Stretch = 4096;
        const uint Modulus = 65521;
        while (!data.IsEmpty)
        {
            ReadOnlySpan<byte> part = data[..Math.Min(Stretch, data.Length)];
            data = data[part.Length..];
            ulong low = adlerLow, high = adlerHigh;
            ref byte first = ref MemoryMarshal.GetReference(part);
            int i = 0;
            var weights = Vector256.Create((ushort)16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1);
            Vector256<uint> sums = Vector256<uint>.Zero, weighted = Vector256<uint>.Zero, before = Vector256<uint>.Zero;
            for (; i + Vector128<byte>.Count <= part.Length; i += Vector128<byte>.Count)
            {
                (Vector128<ushort> lower, Vector128<ushort> upper) = Vector128.Widen(Vector128.LoadUnsafe(ref first, (nuint)i));
                Vector256<ushort> values = Vector256.Create(lower, upper);
                before += sums;
                (Vector256<uint> a, Vector256<uint> b) = Vector256.Widen(values);
                sums += a + b;
                (a, b) = Vector256.Widen(values * weights);
                weighted += a + b;
            }

            high += ((ulong)i * low) + (16 * Sum(before)) + Sum(weighted);
            low += Sum(sums);
            for (; i < part.Length; i++)
            {
                low += part[i];
                high += low;
            }

            (adlerLow, adlerHigh) = ((uint)(low % Modulus), (uint)(high % Modulus));
        }
    }

    private static ulong Sum(Vector256<uint> values)
    {
        (Vector256<ulong> low, Vector256<ulong> high) = Vector256.Widen(values);
        return Vector256.Sum(low + high);
    }

    private void Finish()
    {
        Put(0, (8 - bitCount) & 7);
        BinaryPrimitives.WriteUInt32BigEndian(output.Free(sizeof(uint)), (adlerHigh << 16) | adlerLow);
        output.Advance(sizeof(uint));
    }

    private static (ushort Symbol, byte ExtraBits, ushort First)[] MakeLengthCodes()
    {
        var table = new (ushort, byte, ushort)[MaxRun + 1];
        int first = 3;
        for (int symbol = LengthSymbols; symbol < Symbols - 1; symbol++)
        {
            int extraBits = Math.Max(0, ((symbol - LengthSymbols) >> 2) - 1);
            for (int length = first; length < first + (1 << extraBits) && length <= MaxRun; length++)
            {
                table[length] = ((ushort)symbol, (byte)extraBits, (ushort)first);
            }

            first += 1 << extraBits;
        }

        // The greatest length has a symbol of its own.
        table[MaxRun] = (Symbols - 1, 0, MaxRun);
        return table;
    }
}
