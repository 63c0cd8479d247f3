using Stig.Model.Data;
using Stig.Model.Evaluation;
using Stig.Model.Imaging;
using Stig.Model.Refinement;
using Stig.Model.Tests.Imaging;
using Stig.Model.Training;
using Stig.Model.Translation;

namespace Stig.Model.Tests.Translation;

/// <summary>Photographs and images of a GAN, in the folder named by STIG_DATA (real/ and fake/, 256 x 256, numbered names).</summary>
public sealed class RealImageTests : IDisposable
{
    private const int Size = 256;

    private readonly TestFolder folder = new();

    public void Dispose() => folder.Dispose();

    [Fact]
    public void The_filter_reaches_the_known_distance_and_likeness_in_two_folds()
    {
        string? data = Environment.GetEnvironmentVariable("STIG_DATA");
        if (string.IsNullOrEmpty(data))
        {
            Assert.Skip("STIG_DATA names no folder of real and fake images.");
        }

        // Known from an independent computation on these images: log-frequency distance 14.64, 39.0 dB, averages over both folds (fitted on
        // one half, judged on the other). The tolerances cover what rounding to bytes and the choice of the modulus change.
        (double oddDistance, double oddPsnr) = Judge(data, fitOnOdd: true);
        (double evenDistance, double evenPsnr) = Judge(data, fitOnOdd: false);
        Assert.InRange((oddDistance + evenDistance) / 2, 14.64 - 0.05, 14.64 + 0.05);
        Assert.InRange((oddPsnr + evenPsnr) / 2, 39.0 - 0.5, 39.0 + 0.5);
    }

    private (double Distance, double Psnr) Judge(string data, bool fitOnOdd)
    {
        string fold = folder[fitOnOdd ? "odd" : "even"];
        foreach (string kind in (string[])["real", "fake"])
        {
            Directory.CreateDirectory(Path.Combine(fold, kind));
            foreach (ImageFile file in Half(data, kind, fitOnOdd))
            {
                File.CreateSymbolicLink(Path.Combine(fold, kind, Path.GetFileName(file.Path)), Path.GetFullPath(file.Path));
            }
        }

        TrainingResult result = TrainingRun.Run(new TrainingRunOptions
        {
            RealFolder = Path.Combine(fold, "real"),
            FakeFolder = Path.Combine(fold, "fake"),
            OutputFolder = Path.Combine(fold, "run"),
            Training = TrainingOptions.For(Preset.Filter) with { Size = Size },
            Crop = CropMode.Center,
            Validation = 0,
        });
        using Refiner refiner = Refiner.Load(result.LastCheckpoint);
        using var spectra = new SpectrumAnalyzer(new ImageExtents(Size, Size));
        var real = new SpectrumStatistics(spectra.Extents);
        var refined = new SpectrumStatistics(spectra.Extents);
        double psnr = 0;
        int count = 0;
        foreach (ImageFile file in Half(data, "real", !fitOnOdd))
        {
            real.Add(FilterTests.Spectrum(spectra, ImageCodec.Load(file.Path)));
        }

        foreach (ImageFile file in Half(data, "fake", !fitOnOdd))
        {
            RgbImage image = ImageCodec.Load(file.Path);
            RgbImage output = refiner.Refine(image);
            refined.Add(FilterTests.Spectrum(spectra, output));
            double sum = image.Pixels.Zip(output.Pixels, (a, b) => (double)(a - b) * (a - b)).Sum();
            psnr += 10 * Math.Log10(255.0 * 255.0 * image.Pixels.Length / sum);
            count++;
        }

        return (LogFrequencyDistance.Between(real, refined).Unquantized, psnr / count);
    }

    private static IEnumerable<ImageFile> Half(string data, string kind, bool odd) =>
        ImageFiles.FindIn(Path.Combine(data, kind))
            .Where(file => int.Parse(Path.GetFileNameWithoutExtension(file.Path), System.Globalization.CultureInfo.InvariantCulture) % 2 == (odd ? 1 : 0));
}
