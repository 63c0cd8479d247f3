using System.Text.Json;

namespace Stig.Cli.Tests;

/// <summary>
/// The measurements run and write what they show; what they measure depends on the machine and is not tested.
/// </summary>
public sealed class BenchTests : IDisposable
{
    private static readonly string[] Small = ["--device", "cpu", "--width", "16", "--size", "32", "--runs", "1"];

    private readonly string folder = Directory.CreateTempSubdirectory("stig-bench-").FullName;

    public void Dispose() => Directory.Delete(folder, recursive: true);

    [Theory]
    [InlineData("generator")]
    [InlineData("generator", "--direct")]
    [InlineData("step")]
    [InlineData("step", "--preset", "official")]
    [InlineData("ops")]
    [InlineData("ops", "--step")]
    public void A_measurement_shows_time_and_memory_and_writes_them(string what, params string[] options)
    {
        string path = Path.Combine(folder, "figures.json");

        CliRun run = CliRun.Of(["bench", what, .. Small, .. options, "--json", path]);

        Assert.Equal((ExitCode.Success, ""), (run.Code, run.Error));
        Assert.Contains("time    ", run.Output, StringComparison.Ordinal);
        using JsonDocument figures = JsonDocument.Parse(File.ReadAllText(path));
        Assert.True(figures.RootElement.GetProperty("time").GetProperty("median").GetDouble() > 0);
        Assert.True(figures.RootElement.GetProperty("memory").GetProperty("arena").GetInt64() > 0);
        if (what == "ops")
        {
            JsonElement[] operations = [.. figures.RootElement.GetProperty("operations").EnumerateArray()];
            Assert.Contains(operations, operation => operation.GetProperty("operation").GetString() == "conv2d");
            Assert.Equal(1, operations.Sum(operation => operation.GetProperty("share").GetDouble()), 1e-6);
            Assert.All(operations, operation => Assert.True(operation.GetProperty("floor").GetDouble() > 0));
        }
    }

    [Fact]
    public void What_cannot_be_measured_is_refused_in_one_line()
    {
        CliRun.Of("bench", "generator", "--size", "20").AssertFails(ExitCode.Usage, "--size", "16");
        CliRun.Of("bench", "step", "--preset", "filter").AssertFails(ExitCode.Usage, "--preset filter");
        CliRun.Of("bench", "step", "--device", "cpu", "--precision", "tf32").AssertFails(ExitCode.Device, "tf32");
    }
}
