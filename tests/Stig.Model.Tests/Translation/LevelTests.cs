using Stig.Model.Checkpoints;
using Stig.Model.Data;
using Stig.Model.Evaluation;
using Stig.Model.Execution;
using Stig.Model.Execution.Cpu;
using Stig.Model.Imaging;
using Stig.Model.Networks;
using Stig.Model.Refinement;
using Stig.Model.Tests.Training;
using Stig.Model.Training;
using Stig.Model.Translation;

namespace Stig.Model.Tests.Translation;

public sealed class LevelTests
{
    private const int Size = 64;
    private const int Count = 16;

    [Fact]
    public void Levels_of_refined_fakes_have_the_mean_and_the_spread_of_the_reals()
    {
        // The oracle takes levels as plain block means of the refined, rounded images' spectra: not the grid of the fit, so the agreement is
        // that of neighbouring averages, and the filter alone shows what there is to gain.
        using var synthetic = new SyntheticRun(Count, Size);
        string filter = TrainingRun.Run(synthetic.Options(Preset.Filter, "filter", steps: 1, Size) with { Validation = 0 }).LastCheckpoint;
        string levels = TrainingRun.Run(
            synthetic.Options(Preset.Default, "levels", steps: 1, Size) with { Validation = 0 }, new CancellationToken(canceled: true)).LastCheckpoint;
        double[][] reals = Blocks(Load(synthetic, "real"), null);
        (double filterMean, double filterSpread) = Mismatch(reals, Blocks(Load(synthetic, "fake"), filter));
        (double mean, double spread) = Mismatch(reals, Blocks(Load(synthetic, "fake"), levels));

        // In standard deviations of the reals, and as a logarithm of a ratio of standard deviations.
        Assert.True(mean < 0.25, $"means differ by {mean:F3} on average, with the filter alone by {filterMean:F3}");
        Assert.True(spread < 0.75 * filterSpread, $"spreads differ by {spread:F3}, with the filter alone by {filterSpread:F3}");
    }

    // A network that adds a quarter of a nat to every log magnitude (the bias of its last layer, the weights being zero) stands for one that
    // has been trained.
    [Fact]
    public void The_map_makes_up_for_what_the_network_moves()
    {
        using var synthetic = new SyntheticRun(Count, Size);
        TrainingRunOptions options = synthetic.Options(Preset.Default, "run", steps: 1, Size) with { Validation = 0 };
        string model = TrainingRun.Run(options, new CancellationToken(canceled: true)).LastCheckpoint;
        var data = new UnpairedDataset(ImageFiles.FindIn(options.RealFolder), ImageFiles.FindIn(options.FakeFolder),
            new DatasetOptions { Size = Size, Crop = CropMode.Center });
        double[][] reals = Blocks(Load(synthetic, "real"), null);
        using var executor = new CpuExecutor();
        using TensorStore store = executor.CreateStore();
        CheckpointInfo info = Checkpoint.LoadTraining(model, store);

        (double closedForm, _) = Mismatch(reals, Blocks(Load(synthetic, "fake"), model));
        store.Write("generator.final.bias", [0.5f, 0.5f, 0.5f]);
        Checkpoint.Save(model, info, store);
        (double moved, _) = Mismatch(reals, Blocks(Load(synthetic, "fake"), model));
        ClosedFormFitter.Correct(executor, info.Architecture, store, data);
        Checkpoint.Save(model, info, store);
        (double corrected, _) = Mismatch(reals, Blocks(Load(synthetic, "fake"), model));

        Assert.True(moved > 3 * closedForm, $"the network moves means by {moved:F3}, {closedForm:F3} without it");
        Assert.True(corrected < 1.25 * closedForm, $"means differ by {corrected:F3}, with the closed form alone by {closedForm:F3}");
    }

