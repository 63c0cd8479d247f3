using System.Text;

namespace Stig.Model.Networks;

/// <summary>
/// Counter-based random numbers (SplitMix64 finaliser): the i-th number is a function of seed, stream name and i, whoever asks and when.
/// </summary>
internal readonly struct CounterRandom
{
    private readonly ulong key;

    public CounterRandom(ulong seed, string stream)
    {
        // FNV-1a of the name, mixed with the seed.
        ulong hash = 0xcbf29ce484222325;
        foreach (byte b in Encoding.UTF8.GetBytes(stream))
        {
            hash = (hash ^ b) * 0x100000001b3;
        }

        key = Mix(hash ^ Mix(seed + 0x9E3779B97F4A7C15));
    }

    /// <summary>64 random bits.</summary>
    public ulong Bits(long index) => Mix(key + ((ulong)(index + 1) * 0x9E3779B97F4A7C15));

    /// <summary>Uniform in [0, 1), 53 bits.</summary>
    public double Uniform(long index) => (Bits(index) >> 11) * (1.0 / (1UL << 53));

    /// <summary>Standard normal (Box-Muller, one value of each pair).</summary>
    public double Normal(long index)
    {
        double radius = Math.Sqrt(-2 * Math.Log(1 - Uniform(2 * index)));
        return radius * Math.Cos(2 * Math.PI * Uniform((2 * index) + 1));
    }

    private static ulong Mix(ulong z)
    {
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
        return z ^ (z >> 31);
    }
}
