using System.CommandLine;
using Stig.Model.Execution;
using Stig.Model.Execution.Cpu;
using Stig.SelfTest;

namespace Stig.Cli.Commands;

/// <summary><c>stig selftest</c>: every operation against a plain computation, on the device that the user has.</summary>
internal static class SelfTestCommand
{
    public static Command Create(Terminal terminal)
    {
        Option<string> device = CommonOptions.Device();
        Option<string> filter = new("--filter") { Description = "Run only the cases whose name contains this.", DefaultValueFactory = _ => "" };
        StigCommand command = new(
            "selftest", "Prove the operations on a device: each against a plain double-precision computation.",
            "stig selftest", "stig selftest --device cuda:0", "stig selftest --filter conv2d")
        {
            device,
            filter,
        };
        command.SetAction(parsed =>
        {
            string name = Device.Resolve(parsed.GetRequiredValue(device), DevicePurpose.Refinement, out _);
            return Run(terminal, name, parsed.GetRequiredValue(filter));
        });
        return command;
    }

    private static int Run(Terminal terminal, string device, string filter)
    {
        int passed = 0;
        int failed = 0;
        int skipped = 0;
        foreach (Precision precision in device == "cpu" ? CpuPrecision.HasBf16 ? [Precision.F32, Precision.Bf16] : [Precision.F32] : Enum.GetValues<Precision>())
        {
            using var runner = new SelfTestRunner(device, precision);
            foreach (OperationCase operation in OperationCases.All.Where(candidate => candidate.Name.Contains(filter, StringComparison.OrdinalIgnoreCase)))
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
