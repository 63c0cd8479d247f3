using Stig.Model.Evaluation;

namespace Stig.Model.Tests.Evaluation;

/// <summary>Features, energy distance and jackknife against plain loops and numbers worked out by hand.</summary>
public sealed class DistanceTests
{
    [Fact]
    public void Band_edges_at_256_and_at_smaller_sides()
    {
        Assert.Equal([0, 1, 2, 4, 6, 8, 12, 16, 24, 32, 40, 48, 56, 64, 72, 80, 88, 96, 104, 112, 120, 129],
            SpectralFeatures.BandEdges(256));
        Assert.Equal([0, 1, 2, 4, 6, 8, 12, 16, 24, 33], SpectralFeatures.BandEdges(64));
        Assert.Equal([0, 9], SpectralFeatures.BandEdges(16));
        Assert.Equal([0, 1, 2, 4, 6, 8, 12, 16, 24, 32, 43], SpectralFeatures.BandEdges(84));
    }

    [Fact]
    public void Bands_match_masked_means()
    {
        // Oracle: for each band a pass over all frequencies. Tolerance: double sums in another order.
        var extents = new ImageExtents(64, 64);
        float[] spectrum = RandomValues.Floats(extents.Count, 3);
        IReadOnlyList<double> bands = SpectralFeatures.Of(spectrum, extents).Bands;
        int[] edges = [0, 1, 2, 4, 6, 8, 12, 16, 24, 33];
        Assert.Equal(edges.Length - 1, bands.Count);
        for (int band = 0; band < bands.Count; band++)
        {
            double expected = Enumerable.Range(0, extents.Count).Where(i =>
            {
                int ring = Math.Max(Math.Abs((i / 64 % 64) - 32), Math.Abs((i % 64) - 32));
                return ring >= edges[band] && ring < edges[band + 1];
            }).Average(i => (double)spectrum[i]);
            Assert.Equal(expected, bands[band], 1e-12);
        }
    }

    [Fact]
    public void Peaks_are_the_heights_over_the_median_around()
    {
        // Oracle: the definition with LINQ, at a size where neighbourhoods overlap the border.
        var extents = new ImageExtents(64, 64);
        float[] spectrum = RandomValues.Floats(extents.Count, 4);
        IReadOnlyList<double> peaks = SpectralFeatures.Of(spectrum, extents).Peaks;
        double Mean(int y, int x) => ((double)spectrum[(y * 64) + x] + spectrum[4096 + (y * 64) + x] + spectrum[8192 + (y * 64) + x]) / 3;
        List<double> expected = [];
        foreach (int y in Enumerable.Range(0, 8).Select(i => 8 * i))
        {
            foreach (int x in Enumerable.Range(0, 8).Select(i => 8 * i).Where(x => (y, x) != (32, 32)))
            {
                double[] around = [.. from dy in Enumerable.Range(-4, 9) from dx in Enumerable.Range(-4, 9)
                    where y + dy is >= 0 and < 64 && x + dx is >= 0 and < 64 select Mean(y + dy, x + dx)];
                expected.Add(Mean(y, x) - around.Order().ElementAt(around.Length / 2));
            }
        }

        Assert.Equal(63, peaks.Count);
        Assert.Equal(expected, peaks, (a, b) => Math.Abs(a - b) < 1e-12);
    }

    [Fact]
    public void A_planted_peak_is_measured_at_256()
    {
        var extents = new ImageExtents(256, 256);
        float[] spectrum = new float[extents.Count];
        Array.Fill(spectrum, 2f);
        for (int channel = 0; channel < 3; channel++)
        {
            spectrum[(channel * extents.Area) + (160 * 256) + 96] = 5f;
        }

        IReadOnlyList<double> peaks = SpectralFeatures.Of(spectrum, extents).Peaks;
        // Rows of 8 grid points, without zero frequency, which comes before: row 5, column 3 is number 5 * 8 + 3 - 1.
        Assert.Equal([42], peaks.Index().Where(peak => peak.Item != 0).Select(peak => peak.Index));
        Assert.Equal(3, peaks[42], 1e-12);
    }

    [Fact]
    public void Energy_distance_of_two_known_samples()
    {
        // Between: (2 + 4 + 1 + 3) / 4 = 2.5, within: 1 and 2; 2 * 2.5 - 1 - 2 = 2.
        Assert.Equal(2, EnergyDistance.Between([[0.0], [1.0]], [[2.0], [4.0]]), 1e-14);
        // In the plane, all distances 5, none within: 2 * 5.
        Assert.Equal(10, EnergyDistance.Between([[0.0, 0], [0.0, 0]], [[3.0, 4], [3.0, 4], [3.0, 4]]), 1e-14);
    }

