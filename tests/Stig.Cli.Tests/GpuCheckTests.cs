using System.Diagnostics;
using System.Text.Json;
using Stig.Tests;

namespace Stig.Cli.Tests;

/// <summary>
/// deploy/gpu-check, which proves and measures a GPU from the bundle in one command, on the simulated libraries: as a script beside a `run` that
/// starts this program.
/// </summary>
public sealed class GpuCheckTests : IDisposable
{
    private readonly string folder = Directory.CreateTempSubdirectory("stig-gpu-check-").FullName;

    private string Out => Path.Combine(folder, "out");

    public void Dispose() => Directory.Delete(folder, recursive: true);

    [Fact]
    public void One_command_proves_and_measures_and_leaves_its_results()
    {
        CliRun run = Check(SimulatedCuda.BuiltFolder, "--golden", Repository.PathOf("tests/golden"), "--filter", "reference/01_spectrum", "--bench", "--width 8 --size 32 --runs 2");

        Assert.True(run.Code == ExitCode.Success, run.Output + run.Error);
        Assert.Contains("cuda:0 ", run.Output, StringComparison.Ordinal);
        Assert.Matches(@"selftest: [1-9]\d* passed, 0 failed, \d+ skipped on cuda:0", run.Output);
        Assert.Matches("generator-bf16: time ", run.Output);
        Assert.Contains("peers: ", run.Output, StringComparison.Ordinal);

        // No more than a machine that is lent gives back.
        Assert.InRange(Directory.GetFiles(Out, "*", SearchOption.AllDirectories).Length, 6, 8);
        Assert.Contains("== operations", File.ReadAllText(Path.Combine(Out, "log.txt")), StringComparison.Ordinal);
        foreach (string measured in (string[])["generator-bf16", "generator-tf32", "generator-f32", "operations"])
        {
            using JsonDocument figures = JsonDocument.Parse(File.ReadAllText(Path.Combine(Out, $"{measured}.json")));
            Assert.Equal("cuda:0", figures.RootElement.GetProperty("settings").GetProperty("device").GetString());
        }

        Assert.Equal(["gpu-check", "run"], Directory.GetFileSystemEntries(Path.Combine(folder, "kit")).Select(Path.GetFileName).Order());
    }

    [Fact]
    public void Without_a_device_it_says_so_once_and_measures_nothing()
    {
        string empty = Directory.CreateDirectory(Path.Combine(folder, "none")).FullName;
        CliRun run = Check(empty, "--device", "cuda:7");

        Assert.Equal(ExitCode.Device, run.Code);
        Assert.Contains("selftest: FAILED with exit code 5:", run.Output, StringComparison.Ordinal);
        Assert.DoesNotContain("generator-bf16", run.Output, StringComparison.Ordinal);
        Assert.Equal(["log.txt"], Directory.GetFiles(Out).Select(Path.GetFileName));
    }

    [Fact]
    public void What_is_not_done_within_the_limit_is_stopped_and_fails()
    {
        // The whole self-test takes far longer than the doctor and a few seconds. Where the machine is busy, the doctor alone may use them up.
        CliRun run = Check(SimulatedCuda.BuiltFolder, "--limit", "5");

        Assert.Equal(1, run.Code);
        Assert.Matches("selftest: FAILED: (not done in|nothing is left of the) 5 s", run.Output);
        Assert.Contains("generator-f32: FAILED: nothing is left of the 5 s", run.Output, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(2, "there is no option --devices", "--devices", "cuda:0")]
    [InlineData(2, "--device needs a value", "--device")]
    [InlineData(2, "--limit is a number of seconds, not 'soon'", "--limit", "soon")]
    [InlineData(6, "cannot write to /proc/none", "--out", "/proc/none")]
    public void A_wrong_command_line_is_one_line(int code, string message, params string[] arguments)
    {
        CliRun run = Check(SimulatedCuda.BuiltFolder, arguments);

        Assert.Equal(code, run.Code);
        Assert.Contains(message, run.ErrorLines[^1], StringComparison.Ordinal);
    }

    private CliRun Check(string? libraries, params string[] arguments)
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "the bundle's scripts are for Linux");
        Assert.SkipWhen(libraries is null, "The simulated CUDA libraries are not built (artifacts/cudasim).");
        string kit = Directory.CreateDirectory(Path.Combine(folder, "kit")).FullName;
        File.Copy(Repository.PathOf("deploy/gpu-check"), Path.Combine(kit, "gpu-check"));
        string program = Path.Combine(kit, "run");
        File.WriteAllText(program, $"#!/bin/sh\nexec dotnet '{Path.Combine(AppContext.BaseDirectory, "stig.dll")}' \"$@\"\n");
        if (!OperatingSystem.IsWindows())
        {
            File.SetUnixFileMode(program, File.GetUnixFileMode(program) | UnixFileMode.UserExecute);
        }

        ProcessStartInfo start = new("sh", [Path.Combine(kit, "gpu-check"), .. arguments])
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            WorkingDirectory = folder,
        };
        start.Environment["OUT"] = Out;
        start.Environment["STIG_CUDA_PATH"] = libraries;
        start.Environment["CUDASIM_QUIET"] = "1";
        using Process process = Process.Start(start)!;
        Task<string> error = process.StandardError.ReadToEndAsync();
        string output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return new CliRun(process.ExitCode, output, error.Result);
    }
}
