using System.Text.Json;
using Stig.Model.Checkpoints;
using Stig.Model.Imaging;
using Stig.Model.Refinement;
using Stig.Model.Training;
using Stig.Model.Translation;

namespace Stig.Model.Tests.Training;

public sealed class TrainingRunTests : IDisposable
{
    private readonly SyntheticRun synthetic = new();

    public void Dispose() => synthetic.Dispose();

    [Theory]
    [InlineData(Preset.Default)]
    [InlineData(Preset.Official)]
    public void A_run_leaves_options_log_sheets_and_checkpoints(Preset preset)
    {
        TrainingResult result = TrainingRun.Run(synthetic.Options(preset, "run", steps: 4));

        Assert.True(result.Completed);
        Assert.Equal(4, result.Steps);
        string[] log = File.ReadAllLines(Path.Combine(synthetic["run"], "log.jsonl"));
        Assert.Equal(4, log.Length);
        for (int step = 1; step <= 4; step++)
        {
            JsonElement line = JsonDocument.Parse(log[step - 1]).RootElement;
            Assert.Equal(step, line.GetProperty("step").GetInt64());
            Assert.True(line.GetProperty("learning_rate").GetDouble() > 0);
            string[] losses = ["loss_D_total", "loss_G", "loss_G_GAN", "loss_SG_GAN", "loss_NCE", "loss_identity", "loss_LF"];
            foreach (string loss in losses)
            {
                Assert.True(double.IsFinite(line.GetProperty(loss).GetDouble()), $"{loss} at step {step}");
            }
        }

        JsonElement options = JsonDocument.Parse(File.ReadAllText(Path.Combine(synthetic["run"], "options.json"))).RootElement;
        Assert.Equal(4, options.GetProperty("training").GetProperty("width").GetInt32());
        Assert.Equal(3, Directory.GetFiles(Path.Combine(synthetic["run"], "sheets"), "*.png").Length);
        CheckpointInfo last = Checkpoint.ReadInfo(result.LastCheckpoint);
        Assert.Equal((4, preset), (last.Step, last.Architecture.Preset));
        CheckpointInfo best = Checkpoint.ReadInfo(result.BestCheckpoint!);
        Assert.Equal(result.BestDistance, best.SpectralDistance);
        Assert.True(best.SpectralDistance <= last.SpectralDistance);
        Assert.Empty(Directory.GetFiles(synthetic["run"], "*.tmp"));
        Assert.False(File.Exists(Path.Combine(synthetic["run"], "run.holder")));
    }

    [Fact]
    public void A_checkpoint_corrects_the_map_of_levels_and_no_other_part_of_the_closed_form()
    {
        using var executor = new Execution.Cpu.CpuExecutor();
        using Execution.TensorStore start = executor.CreateStore(), trained = executor.CreateStore();
        TrainingRunOptions options = synthetic.Options(Preset.Default, "start", steps: 2);
        Checkpoint.LoadTraining(TrainingRun.Run(options, new CancellationToken(canceled: true)).LastCheckpoint, start);
        Checkpoint.LoadTraining(TrainingRun.Run(options with { OutputFolder = synthetic["trained"] }).LastCheckpoint, trained);

        Assert.All((string[])["filter", "gate.weight", "gate.mean"], name => Assert.Equal(start.Read(name), trained.Read(name)));
        Assert.NotEqual(start.Read("levels.offset"), trained.Read("levels.offset"));
    }

    [Fact]
    public void The_default_preset_starts_as_the_closed_form_exactly()
    {
        // The oracle is the same model without its network.
        TrainingResult start =
            TrainingRun.Run(synthetic.Options(Preset.Default, "default", steps: 1), new CancellationToken(canceled: true));
        using Refiner whole = Refiner.Load(start.LastCheckpoint);
        using Refiner closedForm = Refiner.Load(start.LastCheckpoint, new RefinerOptions { Residual = false });
        RgbImage image = SyntheticImages.GanLike(5, 0, 32);

        Assert.Equal(0, start.Steps);
        Assert.Equal(closedForm.Refine(image).Pixels.ToArray(), whole.Refine(image).Pixels.ToArray());
        Assert.True(start.BestDistance < start.InputDistance,
            $"the closed form gave {start.BestDistance}, the fakes as they are {start.InputDistance}");
    }

