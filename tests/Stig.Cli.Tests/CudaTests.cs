using System.Diagnostics;
using System.Text.Json;
using Stig.Tests;

namespace Stig.Cli.Tests;

/// <summary>The program on the simulated CUDA libraries, each time as a process of its own: libraries are found once a process.</summary>
public sealed class CudaTests(Workspace workspace)
{
    private readonly string folder = workspace.NewFolder();

    [Fact]
    public void Auto_takes_a_GPU_that_can_be_used()
    {
        CliRun run = Run([], "refine", "--model", workspace.DefaultModel, "--out", Path.Combine(folder, "out"), workspace.Fake);

        Assert.Equal((ExitCode.Success, ""), (run.Code, run.Error));
        Assert.StartsWith("Device cuda:0: ", run.Output, StringComparison.Ordinal);
        Assert.Equal(Directory.GetFiles(workspace.Fake).Length, Directory.GetFiles(Path.Combine(folder, "out"), "*.png").Length);
    }

    [Theory]
    [InlineData("CUDASIM_DEVICE_COUNT", "0", "sees no GPU")]
    [InlineData("CUDASIM_COMPUTE_CAPABILITY", "75", "compute capability 7.5")]
    [InlineData("CUDASIM_DRIVER_VERSION", "11080", "CUDA 11.8")]
    [InlineData("STIG_DEVICE", "cpu", "STIG_DEVICE says so")]
    public void Auto_says_why_it_takes_the_CPU(string variable, string value, string reason)
    {
        CliRun run = Run([(variable, value)], "refine", "--model", workspace.FilterModel, "--out", Path.Combine(folder, "out"), workspace.Fake);

        Assert.Equal((ExitCode.Success, ""), (run.Code, run.Error));
        string line = run.Output.Split('\n')[0];
        Assert.StartsWith("Device cpu: ", line, StringComparison.Ordinal);
        Assert.Contains(reason, line, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("gpu", "There is no device \"gpu\" (STIG_DEVICE)")]
    [InlineData("cuda:7", "Device cuda:7 (STIG_DEVICE) cannot be used")]
    public void A_preference_that_cannot_be_met_is_named(string preference, string message)
    {
        CliRun run = Run([("STIG_DEVICE", preference)], "refine", "--model", workspace.FilterModel, "--out", Path.Combine(folder, "out"), workspace.Fake);

        run.AssertFails(ExitCode.Device, message);
    }

    [Fact]
    public void Training_says_why_it_takes_the_CPU()
    {
        CliRun run = Run([], "train", "--real", workspace.Real, "--fake", workspace.Fake, "--out", Path.Combine(folder, "run"), "--preset", "filter",
            "--size", "32", "--validate", "0");

        Assert.Equal((ExitCode.Success, ""), (run.Code, run.Error));
        Assert.StartsWith("Device cpu: training computes on the CPU", run.Output, StringComparison.Ordinal);
    }

    [Fact]
    public void A_profiler_sees_every_node_of_the_measured_steps_under_its_name()
    {
        string log = Path.Combine(folder, "ranges");
        string injection = Path.Combine(Libraries(), "libnvtx_log.so");
        CliRun run = Run(
            [("NVTX_INJECTION64_PATH", injection), ("NVTX_LOG", log), ("CUDASIM_TRACE", "1")],
            "refine", "--profile", "--device", "cuda:0", "--batch", "1", "--model", workspace.DefaultModel, "--out", Path.Combine(folder, "out"), workspace.Fake);

        Assert.True(run.Code == ExitCode.Success, run.Error);
        int images = Directory.GetFiles(workspace.Fake).Length;
        List<string> seen = [];
        Stack<string> open = new();
        foreach (string line in File.ReadLines(log))
        {
            if (line == "pop")
            {
                open.Pop();
                continue;
            }

            string name = line["push ".Length..];
            seen.Add(name);

            // Nodes within a run, nothing within a node.
            Assert.Equal(name.StartsWith("stig ", StringComparison.Ordinal) ? 0 : 1, open.Count);
            open.Push(name);
        }

        Assert.Empty(open);
        foreach (string stage in (string[])["stig upload", "stig run", "stig download", "log_spectrum", "range_normalize_to_features", "generator.conv0_0/conv2d", "bicubic_up2",
            "generator.conv0_4/normalization", "activated_sum", "pack_pixels"])
        {
            Assert.True(seen.Contains(stage), $"{stage} is not among {string.Join(", ", seen.Distinct())}");
        }

        Assert.Equal(images, seen.Count(name => name == "stig run"));
        Assert.Equal(images, seen.Count(name => name == "pack_pixels"));

        // Plain launches, the first pass before the profiler starts, all of them done when it stops.
        string[] calls = [.. run.ErrorLines];
        Assert.DoesNotContain(calls, call => call.Contains("cuGraphLaunch", StringComparison.Ordinal));
        int start = Assert.Single(Places(calls, "cuProfilerStart"));
        int stop = Assert.Single(Places(calls, "cuProfilerStop"));
        int[] launches = Places(calls, "cuLaunchKernel");
        int before = launches.Count(place => place < start);
        Assert.InRange(before, 1, launches.Length);
        Assert.True(launches.Count(place => place > start && place < stop) >= images * 20, $"{launches.Length} launches");
        Assert.DoesNotContain(launches, place => place > stop);
    }

    [Fact]
    public void Without_a_profiler_there_is_none_on_the_CPU()
    {
        CliRun run = Run([], "refine", "--profile", "--device", "cpu", "--model", workspace.FilterModel, "--out", Path.Combine(folder, "out"), workspace.Fake);

        run.AssertFails(ExitCode.Device, "--profile", "--device cuda:0");
    }

    [Fact]
    public void Doctor_shows_libraries_driver_memory_and_how_to_go_on()
    {
        CliRun text = Run([("CUDASIM_MEMORY_MIB", "12000")], "doctor");
        CliRun json = Run([("CUDASIM_MEMORY_MIB", "12000")], "doctor", "--json");

        Assert.Equal((ExitCode.Success, ""), (text.Code, text.Error));
        foreach (string part in (string[])["driver for CUDA 13.0", "cuda:0", "MiB free of 12000 MiB", "libcuda.so.1", "libcufft.so", "libcublas.so", "libcublasLt.so",
            "libcudnn.so.9", "stig selftest --device cuda:0"])
        {
            Assert.Contains(part, text.Output, StringComparison.Ordinal);
        }

        JsonElement device = JsonDocument.Parse(json.Output).RootElement.GetProperty("cuda").GetProperty("devices")[0];
        Assert.InRange(device.GetProperty("free_bytes").GetInt64(), 1, 12000L << 20);
    }

    [Fact]
    public void Doctor_says_what_is_missing_where_it_was_looked_for_and_what_to_do()
    {
        string libraries = Path.Combine(folder, "libraries");
        Directory.CreateDirectory(libraries);
        foreach (string file in Directory.GetFiles(Libraries()))
        {
            if (Path.GetFileName(file) != "libcudnn_adv.so.9")
            {
                File.CreateSymbolicLink(Path.Combine(libraries, Path.GetFileName(file)), file);
            }
        }

        CliRun run = Run([("STIG_CUDA_PATH", libraries)], "doctor");

        Assert.Equal((ExitCode.Success, ""), (run.Code, run.Error));
        string[] lines = run.Output.Split('\n');
        int problem = Array.FindIndex(lines, line => line.StartsWith("  cuDNN 9", StringComparison.Ordinal));
        Assert.Contains("libcudnn_adv.so.9", lines[problem], StringComparison.Ordinal);
        Assert.Contains("tried", lines[problem + 1], StringComparison.Ordinal);
        Assert.Contains(lines, line => line.TrimStart().StartsWith("Install cuDNN 9", StringComparison.Ordinal));
        Assert.Contains(lines, line => line.StartsWith("note: There is a GPU's driver", StringComparison.Ordinal));
    }

    private static string Libraries()
    {
        Assert.SkipWhen(SimulatedCuda.BuiltFolder is null, "The simulated CUDA libraries are not built (artifacts/cudasim).");
        return SimulatedCuda.BuiltFolder!;
    }

    private static int[] Places(string[] calls, string symbol) =>
        [.. calls.Index().Where(call => call.Item.Contains(symbol, StringComparison.Ordinal)).Select(call => call.Index)];

    private CliRun Run((string Name, string Value)[] variables, params string[] arguments)
    {
        var start = new ProcessStartInfo("dotnet", [Path.Combine(AppContext.BaseDirectory, "stig.dll"), .. arguments])
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        start.Environment["STIG_CUDA_PATH"] = Libraries();
        start.Environment["STIG_DEVICE"] = "";
        start.Environment["XDG_CACHE_HOME"] = Path.Combine(folder, "cache");
        foreach ((string name, string value) in variables)
        {
            start.Environment[name] = value;
        }

        using Process process = Process.Start(start)!;
        Task<string> error = process.StandardError.ReadToEndAsync();
        string output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return new CliRun(process.ExitCode, output, error.Result);
    }
}
