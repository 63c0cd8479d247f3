using System.Text.Json;
using Stig.Model.Checkpoints;
using Stig.Model.Refinement;
using Stig.Tests;

namespace Stig.Cli.Tests;

public sealed class ReportTests(Workspace workspace)
{
    [Fact]
    public void Info_shows_what_the_file_holds()
    {
        CliRun text = CliRun.Of("info", workspace.DefaultModel);
        CliRun json = CliRun.Of("info", workspace.DefaultModel, "--json");

        Assert.Equal((ExitCode.Success, ""), (text.Code, text.Error));
        Assert.Equal((ExitCode.Success, ""), (json.Code, json.Error));
        JsonElement report = JsonDocument.Parse(json.Output).RootElement;
        Assert.Equal("Default", report.GetProperty("architecture").GetProperty("preset").GetString());
        Assert.Equal(Workspace.Size, report.GetProperty("architecture").GetProperty("size").GetInt32());
        Assert.Equal(4, report.GetProperty("architecture").GetProperty("width").GetInt32());
        Assert.Equal(2, report.GetProperty("step").GetInt64());
        Assert.Equal(2, report.GetProperty("training").GetProperty("steps").GetInt64());
        Assert.Equal(JsonValueKind.Null, report.GetProperty("spectral_distance").ValueKind);
        using SafeTensorsFile file = SafeTensorsFile.Open(workspace.DefaultModel);
        JsonElement[] tensors = [.. report.GetProperty("tensors").EnumerateArray()];
        // Weights in the order of the file, which is the network's, then the counters, which the file has first.
        Assert.Contains(file.Tensors, tensor => tensor.Type == StoredType.I64);
        Assert.Equal(
            [
                .. file.Tensors.Where(tensor => tensor.Type != StoredType.I64),
                .. file.Tensors.Where(tensor => tensor.Type == StoredType.I64),
            ],
            tensors.Select(tensor => file.Tensors.Single(stored => stored.Name == tensor.GetProperty("name").GetString())));
        Assert.Contains(" 2 steps, 1 pair of images each, ", text.Output, StringComparison.Ordinal);
        Assert.Contains(" filter in closed form, ", CliRun.Of("info", workspace.FilterModel).Output, StringComparison.Ordinal);
        Assert.Equal(file.Tensors.Sum(tensor => tensor.Count), report.GetProperty("parameters").GetInt64());
        Assert.All(file.Tensors, tensor => Assert.Contains($"{tensor.Name} ", text.Output, StringComparison.Ordinal));
        Assert.All(file.Tensors, tensor => Assert.Contains($"{tensor}\n", text.Output, StringComparison.Ordinal));
    }

    [Fact]
    public void Doctor_finds_what_these_tests_run_on()
    {
        CliRun text = CliRun.Of("doctor");
        CliRun json = CliRun.Of("doctor", "--json");

        Assert.Equal((ExitCode.Success, ""), (text.Code, text.Error));
        Assert.Equal((ExitCode.Success, ""), (json.Code, json.Error));
        JsonElement report = JsonDocument.Parse(json.Output).RootElement;
        Assert.Equal(Environment.ProcessorCount, report.GetProperty("processors").GetInt32());
        JsonElement core = report.GetProperty("native_core");
        Assert.True(File.Exists(core.GetProperty("path").GetString()));
        Assert.StartsWith("2.6", core.GetProperty("one_dnn_version").GetString(), StringComparison.Ordinal);
        Assert.DoesNotContain(report.GetProperty("problems").EnumerateArray(), problem => problem.GetProperty("needed").GetBoolean());
        JsonElement threads = report.GetProperty("refine").GetProperty("cpu");
        (int compute, int codec) = (threads.GetProperty("compute").GetInt32(), threads.GetProperty("codec").GetInt32());
        Assert.Equal(ThreadShare.Of(0, 0), new ThreadShare(compute, codec));
        Assert.Contains($"{compute} threads compute, {codec} decode and encode", text.Output, StringComparison.Ordinal);
        Assert.Contains("All that is needed is there.", text.Output, StringComparison.Ordinal);
        Assert.Contains(core.GetProperty("path").GetString()!, text.Output, StringComparison.Ordinal);
    }

    // A generator of width 1 as PyTorch saves it, which says nothing of itself but its tensors.
    [Fact]
    public void The_generator_of_the_reference_is_shown_and_used()
    {
        int[] channels = [1, 2, 4, 8, 8];
        List<(string, long[], float[])> tensors = [];
        void Add(string name, params long[] shape) =>
            tensors.Add((name, shape, [.. Enumerable.Range(0, (int)shape.Aggregate(1L, (count, extent) => count * extent)).Select(i => 0.1f + (i % 3))]));
        for (int column = 0; column < 5; column++)
        {
            for (int level = 0; level < 5 - column; level++)
            {
                int output = channels[level];
                int input = column > 0 ? (output * column) + channels[level + 1] : level > 0 ? channels[level - 1] : 3;
                for (int layer = 1; layer <= 2; layer++)
                {
                    Add($"conv{level}_{column}.conv{layer}.weight", output, layer == 1 ? input : output, 3, 3);
                    foreach (string name in (string[])[$"conv{layer}.bias", .. ((string[])["weight", "bias", "running_mean", "running_var"]).Select(part => $"bn{layer}.{part}")])
                    {
                        Add($"conv{level}_{column}.{name}", output);
                    }
                }
            }
        }

        Add("final.weight", 3, 1, 1, 1);
        Add("final.bias", 3);
        string folder = workspace.NewFolder(), path = Path.Combine(folder, "latest_net_G.pth"), refined = Path.Combine(folder, "refined");
        File.WriteAllBytes(path, TorchFile.StateDict([.. tensors]));

        CliRun info = CliRun.Of("info", path);
        Assert.Equal((ExitCode.Success, ""), (info.Code, info.Error));
        Assert.Matches(@"written by +PyTorch\n", info.Output);
        Assert.Matches(@"network +width 1, ", info.Output);
        CliRun refine = CliRun.Of("refine", "--model", path, "--out", refined, workspace.Fake);
        Assert.Equal((ExitCode.Success, ""), (refine.Code, refine.Error));
        Assert.Equal(4, Directory.GetFiles(refined, "*.png").Length);
    }

    [Fact]
    public void A_file_of_PyTorch_that_asks_to_run_something_is_refused_by_name()
    {
        string path = Path.Combine(workspace.NewFolder(), "x.pth");
        File.WriteAllBytes(path, TorchFile.Of([0x80, 2, .. TorchFile.Pickle.Global("os", "system"), .. TorchFile.Pickle.Text("ls"), 0x85, .. "R."u8]));

        CliRun.Of("info", path).AssertFails(ExitCode.Model, path, "'os.system'", "nothing was run");
    }
}
