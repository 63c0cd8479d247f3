using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using Stig.Model.Execution;
using Stig.Model.Checkpoints;
using Stig.Model.Data;
using Stig.Model.Training;
using Stig.Model.Translation;

namespace Stig.Cli.Commands;

/// <summary><c>stig train</c>: trains a model on two folders of images.</summary>
internal static class TrainCommand
{
    private const int OfficialEpochs = 10;
    private const string GeneratorLoss = "loss_G";

    public static Command Create(Terminal terminal)
    {
        Option<string> real = new("--real")
        {
            Description = "Folder of real images, searched with all folders in it.",
            HelpName = "DIR",
            Required = true,
        };
        Option<string> fake = new("--fake") { Description = "Folder of generated images.", HelpName = "DIR", Required = true };
        Option<string> output = new("--out")
        {
            Description = "Run folder: checkpoints, log, sample sheets.",
            HelpName = "RUN",
            Required = true,
        };
        Option<Preset> preset = CommonOptions.Choice<Preset>("--preset",
            "default: the closed-form filter and a network that learns the rest. "
            + "official: as the paper's program computes. filter: the closed form alone, in seconds.");
        Option<int> size = CommonOptions.Positive(new Option<int>("--size")
        {
            Description = "Side of the training images in pixels, a multiple of 16.",
            HelpName = "PIXELS",
            DefaultValueFactory = _ => 256,
        });
        Option<CropMode> crop = CommonOptions.Choice<CropMode>("--crop",
            "How larger images come to that size. Resizing removes the highest frequencies.");
        Option<int> width = CommonOptions.Positive(new Option<int>("--width")
        {
            Description = "Channels of the networks' first level; fewer are faster.",
            HelpName = "N",
            DefaultValueFactory = _ => 64,
        });
        Option<int> batch = CommonOptions.Positive(new Option<int>("--batch")
        {
            Description = "Pairs of images a step.",
            HelpName = "N",
            DefaultValueFactory = _ => 1,
        });
        Option<long> steps = CommonOptions.Positive(new Option<long>("--steps")
        {
            Description = "Number of training steps. [default: 1000]",
            HelpName = "N",
        });
        Option<int> epochs = CommonOptions.Positive(new Option<int>("--epochs")
        {
            Description = "Passes over the smaller folder, instead of --steps. [default for official: 10]",
            HelpName = "N",
        });
        Option<double> learningRate = CommonOptions.Number(new Option<double>("--learning-rate")
        {
            Description = string.Create(CultureInfo.InvariantCulture,
                $"Learning rate. [default: {TrainingOptions.For(Preset.Default).LearningRate:0.0#####}; "
                + $"official: {TrainingOptions.For(Preset.Official).LearningRate:0.0#####}]"),
            HelpName = "RATE",
        });
        Option<long> seed = CommonOptions.NotNegative(new Option<long>("--seed")
        {
            Description = "Decides weights, pairing and crops.",
            HelpName = "N",
            DefaultValueFactory = _ => 1,
        });
        Option<int> validate = CommonOptions.NotNegative(new Option<int>("--validate")
        {
            Description = "Images of each folder held out to find the best step; 0 for none. [default: a tenth, 2 to 32]",
            HelpName = "N",
        });
        Option<long> interval = CommonOptions.Positive(new Option<long>("--interval")
        {
            Description = "Steps between validations and checkpoints. [default: a twentieth of the run, at least 50]",
            HelpName = "N",
        });
        Option<bool> resume = new("--resume") { Description = "Go on from the run's last checkpoint, with its options." };
        Option<string> device = CommonOptions.Device();
        Option<int> threads = CommonOptions.Threads();
        StigCommand command = new("train",
            "Train a model on a folder of real and a folder of generated images. The images need not be pairs.",
            "stig train --real photos --fake generated --out run",
            "stig train --real photos --fake generated --out quick --preset filter",
            "stig train --real photos --fake generated --out small --size 128 --width 32 --steps 500",
            "stig train --real photos --fake generated --out run --resume --steps 5000")
        {
            real, fake, output, preset, steps, epochs, size, crop, width, batch, learningRate, seed, validate, interval, resume,
            device, threads,
        };
        command.Validators.Add(result =>
        {
            if (result.GetResult(steps) is not null && result.GetResult(epochs) is not null)
            {
                result.AddError("--steps and --epochs exclude each other.");
            }
        });
        command.SetAction(parsed =>
        {
            string deviceName = CommonOptions.Apply(terminal, parsed, device, threads, DevicePurpose.Training);
            string folder = parsed.GetRequiredValue(output);
            bool resumes = parsed.GetValue(resume);
            TrainingOptions? earlier = resumes ? EarlierOptions(folder) : null;
            TrainingOptions training = earlier ?? TrainingOptions.For(parsed.GetValue(preset)) with
            {
                Size = parsed.GetValue(size),
                Width = parsed.GetValue(width),
                Batch = parsed.GetValue(batch),
                Seed = parsed.GetValue(seed),
            };
            if (earlier is not null)
            {
                Refuse(parsed, preset, parsed.GetValue(preset), training.Preset);
                Refuse(parsed, size, parsed.GetValue(size), training.Size);
                Refuse(parsed, width, parsed.GetValue(width), training.Width);
                Refuse(parsed, batch, parsed.GetValue(batch), training.Batch);
                Refuse(parsed, seed, parsed.GetValue(seed), training.Seed);
                Refuse(parsed, learningRate, parsed.GetValue(learningRate), training.LearningRate);
            }
            else if (parsed.IsGiven(learningRate))
            {
                training = training with { LearningRate = parsed.GetValue(learningRate) };
            }

            if (parsed.IsGiven(steps))
            {
                training = training with { Steps = parsed.GetValue(steps), Epochs = 0 };
            }

            bool countsEpochs = parsed.IsGiven(epochs) || (earlier is null && training.Preset == Preset.Official && !parsed.IsGiven(steps));
            Validate(training);
            return Train(terminal, new TrainingRunOptions
            {
                RealFolder = parsed.GetRequiredValue(real),
                FakeFolder = parsed.GetRequiredValue(fake),
                OutputFolder = folder,
                Training = training,
                Epochs = parsed.IsGiven(epochs) ? parsed.GetValue(epochs) : countsEpochs ? OfficialEpochs : 0,
                Crop = parsed.IsGiven(crop) ? parsed.GetValue(crop) : null,
                Validation = parsed.IsGiven(validate) ? parsed.GetValue(validate) : null,
                Interval = parsed.GetValue(interval),
                Resume = resumes,
                Device = deviceName,
                Warn = terminal.Warn,
            });
        });
        return command;
    }

