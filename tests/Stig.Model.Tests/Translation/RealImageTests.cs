using System.Globalization;
using Stig.Model.Data;
using Stig.Model.Evaluation;
using Stig.Model.Imaging;
using Stig.Model.Refinement;
using Stig.Model.Training;
using Stig.Model.Translation;

namespace Stig.Model.Tests.Translation;

/// <summary>
/// Photographs and images of a GAN, in the folder named by STIG_DATA (real/ and fake/, 256 x 256, numbered names), in two folds: fitted on
/// the odd numbers and judged on the even ones, and the reverse. Oracle: an independent computation in double precision on
/// these images, averages over both folds, in 8 bits: means of the log-frequency distance rounded down, refined images
/// rounded to the nearest.
/// </summary>
public sealed class RealImageTests : IDisposable
{
    private const int Size = 256;
    private const string Variable = "STIG_DATA";

    private static readonly ImageExtents Extents = new(Size, Size);

    private readonly TestFolder folder = new();
    private readonly SpectrumAnalyzer spectra = new(Extents);

    public void Dispose()
    {
        spectra.Dispose();
        folder.Dispose();
    }

    [Fact]
    public void Fakes_and_other_reals_have_their_known_distances()
    {
        string data = RequireData();

        // Tolerance: half of the last known digit, and what float32 spectra add.
        Expect(Average(odd => Judge(data, odd, Load(data, "fake", !odd))), 15.94, 0.73, 15.99, 0.006);
        Expect(Average(odd => Judge(data, odd, Load(data, "real", odd))), 14.44, -0.16, -0.08, 0.006);
    }

    [Fact]
    public void The_filter_reaches_the_known_distances_and_likeness()
    {
        string data = RequireData();
        double psnr = 0;
        Measures measures = Average(odd =>
        {
            using Refiner refiner = Refiner.Load(Fit(data, odd));
            RgbImage[] inputs = Load(data, "fake", !odd);
            RgbImage[] outputs = [.. inputs.Select(image => refiner.Refine(image))];
            psnr += inputs.Zip(outputs, (a, b) => Psnr.Between(Planes(a), Planes(b))).Average() / 2;
            return Judge(data, odd, outputs);
        });

        // Tolerance: beyond that of the fakes, single pixels that float32 rounds to another byte.
        Expect(measures, 14.64, 0.16, 0.34, 0.01);
        Assert.Equal(39.0, psnr, 0.05);
    }

    [Fact]
    public void The_closed_form_of_the_default_preset_beats_the_filter()
    {
        // Fitted on the odd numbers, judged on the even ones. Bounds: what an independent computation in double precision gave on these
        // images, 14.34, 0.00, 0.00 and 0.856, and half of the jackknife standard error of each measure (0.13, 0.10, 0.17): peaks of it moved by
        // 0.06 with the number of rounds. Of the detector nine of its 900 comparisons of pairs.
        string data = RequireData();
        RgbImage[] fakes = Load(data, "fake", false);
        using var judge = new RefinementJudge(Load(data, "real", true), Load(data, "real", false));
        string model = Fit(data, true, Preset.Default);
        using Refiner refiner = Refiner.Load(model, new RefinerOptions { Residual = false });
        RgbImage[] refined = [.. fakes.Select(refiner.Refine)];

        SpectralMeasures measures = judge.Measure(refined);

        Assert.Equal(14.34, measures.Distance.Value, 0.065);
        Assert.Equal(0, measures.Bands.Value, 0.05);
        Assert.Equal(0, measures.Peaks.Value, 0.085);
        Assert.Equal(0.856, measures.Auc, 0.01);
        Assert.InRange(fakes.Zip(refined, (a, b) => Psnr.Between(Planes(a), Planes(b))).Average(), 39.5, 40.5);
    }

    private static void Expect(Measures actual, double distance, double bands, double peaks, double tolerance)
    {
        Assert.Equal(distance, actual.Distance.Exact, tolerance);
        Assert.Equal(distance, actual.Distance.Unquantized, 0.05);
        Assert.Equal(bands, actual.Bands, tolerance);
        Assert.Equal(peaks, actual.Peaks, tolerance);
    }

    private static Measures Average(Func<bool, Measures> judge)
    {
        (Measures a, Measures b) = (judge(true), judge(false));
        return new Measures(
            new((a.Distance.Official + b.Distance.Official) / 2, (a.Distance.Exact + b.Distance.Exact) / 2,
                (a.Distance.Unquantized + b.Distance.Unquantized) / 2),
            (a.Bands + b.Bands) / 2, (a.Peaks + b.Peaks) / 2);
    }

    // Distances of images from the reals that were not fitted to.
    private Measures Judge(string data, bool fitOnOdd, RgbImage[] images)
    {
        float[][] fitted = Spectra(Load(data, "real", fitOnOdd));
        float[][] judged = Spectra(Load(data, "real", !fitOnOdd));
        float[][] others = Spectra(images);
        (double bands, double peaks) = new BandPeakDistance(Features(fitted)).Between(Features(judged), Features(others));
        return new Measures(LogFrequencyDistance.Between(Statistics(judged), Statistics(others)), bands, peaks);
    }

    private string Fit(string data, bool odd, Preset preset = Preset.Filter)
    {
        string fold = folder[odd ? "odd" : "even"];
        foreach (string kind in (string[])["real", "fake"])
        {
            Directory.CreateDirectory(Path.Combine(fold, kind));
            foreach (ImageFile file in Half(data, kind, odd))
            {
                File.CreateSymbolicLink(Path.Combine(fold, kind, Path.GetFileName(file.Path)), Path.GetFullPath(file.Path));
            }
        }

        return TrainingRun.Run(new TrainingRunOptions
        {
            RealFolder = Path.Combine(fold, "real"),
            FakeFolder = Path.Combine(fold, "fake"),
            OutputFolder = Path.Combine(fold, "run"),
            Training = TrainingOptions.For(preset) with { Size = Size, Width = 4 },
            Crop = CropMode.Center,
            Validation = 0,
        }, new CancellationToken(canceled: true)).LastCheckpoint;
    }

    private float[][] Spectra(RgbImage[] images) => [.. images.Select(image => spectra.Analyze(Planes(image)))];

    private static SpectralFeatures[] Features(float[][] spectra) =>
        [.. spectra.Select(spectrum => SpectralFeatures.Of(spectrum, Extents))];

    private static SpectrumStatistics Statistics(float[][] spectra)
    {
        var statistics = new SpectrumStatistics(Extents);
        foreach (float[] spectrum in spectra)
        {
            statistics.Add(spectrum);
        }

        return statistics;
    }

    private static float[] Planes(RgbImage image)
    {
        float[] planes = new float[Extents.Count];
        image.ToPlanar(planes);
        return planes;
    }

    private static RgbImage[] Load(string data, string kind, bool odd) =>
        [.. Half(data, kind, odd).Select(file => ImageCodec.Load(file.Path))];

    private static IEnumerable<ImageFile> Half(string data, string kind, bool odd) =>
        ImageFiles.FindIn(Path.Combine(data, kind))
            .Where(file => int.Parse(Path.GetFileNameWithoutExtension(file.Path), CultureInfo.InvariantCulture) % 2 == (odd ? 1 : 0));

    private static string RequireData()
    {
        string? data = Environment.GetEnvironmentVariable(Variable);
        Assert.SkipWhen(string.IsNullOrEmpty(data), $"{Variable} names no folder of real and fake images.");
        return data!;
    }

    private sealed record Measures(LogFrequencyDistance Distance, double Bands, double Peaks);
}
