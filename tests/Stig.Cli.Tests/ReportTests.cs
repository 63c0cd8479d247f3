using System.Text.Json;
using Stig.Model.Checkpoints;

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
        Assert.Contains("All that is needed is there.", text.Output, StringComparison.Ordinal);
        Assert.Contains(core.GetProperty("path").GetString()!, text.Output, StringComparison.Ordinal);
    }
}