    /// <summary>Trains while showing progress: the step, the loss that the generator minimises, the last spectral distance.</summary>
    public static TrainingResult Run(Terminal terminal, TrainingRunOptions options, CancellationToken cancellation)
    {
        string title = options.Training.Preset == Preset.Filter ? "fitting the filter" : "training";
        return terminal.WithProgress(title, report =>
        {
            report.Report(0, "reading images");
            double? distance = null;
            TrainingResult result = TrainingRun.Run(options with
            {
                Progress = progress =>
                {
                    distance = progress.SpectralDistance ?? distance;
                    report.Report((double)progress.Step / progress.Steps, Status(progress, distance));
                },
            }, cancellation);
            report.Report(result.Completed ? 1 : 0, result.Completed ? $"step {result.Steps}, done" : $"stopped at step {result.Steps}");
            return result;
        });
    }

    private static int Train(Terminal terminal, TrainingRunOptions options)
    {
        using var interruption = new Interruption(terminal);
        Stopwatch clock = Stopwatch.StartNew();
        TrainingResult result = Run(terminal, options, interruption.Token);
        string steps = options.Training.Preset == Preset.Filter ? "Fitted the filter" : $"Trained to step {result.Steps}";
        terminal.Line($"{steps} in {Duration.Text(clock.Elapsed)}.");
        if (result is { BestDistance: double best, InputDistance: double input })
        {
            terminal.Line(string.Create(CultureInfo.InvariantCulture,
                $"Spectral distance of held-out fakes from reals: {input:F3} as they are, {best:F3} refined (step {result.BestStep})."));
        }

        if (result.BestCheckpoint is not null)
        {
            terminal.Line($"Best: {result.BestCheckpoint}");
        }

        terminal.Line($"Last: {result.LastCheckpoint}");
        if (!result.Completed)
        {
            terminal.Warn($"interrupted at step {result.Steps}; go on with the same command and --resume");
            return ExitCode.Interrupted;
        }

        return ExitCode.Success;
    }

    private static string Status(TrainingProgress progress, double? distance)
    {
        string loss = progress.Losses.TryGetValue(GeneratorLoss, out float generator)
            ? string.Create(CultureInfo.InvariantCulture, $"  loss {generator:F3}")
            : "";
        string spectral = distance is double value ? string.Create(CultureInfo.InvariantCulture, $"  distance {value:F3}") : "";
        return $"step {progress.Step}/{progress.Steps}{loss}{spectral}";
    }

    private static TrainingOptions EarlierOptions(string folder)
    {
        string last = Path.Combine(folder, "last.safetensors");
        return File.Exists(last)
            ? Checkpoint.ReadInfo(last).Training
                ?? throw new CheckpointException($"{last} holds no training options; it cannot be resumed. Start a new run.")
            : throw new CheckpointException(
                $"{folder} has no last.safetensors to resume from. Start without --resume, or name the folder of a run.");
    }

    private static void Refuse<T>(ParseResult parsed, Option<T> option, T given, T earlier)
    {
        if (parsed.IsGiven(option) && !EqualityComparer<T>.Default.Equals(given, earlier))
        {
            throw new UsageException(
                $"The run to resume has {option.Name} {earlier}, not {given}. Leave {option.Name} out, or start a new run.");
        }
    }

    private static void Validate(TrainingOptions training)
    {
        try
        {
            training.Validate();
        }
        catch (ArgumentException error)
        {
            throw new UsageException(error.Message);
        }
    }
}
