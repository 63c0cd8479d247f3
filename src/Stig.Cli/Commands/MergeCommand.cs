using System.CommandLine;
using Stig.Model.Imaging;
using Stig.Model.Refinement;

namespace Stig.Cli.Commands;

/// <summary><c>stig merge</c>: whether the shards of a refinement cover its inputs exactly.</summary>
internal static class MergeCommand
{
    public static Command Create(Terminal terminal)
    {
        InputArguments inputs = new();
        Option<string> output = new("--out") { Description = "The output folder of all shards.", HelpName = "DIR", Required = true };
        Option<OutputFormat> format = CommonOptions.Choice<OutputFormat>("--format", "As the shards were refined with.");
        StigCommand command = new("merge",
            "Check that the manifests of all shards cover the images exactly, and make one manifest of them.",
            "stig merge --out refined generated")
        {
            output, format,
        };
        inputs.AddTo(command);
        command.SetAction(parsed =>
        {
            string folder = parsed.GetRequiredValue(output);
            using var interruption = new Interruption(terminal);
            RefineCodec codec = new() { Format = parsed.GetValue(format) };
            InputListing listing = InputListing.OpenAsync(inputs.Of(parsed, folder, codec), interruption.Token).GetAwaiter().GetResult();
            ManifestMergeResult result = ManifestMerge
                .RunAsync(folder, listing.ListAsync(interruption.Token), line => terminal.Error(ImageFiles.Printable(line)), terminal.Warn,
                    interruption.Token)
                .WaitAsync(interruption.Token).GetAwaiter().GetResult();
            if (result.Problems > 0)
            {
                terminal.Line($"{result.Manifests} manifests do not cover {result.Inputs} images: {result.Problems} problems.");
                return ExitCode.SomeFailed;
            }

            terminal.Line($"{result.Manifests} manifests cover {result.Inputs} images exactly: {Path.Combine(folder, "manifest.jsonl")}.");
            return ExitCode.Success;
        });
        return command;
    }
}
