using System.Diagnostics;
using System.Globalization;
using Stig.Tests;

namespace Stig.Cli.Tests;

/// <summary>
/// Memory of long runs, as processes of their own: what is resident in the last quarter of the run against the second quarter, when
/// everything has been warmed up. The managed heap is kept small, so that its own ups and downs stay far below the bound.
/// </summary>
public sealed class MemoryTests(Workspace workspace)
{
    // In the long forms a leak of 2.5 KiB a step, a fifth of an image, passes it.
    private const long Bound = 6 << 20;

    [Fact]
    [Trait(Soak.Category, Soak.LongForm)]
    public void Training_takes_no_more_memory_from_step_to_step()
    {
        int steps = Soak.Scale(250, 5000);
        string run = Path.Combine(workspace.NewFolder(), "run");
        Check($"{steps} steps", Path.Combine(run, "last.safetensors"),
            "train", "--real", workspace.Real, "--fake", workspace.Fake, "--out", run, "--size", "32", "--width", "4", "--steps", $"{steps}",
            "--validate", "1", "--interval", $"{Math.Max(20, steps / 100)}",
            "--threads", "1");
    }

    [Fact]
    [Trait(Soak.Category, Soak.LongForm)]
    public void Refinement_takes_no_more_memory_from_image_to_image()
    {
        int count = Soak.Scale(1000, 10_000);
        string folder = workspace.NewFolder(), images = Directory.CreateDirectory(Path.Combine(folder, "images")).FullName;
        string[] sources = Directory.GetFiles(workspace.Fake);
        for (int i = 0; i < count; i++)
        {
            File.Copy(sources[i % sources.Length], Path.Combine(images, $"{i:D6}.png"));
        }

        string refined = Path.Combine(folder, "refined");
        Check($"{count} images", Path.Combine(refined, "000000.png"),
            "refine", "--model", workspace.DefaultModel, "--out", refined, images);
        Assert.Equal(count, Directory.GetFiles(refined, "*.png").Length);
        Directory.Delete(folder, recursive: true);
    }

    // Samples begin when the first result is there.
    private static void Check(string what, string firstResult, params string[] arguments)
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "reads the resident set from /proc");
        string host = Environment.ProcessPath is string path && Path.GetFileNameWithoutExtension(path) == "dotnet" ? path : "dotnet";
        var start = new ProcessStartInfo(host, [Path.Combine(AppContext.BaseDirectory, "stig.dll"), .. arguments])
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        start.Environment["DOTNET_GCgen0size"] = "400000";
        start.Environment["DOTNET_gcConcurrent"] = "0";

        // Code that is compiled a second time in mid-run, and the threads that do so, take memory too: ten megabytes seen in a short run.
        start.Environment["DOTNET_TieredCompilation"] = "0";
        using Process process = Process.Start(start)!;
        Task<string> output = process.StandardOutput.ReadToEndAsync(), error = process.StandardError.ReadToEndAsync();
        List<long> samples = [];
        while (!process.WaitForExit(TimeSpan.FromMilliseconds(25)))
        {
            if (File.Exists(firstResult) && Resident(process.Id) is long bytes)
            {
                samples.Add(bytes);
            }
        }

        Assert.True(process.ExitCode == ExitCode.Success, $"exit code {process.ExitCode}: {output.Result}{error.Result}");
        Assert.True(samples.Count >= 20, $"only {samples.Count} samples: the run is too short");
        int quarter = samples.Count / 4;
        long early = samples[quarter..(2 * quarter)].Max(), late = samples[^quarter..].Max();
        Soak.Report($"{what}: {early / 1048576.0:F1} MiB resident in the second quarter, {late / 1048576.0:F1} MiB in the last, {samples.Count} samples");
        Assert.True(late <= early + Bound, $"{early} bytes were resident in the second quarter of {what}, {late} in the last");
    }

    // Null once the process has ended.
    private static long? Resident(int process)
    {
        try
        {
            string line = File.ReadLines($"/proc/{process}/status").FirstOrDefault(line => line.StartsWith("VmRSS:", StringComparison.Ordinal), "");
            return line.Length > 0 ? 1024 * long.Parse(line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[^2], CultureInfo.InvariantCulture) : null;
        }
        catch (IOException)
        {
            return null;
        }
    }
}
