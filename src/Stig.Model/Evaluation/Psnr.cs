namespace Stig.Model.Evaluation;

/// <summary>Peak signal-to-noise ratio.</summary>
public static class Psnr
{
    /// <summary>10 log10(1 / mean (a - b)^2), in decibels; infinite for equal images.</summary>
    /// <param name="a">Intensities in [0, 1].</param>
    /// <param name="b">As many intensities.</param>
    /// <exception cref="ArgumentException">The lengths differ or are 0.</exception>
    public static double Between(ReadOnlySpan<float> a, ReadOnlySpan<float> b)
    {
        if (a.Length != b.Length || a.IsEmpty)
        {
            throw new ArgumentException($"Images of {a.Length} and {b.Length} values cannot be compared.", nameof(b));
        }

        double sum = 0;
        for (int i = 0; i < a.Length; i++)
        {
            double difference = (double)a[i] - b[i];
            sum += difference * difference;
        }

        return -10 * Math.Log10(sum / a.Length);
    }
}
