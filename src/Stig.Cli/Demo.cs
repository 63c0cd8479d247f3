using System.Diagnostics;
using System.Globalization;
using Spectre.Console;
using Stig.Cli.Commands;
using Stig.Model.Evaluation;
using Stig.Model.Imaging;
using Stig.Model.Refinement;
using Stig.Model.Reports;
using Stig.Model.Training;
using Stig.Model.Translation;

namespace Stig.Cli;

/// <summary>How large a demo is.</summary>
/// <param name="Size">Side of the images in pixels.</param>
/// <param name="TrainingImages">Images of each kind to train on.</param>
/// <param name="TestImages">Images of each kind to judge on.</param>
/// <param name="Width">Width of the networks.</param>
/// <param name="Steps">Training steps.</param>
/// <param name="LearningRate">Their learning rate; so few steps stay near the filter only if they are small.</param>
/// <param name="Interval">Steps between validations.</param>
/// <param name="SheetRows">Rows of the contact sheet.</param>
internal sealed record DemoPlan(
    int Size, int TrainingImages, int TestImages, int Width, int Steps, double LearningRate, int Interval, int SheetRows)
{
    public static DemoPlan Full { get; } = new(
        Size: 128, TrainingImages: 96, TestImages: 48, Width: 16, Steps: 100, LearningRate: 3e-5, Interval: 25, SheetRows: 4);

    public static DemoPlan Quick { get; } = new(
        Size: 64, TrainingImages: 10, TestImages: 4, Width: 4, Steps: 3, LearningRate: 3e-5, Interval: 3, SheetRows: 2);
}

/// <summary>Makes images, trains, refines held-out ones, measures, draws.</summary>
internal sealed class Demo(Terminal terminal, string folder, DemoPlan plan, long seed, string device, CancellationToken cancellation)
{
    private static readonly string[] OwnFolders = ["data", "filter", "run", "refined"];

    private readonly ImageExtents extents = new(plan.Size, plan.Size);

    private string TrainingData => Path.Combine(folder, "data", "train");

    private string TestData => Path.Combine(folder, "data", "test");

    public void Run()
    {
        Stopwatch clock = Stopwatch.StartNew();
        Clear();
        (List<RgbImage> trainingReals, List<RgbImage> reals, List<RgbImage> moreReals, List<RgbImage> fakes) = MakeImages();
        string filterModel = Train(Preset.Filter, Path.Combine(folder, "filter")).LastCheckpoint;
        TrainingResult trained = Train(Preset.Default, Path.Combine(folder, "run"));
        string model = trained.BestCheckpoint ?? trained.LastCheckpoint;
        List<RgbImage> filtered = RefineInMemory(filterModel, fakes), last = RefineInMemory(trained.LastCheckpoint, fakes);
        List<RgbImage> refined = RefineFiles(model);

        terminal.Line();
        using var analyzer = new SpectrumAnalyzer(extents, device);
        ImageSet trainingSet = Measure(analyzer, trainingReals);
        ImageSet realSet = Measure(analyzer, reals), floorSet = Measure(analyzer, moreReals);
        ImageSet fakeSet = Measure(analyzer, fakes), filteredSet = Measure(analyzer, filtered);
        ImageSet refinedSet = Measure(analyzer, refined), lastSet = Measure(analyzer, last);
        var bandPeak = new BandPeakDistance(trainingSet.Features);
        terminal.Line($"Distance of spectra from those of {reals.Count} held-out real images (lower is nearer):");
        terminal.Show(DrawTable(bandPeak, realSet, fakes,
        [
            ("fake, as generated", fakeSet, null),
            ("fake, filter alone", filteredSet, filtered),
            ($"fake, default model, best step ({trained.BestStep})", refinedSet, refined),
            ($"fake, default model, last step ({trained.Steps})", lastSet, last),
            ("other real images (the floor)", floorSet, null),
        ]));

        terminal.Line("The best step is the nearest on images held out from training; step 0 is the closed form alone.");
        terminal.Line();
        string sheet = Path.Combine(folder, "contact-sheet.png"), plot = Path.Combine(folder, "spectrum-profile.png");
        DrawSheet(sheet, fakeSet, refinedSet, realSet);
        SpectrumProfilePlot.Save(plot, $"Mean spectra of {reals.Count} held-out images of each kind",
            [Profile("real", realSet), Profile("fake", fakeSet), Profile("refined", refinedSet)]);
        terminal.Line($"Refined images    {Path.Combine(folder, "refined")}");
        terminal.Line($"Contact sheet     {sheet}");
        terminal.Line($"Spectrum profile  {plot}");
        terminal.Line($"Model             {model}");
        terminal.Line($"Done in {Duration.Text(clock.Elapsed)}.");
    }

