namespace Stig.Model.Evaluation;

/// <summary>
/// Mean over images of the log-magnitude spectrum, each scaled to [0, 1] by its own extremes over channels and frequencies: what the
/// log-frequency distance compares. Images are added one by one; none is kept.
/// </summary>
/// <param name="length">Values of a spectrum: channels x height x width.</param>
public sealed class MeanSpectrum(int length)
{
    private readonly double[] sums = new double[length];

    /// <summary>Images added.</summary>
    public int Count { get; private set; }

    /// <summary>Adds the log magnitudes M = ln(1 + |F|) of an image. A constant spectrum counts as zeros.</summary>
    /// <exception cref="ArgumentException">The length is another one.</exception>
    public void Add(ReadOnlySpan<float> magnitude)
    {
        if (magnitude.Length != sums.Length)
        {
            throw new ArgumentException($"A spectrum here has {sums.Length} values, not {magnitude.Length}.", nameof(magnitude));
        }

        float lo = float.PositiveInfinity;
        float hi = float.NegativeInfinity;
        foreach (float value in magnitude)
        {
            lo = Math.Min(lo, value);
            hi = Math.Max(hi, value);
        }

        double scale = hi > lo ? 1 / ((double)hi - lo) : 0;
        for (int i = 0; i < sums.Length; i++)
        {
            sums[i] += (magnitude[i] - lo) * scale;
        }

        Count++;
    }

    /// <summary>ln(1 + sum of squared differences of the means in 8-bit units), without quantisation.</summary>
    /// <exception cref="InvalidOperationException">One of them has no image.</exception>
    public double LogFrequencyDistance(MeanSpectrum other)
    {
        ArgumentNullException.ThrowIfNull(other);
        if (Count == 0 || other.Count == 0)
        {
            throw new InvalidOperationException("A mean spectrum needs at least one image.");
        }

        double sum = 0;
        for (int i = 0; i < sums.Length; i++)
        {
            double difference = 255 * ((sums[i] / Count) - (other.sums[i] / other.Count));
            sum += difference * difference;
        }

        return Math.Log(1 + sum);
    }
}
