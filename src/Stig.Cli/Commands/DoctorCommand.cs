using System.CommandLine;
using System.Text.Json;
using System.Text.Json.Serialization;
using Stig.Interop.Cuda;
using Stig.Model.Refinement;

namespace Stig.Cli.Commands;

/// <summary><c>stig doctor</c>: whether this machine has what the program needs.</summary>
internal static class DoctorCommand
{
    public static Command Create(Terminal terminal)
    {
        Option<bool> json = CommonOptions.Json();
        StigCommand command = new("doctor", "Show the machine, the libraries in use, and what is missing.",
            "stig doctor", "stig doctor --json")
        {
            json,
        };
        command.SetAction(parsed =>
        {
            DoctorReport report = DoctorReport.Examine();
            if (parsed.GetValue(json))
            {
                terminal.Line(JsonSerializer.Serialize(report, DoctorJson.Default.DoctorReport));
            }
            else
            {
                Write(terminal, report);
            }

            return report.Problems.Any(problem => problem.Needed) ? ExitCode.Device : ExitCode.Success;
        });
        return command;
    }

    // Everything that was found; of what is missing, where it was looked for and what to do.
    private static IEnumerable<(string Name, string Value)> CudaFacts(CudaReport cuda)
    {
        yield return ("CUDA", cuda.Problem is null ? $"driver for CUDA {cuda.DriverVersion}" : $"not usable: {cuda.Problem}");
        foreach (CudaDeviceReport device in cuda.Devices)
        {
            string what = device.Info is { } info
                ? $"{info.Name}, compute capability {info.ComputeCapability}, {Memory(device.FreeBytes)}{info.MemoryBytes >> 20} MiB"
                : "unknown";
            yield return ($"  cuda:{device.Ordinal}", device.Problem is null ? what : $"{what}; not usable: {device.Problem}");
        }

        foreach (CudaLibraryReport library in cuda.Libraries)
        {
            if (library.Problem is null)
            {
                yield return ($"  {library.Name}", $"{library.Version}, {library.Path}");
                continue;
            }

            yield return ($"  {library.Name}", $"missing: {library.Problem}");
            foreach (string place in library.Tried)
            {
                yield return ("", $"tried {place}");
            }

            if (library.Remedy is string remedy)
            {
                yield return ("", remedy);
            }
        }
    }

    private static string Division(RefineReport refine)
    {
        string text = $"{refine.Cpu.Compute} threads compute, {refine.Cpu.Codec} decode and encode";
        return refine.AllGpus is ThreadShare gpus ? $"{text}; with cuda:all {gpus.Compute} feed GPUs, {gpus.Codec} decode and encode" : text;
    }

    private static string Memory(long? free) => free is long bytes ? $"{bytes >> 20} MiB free of " : "";

    private static void Write(Terminal terminal, DoctorReport report)
    {
        NativeCoreReport? core = report.NativeCore;
        (string Name, string Value)[] facts =
        [
            ("program", $"stig {report.ProgramVersion}, .NET {report.Runtime}"),
            ("system", $"{report.System} ({report.Architecture})"),
            ("processor", $"{report.Processor}, {report.Processors} usable"),
            ("features", string.Join(' ', report.Features)),
            ("container quota", report.Quota ?? "none"),
            ("memory", $"{report.MemoryBytes >> 20} MiB usable"),
            ("native core", core is null ? "missing" : $"{core.Path} (version {core.Version}, level {core.Level})"),
            ("oneDNN", core is null ? "unknown" : $"{core.OneDnnVersion}, code for {core.OneDnnInstructionSet}"),
            ("threads", core is null ? "unknown" : $"{core.Threads}"),
            ("refine", Division(report.Refine)),
            ("Skia", report.Skia ?? "missing"),
            .. CudaFacts(report.Cuda),
        ];
        foreach ((string name, string value) in facts)
        {
            terminal.Line($"{name,-16} {value}");
        }

        terminal.Line();
        foreach (Problem problem in report.Problems)
        {
            terminal.Line($"{(problem.Needed ? "MISSING" : "note")}: {problem.What} {problem.Remedy}");
        }

        if (!report.Problems.Any(problem => problem.Needed))
        {
            terminal.Line("All that is needed is there.");
            string device = report.Cuda.Problem is null ? $" --device cuda:{report.Cuda.Devices.First(gpu => gpu.Problem is null).Ordinal}" : "";
            terminal.Line($"To prove every operation on this machine: stig selftest{device}");
        }
    }
}

[JsonSourceGenerationOptions(WriteIndented = true, PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower)]
[JsonSerializable(typeof(DoctorReport))]
internal sealed partial class DoctorJson : JsonSerializerContext;
