using Stig.Model.Imaging;

namespace Stig.Model.Evaluation;

/// <summary>How a set of images compares with real ones (docs/method.md, "Measures").</summary>
/// <param name="Distance">Log-frequency distance, unquantised, with its jackknife over pairs.</param>
/// <param name="Bands">Energy distance of the bands, in standard deviations of the fitting reals.</param>
/// <param name="Peaks">Energy distance of the peaks, likewise.</param>
/// <param name="Auc">Area under the ROC curve of a detector trained anew; 0.5 is chance.</param>
public sealed record SpectralMeasures(JackknifeEstimate Distance, JackknifeEstimate Bands, JackknifeEstimate Peaks, double Auc);

/// <summary>
/// Judges images of one size against real images, by spectra alone; what a method was fitted to is kept apart from what it is judged on.
/// </summary>
public sealed class RefinementJudge : IDisposable
{
    private readonly ImageExtents extents;
    private readonly SpectrumAnalyzer analyzer;
    private readonly BandPeakDistance distances;
    private readonly float[][] reals;
    private readonly SpectralFeatures[] realFeatures;
    private readonly double[][] realBlocks;

    /// <summary>Takes the real images.</summary>
    /// <param name="fitted">Real images that methods were fitted to, at least two: they standardise bands and peaks.</param>
    /// <param name="judged">Real images to judge by, at least ten, of the same size.</param>
    /// <exception cref="ArgumentException">There are too few, or sizes differ.</exception>
    public RefinementJudge(IReadOnlyList<RgbImage> fitted, IReadOnlyList<RgbImage> judged)
    {
        ArgumentNullException.ThrowIfNull(fitted);
        ArgumentNullException.ThrowIfNull(judged);
        if (fitted.Count < 2 || judged.Count < LinearDetector.DefaultFolds)
        {
            throw new ArgumentException($"A judgement needs at least 2 real images that were fitted to and {LinearDetector.DefaultFolds} others; "
                + $"there are {fitted.Count} and {judged.Count}.");
        }

        extents = new ImageExtents(judged[0].Height, judged[0].Width);
        analyzer = new SpectrumAnalyzer(extents);
        distances = new BandPeakDistance([.. fitted.Select(image => SpectralFeatures.Of(Analyze(image), extents))]);
        reals = [.. judged.Select(Analyze)];
        realFeatures = [.. reals.Select(spectrum => SpectralFeatures.Of(spectrum, extents))];
        realBlocks = [.. reals.Select(spectrum => LinearDetector.Features(spectrum, extents))];
    }

    /// <summary>Measures a set of images; the i-th is paired with the i-th judged real one.</summary>
    /// <param name="images">As many images as judged real ones, of the same size.</param>
    /// <exception cref="ArgumentException">Number or size differ.</exception>
    public SpectralMeasures Measure(IReadOnlyList<RgbImage> images)
    {
        ArgumentNullException.ThrowIfNull(images);
        if (images.Count != reals.Length)
        {
            throw new ArgumentException($"{images.Count} images cannot be paired with {reals.Length} real ones.", nameof(images));
        }

        float[][] spectra = [.. images.Select(Analyze)];
        (JackknifeEstimate bands, JackknifeEstimate peaks) = distances.Jackknife(
            realFeatures, [.. spectra.Select(spectrum => SpectralFeatures.Of(spectrum, extents))]);
        JackknifeEstimate distance = LogFrequencyDistance.Jackknife(Statistics(reals), Statistics(spectra),
            reals.Zip(spectra, (real, image) => ((ReadOnlyMemory<float>)real, (ReadOnlyMemory<float>)image)));
        double auc = LinearDetector.CrossValidatedAuc(
            realBlocks, [.. spectra.Select(spectrum => LinearDetector.Features(spectrum, extents))]);
        return new SpectralMeasures(distance, bands, peaks, auc);
    }

    /// <summary>Frees the program that computes spectra.</summary>
    public void Dispose() => analyzer.Dispose();

    private float[] Analyze(RgbImage image)
    {
        if ((image.Height, image.Width) != (extents.Height, extents.Width))
        {
            throw new ArgumentException($"An image of {image.Width} x {image.Height} cannot be judged among images of {extents.Width} x {extents.Height}.");
        }

        float[] planes = new float[extents.Count];
        image.ToPlanar(planes);
        return analyzer.Analyze(planes);
    }

    private SpectrumStatistics Statistics(float[][] spectra)
    {
        var statistics = new SpectrumStatistics(extents);
        Array.ForEach(spectra, spectrum => statistics.Add(spectrum));
        return statistics;
    }
}
