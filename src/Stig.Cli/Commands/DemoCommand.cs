using Stig.Model.Execution;
using System.CommandLine;

namespace Stig.Cli.Commands;

/// <summary><c>stig demo</c>: the whole program on made-up images.</summary>
internal static class DemoCommand
{
    public static Command Create(Terminal terminal)
    {
        Option<string> output = new("--out")
        {
            Description = "Folder for images, model, sheet and plot; what an earlier demo left there is replaced.",
            HelpName = "DIR",
            DefaultValueFactory = _ => "artifacts/demo",
        };
        Option<long> seed = CommonOptions.NotNegative(new Option<long>("--seed")
        {
            Description = "Decides the images and the training.",
            HelpName = "N",
            DefaultValueFactory = _ => 1,
        });
        Option<bool> quick = new("--quick") { Description = "A few small images and steps, for tests.", Hidden = true };
        Option<string> device = CommonOptions.Device();
        Option<int> threads = CommonOptions.Threads();
        StigCommand command = new("demo",
            "Make real-like and generated-like images, train on them, refine held-out ones, "
            + "and show by how much their spectra come nearer.",
            "stig demo", "stig demo --out somewhere --seed 7")
        {
            output, seed, quick, device, threads,
        };
        command.SetAction(parsed =>
        {
            string deviceName = CommonOptions.Apply(terminal, parsed, device, threads, DevicePurpose.Training);
            using var interruption = new Interruption(terminal);
            DemoPlan plan = parsed.GetValue(quick) ? DemoPlan.Quick : DemoPlan.Full;
            new Demo(terminal, parsed.GetRequiredValue(output), plan, parsed.GetValue(seed), deviceName, interruption.Token).Run();
            return ExitCode.Success;
        });
        return command;
    }
}