    [Fact]
    public void Energy_distance_has_no_bias()
    {
        // Oracle: theory. 400 draws of two samples of 6 from one distribution: the mean is 0 within four standard errors.
        double[] draws = [.. RandomValues.Vectors(400 * 12, 3, 30).Chunk(12).Select(v => EnergyDistance.Between(v[..6], v[6..]))];
        double mean = draws.Average();
        double error = Math.Sqrt(draws.Sum(d => (d - mean) * (d - mean)) / (400.0 * 399));
        Assert.InRange(mean, -4 * error, 4 * error);
        Assert.Contains(draws, d => d < 0);
    }

    [Fact]
    public void Jackknife_of_the_energy_distance_matches_samples_without_a_pair()
    {
        double[][] x = RandomValues.Vectors(7, 4, 31);
        double[][] y = RandomValues.Vectors(7, 4, 32, 0.3);
        JackknifeEstimate estimate = EnergyDistance.Jackknife(x, y);
        Assert.Equal(EnergyDistance.Between(x, y), estimate.Value, 1e-12);
        for (int i = 0; i < x.Length; i++)
        {
            Assert.Equal(EnergyDistance.Between([.. x.Where((_, k) => k != i)], [.. y.Where((_, k) => k != i)]),
                estimate.LeaveOneOut[i], 1e-12);
        }
    }

    [Fact]
    public void Band_and_peak_distance_are_energy_distances_of_standardised_features()
    {
        SpectralFeatures[] Features(int seed, double offset) =>
            [.. RandomValues.Vectors(5, 3, seed, offset)
                .Zip(RandomValues.Vectors(5, 2, seed + 1, offset), (b, p) => new SpectralFeatures(b, p))];
        (SpectralFeatures[] fit, SpectralFeatures[] reals, SpectralFeatures[] images) = (Features(1, 0), Features(3, 0), Features(5, 0.5));
        double[][] Standardised(SpectralFeatures[] set, Func<SpectralFeatures, IReadOnlyList<double>> part) => [.. set.Select(f =>
            part(f).Select((v, k) =>
            {
                double mean = fit.Average(r => part(r)[k]);
                return (v - mean) / Math.Sqrt(fit.Average(r => Math.Pow(part(r)[k] - mean, 2)));
            }).ToArray())];
        var distance = new BandPeakDistance(fit);
        (double bands, double peaks) = distance.Between(reals, images);
        Assert.Equal(EnergyDistance.Between(Standardised(reals, f => f.Bands), Standardised(images, f => f.Bands)), bands, 1e-12);
        Assert.Equal(EnergyDistance.Between(Standardised(reals, f => f.Peaks), Standardised(images, f => f.Peaks)), peaks, 1e-12);
        (JackknifeEstimate bandEstimate, JackknifeEstimate peakEstimate) = distance.Jackknife(reals, images);
        Assert.Equal(bands, bandEstimate.Value, 1e-12);
        Assert.Equal(peaks, peakEstimate.Value, 1e-12);
    }

    [Fact]
    public void Jackknife_error_of_a_mean_is_its_standard_error()
    {
        double[] values = [3, 1, 4, 1, 5, 9, 2, 6];
        double[] others = [2, 7, 1, 8, 2, 8, 1, 8];
        JackknifeEstimate Mean(double[] set) => new(set.Average(), [.. set.Select(v => (set.Sum() - v) / (set.Length - 1))]);
        double StandardError(double[] set) => Math.Sqrt(set.Sum(v => Math.Pow(v - set.Average(), 2)) / (set.Length * (set.Length - 1.0)));
        Assert.Equal(StandardError(values), Mean(values).StandardError, 1e-12);
        JackknifeEstimate difference = Mean(values).Minus(Mean(others));
        Assert.Equal(values.Average() - others.Average(), difference.Value, 1e-12);
        Assert.Equal(StandardError([.. values.Zip(others, (a, b) => a - b)]), difference.StandardError, 1e-12);
        (double average, double error) = JackknifeEstimate.Average([Mean(values), Mean(others)]);
        Assert.Equal((values.Average() + others.Average()) / 2, average, 1e-12);
        Assert.Equal(Math.Sqrt(Math.Pow(StandardError(values), 2) + Math.Pow(StandardError(others), 2)) / 2, error, 1e-12);
    }
}
