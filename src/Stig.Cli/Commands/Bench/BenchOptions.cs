using System.CommandLine;
using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization;
using Stig.Model.Execution;
using Stig.Model.Imaging;

namespace Stig.Cli.Commands.Bench;

/// <summary>What the measurements of networks have in common.</summary>
/// <param name="Device">"cpu" or "cuda:N".</param>
/// <param name="Width">Channels of the uppermost level.</param>
/// <param name="Size">Height and width of the images.</param>
/// <param name="Precision">Arithmetic of the convolutions.</param>
/// <param name="Winograd">Whether convolutions may use Winograd on the CPU.</param>
/// <param name="Runs">Runs that are timed, after one that is not.</param>
internal sealed record BenchSettings(string Device, int Width, int Size, Precision Precision, bool Winograd, int Runs);

/// <summary>The options of a measurement.</summary>
internal sealed class BenchOptions
{
    private readonly DevicePurpose purpose;
    private readonly Option<string> device = CommonOptions.Device();
    private readonly Option<int> threads = CommonOptions.Threads();
    private readonly Option<int> width = Positive("--width", "Channels of the generator's uppermost level.", 64);
    private readonly Option<int> size = Positive("--size", "Height and width of the images in pixels, a multiple of 16.", 256);
    private readonly Option<int> runs;
    private readonly Option<bool> direct = new("--direct") { Description = "On the CPU: direct convolutions only, no Winograd." };
    private readonly Option<string?> json = new("--json") { Description = "Write the figures to this file as well.", HelpName = "FILE" };
    private readonly Option<PrecisionChoice> precision = CommonOptions.Precision();

    public BenchOptions(DevicePurpose purpose, int runs)
    {
        this.purpose = purpose;
        this.runs = Positive("--runs", "Runs that are timed, after one that is not.", runs);
    }

    /// <summary>Gives a command these options; what it measures is shown, and written where that was asked for.</summary>
    public Command On(Command command, Terminal terminal, Func<ParseResult, BenchSettings, BenchReport> measure)
    {
        foreach (Option option in (Option[])[device, width, size, threads, precision, direct, runs, json])
        {
            command.Add(option);
        }

        command.SetAction(parsed =>
        {
            string name = CommonOptions.Apply(terminal, parsed, device, threads, purpose);
            bool winograd = !parsed.GetValue(direct);
            Precision arithmetic = purpose == DevicePurpose.Training && parsed.GetValue(precision) == PrecisionChoice.Auto
                ? Precision.F32
                : Device.ResolvePrecision(parsed.GetValue(precision).Asked(), name, winograd);
            var settings = new BenchSettings(name, parsed.GetValue(width), parsed.GetValue(size), arithmetic, winograd, parsed.GetValue(runs));
            if (settings.Size % 16 != 0)
            {
                throw new UsageException($"--size must be a multiple of 16; it is {settings.Size}.");
            }

            BenchReport report = measure(parsed, settings);
            Show(terminal, report);
            if (parsed.GetValue(json) is string path)
            {
                AtomicFile.Write(path, Encoding.UTF8.GetBytes(JsonSerializer.Serialize(report, BenchJson.Default.BenchReport) + "\n"));
            }
        });
        return command;
    }

    private static void Show(Terminal terminal, BenchReport report)
    {
        BenchSettings settings = report.Settings;
        string arithmetic = settings.Precision.ToString().ToLowerInvariant() + (settings is { Device: "cpu", Precision: Precision.F32, Winograd: false } ? ", direct" : "");
        terminal.Line(report.Machine.ToString());
        terminal.Line($"{report.Measured}, width {settings.Width}, {settings.Size} x {settings.Size}, batch 1, {arithmetic}");
        terminal.Line($"time    {report.Time}");
        terminal.Line($"memory  {report.Memory}");
    }

    private static Option<int> Positive(string name, string description, int value) => CommonOptions.Positive(new Option<int>(name)
    {
        Description = description,
        HelpName = "N",
        DefaultValueFactory = _ => value,
    });
}

/// <summary>What a measurement gave.</summary>
/// <param name="Measured">What was measured.</param>
/// <param name="Machine">On what.</param>
/// <param name="Settings">With which options.</param>
/// <param name="Time">How long a run takes.</param>
/// <param name="Memory">What it needs.</param>
internal sealed record BenchReport(string Measured, MachineReport Machine, BenchSettings Settings, TimeReport Time, MemoryReport Memory)
{
    /// <summary>Every operation, the longest first, where they were measured.</summary>
    public IReadOnlyList<OperationReport>? Operations { get; init; }
}

[JsonSourceGenerationOptions(
    WriteIndented = true, PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower, UseStringEnumConverter = true)]
[JsonSerializable(typeof(BenchReport))]
internal sealed partial class BenchJson : JsonSerializerContext;
