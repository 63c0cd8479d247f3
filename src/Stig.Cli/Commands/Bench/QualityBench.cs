using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using System.Text;
using Stig.Model.Data;
using Stig.Model.Evaluation;
using Stig.Model.Imaging;
using Stig.Model.Refinement;
using Stig.Model.Training;
using Stig.Model.Translation;

namespace Stig.Cli.Commands.Bench;

/// <summary>
/// <c>stig bench quality</c>: how near refined images come to real ones, in two folds: fitted to every other image and judged on the rest, and
/// the reverse. Averages over the folds, with jackknife standard errors.
/// </summary>
internal static class QualityBench
{
    private const string Input = "input";
    private const string FilterRow = "filter";
    private const string WidenedRow = "filter, bands widened";
    private const string ClosedFormRow = "default, closed form alone";
    private const string RealRow = "real against real";

    public static Command Create(Terminal terminal)
    {
        Option<string> real = new("--real") { Description = "Folder of real images, all of one size.", HelpName = "DIR", Required = true };
        Option<string> fake = new("--fake") { Description = "Folder of as many generated images.", HelpName = "DIR", Required = true };
        Option<string> output = new("--out") { Description = "Folder for models, refined images and the table.", HelpName = "DIR", Required = true };
        Option<int> width = CommonOptions.Positive(new Option<int>("--width")
        {
            Description = "Channels of the networks' first level.",
            HelpName = "N",
            DefaultValueFactory = _ => 16,
        });
        Option<long> steps = CommonOptions.Positive(new Option<long>("--steps")
        {
            Description = "Training steps of the default preset.",
            HelpName = "N",
            DefaultValueFactory = _ => 200,
        });
        Option<long[]> seeds = CommonOptions.Numbers(new Option<long[]>("--seeds")
        {
            Description = "Seeds of the default preset, a training each and fold. [default: 1 2]",
            HelpName = "N",
            AllowMultipleArgumentsPerToken = true,
            DefaultValueFactory = _ => [1, 2],
        });
        Option<string> device = CommonOptions.Device();
        Option<int> threads = CommonOptions.Threads();
        StigCommand command = new("quality", "Train, refine and judge in two folds: a table of distances from real images.",
            "stig bench quality --real photos --fake generated --out quality")
        {
            real, fake, output, width, steps, seeds, device, threads,
        };
        command.SetAction(parsed =>
        {
            string name = CommonOptions.Apply(terminal, parsed, device, threads, Model.Execution.DevicePurpose.Training);
            var run = new Run(terminal, Load(parsed.GetRequiredValue(real)), Load(parsed.GetRequiredValue(fake)), parsed.GetRequiredValue(output),
                parsed.GetValue(width), parsed.GetValue(steps), name);
            string table = run.Table(parsed.GetValue(seeds) ?? []);
            File.WriteAllText(Path.Combine(parsed.GetRequiredValue(output), "quality.md"), table + "\n");
            terminal.Line(table);
            return ExitCode.Success;
        });
        return command;
    }

    private static (ImageFile File, RgbImage Image)[] Load(string folder) =>
        [.. ImageFiles.FindIn(folder).Select(file => (file, ImageCodec.Load(file.Path)))];

    // One row of the table: a figure a fold and measure.
    private sealed record Fold(SpectralMeasures Measures, double Psnr, double Ssim, double RealPsnr);

