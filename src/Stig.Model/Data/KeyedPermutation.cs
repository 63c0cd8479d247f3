using System.Numerics;
using Stig.Model.Randomness;

namespace Stig.Model.Data;

/// <summary>A permutation of 0..count - 1 chosen by a key, of which single entries are computed without the others.</summary>
/// <remarks>A balanced Feistel network (Luby, Rackoff 1988) over the smallest even number of bits that holds count, applied
/// again while its result is not below count (cycle walking, Black and Rogaway 2002). At most four times as many values as
/// asked for, so four applications on average suffice.</remarks>
internal readonly struct KeyedPermutation(int count, ulong key)
{
    // Twice the rounds that theory asks for: with halves of a bit or two each round does little.
    private const int Rounds = 8;

    private readonly int halfBits = Math.Max(1, (BitOperations.Log2((uint)Math.Max(1, count - 1)) + 2) / 2);

    /// <summary>Entry <paramref name="position"/> of the permutation.</summary>
    public int this[int position]
    {
        get
        {
            ulong value = (ulong)position;
            do
            {
                value = Encrypt(value);
            }
            while (value >= (ulong)count);

            return (int)value;
        }
    }

    private ulong Encrypt(ulong value)
    {
        ulong mask = (1UL << halfBits) - 1;
        ulong left = value >> halfBits, right = value & mask;
        for (ulong round = 0; round < Rounds; round++)
        {
            (left, right) = (right, left ^ (SplitMix64.Hash(key, round, right) & mask));
        }

        return (left << halfBits) | right;
    }
}
