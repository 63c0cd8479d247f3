namespace Stig.Model.Evaluation;

/// <summary>
/// Running means over the spectra of a set of images, summed in double precision: a folder never has to be in memory.
/// </summary>
public sealed class SpectrumStatistics
{
    private readonly double[] normalized;
    private readonly double[] logMagnitudes;

    /// <summary>Starts without images.</summary>
    /// <param name="extents">Extents of the spectra.</param>
    /// <exception cref="ArgumentOutOfRangeException">An extent is below 1.</exception>
    public SpectrumStatistics(ImageExtents extents)
    {
        extents.Validate(nameof(extents));
        Extents = extents;
        normalized = new double[extents.Count];
        logMagnitudes = new double[extents.Count];
    }

    /// <summary>Extents of the spectra.</summary>
    public ImageExtents Extents { get; }

    /// <summary>Number of images in the means.</summary>
    public int Count { get; private set; }

    /// <summary>Adds an image.</summary>
    /// <param name="logMagnitude">Its M = ln(1 + |F|), [C, H, W].</param>
    /// <exception cref="ArgumentException">The length is wrong, or a value is not finite.</exception>
    public void Add(ReadOnlySpan<float> logMagnitude)
    {
        Accumulate(logMagnitude, 1);
        Count++;
    }

    /// <summary>Takes an image out again that was added before.</summary>
    /// <param name="logMagnitude">Its M = ln(1 + |F|), [C, H, W].</param>
    /// <exception cref="ArgumentException">The length is wrong, or a value is not finite.</exception>
    /// <exception cref="InvalidOperationException">There is no image.</exception>
    public void Remove(ReadOnlySpan<float> logMagnitude)
    {
        RequireImages();
        Accumulate(logMagnitude, -1);
        Count--;
    }

    /// <summary>Mean over images of (M - min M) / (max M - min M), extremes over all channels of each image.</summary>
    /// <returns>[C, H, W], in [0, 1].</returns>
    /// <exception cref="InvalidOperationException">There is no image.</exception>
    public double[] MeanNormalized() => Mean(normalized);

    /// <summary>Mean over images of M.</summary>
    /// <returns>[C, H, W], 0 or more.</returns>
    /// <exception cref="InvalidOperationException">There is no image.</exception>
    public double[] MeanLogMagnitude() => Mean(logMagnitudes);

    private void Accumulate(ReadOnlySpan<float> logMagnitude, double weight)
    {
        Extents.CheckLength(logMagnitude, nameof(logMagnitude));
        double lo = double.PositiveInfinity;
        double hi = double.NegativeInfinity;
        foreach (float value in logMagnitude)
        {
            if (!float.IsFinite(value))
            {
                throw new ArgumentException($"A log magnitude is {value}.", nameof(logMagnitude));
            }

            lo = Math.Min(lo, value);
            hi = Math.Max(hi, value);
        }

        // A black image has no range; its scaled spectrum is 0.
        double scale = hi > lo ? weight / (hi - lo) : 0;
        for (int i = 0; i < logMagnitude.Length; i++)
        {
            normalized[i] += (logMagnitude[i] - lo) * scale;
            logMagnitudes[i] += logMagnitude[i] * weight;
        }
    }

    private double[] Mean(double[] sums)
    {
        RequireImages();
        return Array.ConvertAll(sums, sum => sum / Count);
    }

    private void RequireImages()
    {
        if (Count == 0)
        {
            throw new InvalidOperationException("A mean needs at least one image.");
        }
    }
}
