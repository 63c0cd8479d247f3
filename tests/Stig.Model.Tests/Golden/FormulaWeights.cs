using System.Text;
using Stig.Model.Graphs;

namespace Stig.Model.Tests.Golden;

/// <summary>Weights and inputs of full-size networks, computed from names (formula-weights.md beside the golden
/// files).</summary>
internal static class FormulaWeights
{
    private const double TwoTo24 = 1 << 24;

    /// <summary>The weight of that name and shape.</summary>
    public static float[] Of(string name, Shape shape)
    {
        bool Ends(params string[] ends) => ends.Any(end => name.EndsWith(end, StringComparison.Ordinal));
        (double offset, double scale) = Ends("running_var") ? (1, 0.5)
            : Ends("running_mean", "class_token", "pos_embedding", "bias") ? (0, 0.1)
            : shape.Rank == 1 ? (1, 0.2)
            : (0, Math.Sqrt(6.0 * shape[0] / shape.Count));
        return Values(name, shape.Count, v => offset + (scale * v));
    }

    /// <summary>The noise of that name itself, in [-1, 1).</summary>
    public static float[] Noise(string name, long count) => Values(name, count, v => v);

    private static float[] Values(string name, long count, Func<double, double> value)
    {
        ulong hash = 0xcbf29ce484222325;
        foreach (byte b in Encoding.UTF8.GetBytes(name))
        {
            hash = (hash ^ b) * 0x100000001b3;
        }

        float[] values = new float[count];
        for (long i = 0; i < count; i++)
        {
            ulong z = hash + ((ulong)(i + 1) * 0x9E3779B97F4A7C15);
            z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
            z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
            z ^= z >> 31;
            values[i] = (float)value((2 * ((z >> 40) / TwoTo24)) - 1);
        }

        return values;
    }
}