    [Fact]
    public void Damaged_images_among_good_ones_are_skipped_and_named()
    {
        string damaged = Path.Combine(synthetic["data"], "fake", "00002.png");
        Assert.True(File.Exists(damaged));
        File.WriteAllBytes(damaged, File.ReadAllBytes(damaged)[..200]);
        List<string> warnings = [];

        TrainingResult result = TrainingRun.Run(synthetic.Options(Preset.Default, "run", steps: 8) with { Warn = warnings.Add });

        Assert.True(result.Completed);
        Assert.Contains(warnings, warning => warning.Contains(damaged, StringComparison.Ordinal));
    }

    [Fact]
    public void A_folder_with_a_run_is_neither_overwritten_nor_resumed_by_accident()
    {
        TrainingRunOptions options = synthetic.Options(Preset.Filter, "run", steps: 1);
        _ = TrainingRun.Run(options);

        Assert.Contains("--resume", Assert.Throws<IOException>(() => TrainingRun.Run(options)).Message, StringComparison.Ordinal);
        Assert.Contains("last.safetensors",
            Assert.Throws<IOException>(() => TrainingRun.Run(options with { OutputFolder = synthetic["empty"], Resume = true })).Message,
            StringComparison.Ordinal);
    }

    // A run that dies between a step's line and its checkpoint writes the line again; in the other order it would be missing for good.
    [Fact]
    public void The_log_is_never_behind_the_checkpoint()
    {
        TrainingRunOptions options = synthetic.Options(Preset.Default, "run", steps: 4);
        string inTheWay = Path.Combine(options.OutputFolder, "last.safetensors.tmp");

        Assert.Throws<CheckpointException>(() => TrainingRun.Run(options with
        {
            Progress = progress => _ = progress.Step == 3 ? Directory.CreateDirectory(inTheWay) : null,
        }));

        Assert.Equal(4, File.ReadLines(Path.Combine(options.OutputFolder, "log.jsonl")).Count());
        Assert.Equal(2, Checkpoint.ReadInfo(Path.Combine(options.OutputFolder, "last.safetensors")).Step);
    }

    [Fact]
    public void A_second_run_into_a_folder_in_use_is_refused()
    {
        TrainingRunOptions options = synthetic.Options(Preset.Default, "run", steps: 2);
        Exception? second = null;
        _ = TrainingRun.Run(options with { Progress = _ => second ??= Record.Exception(() => TrainingRun.Run(options)) });

        string message = Assert.IsType<IOException>(second).Message;
        Assert.Contains("in use", message, StringComparison.Ordinal);
        Assert.Contains($"process {Environment.ProcessId} on {Environment.MachineName}, since ", message, StringComparison.Ordinal);
    }

    [Fact]
    public void Resuming_with_other_options_is_refused()
    {
        TrainingRunOptions options = synthetic.Options(Preset.Default, "run", steps: 2);
        _ = TrainingRun.Run(options);

        TrainingRunOptions other = options with { Resume = true, Training = options.Training with { Width = 8 } };
        Assert.Contains("other options", Assert.Throws<CheckpointException>(() => TrainingRun.Run(other)).Message,
            StringComparison.Ordinal);
    }

    [Fact]
    public void Missing_folders_and_impossible_options_are_named()
    {
        TrainingRunOptions options = synthetic.Options(Preset.Default, "run", steps: 1);

        Assert.Contains("nowhere", Assert.Throws<ImageDataException>(
            () => TrainingRun.Run(options with { RealFolder = synthetic["nowhere"] })).Message,
            StringComparison.Ordinal);
        Assert.Contains("Size", Assert.Throws<ArgumentException>(
            () => TrainingRun.Run(options with { Training = options.Training with { Size = 40 } })).Message,
            StringComparison.Ordinal);
        Assert.Contains("auto, cpu",
            Assert.Throws<Execution.DeviceException>(() => TrainingRun.Run(options with { Device = "gpu" })).Message,
            StringComparison.Ordinal);
        Assert.False(Directory.Exists(synthetic["run"]));
    }
}