    // Removes what an earlier demo left, and nothing of anybody else's: a folder that holds other things is refused.
    private void Clear()
    {
        string marker = Path.Combine(folder, ".stig-demo");
        try
        {
            Directory.CreateDirectory(folder);
            if (!File.Exists(marker) && Directory.EnumerateFileSystemEntries(folder).Any())
            {
                throw new UsageException($"{folder} is not empty and was not made by a demo. Choose another folder.");
            }

            File.WriteAllText(marker, "Made by stig demo, which replaces this folder's content.\n");
            foreach (string inner in OwnFolders.Select(name => Path.Combine(folder, name)).Where(Directory.Exists))
            {
                Directory.Delete(inner, recursive: true);
            }
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new IOException($"{folder} cannot be written: {error.Message.TrimEnd('.')}. Choose another folder.", error);
        }
    }

    // The sets share a seed and differ in their indices, so that none holds an image of another.
    private (List<RgbImage> TrainingReals, List<RgbImage> Reals, List<RgbImage> MoreReals, List<RgbImage> Fakes) MakeImages() =>
        terminal.WithProgress("making images", report =>
        {
            int done = 0, all = (2 * plan.TrainingImages) + (3 * plan.TestImages);
            List<RgbImage> Make(Func<ulong, int, int, RgbImage> generate, int first, int count, string? into)
            {
                List<RgbImage> images = [];
                for (int index = first; index < first + count; index++)
                {
                    cancellation.ThrowIfCancellationRequested();
                    RgbImage image = generate((ulong)seed, index, plan.Size);
                    if (into is not null)
                    {
                        ImageCodec.Save(Path.Combine(into, $"{index:D5}.png"), image);
                    }

                    images.Add(image);
                    done++;
                    report.Report((double)done / all, $"{done}/{all}");
                }

                return images;
            }

            int test = plan.TrainingImages, more = test + plan.TestImages;
            Make(SyntheticImages.GanLike, 0, plan.TrainingImages, Path.Combine(TrainingData, "fake"));
            return (
                Make(SyntheticImages.RealLike, 0, plan.TrainingImages, Path.Combine(TrainingData, "real")),
                Make(SyntheticImages.RealLike, test, plan.TestImages, Path.Combine(TestData, "real")),
                Make(SyntheticImages.RealLike, more, plan.TestImages, null),
                Make(SyntheticImages.GanLike, test, plan.TestImages, Path.Combine(TestData, "fake")));
        });

    private TrainingResult Train(Preset preset, string runFolder)
    {
        TrainingResult result = TrainCommand.Run(terminal, new TrainingRunOptions
        {
            RealFolder = Path.Combine(TrainingData, "real"),
            FakeFolder = Path.Combine(TrainingData, "fake"),
            OutputFolder = runFolder,
            Training = TrainingOptions.For(preset) with
            {
                Size = plan.Size,
                Width = plan.Width,
                Steps = plan.Steps,
                LearningRate = plan.LearningRate,
                Seed = seed,
            },
            Interval = plan.Interval,
            Device = device,
            Warn = terminal.Warn,
        }, cancellation);
        return result.Completed ? result : throw new OperationCanceledException(cancellation);
    }

    private List<RgbImage> RefineInMemory(string model, List<RgbImage> images)
    {
        using Refiner refiner = Refiner.Load(model, new RefinerOptions { Device = device });
        return [.. images.Select(refiner.Refine)];
    }

