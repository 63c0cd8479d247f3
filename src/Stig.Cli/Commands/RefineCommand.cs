using System.CommandLine;
using System.Diagnostics;
using Stig.Model.Execution;
using Stig.Model.Imaging;
using Stig.Model.Refinement;

namespace Stig.Cli.Commands;

/// <summary><c>stig refine</c>: refines image files with a model.</summary>
internal static class RefineCommand
{
    public static Command Create(Terminal terminal)
    {
        Argument<string[]> inputs = new("IMAGE|DIR")
        {
            Description = "Images, and folders of images; a folder's tree is kept.",
            Arity = ArgumentArity.OneOrMore,
        };
        Option<string> model = new("--model")
        {
            Description = "Checkpoint, for example run/best.safetensors.",
            HelpName = "FILE",
            Required = true,
        };
        Option<string> output = new("--out") { Description = "Folder for the refined images.", HelpName = "DIR", Required = true };
        Option<OutputRange> range = CommonOptions.Choice<OutputRange>("--output-range",
            "clamp: cut off values outside the range. stretch: scale each image to fill it, which changes contrast.");
        Option<RefinedFormat> format = CommonOptions.Choice<RefinedFormat>("--format",
            "png, or same: that of the input (JPEG loses some of the refinement).");
        Option<int> batch = CommonOptions.Positive(new Option<int>("--batch")
        {
            Description = "Images of equal size that are refined together; never changes a result.",
            HelpName = "N",
            DefaultValueFactory = _ => 4,
        });
        Option<bool> noStamp = new("--no-stamp") { Description = "Do not note this program's version in PNG files." };
        Option<string> device = CommonOptions.Device();
        Option<PrecisionChoice> precision = CommonOptions.Precision();
        Option<int> threads = CommonOptions.Threads();
        StigCommand command = new("refine", "Refine images with a trained model: one output for each input, under its own name.",
            "stig refine --model run/best.safetensors --out refined generated",
            "stig refine --model run/best.safetensors --out refined a.png b.jpg")
        {
            inputs, model, output, range, format, batch, noStamp, device, precision, threads,
        };
        command.SetAction(parsed =>
        {
            string deviceName = CommonOptions.Apply(parsed, device, threads, DevicePurpose.Refinement);
            var options = new BatchRefinerOptions
            {
                OutputFolder = parsed.GetRequiredValue(output),
                Format = parsed.GetValue(format),
                Stamp = !parsed.GetValue(noStamp),
                Batch = parsed.GetValue(batch),
                Threads = parsed.GetValue(threads),
            };
            IReadOnlyList<RefineItem> items = BatchRefiner.Plan(ImageFiles.Find(parsed.GetRequiredValue(inputs)), options);
            using Refiner refiner = Refiner.Load(parsed.GetRequiredValue(model), new RefinerOptions
            {
                Device = deviceName,
                Precision = parsed.GetValue(precision).Asked(),
                OutputRange = parsed.GetValue(range),
                Batch = options.Batch,
                Warn = terminal.Warn,
            });
            using var interruption = new Interruption(terminal);
            Stopwatch clock = Stopwatch.StartNew();
            BatchRefinerResult result = Run(terminal, refiner, items, options, interruption.Token);
            terminal.Line(
                $"Refined {result.Refined} of {items.Count} images into {options.OutputFolder} in {Duration.Text(clock.Elapsed)}.");
            if (!result.Completed)
            {
                terminal.Warn($"interrupted after {result.Refined} of {items.Count} images");
                return ExitCode.Interrupted;
            }

            return result.Failures.Count == 0 ? ExitCode.Success : result.Refined > 0 ? ExitCode.SomeFailed : ExitCode.Data;
        });
        return command;
    }

    /// <summary>Refines while showing progress; each image that fails is reported as it is met.</summary>
    public static BatchRefinerResult Run(
        Terminal terminal, Refiner refiner, IReadOnlyList<RefineItem> items, BatchRefinerOptions options, CancellationToken cancellation) =>
        terminal.WithProgress("refining", report =>
        {
            int done = 0;
            return BatchRefiner.Run(refiner, items, options with
            {
                Progress = image =>
                {
                    if (image.Failure is string failure)
                    {
                        terminal.Error(failure);
                    }

                    done++;
                    report.Report((double)done / items.Count, $"{done}/{items.Count} images");
                },
            }, cancellation);
        });
}
