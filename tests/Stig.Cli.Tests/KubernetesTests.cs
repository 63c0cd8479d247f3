using System.Diagnostics;
using System.Globalization;
using System.Runtime.Versioning;
using System.Text.RegularExpressions;
using Stig.Model.Imaging;
using Stig.Model.Refinement;
using Stig.Tests;

namespace Stig.Cli.Tests;

/// <summary>The job of deploy/kubernetes: its script and its environment, run for every index as the pods would, on the simulated CUDA libraries.</summary>
[UnsupportedOSPlatform("windows")]
public sealed class KubernetesTests(Workspace workspace)
{
    private readonly string folder = workspace.NewFolder();
    private readonly string[] job = File.ReadAllLines(Repository.PathOf("deploy/kubernetes/refine-job.yaml"));

    // The oracle of the outputs is one run without shards; that of exit codes is what the file's failure policy says of them.
    [Fact]
    public void The_pods_of_all_indexes_together_refine_everything()
    {
        Assert.SkipWhen(SimulatedCuda.BuiltFolder is null, "The simulated CUDA libraries are not built (artifacts/cudasim).");
        string input = Path.Combine(folder, "in"), output = Path.Combine(folder, "out"), whole = Path.Combine(folder, "whole");
        for (int i = 0; i < 24; i++)
        {
            ImageCodec.Save(Path.Combine(input, $"{i:D2}.png"), SyntheticImages.GanLike(3, i, Workspace.Size));
        }

        int parts = int.Parse(Value("completions"), CultureInfo.InvariantCulture);
        Assert.Equal("Indexed", Value("completionMode"));
        Assert.Equal($"{parts}", Environment("STIG_SHARD_COUNT"));
        Assert.All(Enumerable.Range(0, parts), index => Assert.Equal(0, Pod(index, input, output)));

        // Refined with the same device, so that a processor's rounding is not compared with a GPU's.
        Assert.Equal(0, Pod(0, input, whole, shards: 1));
        Assert.Equal(24, Names(whole).Length);
        Assert.Equal(Names(whole), Names(output));
        Assert.All(Names(whole), name => Assert.Equal(File.ReadAllBytes(Path.Combine(whole, name)), File.ReadAllBytes(Path.Combine(output, name))));
        Assert.Equal(ExitCode.Success, CliRun.Of("merge", "--out", output, input).Code);

        // A pod that starts again with nothing left to do has succeeded; a bad image fails its index and no other; a wrong model fails the job.
        Assert.Equal(0, Pod(0, input, output));
        File.WriteAllText(Path.Combine(input, "bad.png"), "text");
        int bad = Enumerable.Range(0, parts).Single(index => new Shard(index, parts).Holds("bad.png"));
        Assert.Contains(Pod(bad, input, output), Codes("FailIndex"));
        Assert.Equal(0, Pod((bad + 1) % parts, input, output));
        Assert.Contains(Pod(0, input, output, model: Path.Combine(input, "bad.png")), Codes("FailJob"));
        Assert.DoesNotContain(ExitCode.Device, (int[])[.. Codes("FailIndex"), .. Codes("FailJob")]);
    }

    private static string[] Names(string output) => [.. Directory.GetFiles(output, "*.png").Select(path => Path.GetFileName(path)).Order()];

    private string Value(string key) => job.Single(line => line.Trim().StartsWith($"{key}:", StringComparison.Ordinal)).Split(':')[1].Trim();

    private string Environment(string name) => Regex.Match(string.Join('\n', job), $"name: {name}, value: \"?([^\" ]+)").Groups[1].Value;

    private int[] Codes(string action)
    {
        string values = job.SkipWhile(line => !line.Contains($"action: {action}", StringComparison.Ordinal)).First(line => line.Contains("values:", StringComparison.Ordinal));
        return [.. values.Split('[', ']')[1].Split(',').Select(value => int.Parse(value, CultureInfo.InvariantCulture))];
    }

    // Runs the container's command; gives its exit code.
    private int Pod(int index, string input, string output, int? shards = null, string? model = null)
    {
        string program = Path.Combine(Directory.CreateDirectory(Path.Combine(folder, "bin")).FullName, "stig");
        File.WriteAllText(program, $"#!/bin/sh\nexec dotnet \"{Path.Combine(AppContext.BaseDirectory, "stig.dll")}\" \"$@\"\n");
        File.SetUnixFileMode(program, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);

        IEnumerable<string> script = job.SkipWhile(line => line.Trim() != "- |").Skip(1).TakeWhile(line => line.Trim() != "env:");
        var info = new ProcessStartInfo("/bin/sh", ["-c", string.Join('\n', script)]) { RedirectStandardOutput = true, RedirectStandardError = true };
        info.Environment["PATH"] = $"{Path.GetDirectoryName(program)}:{info.Environment["PATH"]}";
        info.Environment["JOB_COMPLETION_INDEX"] = $"{index}";
        info.Environment["STIG_SHARD_COUNT"] = shards is int count ? $"{count}" : Environment("STIG_SHARD_COUNT");
        info.Environment["STIG_CUDA_PATH"] = SimulatedCuda.BuiltFolder;
        info.Environment["CUDASIM_QUIET"] = "1";
        info.Environment["XDG_CACHE_HOME"] = Path.Combine(folder, "cache");
        (info.Environment["MODEL"], info.Environment["IN"], info.Environment["OUT"]) = (model ?? workspace.FilterModel, input, output);
        using Process pod = Process.Start(info)!;
        Task<string> messages = pod.StandardError.ReadToEndAsync();
        pod.StandardOutput.ReadToEnd();
        pod.WaitForExit();
        messages.Wait();
        return pod.ExitCode;
    }
}