    private List<RgbImage> RefineFiles(string model)
    {
        using Refiner refiner = Refiner.Load(model, new RefinerOptions { Device = device, Warn = terminal.Warn });
        string outputs = Path.Combine(folder, "refined");
        var options = new RefineJobOptions { OutputFolder = outputs };
        InputListing listing = InputListing.OpenAsync(
            new InputOptions { Paths = [Path.Combine(TestData, "fake")], OutputFolder = outputs }, cancellation).GetAwaiter().GetResult();
        _ = RefineCommand.Run(terminal, [refiner], listing, options, ProgressKind.Auto, summary: false, cancellation);
        cancellation.ThrowIfCancellationRequested();
        return [.. ImageFiles.FindIn(outputs).Select(file => ImageCodec.Load(file.Path))];
    }

    private ImageSet Measure(SpectrumAnalyzer analyzer, List<RgbImage> images)
    {
        var statistics = new SpectrumStatistics(extents);
        List<SpectralFeatures> features = [];
        List<float[]> spectra = [];
        float[] planes = new float[extents.Count];
        foreach (RgbImage image in images)
        {
            image.ToPlanar(planes);
            float[] spectrum = analyzer.Analyze(planes);
            statistics.Add(spectrum);
            features.Add(SpectralFeatures.Of(spectrum, extents));
            spectra.Add(spectrum);
        }

        return new ImageSet(images, statistics, features, spectra);
    }

    private static Table DrawTable(
        BandPeakDistance bandPeak, ImageSet reals, List<RgbImage> inputs, (string Name, ImageSet Set, List<RgbImage>? Refined)[] rows)
    {
        Table table = new Table().Border(TableBorder.Ascii2).AddColumn("images");
        foreach (string head in (string[])["log-frequency distance", "bands", "peaks", "PSNR to input (dB)"])
        {
            table.AddColumn(new TableColumn(head).RightAligned());
        }

        foreach ((string name, ImageSet set, List<RgbImage>? refined) in rows)
        {
            (double bands, double peaks) = bandPeak.Between(reals.Features, set.Features);
            string psnr = refined is null ? "-" : Number(refined.Zip(inputs, PsnrOf).Average(), 1);
            table.AddRow(Markup.Escape(name), Number(LogFrequencyDistance.Between(reals.Statistics, set.Statistics).Unquantized, 2),
                Number(bands, 3), Number(peaks, 3), psnr);
        }

        return table;
    }

    private static double PsnrOf(RgbImage a, RgbImage b)
    {
        float[] first = new float[a.Pixels.Length], second = new float[b.Pixels.Length];
        a.ToPlanar(first);
        b.ToPlanar(second);
        return Psnr.Between(first, second);
    }

    private void DrawSheet(string path, ImageSet fakes, ImageSet refined, ImageSet reals)
    {
        // One range of colours for all spectra, from the reals', so that they can be compared; zero frequency alone is far above it.
        float[] sorted = [.. reals.Spectra.Take(plan.SheetRows).SelectMany(spectrum => spectrum).Order()];
        float low = sorted[sorted.Length / 1000], high = sorted[^(1 + (sorted.Length / 1000))];
        List<ContactSheetRow> rows = [];
        for (int i = 0; i < plan.SheetRows; i++)
        {
            rows.Add(new ContactSheetRow($"{plan.TrainingImages + i:D5}",
            [
                fakes.Images[i], refined.Images[i], reals.Images[i],
                .. new[] { fakes, refined, reals }.Select(set => SpectrumImage.Draw(set.Spectra[i], plan.Size, plan.Size, low, high)),
            ]));
        }

        ContactSheet.Save(path, "STIG demo: held-out images and their log spectra (zero frequency in the middle)",
            ["fake", "refined", "a real image", "spectrum of fake", "spectrum of refined", "spectrum of real"], rows, scale: 2);
    }

    private PlotSeries Profile(string name, ImageSet set) => SpectrumProfilePlot.Profile(name, RadialProfile.Of(set.Statistics), plan.Size);

    private static string Number(double value, int digits) => value.ToString($"F{digits}", CultureInfo.InvariantCulture);

    private sealed record ImageSet(
        List<RgbImage> Images, SpectrumStatistics Statistics, List<SpectralFeatures> Features, List<float[]> Spectra);
}
