namespace Stig.Model.Imaging;

/// <summary>Prefix codes as deflate has them, of least total length under a limit for the longest code (nearly: the limit is met by a
/// rule of thumb).</summary>
/// <remarks>RFC 1951, 3.2.2. Ties between equal frequencies go by the symbol, so that the same frequencies give the same code
/// everywhere.</remarks>
internal static class HuffmanCode
{
    /// <summary>Chooses the lengths of the codes.</summary>
    /// <param name="frequencies">How often each symbol occurs; at least two do, or one is given one bit.</param>
    /// <param name="limit">Longest code in bits.</param>
    /// <param name="lengths">Receives a length for each symbol, 0 where it does not occur.</param>
    public static void Lengths(ReadOnlySpan<uint> frequencies, int limit, Span<byte> lengths)
    {
        lengths.Clear();
        Span<ulong> sorted = stackalloc ulong[frequencies.Length];
        int count = 0;
        for (int symbol = 0; symbol < frequencies.Length; symbol++)
        {
            if (frequencies[symbol] > 0)
            {
                sorted[count++] = ((ulong)frequencies[symbol] << 16) | (uint)symbol;
            }
        }

        sorted = sorted[..count];
        sorted.Sort();
        if (count < 2)
        {
            if (count == 1)
            {
                lengths[(int)(sorted[0] & 0xFFFF)] = 1;
            }

            return;
        }

        Span<int> ofLength = stackalloc int[limit + 1];
        CountLengths(sorted, ofLength);
        int next = 0;
        for (int length = limit; length > 0; length--)
        {
            for (int i = 0; i < ofLength[length]; i++)
            {
                lengths[(int)(sorted[next++] & 0xFFFF)] = (byte)length;
            }
        }
    }

    /// <summary>The codes that belong to lengths, their first bit lowest, as they are written.</summary>
    public static void Codes(ReadOnlySpan<byte> lengths, Span<ushort> codes)
    {
        const int Longest = 15;
        Span<int> next = stackalloc int[Longest + 2];
        next.Clear();
        foreach (byte length in lengths)
        {
            next[length + 1]++;
        }

        next[1] = 0;
        for (int length = 2; length <= Longest; length++)
        {
            next[length] = (next[length - 1] + next[length]) << 1;
        }

        for (int symbol = 0; symbol < lengths.Length; symbol++)
        {
            int length = lengths[symbol], code = length == 0 ? 0 : next[length]++, reversed = 0;
            for (int bit = 0; bit < length; bit++)
            {
                reversed |= ((code >> bit) & 1) << (length - 1 - bit);
            }

            codes[symbol] = (ushort)reversed;
        }
    }

    // Huffman's tree over symbols in ascending order: the two lightest of the leaves and of the inner nodes, which also come into being
    // in ascending order, are joined until one is left. Then the lengths above the limit are cut to it, and for every code that
    // there are too many then, a shorter one is made longer.
    private static void CountLengths(ReadOnlySpan<ulong> sorted, Span<int> ofLength)
    {
        int leaves = sorted.Length, nodes = (2 * leaves) - 1;
        Span<ulong> weight = stackalloc ulong[nodes];
        Span<int> parent = stackalloc int[nodes];
        for (int i = 0; i < leaves; i++)
        {
            weight[i] = sorted[i] >> 16;
        }

        int leaf = 0, inner = leaves;
        for (int node = leaves; node < nodes; node++)
        {
            weight[node] = 0;
            for (int child = 0; child < 2; child++)
            {
                int lightest = leaf < leaves && (inner == node || weight[leaf] <= weight[inner]) ? leaf++ : inner++;
                weight[node] += weight[lightest];
                parent[lightest] = node;
            }
        }

        int limit = ofLength.Length - 1;
        ofLength.Clear();
        Span<int> depth = stackalloc int[nodes];
        depth[nodes - 1] = 0;
        for (int node = nodes - 2; node >= 0; node--)
        {
            depth[node] = depth[parent[node]] + 1;
            if (node < leaves)
            {
                ofLength[Math.Min(depth[node], limit)]++;
            }
        }

        // Kraft's sum in units of the longest code.
        int sum = 0;
        for (int length = 1; length <= limit; length++)
        {
            sum += ofLength[length] << (limit - length);
        }

        for (; sum > 1 << limit; sum--)
        {
            int shorter = limit - 1;
            while (ofLength[shorter] == 0)
            {
                shorter--;
            }

            ofLength[limit]--;
            ofLength[shorter]--;
            ofLength[shorter + 1] += 2;
        }
    }
}
