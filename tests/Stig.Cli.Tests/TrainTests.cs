using System.Diagnostics;
using Stig.Model.Checkpoints;

namespace Stig.Cli.Tests;

public sealed class TrainTests(Workspace workspace)
{
    private readonly string run = Path.Combine(workspace.NewFolder(), "run");

    private string[] Arguments =>
        ["train", "--real", workspace.Real, "--fake", workspace.Fake, "--out", run];

    [Fact]
    public void A_run_ends_with_its_distances_and_checkpoints()
    {
        CliRun result = CliRun.Of(
            [.. Arguments, "--size", "32", "--width", "4", "--steps", "2", "--validate", "2", "--learning-rate", "1e-4"]);

        Assert.Equal((ExitCode.Success, ""), (result.Code, result.Error));
        string[] lines = result.Output.TrimEnd().Split('\n');
        Assert.Matches(
            @"^Spectral distance of held-out fakes from reals: \d+\.\d+ as they are, \d+\.\d+ refined \(step \d\)\.$", lines[^3]);
        foreach ((string line, string name) in lines[^2..].Zip((string[])["best", "last"]))
        {
            string path = line["Best: ".Length..];
            Assert.Equal(Path.Combine(run, $"{name}.safetensors"), path);
            Assert.True(File.Exists(path));
        }

        CheckpointInfo info = Checkpoint.ReadInfo(Path.Combine(run, "last.safetensors"));
        Assert.Equal((2L, 1e-4), (info.Step, info.Training!.LearningRate));
    }

    [Fact]
    public void Epochs_count_passes_over_the_smaller_folder()
    {
        CliRun result = CliRun.Of([.. Arguments, "--size", "32", "--width", "4", "--epochs", "1", "--batch", "2", "--validate", "0"]);

        Assert.Equal(ExitCode.Success, result.Code);

        // Four images in batches of two.
        Assert.Equal(2, Checkpoint.ReadInfo(Path.Combine(run, "last.safetensors")).Step);
    }

    // As a process of its own, which a signal can be sent to: the step at hand is finished and saved, and the run goes on from there.
    [Fact]
    public void An_interrupted_run_can_be_resumed()
    {
        bool sent = false;
        CliRun interrupted = CliRun.OfProcess("stig", (process, line) =>
        {
            if (!sent && line.Contains("step", StringComparison.Ordinal))
            {
                sent = true;
                CliRun.Interrupt(process);
            }
        }, [.. Arguments, "--size", "32", "--width", "4", "--steps", "1000000", "--validate", "0"]);

        Assert.Equal(ExitCode.Interrupted, interrupted.Code);
        Assert.Contains("--resume", interrupted.Error, StringComparison.Ordinal);
        Assert.DoesNotContain(Directory.GetFiles(run), path => path.EndsWith(".tmp", StringComparison.Ordinal));
        long step = Checkpoint.ReadInfo(Path.Combine(run, "last.safetensors")).Step;
        Assert.InRange(step, 1, 999_999);

        // A process of its own again: in this one another test may have set another number of threads, of which resuming warns.
        CliRun resumed = CliRun.OfProcess("stig", (_, _) => { }, [.. Arguments, "--resume", "--steps", $"{step + 1}", "--validate", "0"]);

        Assert.Equal((ExitCode.Success, ""), (resumed.Code, resumed.Error));
        Assert.Equal(step + 1, Checkpoint.ReadInfo(Path.Combine(run, "last.safetensors")).Step);
    }

    [Fact]
    public void The_sample_refines_with_the_library()
    {
        CliRun result = CliRun.OfProcess("RefineBatch", null, [workspace.DefaultModel, .. Directory.GetFiles(workspace.Fake).Order()]);

        Assert.Equal((0, ""), (result.Code, result.Error));
        Assert.Matches(@"bytes as spans: 4 images of 32 x 32, mean change (?!0\.00)\d+\.\d\d of 255", result.Output);
        Assert.Contains("floats by pointers: values from ", result.Output, StringComparison.Ordinal);
    }
}
