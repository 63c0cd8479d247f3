using Stig.Model.Evaluation;
using Stig.Model.Imaging;

namespace Stig.Model.Tests.Golden;

/// <summary>
/// Oracle: the reference's log-frequency distance of three folders of PNG files (file 09). Its spectra have their channels
/// rolled by one, which no distance sees. Tolerance: <see cref="Tolerance"/> for spectra; 8-bit values may differ by one in a
/// handful of entries, and the sums over them by as much as that moves them.
/// </summary>
public sealed class GoldenMetricsTests
{
    private const int Handful = 5;

    [Fact]
    public void Log_frequency_distances_match()
    {
        using GoldenFile file = GoldenFolder.Open("09_metrics");
        var check = new GoldenCheck(file);
        var sets = file.Between("", ".mean_magnitude").ToDictionary(set => set, set => Statistics(file, check, set));
        foreach ((string set, SpectrumStatistics images) in sets.Where(entry => entry.Key != "real"))
        {
            LogFrequencyDistance distance = LogFrequencyDistance.Between(sets["real"], images);

            // An entry that moves by one changes a wrapped square by at most 255, a square by at most 2 * 255 + 1.
            double wrapped = file.Integers($"{set}.sum_squares_wrapped")[0];
            double exact = file.Integers($"{set}.sum_squares_exact")[0];
            Near(check, $"{set}.sum_squares_wrapped", Math.Exp(distance.Official) - 1, wrapped, Handful * 255);
            Near(check, $"{set}.sum_squares_exact", Math.Exp(distance.Exact) - 1, exact, Handful * 511);
            Near(check, $"{set}.lfd_official", distance.Official, file.Number($"{set}.lfd_official"), Handful * 255 / wrapped);
            Near(check, $"{set}.lfd_exact", distance.Exact, file.Number($"{set}.lfd_exact"), Handful * 511 / exact);
            Near(check, $"{set}.lfd_unquantised", distance.Unquantized, file.Number($"{set}.lfd_unquantised"), 1e-4);
        }

        check.Finish();
    }

    // Means of a folder, compared with the stored ones.
    private static SpectrumStatistics Statistics(GoldenFile file, GoldenCheck check, string set)
    {
        string tensor = $"{set}.mean_magnitude";
        var shape = file.ShapeOf(tensor);
        var extents = new ImageExtents(shape.H, shape.W, shape.C);
        var statistics = new SpectrumStatistics(extents);
        using var analyzer = new SpectrumAnalyzer(extents);
        float[] planes = new float[extents.Count];
        string folder = Path.GetDirectoryName(GoldenFolder.Require(Path.Combine("lfd_pngs", set, "000000.png")))!;
        foreach (string path in Directory.EnumerateFiles(folder, "*.png").Order(StringComparer.Ordinal))
        {
            ImageCodec.Load(path).ToPlanar(planes);
            statistics.Add(analyzer.Analyze(planes));
            if (statistics.Count == 1 && file.Has($"{set}.decoded0"))
            {
                check.Tensor($"{set}.decoded0", planes, new Tolerance(Measure.Largest, 1e-7));
                check.Tensor($"{set}.magnitude0", Rolled(statistics.MeanNormalized(), extents),
                    ScaledSpectrum.Tolerance(file.Name, tensor));
            }
        }

        double[] mean = statistics.MeanNormalized();
        check.Tensor(tensor, Rolled(mean, extents), ScaledSpectrum.Tolerance(file.Name, tensor));
        CompareEightBits(file, check, set, Rolled(mean, extents), extents);
        return statistics;
    }

    private static void CompareEightBits(GoldenFile file, GoldenCheck check, string set, float[] mean, ImageExtents extents)
    {
        string tensor = $"{set}.mean_magnitude_u8";
        if (!check.Expects(tensor))
        {
            return;
        }

        // Stored as pixels, channels interleaved.
        float[] expected = file.Floats(tensor);
        double[] differences = [.. mean.Select((value, i) =>
            Math.Abs(Math.Floor(255 * value) - expected[(i % extents.Area * extents.Channels) + (i / extents.Area)]))];
        check.Measured($"{tensor}, largest difference", new Tolerance(Measure.Largest, 1), differences.Max());
        check.Measured($"{tensor}, entries that differ", new Tolerance(Measure.Largest, Handful), differences.Count(d => d > 0));
    }

    private static void Near(GoldenCheck check, string what, double actual, double expected, double bound) =>
        check.Measured(what, new Tolerance(Measure.Largest, bound), Math.Abs(actual - expected));

    // Channel c at (c + 1) mod C.
    private static float[] Rolled(double[] spectrum, ImageExtents extents) =>
        [.. Enumerable.Range(0, spectrum.Length).Select(i => (float)spectrum[(i + spectrum.Length - extents.Area) % spectrum.Length])];
}
