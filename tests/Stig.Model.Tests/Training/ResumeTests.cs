using Stig.Model.Checkpoints;
using Stig.Model.Data;
using Stig.Model.Training;
using Stig.Model.Translation;
using Stig.Tests;

namespace Stig.Model.Tests.Training;

/// <summary>
/// A run that is stopped and resumed against one that is not: all that they leave is equal to the last byte, because nothing of a run is
/// anywhere but in its checkpoint, and the machine and the number of threads are the same.
/// </summary>
public sealed class ResumeTests : IDisposable
{
    private static readonly string[] Results = ["last.safetensors", "best.safetensors", "log.jsonl"];

    private readonly SyntheticRun synthetic = new();

    public void Dispose() => synthetic.Dispose();

    // Stops lie between checkpoints and at them, before the first and twice in one place.
    [Theory]
    [Trait(Soak.Category, Soak.LongForm)]
    [InlineData(Preset.Default)]
    [InlineData(Preset.Official)]
    public void Stopping_at_any_step_changes_nothing(Preset preset)
    {
        int steps = Soak.Scale(7, 40), runs = Soak.Scale(2, 25), seed = Environment.TickCount & 0xffff;
        var random = new Random(seed);
        TrainingRunOptions whole = synthetic.Options(preset, "whole", steps) with { Interval = 3 };
        _ = TrainingRun.Run(whole);
        int stops = 0;
        for (int run = 0; run < runs; run++)
        {
            TrainingRunOptions options = whole with { OutputFolder = synthetic[$"stopped {run}"] };
            TrainingResult result;
            do
            {
                long stop = random.NextInt64(0, steps + 1);
                using var source = new CancellationTokenSource();
                if (stop == 0)
                {
                    source.Cancel();
                }

                result = TrainingRun.Run(options with { Progress = progress => CancelAt(progress, stop, source) }, source.Token);
                Assert.Equal(result.Steps, Checkpoint.ReadInfo(result.LastCheckpoint).Step);
                options = options with { Resume = true };
                stops += result.Completed ? 0 : 1;
            }
            while (!result.Completed);

            foreach (string name in Results)
            {
                Assert.True(
                    File.ReadAllBytes(Path.Combine(whole.OutputFolder, name)).SequenceEqual(File.ReadAllBytes(Path.Combine(options.OutputFolder, name))),
                    $"{name} of run {run} differs; seed {seed}");
            }

            // A sheet is drawn where the distance is measured, which is not where the run was stopped.
            Assert.Equal(Sheets(whole), Sheets(options));
        }

        Soak.Report($"{preset}: {runs} runs of {steps} steps, stopped {stops} times, seed {seed}");
    }

    [Fact]
    public void A_resumed_run_keeps_crop_held_out_images_and_interval()
    {
        TrainingRunOptions options = synthetic.Options(Preset.Default, "run", steps: 1) with { Crop = CropMode.Resize, Interval = 7 };
        _ = TrainingRun.Run(options);

        options = options with { Resume = true, Training = options.Training with { Steps = 2 } };
        _ = TrainingRun.Run(options with { Crop = null, Validation = null, Interval = 0 });

        RunSetup setup = Checkpoint.ReadInfo(Path.Combine(synthetic["run"], "last.safetensors")).Setup!;
        Assert.Equal((CropMode.Resize, 2, 7L), (setup.Crop, setup.Validation, setup.Interval));
        Assert.Contains("--crop resize --validate 2", Assert.Throws<CheckpointException>(
            () => TrainingRun.Run(options with { Crop = CropMode.Random })).Message, StringComparison.Ordinal);
        Assert.Contains("--validate 1", Assert.Throws<CheckpointException>(
            () => TrainingRun.Run(options with { Validation = 1 })).Message, StringComparison.Ordinal);
    }

    // The weight gradients of convolutions depend in their last bits on the number of threads; nobody shall find that out by comparing files.
    [Fact]
    public void Resuming_on_another_number_of_threads_or_other_images_warns()
    {
        TrainingRunOptions options = synthetic.Options(Preset.Default, "run", steps: 1);
        _ = TrainingRun.Run(options);
        string last = Path.Combine(synthetic["run"], "last.safetensors");
        RunSetup setup = Checkpoint.ReadInfo(last).Setup!;
        Assert.Contains($" with {Interop.NativeCore.Threads} thread", setup.ComputedOn, StringComparison.Ordinal);
        List<string> warnings = [];
        options = options with { Resume = true, Warn = warnings.Add };

        _ = TrainingRun.Run(options);
        Assert.Empty(warnings);

        setup.CheckResumed(setup with { ComputedOn = "cpu (v1) with 99 threads" }, last, warnings.Add);
        Assert.Contains("cpu (v1) with 99 threads", Assert.Single(warnings), StringComparison.Ordinal);

        File.Delete(Path.Combine(synthetic["data"], "real", "00000.png"));
        _ = TrainingRun.Run(options);
        Assert.Equal(2, warnings.Count);
        Assert.Contains("then 6 real and 6 fake, now 5 and 6", warnings[1], StringComparison.Ordinal);
    }

    // A run that is killed leaves unfinished files and a line without an end; the next one removes what is a run's, and nothing else.
    [Fact]
    public void Remains_of_a_killed_run_are_cleared()
    {
        TrainingRunOptions options = synthetic.Options(Preset.Default, "run", steps: 2);
        _ = TrainingRun.Run(options);
        string[] before = Names();
        string foreign = Path.Combine(synthetic["run"], "notes.tmp");
        foreach (string name in (string[])["last.safetensors.tmp", ".options.json.0123.tmp", "sheets/.step-000001.png.0123.tmp", "notes.tmp"])
        {
            File.WriteAllText(Path.Combine(synthetic["run"], name), "unfinished");
        }

        File.AppendAllText(Path.Combine(synthetic["run"], "log.jsonl"), "{\"step\":3,\"loss");
        _ = TrainingRun.Run(options with { Resume = true });

        Assert.Equal([.. before.Append(foreign).Order(StringComparer.Ordinal)], Names());
        Assert.Equal(2, File.ReadAllLines(Path.Combine(synthetic["run"], "log.jsonl")).Length);

        string[] Names() => [.. Directory.GetFiles(synthetic["run"], "*", SearchOption.AllDirectories).Order(StringComparer.Ordinal)];
    }

    private static string?[] Sheets(TrainingRunOptions options) =>
        [.. Directory.GetFiles(Path.Combine(options.OutputFolder, "sheets")).Select(Path.GetFileName).Order(StringComparer.Ordinal)];

    private static void CancelAt(TrainingProgress progress, long stop, CancellationTokenSource source)
    {
        if (progress.Step == stop)
        {
            source.Cancel();
        }
    }
}
