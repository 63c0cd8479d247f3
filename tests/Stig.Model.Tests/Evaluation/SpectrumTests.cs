using Stig.Model.Evaluation;

namespace Stig.Model.Tests.Evaluation;

/// <summary>Spectra, their means, the log-frequency distance and the radial profile against plain loops and numbers worked
/// out by hand.</summary>
public sealed class SpectrumTests
{
    private static readonly ImageExtents Pair = new(1, 2, 1);

    [Fact]
    public void Analyzer_matches_a_discrete_fourier_transform_by_its_definition()
    {
        // Oracle: the double sum. Tolerance: float transform of 60 values in [0, 1].
        var extents = new ImageExtents(6, 10, 2);
        float[] image = RandomValues.Floats(extents.Count, seed: 1);
        using var analyzer = new SpectrumAnalyzer(extents);
        float[] magnitude = analyzer.Analyze(image);
        for (int i = 0; i < magnitude.Length; i++)
        {
            (int c, int v, int u) = (i / extents.Area, (i / extents.Width % extents.Height) - 3, (i % extents.Width) - 5);
            (double re, double im) = (0, 0);
            for (int y = 0; y < extents.Height; y++)
            {
                for (int x = 0; x < extents.Width; x++)
                {
                    double angle = -2 * Math.PI * (((double)v * y / extents.Height) + ((double)u * x / extents.Width));
                    double value = image[(c * extents.Area) + (y * extents.Width) + x];
                    re += value * Math.Cos(angle);
                    im += value * Math.Sin(angle);
                }
            }

            Assert.Equal(Math.Log(1 + Math.Sqrt((re * re) + (im * im))), magnitude[i], 5e-6);
        }
    }

    [Fact]
    public void Means_are_those_of_scaled_and_of_plain_spectra()
    {
        var statistics = new SpectrumStatistics(new ImageExtents(1, 3, 1));
        statistics.Add([1f, 3f, 2f]);
        statistics.Add([4f, 0f, 3f]);
        statistics.Add([0f, 0f, 0f]);
        Assert.Equal([1.0 / 3, 1.0 / 3, 1.25 / 3], statistics.MeanNormalized(), (a, b) => Math.Abs(a - b) < 1e-15);
        Assert.Equal([5.0 / 3, 1, 5.0 / 3], statistics.MeanLogMagnitude(), (a, b) => Math.Abs(a - b) < 1e-15);
        statistics.Remove([4f, 0f, 3f]);
        Assert.Equal(2, statistics.Count);
        Assert.Equal([0, 0.5, 0.25], statistics.MeanNormalized(), (a, b) => Math.Abs(a - b) < 1e-15);
    }

    [Fact]
    public void A_value_that_is_not_finite_is_refused_and_changes_nothing()
    {
        var statistics = new SpectrumStatistics(Pair);
        statistics.Add([0f, 2f]);
        Assert.Throws<ArgumentException>(() => statistics.Add([1f, float.NaN]));
        Assert.Throws<ArgumentException>(() => statistics.Add([1f]));
        Assert.Equal([0, 1], statistics.MeanNormalized());
        Assert.Throws<InvalidOperationException>(() => new SpectrumStatistics(Pair).MeanNormalized());
    }

    [Fact]
    public void Three_forms_of_the_log_frequency_distance()
    {
        // Means: reals [0, 1]; images [0.5, 0.5] from [0, 1] and [1, 0]. In 8 bits 127, so differences -127 and 128: squares
        // 16129 and 16384, modulo 256 1 and 0.
        var reals = new SpectrumStatistics(Pair);
        reals.Add([0f, 2f]);
        var images = new SpectrumStatistics(Pair);
        images.Add([1f, 3f]);
        images.Add([7f, 5f]);
        LogFrequencyDistance distance = LogFrequencyDistance.Between(reals, images);
        Assert.Equal(Math.Log(2), distance.Official, 1e-14);
        Assert.Equal(Math.Log(1 + 16129 + 16384), distance.Exact, 1e-14);
        Assert.Equal(Math.Log(1 + (2 * 127.5 * 127.5)), distance.Unquantized, 1e-14);
    }

    [Fact]
    public void Jackknife_of_the_log_frequency_distance_matches_statistics_made_anew()
    {
        var extents = new ImageExtents(4, 4, 3);
        float[][] a = [.. Enumerable.Range(0, 5).Select(i => RandomValues.Floats(extents.Count, 10 + i))];
        float[][] b = [.. Enumerable.Range(0, 5).Select(i => RandomValues.Floats(extents.Count, 20 + i))];
        SpectrumStatistics Without(float[][] set, int left)
        {
            var statistics = new SpectrumStatistics(extents);
            foreach (float[] spectrum in set.Where((_, i) => i != left))
            {
                statistics.Add(spectrum);
            }

            return statistics;
        }

        JackknifeEstimate estimate = LogFrequencyDistance.Jackknife(
            Without(a, -1), Without(b, -1), a.Zip(b, (real, image) => ((ReadOnlyMemory<float>)real, (ReadOnlyMemory<float>)image)));
        Assert.Equal(LogFrequencyDistance.Between(Without(a, -1), Without(b, -1)).Unquantized, estimate.Value, 1e-12);
        for (int i = 0; i < a.Length; i++)
        {
            Assert.Equal(LogFrequencyDistance.Between(Without(a, i), Without(b, i)).Unquantized, estimate.LeaveOneOut[i], 1e-12);
        }

        Assert.Throws<ArgumentException>(() => LogFrequencyDistance.Jackknife(Without(a, -1), Without(b, 0), []));
    }

    [Fact]
    public void Radial_profile_of_a_spectrum_that_depends_on_the_ring_alone()
    {
        var statistics = new SpectrumStatistics(new ImageExtents(8, 8));
        statistics.Add([.. Enumerable.Range(0, 3 * 64).Select(i =>
            (float)Math.Floor(Math.Sqrt(Math.Pow((i / 8 % 8) - 4, 2) + Math.Pow((i % 8) - 4, 2))) + (i / 64))]);
        Assert.Equal([1f, 2f, 3f, 4f, 5f, 6f], RadialProfile.Of(statistics));
    }
}
