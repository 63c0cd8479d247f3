namespace Stig.Model.Tests.Evaluation;

/// <summary>Reproducible test data.</summary>
internal static class RandomValues
{
    /// <summary>Uniform values in [0, 1).</summary>
    public static float[] Floats(int count, int seed)
    {
        var random = new Random(seed);
        return [.. Enumerable.Range(0, count).Select(_ => random.NextSingle())];
    }

    /// <summary>Vectors of uniform values in [0, 1) plus an offset.</summary>
    public static double[][] Vectors(int count, int length, int seed, double offset = 0)
    {
        var random = new Random(seed);
        return [.. Enumerable.Range(0, count).Select(_ => Enumerable.Range(0, length).Select(_ => random.NextDouble() + offset).ToArray())];
    }
}
