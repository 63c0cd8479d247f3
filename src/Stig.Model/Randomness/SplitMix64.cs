namespace Stig.Model.Randomness;

/// <summary>SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, OOPSLA 2014), as a hash of counters
/// and as a sequence.</summary>
/// <remarks>The hash makes sampling stateless: what happens at step k follows from the seed and k alone.</remarks>
internal struct SplitMix64(ulong state)
{
    private const ulong Golden = 0x9E3779B97F4A7C15;

    private ulong state = state;

    /// <summary>64 well-mixed bits that depend on every bit of every counter and on their order.</summary>
    public static ulong Hash(params ReadOnlySpan<ulong> counters)
    {
        ulong hash = 0;
        foreach (ulong counter in counters)
        {
            hash = Mix(hash + Golden + Mix(counter + Golden));
        }

        return hash;
    }

    /// <summary>The next 64 bits of the sequence.</summary>
    public ulong Next() => Mix(state += Golden);

    /// <summary>The next number in [0,1), a multiple of 2^-24.</summary>
    public float NextSingle() => (Next() >> 40) * (1f / (1 << 24));

    /// <summary>The next integer in 0..<paramref name="count"/> - 1. The bias, below count / 2^64, is of no account.</summary>
    public int Next(int count) => (int)Math.BigMul(Next(), (ulong)count, out _);

    private static ulong Mix(ulong z)
    {
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
        return z ^ (z >> 31);
    }
}
