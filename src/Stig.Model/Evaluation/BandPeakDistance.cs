namespace Stig.Model.Evaluation;

/// <summary>
/// How far the spectra of a set of images are from those of real ones, as distributions over images: the unbiased energy
/// distance between their bands, and between their peaks. Unlike <see cref="LogFrequencyDistance"/> it sees narrow peaks and
/// the spread between images. Features are standardised by mean and standard deviation (divisor n) of the reals that a method
/// was fitted to, never by those it is judged on.
/// </summary>
public sealed class BandPeakDistance
{
    private readonly Standardization bands;
    private readonly Standardization peaks;

    /// <summary>Takes the standardisation from real images.</summary>
    /// <param name="fittingReals">Features of the real images used for fitting, at least two.</param>
    /// <exception cref="ArgumentException">There are fewer than two, or their sizes differ.</exception>
    public BandPeakDistance(IReadOnlyList<SpectralFeatures> fittingReals)
    {
        ArgumentNullException.ThrowIfNull(fittingReals);
        bands = new Standardization([.. fittingReals.Select(f => f.Bands)]);
        peaks = new Standardization([.. fittingReals.Select(f => f.Peaks)]);
    }

    /// <summary>Both distances between real images and others.</summary>
    /// <param name="reals">Features of the judged real images, at least two.</param>
    /// <param name="images">Features of the other images, at least two.</param>
    /// <exception cref="ArgumentException">There are too few, or their sizes differ.</exception>
    public (double Bands, double Peaks) Between(IReadOnlyList<SpectralFeatures> reals, IReadOnlyList<SpectralFeatures> images) =>
        (EnergyDistance.Between(Bands(reals), Bands(images)), EnergyDistance.Between(Peaks(reals), Peaks(images)));

    /// <summary>Both distances with their jackknife over pairs of a real and another image.</summary>
    /// <param name="reals">Features of the judged real images, at least three.</param>
    /// <param name="images">Features of as many other images; the i-th goes with the i-th real one.</param>
    /// <exception cref="ArgumentException">There are too few, or their numbers or sizes differ.</exception>
    public (JackknifeEstimate Bands, JackknifeEstimate Peaks) Jackknife(
        IReadOnlyList<SpectralFeatures> reals, IReadOnlyList<SpectralFeatures> images) =>
        (EnergyDistance.Jackknife(Bands(reals), Bands(images)), EnergyDistance.Jackknife(Peaks(reals), Peaks(images)));

    private double[][] Bands(IReadOnlyList<SpectralFeatures> features) => [.. features.Select(f => bands.Apply(f.Bands))];

    private double[][] Peaks(IReadOnlyList<SpectralFeatures> features) => [.. features.Select(f => peaks.Apply(f.Peaks))];
}
