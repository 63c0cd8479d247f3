namespace Stig.Model.Evaluation;

/// <summary>
/// Log-frequency distance of a set of images from a set of real ones (Lee, Jung, Seo 2024): ln(1 + sum of d^2), d the
/// difference of the sets' <see cref="SpectrumStatistics.MeanNormalized"/> times 255, summed over channels and frequencies.
/// Lower is nearer. It does not see the spread between images. The order of channels does not matter, as long as both sets
/// have the same.
/// </summary>
/// <param name="Official">
/// As the authors' program prints it: means rounded down to 8 bits; differences and their squares taken modulo 256, so that a
/// difference of 16 or more is not counted for what it is.
/// </param>
/// <param name="Exact">Means rounded down to 8 bits, without the wrap-around.</param>
/// <param name="Unquantized">Means as they are.</param>
public readonly record struct LogFrequencyDistance(double Official, double Exact, double Unquantized)
{
    /// <summary>The distance between two sets.</summary>
    /// <param name="reals">Statistics of the real images.</param>
    /// <param name="images">Statistics of the other set.</param>
    /// <exception cref="ArgumentException">The spectra have different extents.</exception>
    /// <exception cref="InvalidOperationException">A set is empty.</exception>
    public static LogFrequencyDistance Between(SpectrumStatistics reals, SpectrumStatistics images)
    {
        (double[] a, double[] b) = Means(reals, images);
        long wrapped = 0;
        long exact = 0;
        for (int i = 0; i < a.Length; i++)
        {
            int difference = EightBits(a[i]) - EightBits(b[i]);
            int squared = difference * difference;
            exact += squared;
            wrapped += unchecked((byte)squared);
        }

        return new LogFrequencyDistance(Math.Log(1.0 + wrapped), Math.Log(1.0 + exact), UnquantizedOf(a, b));
    }

    /// <summary>
    /// <see cref="Unquantized"/> of sets that belong together pair by pair, with what it would be without each pair. Takes a
    /// second look at the images, one pair at a time; the statistics end as they were, but for rounding.
    /// </summary>
    /// <param name="reals">Statistics of the real images.</param>
    /// <param name="images">Statistics of the other set.</param>
    /// <param name="pairs">The log magnitudes behind both, real image and other image.</param>
    /// <exception cref="ArgumentException">The spectra have different extents, or the number of pairs is not that of both sets.</exception>
    /// <exception cref="InvalidOperationException">There are fewer than two pairs.</exception>
    public static JackknifeEstimate Jackknife(
        SpectrumStatistics reals, SpectrumStatistics images, IEnumerable<(ReadOnlyMemory<float> Real, ReadOnlyMemory<float> Image)> pairs)
    {
        ArgumentNullException.ThrowIfNull(pairs);
        double value = Between(reals, images).Unquantized;
        List<double> leaveOneOut = [];
        foreach ((ReadOnlyMemory<float> real, ReadOnlyMemory<float> image) in pairs)
        {
            reals.Remove(real.Span);
            images.Remove(image.Span);
            (double[] a, double[] b) = Means(reals, images);
            leaveOneOut.Add(UnquantizedOf(a, b));
            reals.Add(real.Span);
            images.Add(image.Span);
        }

        return leaveOneOut.Count == reals.Count && leaveOneOut.Count == images.Count
            ? new JackknifeEstimate(value, leaveOneOut)
            : throw new ArgumentException(
                $"{leaveOneOut.Count} pairs are not the {reals.Count} and {images.Count} images of the sets.", nameof(pairs));
    }

    private static (double[] Reals, double[] Images) Means(SpectrumStatistics reals, SpectrumStatistics images)
    {
        ArgumentNullException.ThrowIfNull(reals);
        ArgumentNullException.ThrowIfNull(images);
        return reals.Extents == images.Extents
            ? (reals.MeanNormalized(), images.MeanNormalized())
            : throw new ArgumentException($"Spectra of {reals.Extents} cannot be compared with those of {images.Extents}.", nameof(images));
    }

    private static double UnquantizedOf(double[] a, double[] b)
    {
        double sum = 0;
        for (int i = 0; i < a.Length; i++)
        {
            double difference = 255 * (a[i] - b[i]);
            sum += difference * difference;
        }

        return Math.Log(1 + sum);
    }

    private static int EightBits(double value) => (int)Math.Floor(255 * value);
}
