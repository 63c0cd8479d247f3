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

    // The parts are those of one job: it can hardly be faster than the slowest of them, and has each image's first output before its end.
    [Theory]
    [InlineData("png")]
    [InlineData("jpeg", "--durable")]
    [InlineData("webp")]
    public void The_pipeline_is_measured_beside_its_parts(string format, params string[] options)
    {
        CliRun run = CliRun.Of(["bench", "pipeline", "--images", "20", "--size", "48", "--rounds", "1", "--threads", "1", "--format", format, .. options, "--json"]);

        Assert.Equal((ExitCode.Success, ""), (run.Code, run.Error));
        using JsonDocument figures = JsonDocument.Parse(run.Output);
        double Rate(string part) => figures.RootElement.GetProperty(part).GetProperty("rate").GetDouble();
        Assert.All(["decode", "codec", "skia", "files", "stages", "pipeline"], part => Assert.True(Rate(part) > 0));
        Assert.All([("stages", "ratio"), ("codec", "ratio_to_codec"), ("skia", "ratio_to_skia")], pair =>
            Assert.Equal(Rate("pipeline") / Rate(pair.Item1), figures.RootElement.GetProperty(pair.Item2).GetDouble(), 0.01));
        Assert.InRange(figures.RootElement.GetProperty("first_output_seconds").GetDouble(), 0, 20 / Rate("pipeline"));
        Assert.Equal(options.Length > 0, figures.RootElement.GetProperty("durable").GetBoolean());
        Assert.StartsWith(format[..1], figures.RootElement.GetProperty("format").GetString(), StringComparison.Ordinal);
    }

    [Fact]
    public void What_cannot_be_measured_is_refused_in_one_line()
    {
        CliRun.Of("bench", "generator", "--size", "20").AssertFails(ExitCode.Usage, "--size", "16");
        CliRun.Of("bench", "step", "--preset", "filter").AssertFails(ExitCode.Usage, "--preset filter");
        CliRun.Of("bench", "step", "--device", "cpu", "--precision", "tf32").AssertFails(ExitCode.Device, "tf32");
    }
}
