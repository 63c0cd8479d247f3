using Stig.Model.Evaluation;
using Stig.Model.Imaging;
using Stig.Model.Refinement;
using Stig.Model.Tests.Training;
using Stig.Model.Training;
using Stig.Model.Translation;

namespace Stig.Model.Tests.Translation;

public sealed class FilterTests
{
    [Fact]
    public void A_filter_at_its_own_size_resamples_to_itself()
    {
        float[] filter = [.. Enumerable.Range(0, 3 * 24 * 24).Select(i => MathF.Sin(i) + (i % 97 == 0 ? 5 : 0))];
        // Separating peaks and adding them back rounds once.
        float[] resampled = FilterResampler.Resample(filter, 3, 24, 24, 24);
        for (int i = 0; i < filter.Length; i++)
        {
            Assert.InRange(resampled[i], filter[i] - 1e-5f, filter[i] + 1e-5f);
        }
    }

    [Theory]
    [InlineData(96, 96)]
    [InlineData(48, 80)]
    [InlineData(65, 33)]
    public void Smooth_parts_keep_their_normalised_frequency_and_peaks_their_width(int height, int width)
    {
        // A smooth function of normalised frequency plus a one-bin peak at a quarter of the sampling frequency in both directions.
        const int Size = 64;
        static float Smooth(double v, double u) => (float)(Math.Cos(2 * Math.PI * v) + (0.5 * Math.Cos(2 * Math.PI * u)));
        float[] filter = new float[Size * Size];
        for (int y = 0; y < Size; y++)
        {
            for (int x = 0; x < Size; x++)
            {
                filter[(y * Size) + x] = Smooth((y - 32) / 64.0, (x - 32) / 64.0);
            }
        }

        filter[(16 * Size) + 48] -= 6;
        float[] resampled = FilterResampler.Resample(filter, 1, Size, height, width);

        int peaks = 0;
        for (int y = 0; y < height; y++)
        {
            for (int x = 0; x < width; x++)
            {
                double v = (y - (height / 2)) / (double)height;
                double u = (x - (width / 2)) / (double)width;
                float difference = resampled[(y * width) + x] - Smooth(v, u);
                if (difference < -5)
                {
                    peaks++;
                    Assert.Equal((int)Math.Round(-0.25 * height) + (height / 2), y);
                    Assert.Equal((int)Math.Round(0.25 * width) + (width / 2), x);
                }
                else
                {
                    // Linear interpolation of a cosine sampled 64 times a period: at most (2 pi / 64)^2 / 8 of each amplitude.
                    Assert.InRange(difference, -0.0025f, 0.0025f);
                }
            }
        }

        Assert.Equal(1, peaks);
    }

    [Fact]
    public void Fakes_of_one_and_a_half_times_the_size_come_out_nearer_to_the_reals()
    {
        const int Size = 64;
        const int Larger = 96;
        const int Count = 24;
        using var synthetic = new SyntheticRun(Count, Size);
        TrainingResult result = TrainingRun.Run(synthetic.Options(Preset.Filter, "run", steps: 1, Size) with { Validation = 0 });
        using Refiner refiner = Refiner.Load(result.LastCheckpoint);
        using var spectra = new SpectrumAnalyzer(new ImageExtents(Larger, Larger));
        var real = new SpectrumStatistics(spectra.Extents);
        var fake = new SpectrumStatistics(spectra.Extents);
        var refined = new SpectrumStatistics(spectra.Extents);
        for (int i = 0; i < Count; i++)
        {
            // Images that the filter was not fitted on.
            RgbImage image = SyntheticImages.GanLike(99, i, Larger);
            real.Add(Spectrum(spectra, SyntheticImages.RealLike(98, i, Larger)));
            fake.Add(Spectrum(spectra, image));
            refined.Add(Spectrum(spectra, refiner.Refine(image)));
        }

        double before = LogFrequencyDistance.Between(real, fake).Unquantized;
        double after = LogFrequencyDistance.Between(real, refined).Unquantized;
        // The distance is a logarithm: a fall by 1 is a sum of squares divided by e.
        Assert.True(after < before - 1, $"log-frequency distance {before:F2} before, {after:F2} after");
    }

    [Fact]
    public void The_filter_is_the_difference_of_the_means_outside_the_protected_disc()
    {
        // The oracle adds up the spectra by itself; float32 results of means in double are equal to the last bit but for one rounding.
        const int Size = 32;
        const int Count = 3;
        using var executor = new Execution.Cpu.CpuExecutor();
        using var fitter = new FilterFitter(executor, Size);
        using var spectra = new SpectrumAnalyzer(new ImageExtents(Size, Size));
        double[] expected = new double[spectra.Extents.Count];
        float[] planes = new float[spectra.Extents.Count];
        for (int i = 0; i < Count; i++)
        {
            foreach (bool real in (bool[])[true, false])
            {
                (real ? SyntheticImages.RealLike(1, i, Size) : SyntheticImages.GanLike(1, i, Size)).ToPlanar(planes);
                if (real)
                {
                    fitter.AddReal(planes);
                }
                else
                {
                    fitter.AddFake(planes);
                }

                float[] spectrum = spectra.Analyze(planes);
                for (int k = 0; k < expected.Length; k++)
                {
                    expected[k] += (real ? spectrum[k] : -spectrum[k]) / (double)Count;
                }
            }
        }

        float[] filter = fitter.Fit(smooth: false);
        for (int k = 0; k < filter.Length; k++)
        {
            double distance = Math.Sqrt(Math.Pow((k / Size % Size) - (Size / 2), 2) + Math.Pow((k % Size) - (Size / 2), 2));
            Assert.Equal(distance <= 8 ? 0 : expected[k], filter[k], tolerance: 1e-6);
        }

        Assert.Contains(filter, value => Math.Abs(value) > 0.1f);
    }

    internal static float[] Spectrum(SpectrumAnalyzer spectra, RgbImage image)
    {
        float[] planes = new float[spectra.Extents.Count];
        image.ToPlanar(planes);
        return spectra.Analyze(planes);
    }
}
