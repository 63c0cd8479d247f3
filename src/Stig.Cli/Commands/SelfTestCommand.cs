using System.CommandLine;
using Stig.Model.Execution;
using Stig.Model.Execution.Cpu;
using Stig.SelfTest;
using Stig.SelfTest.Cases;

namespace Stig.Cli.Commands;

/// <summary><c>stig selftest</c>: every operation against a plain computation, on the device that the user has.</summary>
internal static class SelfTestCommand
{
    public static Command Create(Terminal terminal)
    {
        Option<string> device = CommonOptions.Device();
        Option<string> filter = new("--filter") { Description = "Run only the cases whose name contains this.", DefaultValueFactory = _ => "" };
        Option<string?> golden = new("--golden")
        {
            Description = "Compare whole spectra, networks and refinements too, with the reference implementation's files in this folder (tests/golden of the sources).",
            HelpName = "DIR",
        };
        StigCommand command = new(
            "selftest", "Prove the operations on a device: each against a plain double-precision computation.",
            "stig selftest", "stig selftest --device cuda:0", "stig selftest --filter conv2d",
            "stig selftest --device cuda:0 --golden tests/golden")
        {
            device,
            filter,
            golden,
        };
        command.SetAction(parsed =>
        {
            string name = Device.Resolve(parsed.GetRequiredValue(device), DevicePurpose.Refinement, out _);
            return Run(terminal, name, parsed.GetRequiredValue(filter), [.. OperationCases.All, .. References(parsed.GetValue(golden))]);
        });
        return command;
    }

    private static IReadOnlyList<OperationCase> References(string? folder)
    {
        if (folder is null)
        {
            return [];
        }

        IReadOnlyList<OperationCase> cases = ReferenceCases.Of(folder);
        return cases.Count > 0 ? cases : throw new UsageException($"--golden: {folder} has no file of the reference, such as 01_spectrum.safetensors.");
    }

    private static int Run(Terminal terminal, string device, string filter, IReadOnlyList<OperationCase> cases)
    {
        int passed = 0;
        int failed = 0;
        int skipped = 0;
        foreach (Precision precision in device == "cpu" ? CpuPrecision.HasBf16 ? [Precision.F32, Precision.Bf16] : [Precision.F32] : Enum.GetValues<Precision>())
        {
            using var runner = new SelfTestRunner(device, precision);
            foreach (OperationCase operation in cases.Where(candidate => candidate.Name.Contains(filter, StringComparison.OrdinalIgnoreCase)))
            {
                if (!runner.Supports(operation))
                {
                    skipped++;
                    continue;
                }

                CaseResult result = runner.Run(operation);
                if (result.Passed)
                {
                    passed++;
                }
                else
                {
                    failed++;
                    terminal.Line($"FAILED ({device}, {precision}) {result.Message}");
                }
            }
        }

        terminal.Line($"{passed} passed, {failed} failed, {skipped} skipped on {device}");
        return failed > 0 ? ExitCode.SomeFailed : passed > 0 ? ExitCode.Success : throw new UsageException($"No case has \"{filter}\" in its name.");
    }
}