    private sealed class Run(
        Terminal terminal, (ImageFile File, RgbImage Image)[] reals, (ImageFile File, RgbImage Image)[] fakes, string output, int width, long steps,
        string device)
    {
        private readonly Dictionary<string, List<Fold>> rows = [];
        private readonly StringBuilder times = new();

        public string Table(IReadOnlyList<long> seeds)
        {
            int size = reals[0].Image.Height;
            if (reals.Length != fakes.Length || reals.Concat(fakes).Any(item => (item.Image.Height, item.Image.Width) != (size, size)))
            {
                throw new ImageDataException("The quality of a refinement is measured on as many fake as real images, all square and of one size.");
            }

            foreach (int parity in (int[])[0, 1])
            {
                (ImageFile File, RgbImage Image)[] Half((ImageFile, RgbImage)[] all, int which) => [.. all.Where((_, index) => index % 2 == which)];
                RgbImage[] Images((ImageFile File, RgbImage Image)[] half) => [.. half.Select(item => item.Image)];
                string fold = Path.Combine(output, $"fold-{parity + 1}");
                CopyTo(Path.Combine(fold, "real"), Half(reals, parity));
                CopyTo(Path.Combine(fold, "fake"), Half(fakes, parity));
                RgbImage[] fitted = Images(Half(reals, parity));
                RgbImage[] judgedReals = Images(Half(reals, 1 - parity));
                RgbImage[] judgedFakes = Images(Half(fakes, 1 - parity));
                using var judge = new RefinementJudge(fitted, judgedReals);
                using var ssim = new Ssim(new ImageExtents(size, size));

                void Row(string name, RgbImage[] refined, RgbImage[]? refinedReals)
                {
                    double Mean(RgbImage[] before, RgbImage[] after, Func<float[], float[], double> measure) =>
                        before.Zip(after, (a, b) => measure(Planes(a), Planes(b))).Average();
                    bool changed = refined != judgedFakes && refinedReals is not null;
                    Add(name, new Fold(judge.Measure(refined),
                        changed ? Mean(judgedFakes, refined, (a, b) => Psnr.Between(a, b)) : double.NaN,
                        changed ? Mean(judgedFakes, refined, (a, b) => ssim.Between(a, b)) : double.NaN,
                        changed ? Mean(judgedReals, refinedReals!, (a, b) => Psnr.Between(a, b)) : double.NaN));
                }

                void Refine(string name, string model, bool residual = true)
                {
                    using Refiner refiner = Refiner.Load(model, new RefinerOptions { Device = "cpu", Residual = residual });
                    RgbImage[] refined = [.. judgedFakes.Select(refiner.Refine)];
                    Row(name, refined, [.. judgedReals.Select(refiner.Refine)]);
                    string folder = Path.Combine(fold, name.Replace(',', '-').Replace(' ', '-'));
                    Directory.CreateDirectory(folder);
                    foreach (((ImageFile file, _), RgbImage image) in Half(fakes, 1 - parity).Zip(refined))
                    {
                        ImageCodec.Save(Path.Combine(folder, Path.ChangeExtension(Path.GetFileName(file.Path), ".png")), image);
                    }
                }

                Row(Input, judgedFakes, null);
                Refine(FilterRow, Train(Preset.Filter, fold, size, seed: null));
                BandWidening widening = new(size, fitted, Images(Half(fakes, parity)));
                Row(WidenedRow, [.. judgedFakes.Select(widening.Refine)], [.. judgedReals.Select(widening.Refine)]);
                Refine(ClosedFormRow, Train(Preset.Default, fold, size, seed: null));
                foreach (long seed in seeds)
                {
                    string model = Train(Preset.Default, fold, size, seed);
                    Refine($"default, seed {seed}, network's output zeroed", model, residual: false);
                    Refine($"default, seed {seed}", model);
                }

                Row(RealRow, fitted, null);
            }

            return Text();
        }

        private void Add(string name, Fold fold)
        {
            if (!rows.TryGetValue(name, out List<Fold>? folds))
            {
                rows[name] = folds = [];
            }

            folds.Add(fold);
        }

        // Without a seed the run ends before its first step.
        private string Train(Preset preset, string fold, int size, long? seed)
        {
            string name = $"{preset.ToString().ToLowerInvariant()}{(seed is null ? "" : $"-{seed}")}";
            terminal.Line($"{fold}: training {name}");
            Stopwatch clock = Stopwatch.StartNew();
            TrainingResult result = TrainingRun.Run(new TrainingRunOptions
            {
                RealFolder = Path.Combine(fold, "real"),
                FakeFolder = Path.Combine(fold, "fake"),
                OutputFolder = Path.Combine(fold, $"model-{name}"),
                Training = TrainingOptions.For(preset) with { Size = size, Width = width, Steps = steps, Seed = seed ?? 1 },
                Crop = CropMode.Center,
                Validation = 0,
                Interval = steps,
                Device = device,
                Warn = terminal.Warn,
            }, new CancellationToken(canceled: seed is null));
            times.Append(CultureInfo.InvariantCulture, $"{fold[^1]}/{name} {clock.Elapsed.TotalSeconds:F0} s, ");
            return result.LastCheckpoint;
        }

        private static void CopyTo(string folder, (ImageFile File, RgbImage Image)[] images)
        {
            Directory.CreateDirectory(folder);
            foreach ((ImageFile file, _) in images)
            {
                File.Copy(file.Path, Path.Combine(folder, Path.GetFileName(file.Path)), overwrite: true);
            }
        }

        // Differences are paired with the filter's, so that what both owe to the images cancels.
        private string Text()
        {
            List<Fold> filter = rows[FilterRow];
            StringBuilder text = new();
            text.Append(CultureInfo.InvariantCulture,
                $"{reals.Length} real and {fakes.Length} fake images, two folds; width {width}, {steps} steps. Training: {times.ToString().TrimEnd(',', ' ')}.\n\n");
            text.Append("| | LFD | bands | peaks | retrained detector | PSNR, dB | SSIM | PSNR of reals, dB |\n| --- | --- | --- | --- | --- | --- | --- | --- |\n");
            foreach ((string name, List<Fold> folds) in rows)
            {
                string Figure(Func<SpectralMeasures, JackknifeEstimate> measure)
                {
                    (double value, double _) = JackknifeEstimate.Average([.. folds.Select(fold => measure(fold.Measures))]);
                    if (folds == filter)
                    {
                        return value.ToString("F2", CultureInfo.InvariantCulture);
                    }

                    (double difference, double error) = JackknifeEstimate.Average(
                        [.. folds.Zip(filter, (a, b) => measure(a.Measures).Minus(measure(b.Measures)))]);
                    return string.Create(CultureInfo.InvariantCulture, $"{value:F2} ({difference:+0.00;-0.00} ± {error:F2})");
                }

                string Plain(Func<Fold, double> figure, string format)
                {
                    double value = folds.Average(figure);
                    return double.IsNaN(value) ? "" : double.IsInfinity(value) ? "unchanged" : value.ToString(format, CultureInfo.InvariantCulture);
                }

                text.Append(CultureInfo.InvariantCulture,
                    $"| {name} | {Figure(m => m.Distance)} | {Figure(m => m.Bands)} | {Figure(m => m.Peaks)} | {Plain(f => f.Measures.Auc, "F3")} "
                    + $"| {Plain(f => f.Psnr, "F1")} | {Plain(f => f.Ssim, "F3")} | {Plain(f => f.RealPsnr, "F1")} |\n");
            }

            text.Append("\nIn brackets the difference from the filter and the jackknife standard error of that difference.");
            return text.ToString();
        }

        private static float[] Planes(RgbImage image)
        {
            float[] planes = new float[3 * image.Height * image.Width];
            image.ToPlanar(planes);
            return planes;
        }
    }
}
