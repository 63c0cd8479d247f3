namespace Stig.Model.Evaluation;

/// <summary>
/// (v - mean) / standard deviation (divisor n), feature by feature. A feature that does not vary among the vectors it was fitted to is only
/// centred.
/// </summary>
internal sealed class Standardization
{
    private readonly double[] means;
    private readonly double[] deviations;

    public Standardization(IReadOnlyList<IReadOnlyList<double>> vectors)
    {
        if (vectors.Count < 2)
        {
            throw new ArgumentException($"A standard deviation needs at least two vectors, not {vectors.Count}.", nameof(vectors));
        }

        means = new double[vectors[0].Count];
        deviations = new double[means.Length];
        foreach (IReadOnlyList<double> vector in vectors)
        {
            CheckLength(vector);
            for (int i = 0; i < means.Length; i++)
            {
                means[i] += vector[i] / vectors.Count;
            }
        }

        for (int i = 0; i < means.Length; i++)
        {
            double variance = vectors.Sum(vector => (vector[i] - means[i]) * (vector[i] - means[i])) / vectors.Count;
            deviations[i] = variance > 0 ? Math.Sqrt(variance) : 1;
        }
    }

    /// <summary>Mean of each feature.</summary>
    public IReadOnlyList<double> Means => means;

    /// <summary>Standard deviation of each feature; 1 where it does not vary.</summary>
    public IReadOnlyList<double> Deviations => deviations;

    public double[] Apply(IReadOnlyList<double> vector)
    {
        CheckLength(vector);
        double[] result = new double[means.Length];
        for (int i = 0; i < result.Length; i++)
        {
            result[i] = (vector[i] - means[i]) / deviations[i];
        }

        return result;
    }

    private void CheckLength(IReadOnlyList<double> vector)
    {
        if (vector.Count != means.Length)
        {
            throw new ArgumentException($"A vector has {vector.Count} features, the first has {means.Length}.", nameof(vector));
        }
    }
}
