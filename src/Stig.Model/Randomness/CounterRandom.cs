using System.Text;

namespace Stig.Model.Randomness;

/// <summary>Random numbers by their index: the i-th number is a function of seed, stream name and i, whoever asks and when.</summary>
internal readonly struct CounterRandom
{
    private readonly ulong key;

    public CounterRandom(ulong seed, string stream)
    {
        // FNV-1a of the name.
        ulong hash = 0xcbf29ce484222325;
        foreach (byte b in Encoding.UTF8.GetBytes(stream))
        {
            hash = (hash ^ b) * 0x100000001b3;
        }

        key = SplitMix64.Hash(seed, hash);
    }

    /// <summary>64 random bits.</summary>
    public ulong Bits(long index) => SplitMix64.Hash(key, (ulong)index);

    /// <summary>Uniform in [0, 1), 53 bits.</summary>
    public double Uniform(long index) => (Bits(index) >> 11) * (1.0 / (1UL << 53));

    /// <summary>Standard normal (Box-Muller, one value of each pair).</summary>
    public double Normal(long index)
    {
        double radius = Math.Sqrt(-2 * Math.Log(1 - Uniform(2 * index)));
        return radius * Math.Cos(2 * Math.PI * Uniform((2 * index) + 1));
    }
}