    [Fact]
    public void Levels_need_two_images_of_each_kind()
    {
        using var executor = new CpuExecutor();
        using TensorStore store = executor.CreateStore();
        ModelArchitecture architecture = (TrainingOptions.For(Preset.Default) with { Size = Size, Width = 4 }).Architecture;
        foreach (ParameterSpec spec in Checkpoint.ModelParameters(architecture))
        {
            store.Create(spec.Name, spec.Shape, new float[spec.Shape.Count]);
        }

        using var fitter = new LevelFitter(executor, architecture, store, network: false);
        float[] planes = new float[3 * Size * Size];
        SyntheticImages.RealLike(1, 0, Size).ToPlanar(planes);
        fitter.AddReal(planes);
        fitter.AddReal(planes);
        fitter.AddFake(planes);
        Assert.Contains("two fake", Assert.Throws<InvalidOperationException>(fitter.Correct).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Smoothing_takes_noise_out_of_a_filter_and_leaves_peaks_and_the_grid()
    {
        // White noise of deviation 0.1, whose average under a Gaussian of one bin keeps 1 / (4 pi) of the variance: 0.28 of the deviation. Peaks
        // of 3 stand thirty deviations out.
        const int Side = 128;
        const int Seed = 5;
        var random = new Random(Seed);
        float[] filter = [.. Enumerable.Range(0, Side * Side).Select(_ => 0.1f * (float)Normal(random))];
        int peak = (37 * Side) + 51;
        filter[peak] = 3;
        float[] smoothed = [.. filter];
        FilterResampler.Smooth(smoothed, Side);

        Assert.Equal(3, smoothed[peak]);
        Assert.Equal(filter[(8 * Side) + 24], smoothed[(8 * Side) + 24]);
        float[] rest = [.. smoothed.Where((_, i) => i != peak && (i / Side % 8 != 0 || i % Side % 8 != 0))];
        double deviation = Math.Sqrt(rest.Average(value => value * value));
        Assert.InRange(deviation, 0.025, 0.033);
    }

    [Fact]
    public void Real_images_are_left_alone()
    {
        using var synthetic = new SyntheticRun(Count, Size);
        string model = TrainingRun.Run(
            synthetic.Options(Preset.Default, "run", steps: 1, Size) with { Validation = 0 }, new CancellationToken(canceled: true)).LastCheckpoint;
        using Refiner refiner = Refiner.Load(model);
        double Likeness(Func<long, int, int, RgbImage> make) => Enumerable.Range(0, 8).Average(i =>
        {
            // Images that it was not trained on.
            RgbImage image = make(77, i, Size);
            return Psnr.Between(Planes(image), Planes(refiner.Refine(image)));
        });
        double real = Likeness((seed, index, size) => SyntheticImages.RealLike((ulong)seed, index, size));
        double fake = Likeness((seed, index, size) => SyntheticImages.GanLike((ulong)seed, index, size));
        Assert.True(real > fake + 3, $"reals keep {real:F1} dB, fakes {fake:F1} dB");
    }

    private static (double Mean, double Spread) Mismatch(double[][] reals, double[][] images)
    {
        int[] levels = [.. Enumerable.Range(0, reals[0].Length)];
        return (levels.Average(k => Math.Abs(Mean(reals, k) - Mean(images, k)) / Deviation(reals, k)),
            levels.Average(k => Math.Abs(Math.Log(Deviation(reals, k) / Deviation(images, k)))));
    }

    private static double Mean(double[][] values, int k) => values.Average(v => v[k]);

    private static double Deviation(double[][] values, int k) => Math.Sqrt(values.Average(v => Math.Pow(v[k] - Mean(values, k), 2)));

    // Means over 8 x 8 blocks, the lowest frequencies excepted, which a refinement leaves alone.
    private static double[][] Blocks(RgbImage[] images, string? model)
    {
        using var spectra = new SpectrumAnalyzer(new ImageExtents(Size, Size));
        using Refiner? refiner = model is null ? null : Refiner.Load(model);
        return [.. images.Select(image =>
        {
            double[] blocks = LinearDetector.Features(spectra.Analyze(Planes(refiner?.Refine(image) ?? image)), spectra.Extents);
            return blocks.Where((_, i) => i / 8 % 8 is < 3 or > 4 || i % 8 is < 3 or > 4).ToArray();
        })];
    }

    private static RgbImage[] Load(SyntheticRun run, string kind) =>
        [.. ImageFiles.FindIn(Path.Combine(run["data"], kind)).Select(file => ImageCodec.Load(file.Path))];

    private static float[] Planes(RgbImage image)
    {
        float[] planes = new float[3 * image.Height * image.Width];
        image.ToPlanar(planes);
        return planes;
    }

    private static double Normal(Random random) =>
        Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(2 * Math.PI * random.NextDouble());
}
